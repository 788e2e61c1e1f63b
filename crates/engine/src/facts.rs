//! What guards found out about an exchange and leave for those after them.

use std::fmt::Debug;
use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::memory::Mark;

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
    /// A session that the API itself handed out through this gateway.
    Session,
}

/// Who a call acts for, once proved. For keys it is made at load, so that a call only counts a reference.
#[derive(Debug, Clone)]
pub struct Principal {
    /// The registered client: the App ID, the consumer that owns the key, the token's client.
    pub consumer: Arc<str>,
    /// The public identifier of the credential; never the secret.
    pub credential: Arc<str>,
    /// What proved it.
    pub kind: CredentialKind,
    /// The scopes that the credential carries.
    pub scopes: Arc<[Box<str>]>,
    /// What its issuer says beside that; `None` for keys of the gateway.
    pub claims: Option<Arc<dyn Claims>>,
}

/// What an issuer says of who calls. All of it was verified.
pub trait Claims: Debug + Send + Sync {
    /// Who says so.
    fn issuer(&self) -> &str;
    /// The user, as the issuer names them (`sub`), where the token stands for one.
    fn subject(&self) -> Option<&str>;
    /// Their roles.
    fn roles(&self) -> &[Box<str>];
    /// Their groups.
    fn groups(&self) -> &[Box<str>];
    /// The claim at a JSON pointer (RFC 6901), such as `/sub` or `/tenant/id`.
    fn claim(&self, pointer: &str) -> Option<&Value>;
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

    /// The user, where there is one, else the consumer.
    pub fn subject(&self) -> &str {
        self.claims.as_ref().and_then(|claims| claims.subject()).unwrap_or(&self.consumer)
    }

    /// Whether it has `scope`.
    pub fn has_scope(&self, scope: &str) -> bool {
        self.scopes.iter().any(|held| **held == *scope)
    }
}

impl PartialEq for Principal {
    fn eq(&self, other: &Self) -> bool {
        let claims = |principal: &Self| {
            principal.claims.as_ref().map(|c| (c.issuer().to_owned(), c.subject().map(str::to_owned)))
        };
        (&self.consumer, &self.credential, self.kind, &self.scopes)
            == (&other.consumer, &other.credential, other.kind, &other.scopes)
            && claims(self) == claims(other)
    }
}

impl Eq for Principal {}

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
    /// What this exchange took for itself: whoever took it gives it back where the exchange came to nothing.
    pub claimed: Vec<Mark>,
}
