//! Whose a thing is that is remembered.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use portcullis_engine::Cx;

/// The principal, or the client where nobody proved who they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Who<'a> {
    /// A user or a consumer: who says so (none for the gateway's own keys), and the name.
    Principal(Option<&'a str>, &'a str),
    /// An address: of IPv6 the /64, which is one client's.
    Client(IpAddr),
    /// Whoever holds the session that the API itself gave out: the value of a field or cookie.
    Session(&'a [u8]),
}

impl<'a> Who<'a> {
    /// Who makes this call.
    pub(crate) fn of(cx: &'a Cx<'_>) -> Who<'a> {
        match &cx.facts.principal {
            Some(principal) => {
                let issuer = principal.claims.as_deref().map(|claims| claims.issuer());
                Who::Principal(issuer, principal.subject())
            }
            None => Who::Client(match cx.facts.client {
                IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
                address => address,
            }),
        }
    }
}

impl Hash for Who<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Who::Principal(issuer, name) => (0u8, issuer, name).hash(state),
            Who::Client(address) => (1u8, address).hash(state),
            Who::Session(value) => (2u8, value).hash(state),
        }
    }
}
