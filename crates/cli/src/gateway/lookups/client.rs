//! A small HTTP client for what guards ask outside: one request, one answer, everything bounded. It follows no
//! redirects, keeps no cookies and sends nothing that it was not told to.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use bytes::{Bytes, BytesMut};
use http::header::{ACCEPT_ENCODING, HOST, USER_AGENT};
use http::{HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use portcullis_engine::{Answer, Fields, LookupFailure};
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// One request.
#[derive(Debug)]
pub(crate) struct Outgoing {
    pub(crate) method: Method,
    pub(crate) url: Box<str>,
    pub(crate) headers: Fields,
    pub(crate) body: Bytes,
    /// Bytes that the answer's body may have.
    pub(crate) most: u64,
}

/// TLS towards servers that the platform's authorities vouch for. Made at first use.
#[derive(Debug, Default)]
pub(crate) struct Client {
    tls: OnceLock<Result<Arc<ClientConfig>, String>>,
}

impl Client {
    /// Sends `request` and reads the whole answer.
    pub(crate) async fn send(&self, request: Outgoing) -> Result<Answer, LookupFailure> {
        let forbidden = |what: &'static str| LookupFailure::Forbidden(what.into());
        let uri: Uri = request.url.parse().map_err(|_| forbidden("the address is no URL"))?;
        let host = uri.host().ok_or_else(|| forbidden("the address has no host"))?;
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let secure = uri.scheme_str() == Some("https");
        let port = uri.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let resolved = tokio::net::lookup_host((bare, port)).await.map_err(|error| unreachable(&error))?;
        let addresses: Vec<SocketAddr> = resolved.collect();
        // In cleartext whoever is on the way could say what he likes; on loopback nobody is.
        if !secure && !addresses.iter().all(|address| address.ip().to_canonical().is_loopback()) {
            return Err(forbidden("plain http is for loopback addresses only"));
        }
        let stream = connect(&addresses).await?;
        if !secure {
            return exchange(stream, &uri, request).await;
        }
        let connector = match self.tls.get_or_init(config) {
            Ok(config) => TlsConnector::from(Arc::clone(config)),
            Err(why) => return Err(LookupFailure::Unreachable(why.clone().into())),
        };
        let name = ServerName::try_from(bare.to_owned()).map_err(|_| forbidden("the host is no name"))?;
        let stream = connector.connect(name, stream).await.map_err(|error| unreachable(&error))?;
        exchange(stream, &uri, request).await
    }
}

fn config() -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    if roots.is_empty() {
        return Err("no certificate authority was found on this system".into());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| error.to_string())?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

fn unreachable(error: &io::Error) -> LookupFailure {
    LookupFailure::Unreachable(error.to_string().into())
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream, LookupFailure> {
    let mut last = LookupFailure::Unreachable("the name has no address".into());
    for address in addresses {
        match TcpStream::connect(address).await {
            Ok(stream) => return Ok(stream),
            Err(error) => last = unreachable(&error),
        }
    }
    Err(last)
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    uri: &Uri,
    outgoing: Outgoing,
) -> Result<Answer, LookupFailure> {
    let failed = |error: hyper::Error| LookupFailure::Unreachable(error.to_string().into());
    let Outgoing { method, headers, body, most, .. } = outgoing;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(failed)?;
    // Ends with the sender, which this function owns.
    let driver = tokio::spawn(connection);
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let mut request = Request::builder().method(method).uri(target).header(HOST, authority);
    if let Some(fields) = request.headers_mut() {
        fields.extend(headers);
        fields.insert(ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        fields
            .insert(USER_AGENT, HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION"))));
    }
    let request =
        request.body(Full::new(body)).map_err(|error| LookupFailure::Forbidden(error.to_string().into()))?;
    let read = async {
        let (head, mut body) = sender.send_request(request).await.map_err(failed)?.into_parts();
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(failed)?.into_data() else { continue };
            if (whole.len() + data.len()) as u64 > most {
                return Err(LookupFailure::TooLarge);
            }
            whole.extend_from_slice(&data);
        }
        Ok(Answer { status: head.status, headers: head.headers.into(), body: whole.freeze() })
    };
    let answer = read.await;
    driver.abort();
    answer
}
