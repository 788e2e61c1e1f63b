//! The admin port: metrics and health, on a thread of its own, so that it answers when the workers are busy.

use std::convert::Infallible;
use std::fmt::Debug;
use std::io;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, HOST, WWW_AUTHENTICATE};
use http::{HeaderValue, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use serde::Serialize;
use tokio::sync::Semaphore;

/// Connections at a time; metrics are read by one or two collectors.
const MAX_CONNECTIONS: usize = 32;

/// What the admin port tells.
pub(crate) trait Status: Debug + Send + Sync + 'static {
    /// The metrics page.
    fn metrics(&self) -> String;
    /// Whether the process is in order.
    fn health(&self) -> Health;
    /// The last incidents, the newest first, as JSON.
    fn incidents(&self) -> String;
}

/// The state of the gateway, as probes see it.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Health {
    /// `ok`, `degraded` (serving, but something is wrong) or `failing` (not serving).
    pub(crate) status: &'static str,
    /// What is wrong.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) reasons: Vec<Reason>,
    /// The program's version.
    pub(crate) version: &'static str,
    /// Whether calls should be sent here.
    #[serde(skip)]
    pub(crate) ready: bool,
}

/// One thing that is wrong.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Reason {
    /// What it concerns.
    pub(crate) what: String,
    /// What is wrong with it.
    pub(crate) reason: String,
}

/// Binds the port and answers on it for as long as the process lives.
pub(crate) fn serve(
    address: SocketAddr,
    token: Option<Arc<str>>,
    status: Arc<dyn Status>,
) -> io::Result<SocketAddr> {
    let listener = TcpListener::bind(address)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    std::thread::Builder::new().name("admin".into()).spawn(move || {
        runtime.block_on(async move {
            match tokio::net::TcpListener::from_std(listener) {
                Ok(listener) => accept(listener, token, status).await,
                Err(error) => tracing::error!(%error, "the admin port cannot be served"),
            }
        });
    })?;
    Ok(address)
}

async fn accept(listener: tokio::net::TcpListener, token: Option<Arc<str>>, status: Arc<dyn Status>) {
    let slots = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let Ok(slot) = Arc::clone(&slots).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "the admin port could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (token, status) = (token.clone(), Arc::clone(&status));
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let answer = answer(&request, token.as_deref(), &*status);
                async move { Ok::<_, Infallible>(answer) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(Duration::from_secs(5))
                .max_headers(64)
                .serve_connection(TokioIo::new(stream), service);
            // A scrape takes milliseconds; whatever lives longer is idle, and its slot goes to the next.
            let _ = tokio::time::timeout(Duration::from_secs(60), connection).await;
            drop(slot);
        });
    }
}

fn answer(request: &Request<Incoming>, token: Option<&str>, status: &dyn Status) -> Response<Full<Bytes>> {
    // Probes carry no secret and learn none: without the token they see only whether it is up.
    let known = token.is_none_or(|token| presents(request, token));
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        return plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD are answered here\n");
    }
    if token.is_none() && !names_this_machine(request) {
        return plain(StatusCode::MISDIRECTED_REQUEST, "call this by its address, or as localhost\n");
    }
    match request.uri().path() {
        "/metrics" if known => {
            let mut response = plain(StatusCode::OK, status.metrics());
            let kind = HeaderValue::from_static("application/openmetrics-text; version=1.0.0; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/incidents" if known => {
            let mut response = plain(StatusCode::OK, status.incidents());
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            response
        }
        "/metrics" | "/incidents" => {
            let mut response = plain(StatusCode::UNAUTHORIZED, "the admin token is missing or wrong\n");
            response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            response
        }
        "/healthz" => health(status.health(), known, |health| health.status != "failing"),
        "/readyz" => health(status.health(), known, |health| health.ready),
        "/" => plain(StatusCode::OK, "/metrics\n/incidents\n/healthz\n/readyz\n"),
        _ => plain(StatusCode::NOT_FOUND, "nothing is here; try /metrics, /incidents, /healthz or /readyz\n"),
    }
}

fn health(mut health: Health, known: bool, good: impl Fn(&Health) -> bool) -> Response<Full<Bytes>> {
    let status = if good(&health) { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    if !known {
        health.reasons.clear();
    }
    let body = serde_json::to_vec(&health).unwrap_or_default();
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn plain(status: StatusCode, text: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(text.into()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// Whether the Host is an address or `localhost`. Another name means that a web page had its own name point
/// here (DNS rebinding), to read with its visitor's browser what is meant for this machine only.
fn names_this_machine(request: &Request<Incoming>) -> bool {
    let Some(host) = request.headers().get(HOST).and_then(|value| value.to_str().ok()) else { return true };
    let bare = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = bare.trim_matches(['[', ']']);
    bare.eq_ignore_ascii_case("localhost") || bare.parse::<IpAddr>().is_ok()
}

fn presents(request: &Request<Incoming>, token: &str) -> bool {
    let Some(given) = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let Some(given) = given.strip_prefix("Bearer ") else { return false };
    // Compared whole, whatever the first difference: the time taken tells nothing but the length.
    given.len() == token.len() && given.bytes().zip(token.bytes()).fold(0, |diff, (a, b)| diff | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::TcpStream;

    #[derive(Debug)]
    struct Fixed(&'static str);

    impl Status for Fixed {
        fn metrics(&self) -> String {
            "# EOF\n".into()
        }

        fn health(&self) -> Health {
            let reasons = vec![Reason { what: "reload".into(), reason: "line 3".into() }];
            Health { status: self.0, reasons, version: "1", ready: self.0 == "ok" }
        }

        fn incidents(&self) -> String {
            "[]".into()
        }
    }

    fn ask(address: SocketAddr, path: &str, fields: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\n{fields}Connection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        (status, answer.split_once("\r\n\r\n").unwrap().1.to_owned())
    }

    #[test]
    fn probes_see_the_state_and_only_the_token_sees_more() {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let open = serve(any, None, Arc::new(Fixed("degraded"))).unwrap();
        assert_eq!(ask(open, "/metrics", "Host: 127.0.0.1:9600\r\n"), (200, "# EOF\n".into()));
        assert_eq!(ask(open, "/metrics", "Host: localhost\r\n").0, 200);
        assert_eq!(ask(open, "/metrics", "Host: [::1]:9600\r\n").0, 200);
        assert_eq!(ask(open, "/metrics", "Host: evil.example\r\n").0, 421);
        assert_eq!(ask(open, "/nowhere", "Host: localhost\r\n").0, 404);
        let (status, body) = ask(open, "/healthz", "Host: localhost\r\n");
        assert!(status == 200 && body.contains("line 3"), "{body}");
        assert_eq!(ask(open, "/readyz", "Host: localhost\r\n").0, 503);

        let token = Some("0123456789abcdef".into());
        let closed = serve(any, token, Arc::new(Fixed("ok"))).unwrap();
        assert_eq!(ask(closed, "/metrics", "Host: metrics.example\r\n").0, 401);
        for wrong in
            ["Basic 0123456789abcdef", "Bearer 0123456789abcdeF", "Bearer ", "Bearer 0123456789abcdef0"]
        {
            assert_eq!(ask(closed, "/metrics", &format!("Host: x\r\nAuthorization: {wrong}\r\n")).0, 401);
        }
        assert_eq!(ask(closed, "/incidents", "Host: x\r\n").0, 401);
        let right = "Host: x\r\nAuthorization: Bearer 0123456789abcdef\r\n";
        assert_eq!(ask(closed, "/metrics", right).0, 200);
        assert_eq!(ask(closed, "/incidents", right), (200, "[]".into()));
        let (status, body) = ask(closed, "/healthz", "Host: x\r\n");
        assert!(status == 200 && !body.contains("line 3"), "{body}");
    }
}
