//! Which tokens of an issuer are access tokens (RFC 9068, RFC 8725).

use serde_json::Value;

use crate::jose::{HeaderKeys, Jws, TokenError};
use crate::json::Members;
use crate::oauth::claims::ClaimNames;

/// Which types of token are taken (RFC 8725 section 3.11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum TokenProfile {
    /// `at+jwt`, or a token without that type that shows no sign of being anything but an access token. Most
    /// providers still issue the latter.
    #[default]
    AccessToken,
    /// Only RFC 9068: type `at+jwt`, and `iss`, `exp`, `aud`, `sub`, `client_id`, `iat` and `jti` must be there.
    Rfc9068,
}

/// How the tokens of an issuer are judged.
#[derive(Debug, Clone)]
pub struct TokenRules {
    /// Which types are taken.
    pub profile: TokenProfile,
    /// Most bytes of a token. Default 16 KiB.
    pub max_bytes: usize,
    /// What to do with keys in a token's header; [`HeaderKeys::Proof`] is for proofs, and works like
    /// [`HeaderKeys::Refuse`] here. Default: refuse.
    pub header_keys: HeaderKeys,
    /// Seconds by which the issuer's clock may differ from ours. Default 30.
    pub leeway_s: u64,
    /// Where the claims stand.
    pub names: ClaimNames,
}

impl Default for TokenRules {
    fn default() -> TokenRules {
        TokenRules {
            profile: TokenProfile::default(),
            max_bytes: 16 << 10,
            header_keys: HeaderKeys::Refuse,
            leeway_s: 30,
            names: ClaimNames::default(),
        }
    }
}

impl TokenRules {
    /// Whether a token with the header of `jws` and these claims is an access token.
    ///
    /// # Errors
    /// [`TokenError::Type`], or [`TokenError::Claims`] where RFC 9068 wants a claim that is not there.
    pub(crate) fn check_type(&self, jws: &Jws<'_>, claims: &Members) -> Result<(), TokenError> {
        let says_access = jws.is_type("at+jwt");
        if !says_access && self.profile == TokenProfile::Rfc9068 {
            return Err(TokenError::Type("its `typ` is not `at+jwt`"));
        }
        if !says_access && jws.typ().is_some() && !jws.is_type("jwt") {
            return Err(TokenError::Type("its `typ` is neither `at+jwt` nor `JWT`"));
        }
        match said(claims) {
            Said::Other => return Err(TokenError::Type("its claims say that it is no access token")),
            Said::Nothing if !says_access => not_an_id_token(claims)?,
            Said::Nothing | Said::Access => {}
        }
        if self.profile == TokenProfile::Rfc9068 { complete(claims) } else { Ok(()) }
    }
}

/// Claims in which providers and frameworks say what kind of token it is (Keycloak's `typ`, Cognito's `token_use`,
/// and others), and what they say there.
const KIND_CLAIMS: [&str; 4] = ["typ", "token_use", "token_type", "type"];
const ACCESS_KINDS: [&str; 6] = ["access", "access_token", "at+jwt", "bearer", "dpop", "mac"];
const OTHER_KINDS: [&str; 9] = [
    "id",
    "id_token",
    "serialized-id",
    "refresh",
    "refresh_token",
    "offline",
    "logout",
    "logout_token",
    "registrationaccesstoken",
];

/// What the claims themselves say of their kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Access,
    Other,
    Nothing,
}

/// What it says in its claims; a security event or logout token (RFC 8417) says it by its `events`.
fn said(claims: &Members) -> Said {
    let mut said = if claims.has("events") { Said::Other } else { Said::Nothing };
    for kind in KIND_CLAIMS.iter().filter_map(|name| claims.get(name).and_then(Value::as_str)) {
        let is_one_of = |known: &[&str]| known.iter().any(|known| kind.eq_ignore_ascii_case(known));
        if is_one_of(&OTHER_KINDS) {
            said = Said::Other;
        } else if said == Said::Nothing && is_one_of(&ACCESS_KINDS) {
            said = Said::Access;
        }
    }
    said
}

/// Marks of an ID token (OpenID Connect Core section 2) where the header does not tell.
fn not_an_id_token(claims: &Members) -> Result<(), TokenError> {
    const ID_TOKEN: TokenError =
        TokenError::Type("it is an ID token, which says who somebody is and gives access to nothing");
    if ["nonce", "at_hash", "c_hash", "s_hash"].iter().any(|name| claims.has(name)) {
        return Err(ID_TOKEN);
    }
    let grants = ["scope", "scp", "client_id", "cid", "appid", "roles", "permissions", "realm_access", "cnf"];
    if grants.iter().any(|name| claims.has(name)) {
        return Ok(());
    }
    // Nothing is granted, and it is meant for the very client that it was given to.
    let Some(client) = claims.get("azp") else { return Ok(()) };
    let for_its_client = match claims.get("aud") {
        Some(Value::Array(audiences)) => audiences.iter().all(|audience| audience == client),
        Some(audience) => audience == client,
        None => false,
    };
    if for_its_client { Err(ID_TOKEN) } else { Ok(()) }
}

/// RFC 9068 section 2.2.
fn complete(claims: &Members) -> Result<(), TokenError> {
    if ["exp", "iat"].iter().any(|name| !claims.has(name)) {
        return Err(TokenError::Claims("`exp` or `iat` is missing (RFC 9068)"));
    }
    let texts = ["iss", "sub", "client_id", "jti"];
    if texts.iter().any(|name| !claims.get(name).is_some_and(Value::is_string)) || !claims.has("aud") {
        return Err(TokenError::Claims("`iss`, `aud`, `sub`, `client_id` or `jti` is missing (RFC 9068)"));
    }
    Ok(())
}
