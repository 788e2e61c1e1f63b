//! Client certificates: which are asked for, and what makes one good.

use std::sync::Arc;

use arc_swap::ArcSwap;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};

use crate::config::TlsConfig;
use crate::tls::{TlsError, certificates, file_error};

/// Verifies clients by what the configuration says now. A certificate must chain to an authority of `client_ca`; where
/// there are revocation lists, every authority in the chain needs one that is not past its `nextUpdate`, and the
/// certificate must be on none.
#[derive(Debug)]
pub(crate) struct Clients(ArcSwap<Verifier>);

#[derive(Debug)]
struct Verifier(Arc<dyn ClientCertVerifier>);

impl Clients {
    /// `None` where clients are not asked for certificates.
    pub(crate) fn new(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        Ok(load(config)?.map(|verifier| Self(ArcSwap::from_pointee(verifier))))
    }

    /// Judges by other authorities and lists from the next handshake on; on an error the old ones stay.
    pub(crate) fn reload(&self, config: &TlsConfig) -> Result<(), TlsError> {
        // Whether clients are asked at all stays as it was bound.
        if let Some(verifier) = load(config)? {
            self.0.store(Arc::new(verifier));
        }
        Ok(())
    }
}

fn load(config: &TlsConfig) -> Result<Option<Verifier>, TlsError> {
    let Some(file) = &config.client_ca else { return Ok(None) };
    let mut roots = RootCertStore::empty();
    for certificate in certificates(file)? {
        roots
            .add(certificate)
            .map_err(|why| TlsError::Authority { file: file.clone(), why: why.to_string() })?;
    }
    let mut lists = Vec::new();
    for file in &config.crl {
        let found: Vec<_> = CertificateRevocationListDer::pem_file_iter(file)
            .and_then(Iterator::collect)
            .map_err(|error| file_error(file, &error))?;
        if found.is_empty() {
            return Err(file_error(file, &rustls_pki_types::pem::Error::NoItemsFound));
        }
        lists.extend(found);
    }
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    if !lists.is_empty() {
        builder = builder.with_crls(lists).enforce_revocation_expiration();
    }
    if !config.client_required {
        builder = builder.allow_unauthenticated();
    }
    let verifier =
        builder.build().map_err(|why| TlsError::Authority { file: file.clone(), why: why.to_string() })?;
    Ok(Some(Verifier(verifier)))
}

impl ClientCertVerifier for Clients {
    fn client_auth_mandatory(&self) -> bool {
        self.0.load().0.client_auth_mandatory()
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        // No hints: they would name the operator's authorities to strangers.
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        self.0.load().0.verify_client_cert(end_entity, intermediates, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.load().0.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.0.load().0.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.load().0.supported_verify_schemes()
    }
}
