//! Whose a thing is that is remembered.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use portcullis_engine::{Cx, one_client};

use crate::place::Place;

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
            None => Who::client(cx.facts.client),
        }
    }

    /// The client at `address`.
    pub(crate) fn client(address: IpAddr) -> Who<'a> {
        Who::Client(one_client(address))
    }

    /// Whose call it is, the API's own session at `by` being what tells users apart where one is named; `None` where
    /// nobody is known.
    pub(crate) fn known(by: Option<&Place>, cx: &'a Cx<'_>) -> Option<Who<'a>> {
        let value = match by {
            None => return cx.facts.principal.is_some().then(|| Who::of(cx)),
            Some(place) => place.single(cx.request),
        };
        value.filter(|value| !value.is_empty()).map(Who::Session)
    }

    /// Bytes that stand for nobody else.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match self {
            Who::Principal(issuer, name) => {
                let issuer = issuer.map_or(String::new(), |issuer| format!("{}:{issuer}", issuer.len()));
                [b"p", issuer.as_bytes(), b"\0", name.as_bytes()].concat()
            }
            Who::Client(address) => format!("c{address}").into_bytes(),
            Who::Session(value) => [b"s", *value].concat(),
        }
    }
}

/// Whether `by` can stand for a session: nothing, a field or a cookie.
pub(crate) fn is_session(by: Option<&Place>) -> bool {
    matches!(by, None | Some(Place::Header(_) | Place::Cookie(_)))
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
