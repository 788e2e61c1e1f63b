//! The listening side: connections, bodies, and the headers that every answer carries (API8).

use crate::exchange::{Fault, Reply, Request};
use crate::router;
use crate::shop::Shop;
use crate::{Mode, backstage};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};

/// The largest body of each twin, in bytes. The weak one's is there for the machine's sake only.
const LARGEST_WEAK: usize = 64 * 1024 * 1024;
const LARGEST_FIXED: usize = 96 * 1024;
/// The largest head that the fixed twin reads, in bytes.
const LARGEST_HEAD: usize = 16 * 1024;
/// How long the fixed twin waits for a head and for a body.
const PATIENCE: Duration = Duration::from_secs(10);

/// Serves a shop with fresh seed data until `shutdown` is done. The shop's partners get an ephemeral loopback port
/// of their own.
///
/// # Errors
/// When the seed data cannot be made or the partners' port cannot be opened.
pub async fn serve(listener: TcpListener, mode: Mode, shutdown: impl Future<Output = ()>) -> io::Result<()> {
    serve_with(listener, mode, None, shutdown).await
}

/// The same with the shipping partner at an address of its own on this machine.
///
/// # Errors
/// The same.
pub async fn serve_with(
    listener: TcpListener,
    mode: Mode,
    partner: Option<SocketAddr>,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let shop = Arc::new(Shop::new(mode)?);
    if let Some(partner) = partner {
        if !partner.ip().is_loopback() {
            return Err(io::Error::other("the partner has to be on this machine's loopback"));
        }
        let _ = shop.partner.set(partner);
    }
    let partners = TcpListener::bind(("127.0.0.1", 0)).await?;
    let _ = shop.backstage.set(partners.local_addr()?);
    let partners = tokio::spawn(serve_backstage(partners));
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            () = &mut shutdown => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    tokio::spawn(connection(Arc::clone(&shop), stream));
                }
                // Out of file descriptors, mostly: wait for some to come back.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    }
    partners.abort();
    Ok(())
}

async fn connection(shop: Arc<Shop>, stream: TcpStream) {
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let shop = Arc::clone(&shop);
        async move { Ok::<_, Infallible>(answer(&shop, request).await) }
    });
    let mut http = http1::Builder::new();
    if shop.fixed() {
        http.timer(TokioTimer::new()).header_read_timeout(PATIENCE).max_header_size(LARGEST_HEAD);
    }
    // A client that breaks off or sends no HTTP gets what hyper gives it.
    let _ = http.serve_connection(TokioIo::new(stream), service).await;
}

async fn serve_backstage(listener: TcpListener) {
    while let Ok((stream, _)) = listener.accept().await {
        let service = service_fn(|request: http::Request<Incoming>| async move {
            let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
            let host = host.unwrap_or_default().split(':').next().unwrap_or_default();
            let uri = request.uri();
            Ok::<_, Infallible>(backstage::answer(host, uri.path(), uri.query().unwrap_or_default()))
        });
        tokio::spawn(http1::Builder::new().keep_alive(false).serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(shop: &Shop, request: http::Request<Incoming>) -> Response<Full<Bytes>> {
    let fixed = shop.fixed();
    let (head, body) = request.into_parts();
    let read = if fixed {
        let body = tokio::time::timeout(PATIENCE, Limited::new(body, LARGEST_FIXED).collect());
        body.await.unwrap_or_else(|_| Err("the body took too long".into()))
    } else {
        Limited::new(body, LARGEST_WEAK).collect().await
    };
    let origin = head.headers.get(header::ORIGIN).cloned();
    let preflight = head.method == http::Method::OPTIONS;
    let mut request = Request {
        target: head.uri.to_string(),
        segments: router::segments(head.uri.path(), fixed),
        query: router::query(head.uri.query().unwrap_or_default()),
        method: head.method,
        headers: head.headers,
        body: Bytes::new(),
        strict: fixed,
    };
    let one_host = one_host(&head.uri, &request.headers);
    let outcome = match read {
        Ok(_) if fixed && !one_host => Err(Fault::bad("exactly one host must be named")),
        Ok(body) => {
            request.body = body.to_bytes();
            if preflight {
                Ok(Reply::empty(StatusCode::NO_CONTENT))
            } else {
                router::handle(shop, &request).await
            }
        }
        Err(error) => {
            let mut fault = Fault::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "payload_too_large",
                "the body is too large or broken",
            );
            fault.internals = Some(error.to_string());
            Err(fault)
        }
    };
    let mut reply = outcome.unwrap_or_else(|fault| fault.into_reply(fixed));
    if reply.status == StatusCode::METHOD_NOT_ALLOWED {
        reply = reply.with("allow", &router::allowed(&request.segments, fixed));
    }
    dress(reply, fixed, origin)
}

/// Whether the request names one host, and the target no other (RFC 9112 section 3.2).
fn one_host(target: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return false };
    target.authority().is_none_or(|authority| authority.as_str().as_bytes() == host.as_bytes())
}

/// Turns a reply into a response with the headers of its twin.
fn dress(reply: Reply, fixed: bool, origin: Option<HeaderValue>) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(reply.body));
    *response.status_mut() = reply.status;
    let headers = response.headers_mut();
    if let (false, Ok(kind)) = (reply.content_type.is_empty(), HeaderValue::from_str(&reply.content_type)) {
        headers.insert(header::CONTENT_TYPE, kind);
    }
    headers.extend(reply.headers);
    if fixed {
        guarded(headers, origin.as_ref());
    } else {
        careless(headers, origin);
    }
    response
}

/// The fixed twin: nothing is sniffed, framed, cached or leaked; one known origin, without credentials.
fn guarded(headers: &mut HeaderMap, origin: Option<&HeaderValue>) {
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"),
    );
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=31536000"));
    headers.insert(header::VARY, HeaderValue::from_static("origin"));
    let shop = HeaderValue::from_static("https://shop.example");
    if origin == Some(&shop) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, shop);
        headers
            .insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, PUT, PATCH"));
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, x-api-key"),
        );
    }
}

/// The weak twin: every origin with its cookies, and a banner that tells which exploits to try.
fn careless(headers: &mut HeaderMap, origin: Option<HeaderValue>) {
    headers.insert(header::SERVER, HeaderValue::from_static("PortShop/2.3.1 (hyper 1; SQLite 3)"));
    headers.insert("x-powered-by", HeaderValue::from_static("portcullis-demo"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.unwrap_or(HeaderValue::from_static("*")));
    headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("*"));
    headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("*"));
}
