//! One request, its answer, and the small client that carries them: HTTP/1.1 over TCP or TLS, no redirects,
//! every answer bounded in size and time.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls_pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Barrier;

/// A request as it goes out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// The method, any token.
    pub method: String,
    /// Path and query, percent-encoded.
    pub target: String,
    /// Header fields in order, without `Host` and `Content-Length`.
    pub headers: Vec<(String, String)>,
    /// The body; empty for none.
    pub body: Vec<u8>,
}

impl Request {
    /// A request without headers and body.
    pub fn new(method: &str, target: &str) -> Self {
        Self { method: method.to_owned(), target: target.to_owned(), ..Self::default() }
    }

    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// Sets a header, replacing what stood under its name.
    pub fn set_header(&mut self, name: &str, value: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
    }

    /// Removes a header.
    pub fn remove_header(&mut self, name: &str) {
        self.headers.retain(|(known, _)| !known.eq_ignore_ascii_case(name));
    }

    /// This request without what the scan put on it: credentials and its own marks.
    pub(crate) fn plain(&self) -> Self {
        let mut request = self.clone();
        for name in ["authorization", "cookie", "user-agent", "x-portcullis-scan"] {
            request.remove_header(name);
        }
        request
    }

    /// The path without the query.
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }
}

/// What came back.
#[derive(Debug, Clone, Default)]
pub struct Response {
    /// The status; 0 when nothing came back.
    pub status: u16,
    /// Header fields in order, names in lower case.
    pub headers: Vec<(String, String)>,
    /// The body, up to the client's bound.
    pub body: Vec<u8>,
    /// From the first byte sent to the last byte read.
    pub elapsed: Duration,
    /// Why nothing came back.
    pub error: Option<String>,
}

impl Response {
    /// The value of a header.
    pub fn header(&self, name: &str) -> Option<&str> {
        find(&self.headers, name)
    }

    /// The body as text, what is not UTF-8 replaced.
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(&self.body)
    }

    /// The body as JSON, whatever the media type says.
    pub fn json(&self) -> Option<serde_json::Value> {
        serde_json::from_slice(&self.body).ok()
    }

    /// Whether the status is 2xx.
    pub fn ok(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Whether the media type is HTML.
    pub fn is_html(&self) -> bool {
        self.header("content-type").is_some_and(|value| value.trim_start().starts_with("text/html"))
    }

    /// Whether it is a page in which a browser would run a script that somebody put there: HTML, and no content security
    /// policy (CSP3) keeps it from that.
    pub fn runs_scripts(&self) -> bool {
        let policies = self.headers.iter().filter(|(name, _)| name == "content-security-policy");
        let mut policies = policies.flat_map(|(_, value)| value.split(','));
        self.is_html() && !policies.any(forbids_scripts)
    }
}

/// Whether a policy lets no script run that stands in the page itself: a sandbox, or sources without one that anybody
/// could use.
fn forbids_scripts(policy: &str) -> bool {
    let policy = policy.to_ascii_lowercase();
    let named = |name: &str| {
        policy.split(';').find_map(|directive| {
            let mut words = directive.split_ascii_whitespace();
            (words.next() == Some(name)).then(|| words.collect::<Vec<&str>>())
        })
    };
    if named("sandbox").is_some_and(|allowed| !allowed.contains(&"allow-scripts")) {
        return true;
    }
    let safe = |source: &&str| {
        matches!(*source, "'none'" | "'self'" | "'strict-dynamic'" | "'report-sample'")
            || source.starts_with("'nonce-")
            || source.starts_with("'sha")
    };
    named("script-src").or_else(|| named("default-src")).is_some_and(|sources| sources.iter().all(safe))
}

/// A request, its answer, and in whose name it went.
#[derive(Debug, Clone)]
pub struct Exchange {
    /// The identity's name; `anonymous` for none.
    pub actor: String,
    /// What went out.
    pub request: Request,
    /// What came back.
    pub response: Response,
    /// How often in a row it was sent, as far as evidence goes; the answer is the last one's.
    pub times: u32,
    /// Whether it went out together with others, as far as evidence goes.
    pub together: bool,
}

fn find<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}

/// Where the API is: scheme, host, port and the path before all others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Whether it is reached over TLS.
    pub tls: bool,
    /// The host as written.
    pub host: String,
    /// The port.
    pub port: u16,
    /// The base path, without a slash at its end.
    pub base: String,
}

impl Target {
    /// Reads `http://host:port/base`.
    ///
    /// # Errors
    /// If it is not an absolute HTTP URL, or carries a user, query or fragment.
    pub fn parse(url: &str) -> Result<Self, String> {
        let wrong = |what: &str| format!("`{url}` {what}; expected a URL such as `http://127.0.0.1:3000`");
        let uri: http::Uri = url.parse().map_err(|_| wrong("cannot be read"))?;
        let tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(wrong("has no `http` or `https`")),
        };
        let authority = uri.authority().ok_or_else(|| wrong("has no host"))?;
        if authority.as_str().contains('@') || uri.query().is_some() {
            return Err(wrong("has a user or a query"));
        }
        let port = authority.port_u16().unwrap_or(if tls { 443 } else { 80 });
        let host = authority.host().to_owned();
        Ok(Self { tls, host, port, base: uri.path().trim_end_matches('/').to_owned() })
    }

    /// `host:port`, the port left out where it is the scheme's own.
    pub fn authority(&self) -> String {
        let own = if self.tls { 443 } else { 80 };
        if self.port == own { self.host.clone() } else { format!("{}:{}", self.host, self.port) }
    }

    /// The whole URL of a target of a request.
    pub fn url(&self, target: &str) -> String {
        format!("{}://{}{target}", if self.tls { "https" } else { "http" }, self.authority())
    }

    /// The addresses it stands for.
    ///
    /// # Errors
    /// If the name cannot be resolved.
    pub fn addresses(&self) -> Result<Vec<SocketAddr>, String> {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        let found = (host, self.port).to_socket_addrs();
        found.map(Iterator::collect).map_err(|error| format!("`{}` cannot be resolved: {error}", self.host))
    }

    /// Whether every one of its addresses is this machine's loopback.
    pub fn is_loopback(&self) -> bool {
        let loopback = |address: &SocketAddr| match address.ip().to_canonical() {
            IpAddr::V4(ip) => ip.is_loopback(),
            IpAddr::V6(ip) => ip.is_loopback(),
        };
        self.addresses().is_ok_and(|all| !all.is_empty() && all.iter().all(loopback))
    }
}

/// The client. Blocking, over a runtime of its own; a connection for each call.
pub(crate) struct Client {
    runtime: tokio::runtime::Runtime,
    wire: Arc<Wire>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("target", &self.wire.target).finish_non_exhaustive()
    }
}

impl Client {
    /// A client for one target. The address is resolved once: a name that changes its mind is not followed.
    /// `body_limit` bounds what is read of one body; `tls` says whom it trusts, this machine's authorities if nothing is given.
    pub(crate) fn new(
        target: &Target,
        timeout: Duration,
        body_limit: usize,
        tls: Option<&Arc<rustls::ClientConfig>>,
    ) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| format!("no runtime: {error}"))?;
        let address =
            *target.addresses()?.first().ok_or_else(|| format!("`{}` has no address", target.host))?;
        let tls = match (target.tls, tls) {
            (true, Some(config)) => Some(config.clone().into()),
            (true, None) => Some(connector()?),
            (false, _) => None,
        };
        let wire = Arc::new(Wire { target: target.clone(), address, tls, timeout, body_limit });
        Ok(Self { runtime, wire })
    }

    /// Sends one request.
    pub(crate) fn send(&self, request: &Request) -> Response {
        self.runtime.block_on(self.wire.exchange(request, None))
    }

    /// Sends several at once, each over a connection of its own: all are open before the first byte goes out.
    /// The answers come in the order of the requests.
    pub(crate) fn send_all(&self, requests: &[Request]) -> Vec<Response> {
        let start = Arc::new(Barrier::new(requests.len()));
        self.runtime.block_on(async {
            let each = requests.iter().map(|request| {
                let (wire, start, request) = (self.wire.clone(), start.clone(), request.clone());
                tokio::spawn(async move { wire.exchange(&request, Some(&start)).await })
            });
            let tasks: Vec<_> = each.collect();
            let mut answers = Vec::with_capacity(tasks.len());
            for task in tasks {
                let lost = |error: tokio::task::JoinError| Response {
                    error: Some(error.to_string()),
                    ..Response::default()
                };
                answers.push(task.await.unwrap_or_else(lost));
            }
            answers
        })
    }
}

/// What a connection needs to know.
struct Wire {
    target: Target,
    address: SocketAddr,
    tls: Option<tokio_rustls::TlsConnector>,
    timeout: Duration,
    body_limit: usize,
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

impl Wire {
    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let tcp =
            TcpStream::connect(self.address).await.map_err(|error| format!("no connection: {error}"))?;
        let _ = tcp.set_nodelay(true);
        let Some(tls) = &self.tls else { return Ok(Box::new(tcp)) };
        let host = self.target.host.trim_start_matches('[').trim_end_matches(']').to_owned();
        let name = ServerName::try_from(host).map_err(|error| error.to_string())?;
        let stream = tls.connect(name, tcp).await.map_err(|error| format!("no TLS: {error}"))?;
        Ok(Box::new(stream))
    }

    async fn exchange(&self, request: &Request, start: Option<&Barrier>) -> Response {
        let mut begun = Instant::now();
        let answer = tokio::time::timeout(self.timeout, self.talk(request, start, &mut begun)).await;
        let elapsed = begun.elapsed();
        match answer {
            Ok(Ok(response)) => Response { elapsed, ..response },
            Ok(Err(error)) => Response { error: Some(error), elapsed, ..Response::default() },
            Err(_) => {
                Response { error: Some("no answer in time".to_owned()), elapsed, ..Response::default() }
            }
        }
    }

    async fn talk(
        &self,
        request: &Request,
        start: Option<&Barrier>,
        begun: &mut Instant,
    ) -> Result<Response, String> {
        let connected = self.connect().await;
        // Whoever has no connection still has to come, or the others would wait for it.
        if let Some(start) = start {
            start.wait().await;
            *begun = Instant::now();
        }
        let (mut sender, connection) = http1::Builder::new()
            .handshake(TokioIo::new(connected?))
            .await
            .map_err(|error| error.to_string())?;
        let driver = tokio::spawn(async move {
            let _ = connection.await;
        });
        let result = async {
            let message = self.message(request)?;
            let answer = sender.send_request(message).await.map_err(|error| error.to_string())?;
            let (head, body) = answer.into_parts();
            let text = |value: &http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
            let headers =
                head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), text(value))).collect();
            // A body that breaks off or goes over the bound is left out: its head is evidence enough.
            let body = match Limited::new(body, self.body_limit).collect().await {
                Ok(whole) => whole.to_bytes().to_vec(),
                Err(_) => Vec::new(),
            };
            let status = head.status.as_u16();
            Ok(Response { status, headers, body, elapsed: Duration::ZERO, error: None })
        }
        .await;
        driver.abort();
        result
    }

    fn message(&self, request: &Request) -> Result<http::Request<Full<Bytes>>, String> {
        let mut builder = http::Request::builder()
            .method(request.method.as_str())
            .uri(request.target.as_str())
            .header("host", request.header("host").map_or_else(|| self.target.authority(), str::to_owned));
        for (name, value) in &request.headers {
            if name.eq_ignore_ascii_case("host") {
                continue;
            }
            let value = http::HeaderValue::from_bytes(value.as_bytes()).map_err(|error| error.to_string())?;
            builder = builder.header(name.as_str(), value);
        }
        builder = builder.header("connection", "close");
        let bodiless = matches!(request.method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE" | "DELETE");
        if request.body.is_empty() && !bodiless {
            builder = builder.header("content-length", "0");
        }
        builder.body(Full::new(Bytes::from(request.body.clone()))).map_err(|error| error.to_string())
    }
}

fn connector() -> Result<tokio_rustls::TlsConnector, String> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in rustls_native_certs::load_native_certs().certs {
        let _ = roots.add(certificate);
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(tokio_rustls::TlsConnector::from(Arc::new(config)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_runs_scripts_unless_its_policy_forbids_it() {
        let runs = |kind: &str, policies: &[&str]| {
            let mut headers = vec![("content-type".to_owned(), kind.to_owned())];
            headers
                .extend(policies.iter().map(|one| ("content-security-policy".to_owned(), (*one).to_owned())));
            Response { status: 200, headers, ..Response::default() }.runs_scripts()
        };
        for policies in [
            &[][..],
            &["default-src 'self' 'unsafe-inline'"],
            &["default-src 'none'; script-src *"],
            &["img-src 'none'"],
            &["sandbox allow-scripts"],
            &["script-src https:"],
        ] {
            assert!(runs("text/html; charset=utf-8", policies), "{policies:?}");
        }
        for policies in [
            &["default-src 'none'"][..],
            &["img-src *", "Sandbox"],
            &["script-src 'self' 'nonce-abc'"],
            &["img-src *, default-src 'self'; style-src *"],
        ] {
            assert!(!runs("text/html", policies), "{policies:?}");
        }
        assert!(!runs("application/json", &[]));
    }

    #[test]
    fn targets_are_read_strictly() {
        let target = Target::parse("http://127.0.0.1:8080/api/").unwrap();
        assert_eq!((target.port, target.base.as_str(), target.tls), (8080, "/api", false));
        assert!(target.is_loopback());
        assert_eq!(target.url("/x"), "http://127.0.0.1:8080/x");
        for wrong in ["127.0.0.1:80", "ftp://x/", "http://a@b/", "http://a/?q", "http:///"] {
            assert!(Target::parse(wrong).is_err(), "{wrong}");
        }
    }
}
