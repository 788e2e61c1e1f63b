//! One principal out of several credentials, and fields by which others claim to be somebody.

use std::sync::Arc;

use http::header::HeaderName;
use portcullis_engine::{CredentialKind, Denial, Fields, Principal};

use super::plan::{Need, Needs};
use super::{CREDENTIAL_AMBIGUOUS, Checked};

/// Tells the API which user calls, where a token stands for one.
pub(crate) const USER: HeaderName = HeaderName::from_static("x-forwarded-user");

/// Who calls, by all that was proved. A key and a token may name different parties only where the contract asks for
/// both at once: then the key names the app, and the token the user.
pub(crate) fn one(needs: &Needs, checked: &[Checked]) -> Result<Option<Arc<Principal>>, Denial> {
    let mut key: Option<&Arc<Principal>> = None;
    let mut token: Option<&Arc<Principal>> = None;
    for found in checked {
        let Checked::Found(found) = found else { continue };
        let kept = if is_key(found.kind) { &mut key } else { &mut token };
        match kept {
            Some(first) if first.consumer != found.consumer || first.subject() != found.subject() => {
                return Err(ambiguous());
            }
            Some(_) => {}
            None => *kept = Some(found),
        }
    }
    let (Some(key), Some(token)) = (key, token) else { return Ok(key.or(token).cloned()) };
    let both = |needs: &[Need]| {
        let found = |need: &Need| match need {
            Need::Check(index) | Need::Token(index, _) => match checked.get(*index) {
                Some(Checked::Found(found)) => Some(is_key(found.kind)),
                _ => None,
            },
            Need::Present(..) | Need::Never => None,
        };
        [true, false].iter().all(|kind| needs.iter().any(|need| found(need) == Some(*kind)))
    };
    if key.consumer == token.consumer {
        return Ok(Some(Arc::clone(token)));
    }
    if !needs.alternatives.iter().any(|needs| both(needs)) {
        return Err(ambiguous());
    }
    Ok(Some(Arc::new(Principal { consumer: Arc::clone(&key.consumer), ..Principal::clone(token) })))
}

fn ambiguous() -> Denial {
    Denial::new(&CREDENTIAL_AMBIGUOUS, "two credentials name different consumers")
}

/// Whether it names an app; a token names who uses it.
fn is_key(kind: CredentialKind) -> bool {
    kind != CredentialKind::AccessToken
}

/// Whether `principal` has all of `scopes`; some providers call them roles.
pub(crate) fn grants(principal: &Principal, scopes: &[Box<str>]) -> bool {
    let roles = principal.claims.as_ref().map_or(&[][..], |claims| claims.roles());
    scopes.iter().all(|scope| principal.has_scope(scope) || roles.contains(scope))
}

/// Takes out the fields by which proxies tell an API who calls: from a client they are a lie.
pub(crate) fn strip(headers: &mut Fields) {
    headers.retain(|name, _| !claims_identity(name.as_str()));
}

/// Whether `name`, in lower case, is a field by which gateways, single sign-on proxies and web servers tell who calls.
fn claims_identity(name: &str) -> bool {
    const FAMILIES: [&str; 6] =
        ["x-auth-request-", "x-consumer-", "x-authenticated-", "x-ssl-client", "ssl-client", "x-client-cert"];
    let told = |name: &str| {
        matches!(
            name,
            "x-forwarded-user"
                | "x-forwarded-email"
                | "x-forwarded-groups"
                | "x-forwarded-preferred-username"
                | "x-forwarded-access-token"
                | "x-forwarded-client-cert"
                | "x-credential-identifier"
                | "x-credential-username"
                | "x-anonymous-consumer"
                | "x-remote-user"
                | "x-webauth-user"
                | "x-userinfo"
                | "remote-user"
                | "client-cert"
                | "client-cert-chain"
                | "x-jwt-assertion"
        ) || FAMILIES.iter().any(|family| name.starts_with(family))
    };
    // Servers of the CGI kind read `_` and `-` alike.
    match name.as_bytes() {
        [b'x', b'-' | b'_', ..]
        | [b's', b's', b'l', ..]
        | [b'r', b'e', b'm', ..]
        | [b'c', b'l', b'i', ..] => {
            if name.contains('_') {
                told(&name.replace('_', "-"))
            } else {
                told(name)
            }
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_tell_who_calls() {
        for name in
            ["x-forwarded-user", "x_forwarded_user", "x-consumer-username", "ssl-client-s-dn", "remote_user"]
        {
            assert!(claims_identity(name), "{name}");
        }
        for name in ["x-forwarded-for", "user-agent", "x-request-id", "cookie", "x-user-agent", "x-ssl"] {
            assert!(!claims_identity(name), "{name}");
        }
    }
}
