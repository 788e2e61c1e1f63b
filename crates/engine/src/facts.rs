//! What guards found out about an exchange and leave for those after them.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// What kind of credential proved a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// One token.
    ApiKey,
    /// An App ID with one of its App Keys.
    AppKey,
    /// An OAuth 2.0 access token (RFC 6749), signed or introspected.
    AccessToken,
    /// A client certificate (mutual TLS).
    Certificate,
}

/// Who a call acts for, once proved. For keys it is made at load, so that a call only counts a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The registered client: the App ID, the consumer that owns the key, the token's client.
    pub consumer: Arc<str>,
    /// The public identifier of the credential; never the secret.
    pub credential: Arc<str>,
    /// What proved it.
    pub kind: CredentialKind,
    /// The scopes that the credential carries.
    pub scopes: Arc<[Box<str>]>,
    /// What the issuer says beside that; `None` for keys of the gateway.
    pub claims: Option<Arc<Claims>>,
}

/// What an issuer says of who calls. All of it was verified.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims {
    /// Who says so.
    pub issuer: Box<str>,
    /// The user, as the issuer names them (`sub`), where the token stands for one.
    pub subject: Option<Box<str>>,
    /// Their roles, from the claim that the configuration names.
    pub roles: Box<[Box<str>]>,
    /// Their groups, likewise.
    pub groups: Box<[Box<str>]>,
    /// Every claim.
    pub all: Map<String, Value>,
}

impl Principal {
    /// A principal without claims: a key of the gateway.
    pub fn new(
        consumer: Arc<str>,
        credential: Arc<str>,
        kind: CredentialKind,
        scopes: Arc<[Box<str>]>,
    ) -> Principal {
        Principal { consumer, credential, kind, scopes, claims: None }
    }

    /// Who it is, for the question whether two credentials name the same: the user where there is one, else the
    /// consumer.
    pub fn subject(&self) -> &str {
        self.claims.as_ref().and_then(|claims| claims.subject.as_deref()).unwrap_or(&self.consumer)
    }

    /// Whether it has `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| **held == *scope)
    }
}

/// Facts of one exchange.
#[derive(Debug)]
pub struct Facts {
    /// The client's address: the peer, or what trusted hops say.
    pub client: IpAddr,
    /// Who calls, once a guard proved it.
    pub principal: Option<Arc<Principal>>,
    /// The trace that this exchange belongs to (W3C Trace Context), 16 bytes.
    pub trace_id: u128,
    /// The path is in the contract, but not with this method: the `Allow` field's value.
    pub allow: Option<Arc<str>>,
    /// The contract marks the operation as deprecated.
    pub deprecated: bool,
}
