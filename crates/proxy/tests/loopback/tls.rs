use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use portcullis_proxy::{Protocol, ProxyConfig, TlsConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, KeyUsagePurpose};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ProtocolVersion, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::harness::{Running, config, echo, start};

/// A certificate authority and what it signed for `localhost` and 127.0.0.1, made anew for each run.
fn data(name: &str) -> PathBuf {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    FOLDER.get_or_init(issue).path().join(name)
}

fn issue() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let key = || KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let authority_key = key();
    let authority = CertifiedIssuer::self_signed(authority, authority_key).unwrap();
    let server_key = key();
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned()];
    let server = CertificateParams::new(names).unwrap().signed_by(&server_key, &authority).unwrap();
    for (name, text) in [
        ("ca.pem", authority.pem()),
        ("server.pem", server.pem()),
        ("server.key", server_key.serialize_pem()),
    ] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    folder
}

fn with_tls(mut config: ProxyConfig) -> ProxyConfig {
    config.tls =
        Some(TlsConfig { certificate: data("server.pem"), key: data("server.key"), ..TlsConfig::default() });
    config.listen[0].tls = true;
    config
}

async fn connect(proxy: &Running, alpn: &[&str]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data("ca.pem")).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|p| p.as_bytes().to_vec()).collect();
    let stream = TcpStream::connect(proxy.address).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), future).await.expect("in time") })
}

#[test]
fn http1_and_http2_by_negotiation() {
    let upstream = echo();
    let proxy = start(with_tls(config(&[upstream.address])));
    block_on(async {
        let mut stream = connect(&proxy, &["http/1.1"]).await;
        assert_eq!(stream.get_ref().1.protocol_version(), Some(ProtocolVersion::TLSv1_3));
        for n in 0..3 {
            // Longer than buffers are kept for an idle connection.
            tokio::time::sleep(Duration::from_millis(n * 700)).await;
            stream.write_all(b"GET /one HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
            let mut text = String::new();
            while !text.ends_with("\r\n\r\n") || text.matches("\r\n\r\n").count() < 2 {
                let mut buffer = [0u8; 1024];
                let n = stream.read(&mut buffer).await.unwrap();
                text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
            }
            assert!(text.contains("x-forwarded-proto: https"), "{text}");
        }
        let stream = connect(&proxy, &["h2", "http/1.1"]).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let mut send: h2::client::SendRequest<Bytes> = send.ready().await.unwrap();
        let request = http::Request::get("https://localhost/two").body(()).unwrap();
        let (response, _) = send.send_request(request, true).unwrap();
        assert_eq!(response.await.unwrap().status(), 200);
    });
    // Cleartext on a TLS port is no handshake.
    let mut plain = proxy.client();
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    let mut rest = Vec::new();
    let _ = std::io::Read::read_to_end(&mut plain.reader, &mut rest);
    assert!(!rest.starts_with(b"HTTP"));
    let counted = (0..100).any(|_| {
        std::thread::sleep(Duration::from_millis(10));
        proxy.counter("tls_failures_total") == 1
    });
    assert!(counted);
}

#[test]
fn an_https_upstream_is_verified() {
    let upstream = echo();
    let inner = start(with_tls(config(&[upstream.address])));
    for protocol in [Protocol::Auto, Protocol::Http1, Protocol::Http2] {
        let mut trusting = config(&[inner.address]);
        trusting.upstream.origins[0].url = format!("https://localhost:{}", inner.address.port());
        trusting.upstream.ca = Some(data("ca.pem"));
        trusting.upstream.protocol = protocol;
        let mut distrusting = trusting.clone();
        let outer = start(trusting);
        let mut client = outer.client();
        for n in 0..5 {
            client.send(&format!("POST /{n} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello"));
            let response = client.response();
            assert!(response.status == 200 && response.body.ends_with("hello"), "{protocol:?} {response:?}");
        }
        assert_eq!(outer.counter("upstream_connects_total"), 1, "{protocol:?}");
        distrusting.upstream.ca = Some(data("server.pem"));
        let outer = start(distrusting);
        assert_eq!(outer.client().get("/").status, 502);
    }
}

#[test]
fn a_certificate_is_reloaded_and_a_broken_one_is_not() {
    let upstream = echo();
    let good = with_tls(config(&[upstream.address]));
    let proxy = start(good.clone());
    let mut broken = good.clone();
    broken.tls =
        Some(TlsConfig { certificate: data("server.key"), key: data("server.key"), ..TlsConfig::default() });
    assert!(proxy.handle.reload(&broken).is_err());
    broken.tls =
        Some(TlsConfig { certificate: data("ca.pem"), key: data("server.key"), ..TlsConfig::default() });
    assert!(proxy.handle.reload(&broken).is_err());
    broken.tls =
        Some(TlsConfig { certificate: data("absent.pem"), key: data("server.key"), ..TlsConfig::default() });
    let error = proxy.handle.reload(&broken).unwrap_err().to_string();
    assert!(error.contains("there is no such file"), "{error}");
    assert!(proxy.handle.reload(&good).is_ok());
    block_on(async { connect(&proxy, &[]).await });
}
