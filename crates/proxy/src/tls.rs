//! TLS on both sides: rustls with aws-lc-rs, TLS 1.2 and 1.3.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::crypto::aws_lc_rs;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::pem::{self, PemObject};
use rustls_pki_types::{CertificateDer, PrivateKeyDer};

use crate::client_auth::Clients;
use crate::config::{Protocol, TlsConfig};

/// Why certificates or keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read as PEM.
    #[error("`{}` cannot be read: {why}", file.display())]
    File {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        why: String,
    },
    /// Certificate and key are not a pair, or of a kind that is not supported.
    #[error("the certificate in `{}` cannot be used with its key: {why}", file.display())]
    Pair {
        /// The certificate's file.
        file: PathBuf,
        /// What is wrong with it.
        why: rustls::Error,
    },
    /// Authorities or revocation lists for clients' certificates cannot be used.
    #[error("the authorities in `{}` cannot be used for clients' certificates: {why}", file.display())]
    Authority {
        /// The authorities' file.
        file: PathBuf,
        /// What is wrong.
        why: String,
    },
    /// No certificate authority is known that could sign an upstream's certificate.
    #[error("no certificate authority was found on this system; name a file in `upstream.ca`")]
    NoRoots,
    /// The library refused its own settings.
    #[error("TLS cannot be set up: {0}")]
    Setup(#[from] rustls::Error),
}

/// The listeners' TLS: settings that stay, and a certificate that can be replaced.
#[derive(Debug)]
pub(crate) struct Server {
    config: Arc<ServerConfig>,
    certificate: Arc<Reloadable>,
    clients: Option<Arc<Clients>>,
}

#[derive(Debug)]
struct Reloadable(ArcSwap<CertifiedKey>);

impl ResolvesServerCert for Reloadable {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.load_full())
    }
}

impl Server {
    pub(crate) fn new(config: &TlsConfig) -> Result<Self, TlsError> {
        let certificate = Arc::new(Reloadable(ArcSwap::from_pointee(load(config)?)));
        let clients = Clients::new(config)?.map(Arc::new);
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?;
        let builder = match &clients {
            Some(clients) => builder.with_client_cert_verifier(Arc::clone(clients) as _),
            None => builder.with_no_client_auth(),
        };
        let mut server = builder.with_cert_resolver(Arc::clone(&certificate) as Arc<dyn ResolvesServerCert>);
        server.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        if clients.is_some() {
            // A resumed session would vouch for a certificate that was revoked meanwhile.
            server.session_storage = Arc::new(rustls::server::NoServerSessionStorage {});
            server.send_tls13_tickets = 0;
        } else {
            server.ticketer = aws_lc_rs::Ticketer::new()?;
        }
        // Early data can be replayed by anyone who saw it (RFC 8446 section 8).
        server.max_early_data_size = 0;
        Ok(Self { config: Arc::new(server), certificate, clients })
    }

    pub(crate) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.config)
    }

    /// Serves another certificate from the next handshake on; on an error the old one stays.
    pub(crate) fn reload(&self, config: &TlsConfig) -> Result<(), TlsError> {
        let certificate = load(config)?;
        if let Some(clients) = &self.clients {
            clients.reload(config)?;
        }
        self.certificate.0.store(Arc::new(certificate));
        Ok(())
    }
}

pub(crate) fn file_error(file: &Path, error: &pem::Error) -> TlsError {
    let why = match error {
        pem::Error::Io(error) if error.kind() == io::ErrorKind::NotFound => {
            "there is no such file".to_owned()
        }
        pem::Error::Io(error) => error.to_string(),
        pem::Error::NoItemsFound => "it has no such section; expected PEM".to_owned(),
        _ => "it is not valid PEM".to_owned(),
    };
    TlsError::File { file: file.to_owned(), why }
}

pub(crate) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_file_iter(file)
        .and_then(Iterator::collect)
        .map_err(|error| file_error(file, &error))?;
    if chain.is_empty() { Err(file_error(file, &pem::Error::NoItemsFound)) } else { Ok(chain) }
}

fn load(config: &TlsConfig) -> Result<CertifiedKey, TlsError> {
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_file(&config.key).map_err(|error| file_error(&config.key, &error))?;
    CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
        .map_err(|why| TlsError::Pair { file: config.certificate.clone(), why })
}

/// TLS towards the upstream: its certificate must be signed by one of `ca`, or of the platform's authorities.
pub(crate) fn client(ca: Option<&Path>, protocol: Protocol) -> Result<Arc<ClientConfig>, TlsError> {
    let mut roots = RootCertStore::empty();
    match ca {
        Some(file) => {
            for certificate in certificates(file)? {
                roots.add(certificate).map_err(|why| TlsError::Pair { file: file.to_owned(), why })?;
            }
        }
        None => {
            let found = rustls_native_certs::load_native_certs();
            roots.add_parsable_certificates(found.certs);
        }
    }
    if roots.is_empty() {
        return Err(TlsError::NoRoots);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut client = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    client.alpn_protocols = match protocol {
        Protocol::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        Protocol::Http1 => vec![b"http/1.1".to_vec()],
        Protocol::Http2 => vec![b"h2".to_vec()],
    };
    Ok(Arc::new(client))
}
