//! Client certificates: which consumer each stands for.

use std::collections::BTreeMap;
use std::sync::Arc;

use portcullis_engine::{Cx, Principal};
use portcullis_identity::certificate::{
    CertificateIdentity, CertificateMap, CertificateName, CertificateOwner,
};
use portcullis_identity::jose::Thumbprint;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::config::escape;
use crate::protection::Fault;

/// Names of certificates that stand for one consumer; any one of them suffices.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[schemars(rename = "CertificateNames")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Names {
    /// A SPIFFE ID or another URI among the alternative names.
    uri: Option<String>,
    /// A DNS name among the alternative names.
    dns: Option<String>,
    /// An e-mail address among the alternative names.
    email: Option<String>,
    /// The whole subject, most specific part first: `CN=billing,O=Example`.
    subject: Option<String>,
    /// The SHA-256 thumbprint of one certificate, base64url.
    thumbprint: Option<String>,
    /// The scopes that the consumer has.
    scopes: Vec<String>,
}

/// Which certificate stands for whom.
pub(crate) fn map(consumers: &BTreeMap<String, Names>) -> Result<CertificateMap, Fault> {
    let mut names = Vec::new();
    for (consumer, said) in consumers {
        let at = format!("/certificates/{}", escape(consumer));
        if consumer.contains('/') {
            return Err(Fault::new(
                at,
                "expected a name without `/`: with one begin the names that issuers give",
            ));
        }
        let scopes: Arc<[Box<str>]> = said.scopes.iter().map(|scope| scope.as_str().into()).collect();
        let thumbprint = match &said.thumbprint {
            Some(text) => Some(CertificateName::Thumbprint(Thumbprint::parse(text).ok_or_else(|| {
                Fault::new(format!("{at}/thumbprint"), "expected the 43 characters of a SHA-256 in base64url")
            })?)),
            None => None,
        };
        let all = [
            said.uri.as_deref().map(|uri| CertificateName::Uri(uri.into())),
            said.dns.as_deref().map(CertificateName::dns),
            said.email.as_deref().map(|address| CertificateName::Email(address.into())),
            said.subject.as_deref().map(|subject| CertificateName::Subject(subject.into())),
            thumbprint,
        ];
        let before = names.len();
        let consumer: Arc<str> = consumer.as_str().into();
        names
            .extend(all.into_iter().flatten().map(|name| (name, Arc::clone(&consumer), Arc::clone(&scopes))));
        if names.len() == before {
            return Err(Fault::new(at, "expected one of `uri`, `dns`, `email`, `subject` and `thumbprint`"));
        }
    }
    CertificateMap::new(names).map_err(|error| Fault::new("/certificates", error.to_string()))
}

/// Whose certificate the connection presented; `None` where it presented none.
pub(crate) fn owner(map: &CertificateMap, cx: &Cx<'_>) -> Option<Result<Arc<Principal>, String>> {
    let certificate = cx.connection.certificate.as_ref()?;
    let identity = match CertificateIdentity::parse(certificate.der()) {
        Ok(identity) => identity,
        Err(error) => return Some(Err(error.to_string())),
    };
    Some(match map.owner(&identity) {
        CertificateOwner::Consumer(principal) => Ok(principal),
        CertificateOwner::Unknown => Err("the client certificate stands for no consumer".into()),
        CertificateOwner::Ambiguous => Err("the client certificate stands for several consumers".into()),
    })
}
