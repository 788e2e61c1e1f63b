//! What guards found out about an exchange and leave for those after them.

use std::net::IpAddr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What kind of credential proved a principal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CredentialKind {
    /// One token.
    ApiKey,
    /// An App ID with one of its App Keys.
    AppKey,
}

/// Who a call acts for, once proved. Made at load for each credential, so that a call only counts a reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Principal {
    /// The registered client: the App ID, or the consumer that owns the key.
    pub consumer: Arc<str>,
    /// The public identifier of the credential; never the secret.
    pub credential: Arc<str>,
    /// What proved it.
    pub kind: CredentialKind,
    /// The scopes that the credential carries.
    pub scopes: Arc<[Box<str>]>,
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
