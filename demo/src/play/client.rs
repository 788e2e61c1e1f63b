//! A small HTTP/1.1 client: a connection for every request, bounded in time and size.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method};
use http_body_util::{BodyExt, Full, Limited};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

/// How long one request may take.
const PATIENCE: Duration = Duration::from_secs(15);
/// How long a raw connection may be silent before its answer counts as complete.
const SILENCE: Duration = Duration::from_millis(400);
/// The largest answer that is read, in bytes.
const LARGEST: usize = 16 * 1024 * 1024;

/// A request as it was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    /// The method, as written.
    pub method: String,
    /// The target, as written.
    pub target: String,
    /// Header names and values in order, without `Host`.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
    /// The bytes of the whole connection, instead of the above.
    pub raw: Option<Vec<u8>>,
}

impl Sent {
    /// The request line without the version; at most 120 characters.
    pub(super) fn line(&self) -> String {
        let line = match &self.raw {
            Some(raw) => String::from_utf8_lossy(raw).lines().next().unwrap_or_default().to_owned(),
            None => format!("{} {}", self.method, self.target),
        };
        line.chars().take(120).collect()
    }
}

/// What came back.
#[derive(Debug, Clone)]
pub struct Answer {
    /// The status; 0 where the connection closed without one.
    pub status: u16,
    /// Header names (lower case) and values in order.
    pub headers: Vec<(String, String)>,
    /// The body; of a raw connection everything that came back.
    pub body: Vec<u8>,
    /// How many answers came back on the connection.
    pub answers: usize,
}

impl Answer {
    /// The status, where there was one.
    pub(super) fn got_status(&self) -> Option<u16> {
        (self.status != 0).then_some(self.status)
    }

    /// The body as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON, where it is.
    pub fn json(&self) -> Option<Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The first header of this name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The code of a problem document: its `code`, or the last segment of its `type`.
    pub(super) fn problem(&self) -> Option<String> {
        if !self.header("content-type")?.starts_with("application/problem+json") {
            return None;
        }
        let start = self.body.iter().position(|byte| *byte == b'{')?;
        let mut documents =
            serde_json::Deserializer::from_slice(self.body.get(start..)?).into_iter::<Value>();
        let body = documents.next()?.ok()?;
        let named = body.get("code").and_then(Value::as_str);
        let typed =
            || body.get("type").and_then(Value::as_str).and_then(|uri| uri.rsplit(['/', '#', ':']).next());
        named.or_else(typed).map(str::to_owned)
    }
}

/// Where to, and from which loopback address.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) base: SocketAddr,
    pub(super) source: Option<[u8; 4]>,
}

impl Client {
    pub(super) async fn send(&self, sent: &Sent) -> Result<Answer, String> {
        let exchange = async {
            match &sent.raw {
                Some(raw) => self.raw(raw).await.map_err(|error| error.to_string()),
                None => self.http(sent).await,
            }
        };
        let outcome = tokio::time::timeout(PATIENCE, exchange).await;
        outcome.unwrap_or_else(|_| Err(format!("no answer within {} s: {}", PATIENCE.as_secs(), sent.line())))
    }

    /// Connects, from the source address where the system has it.
    async fn connect(&self) -> std::io::Result<TcpStream> {
        if let (Some(source), true) = (self.source, self.base.is_ipv4() && self.base.ip().is_loopback()) {
            let socket = TcpSocket::new_v4()?;
            if socket.bind(SocketAddr::from((Ipv4Addr::from(source), 0))).is_ok() {
                return socket.connect(self.base).await;
            }
        }
        TcpStream::connect(self.base).await
    }

    async fn http(&self, sent: &Sent) -> Result<Answer, String> {
        let stream =
            self.connect().await.map_err(|error| format!("cannot connect to {}: {error}", self.base))?;
        let _ = stream.set_nodelay(true);
        let handshake = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await;
        let (mut sender, connection) = handshake.map_err(|error| error.to_string())?;
        let connection = tokio::spawn(connection);
        let method = Method::from_bytes(sent.method.as_bytes()).map_err(|error| error.to_string())?;
        let mut request = http::Request::builder()
            .method(method)
            .uri(&sent.target)
            .header(http::header::HOST, self.base.to_string());
        for (name, value) in &sent.headers {
            let name: HeaderName = name.parse().map_err(|_| format!("`{name}` is no header name"))?;
            let value =
                HeaderValue::from_bytes(value.as_bytes()).map_err(|_| format!("`{name}`: bad value"))?;
            request = request.header(name, value);
        }
        let body = Full::new(Bytes::from(sent.body.clone()));
        let request = request.body(body).map_err(|error| format!("`{}`: {error}", sent.target))?;
        let response = match sender.send_request(request).await {
            Ok(response) => response,
            // Closed without an answer: that is an answer.
            Err(_) => return Ok(Answer { status: 0, headers: Vec::new(), body: Vec::new(), answers: 0 }),
        };
        let status = response.status().as_u16();
        let headers = response
            .headers()
            .iter()
            .map(|(name, value)| (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned()))
            .collect();
        let body =
            Limited::new(response.into_body(), LARGEST).collect().await.map_err(|error| error.to_string())?;
        connection.abort();
        Ok(Answer { status, headers, body: body.to_bytes().to_vec(), answers: 1 })
    }

    async fn raw(&self, bytes: &[u8]) -> std::io::Result<Answer> {
        let mut stream = self.connect().await?;
        // The other side may close before it has read everything.
        let _ = stream.write_all(bytes).await;
        let (mut body, mut chunk) = (Vec::new(), [0; 8192]);
        while body.len() < LARGEST {
            match tokio::time::timeout(SILENCE, stream.read(&mut chunk)).await {
                Ok(Ok(read)) if read > 0 => body.extend_from_slice(chunk.get(..read).unwrap_or_default()),
                _ => break,
            }
        }
        let text = String::from_utf8_lossy(&body).into_owned();
        let head = text.split("\r\n\r\n").next().unwrap_or_default();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
        let headers = head
            .lines()
            .skip(1)
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let answers = text.matches("HTTP/1.1 ").count();
        Ok(Answer { status, headers, body, answers })
    }
}
