//! Client certificates to consumers (RFC 5280, RFC 8705, SPIFFE).
//!
//! Parsing only: that a certificate is genuine, in force and not revoked is for who ends the TLS connection.

mod name;
mod spiffe;

use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_engine::{CredentialKind, Principal};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::jose::Thumbprint;
pub use spiffe::{SpiffeId, SpiffeIdError};

/// Most names of one kind that are read of a certificate.
const MAX_NAMES: usize = 200;

/// What a client certificate says of its owner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateIdentity {
    subject: Box<str>,
    uris: Vec<Box<str>>,
    dns_names: Vec<Box<str>>,
    emails: Vec<Box<str>>,
    spiffe: Option<SpiffeId>,
    thumbprint: Thumbprint,
    not_before: u64,
    not_after: u64,
}

/// Why a certificate names nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    /// It is no DER certificate, or something follows it.
    #[error("the client certificate is not readable")]
    Unreadable,
    /// It is an authority's: those sign and do not call.
    #[error("the client certificate is an authority's own")]
    Authority,
    /// It has a `spiffe` URI that is no SPIFFE ID, or another URI beside it (X.509-SVID section 2).
    #[error("the client certificate's SPIFFE ID is refused: {0}")]
    Spiffe(SpiffeIdError),
    /// It has more names than are read.
    #[error("the client certificate has more names than are read")]
    TooMany,
}

impl CertificateIdentity {
    /// What the certificate `der` says.
    ///
    /// # Errors
    /// If it is not readable, is an authority's, or its SPIFFE ID is not as it must be.
    pub fn parse(der: &[u8]) -> Result<CertificateIdentity, CertificateError> {
        let (rest, certificate) = X509Certificate::from_der(der).map_err(|_| CertificateError::Unreadable)?;
        if !rest.is_empty() {
            return Err(CertificateError::Unreadable);
        }
        if certificate.is_ca() {
            return Err(CertificateError::Authority);
        }
        let mut identity = CertificateIdentity {
            subject: name::rfc4514(certificate.subject()).into(),
            uris: Vec::new(),
            dns_names: Vec::new(),
            emails: Vec::new(),
            spiffe: None,
            thumbprint: Thumbprint::of(der),
            not_before: seconds(certificate.validity().not_before.timestamp()),
            not_after: seconds(certificate.validity().not_after.timestamp()),
        };
        let names = certificate.subject_alternative_name().map_err(|_| CertificateError::Unreadable)?;
        for name in names.iter().flat_map(|extension| &extension.value.general_names) {
            let (list, text) = match name {
                GeneralName::URI(uri) => (&mut identity.uris, *uri),
                GeneralName::DNSName(name) => (&mut identity.dns_names, *name),
                GeneralName::RFC822Name(address) => (&mut identity.emails, *address),
                GeneralName::Invalid(..) => return Err(CertificateError::Unreadable),
                _ => continue,
            };
            if list.len() >= MAX_NAMES {
                return Err(CertificateError::TooMany);
            }
            list.push(text.into());
        }
        identity.spiffe = spiffe::of_uris(&identity.uris).map_err(CertificateError::Spiffe)?;
        Ok(identity)
    }

    /// Its subject, most specific part first: `CN=app,O=Example,C=SE` (RFC 4514).
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// Its SPIFFE ID.
    pub fn spiffe(&self) -> Option<&SpiffeId> {
        self.spiffe.as_ref()
    }

    /// SHA-256 of the whole certificate, as `x5t#S256` binds tokens to it (RFC 8705 section 3.1).
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// The seconds since the epoch from and until which it is in force.
    pub fn validity(&self) -> (u64, u64) {
        (self.not_before, self.not_after)
    }
}

fn seconds(timestamp: i64) -> u64 {
    u64::try_from(timestamp).unwrap_or(0)
}

/// A name of a certificate by which a consumer is known.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum CertificateName {
    /// The whole subject, in the form of [`CertificateIdentity::subject`].
    Subject(Box<str>),
    /// A SPIFFE ID or another URI among the alternative names, exactly.
    Uri(Box<str>),
    /// A DNS name among the alternative names. Wildcards name nobody.
    Dns(Box<str>),
    /// An e-mail address among the alternative names, exactly.
    Email(Box<str>),
    /// One certificate and no other, by its SHA-256 thumbprint.
    Thumbprint(Thumbprint),
}

impl CertificateName {
    /// A DNS name, compared without regard to case.
    pub fn dns(name: &str) -> CertificateName {
        CertificateName::Dns(name.to_ascii_lowercase().into())
    }
}

/// Which consumer a certificate stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CertificateOwner {
    /// This one.
    Consumer(Arc<Principal>),
    /// None that is configured.
    Unknown,
    /// Its names belong to more than one consumer, so it stands for none.
    Ambiguous,
}

/// Which names belong to which consumers.
#[derive(Debug, Default)]
pub struct CertificateMap {
    consumers: HashMap<CertificateName, Arc<Principal>>,
}

/// A name was given to two consumers.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the consumers `{0}` and `{1}` have the same certificate name: each name may belong to one")]
pub struct SameName(Arc<str>, Arc<str>);

impl CertificateMap {
    /// A map of names to consumers and the scopes that they have.
    ///
    /// # Errors
    /// If a name is given to two consumers.
    pub fn new(
        names: impl IntoIterator<Item = (CertificateName, Arc<str>, Arc<[Box<str>]>)>,
    ) -> Result<CertificateMap, SameName> {
        let mut map = CertificateMap::default();
        for (name, consumer, scopes) in names {
            let credential = match &name {
                CertificateName::Thumbprint(thumbprint) => thumbprint.to_string().into(),
                CertificateName::Subject(text)
                | CertificateName::Uri(text)
                | CertificateName::Dns(text)
                | CertificateName::Email(text) => Arc::from(&**text),
            };
            let principal = Principal::new(consumer, credential, CredentialKind::Certificate, scopes);
            let consumer = Arc::clone(&principal.consumer);
            if let Some(other) = map.consumers.insert(name, Arc::new(principal))
                && other.consumer != consumer
            {
                return Err(SameName(Arc::clone(&other.consumer), consumer));
            }
        }
        Ok(map)
    }

    /// Whose certificate it is.
    pub fn owner(&self, identity: &CertificateIdentity) -> CertificateOwner {
        let uris = identity.uris.iter().map(|uri| CertificateName::Uri(uri.clone()));
        let dns_names = identity.dns_names.iter().map(|name| CertificateName::dns(name));
        let emails = identity.emails.iter().map(|address| CertificateName::Email(address.clone()));
        let names = [
            CertificateName::Thumbprint(identity.thumbprint),
            CertificateName::Subject(identity.subject.clone()),
        ];
        let mut owner: Option<&Arc<Principal>> = None;
        for found in names
            .into_iter()
            .chain(uris)
            .chain(dns_names)
            .chain(emails)
            .filter_map(|name| self.consumers.get(&name))
        {
            match owner {
                Some(first) if first.consumer != found.consumer => return CertificateOwner::Ambiguous,
                Some(_) => {}
                None => owner = Some(found),
            }
        }
        owner.map_or(CertificateOwner::Unknown, |principal| CertificateOwner::Consumer(Arc::clone(principal)))
    }

    /// Whether no name belongs to anybody.
    pub fn is_empty(&self) -> bool {
        self.consumers.is_empty()
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
