//! What a verified access token says (RFC 7519, RFC 9068, RFC 7662).

use std::fmt;
use std::sync::Arc;

use portcullis_engine::{Claims, CredentialKind, Principal};
use serde_json::Value;

use crate::jose::{Thumbprint, TokenError, VerificationKey};
use crate::json::Members;
use crate::oauth::pointer::{self, ClaimPointer};

/// Seconds since the epoch beyond which no date is taken: the end of the year 9999.
const LAST_DATE: f64 = 253_402_300_799.0;

/// Longest `sub`, `client_id`, `jti` or scope that is taken, and most entries of a list.
const MAX_NAME: usize = 1024;
const MAX_ENTRIES: usize = 1000;

/// Where to find what in the claims; the first that is there counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClaimNames {
    /// What the issuer is called in the names of consumers; empty for the issuer itself.
    pub realm: Box<str>,
    /// Who the token acts for.
    pub subject: Vec<ClaimPointer>,
    /// The client it was given to.
    pub client: Vec<ClaimPointer>,
    /// Its scopes: one text with spaces, or an array. All that are there count.
    pub scopes: Vec<ClaimPointer>,
    /// Roles: one text, or an array. What is neither grants nothing.
    pub roles: Vec<ClaimPointer>,
    /// Groups, likewise.
    pub groups: Vec<ClaimPointer>,
    /// Audiences; every one that is named here counts like `aud`.
    pub audiences: Vec<ClaimPointer>,
}

impl Default for ClaimNames {
    /// What RFC 9068 and the providers in wide use say.
    fn default() -> ClaimNames {
        let names = |list: &[&str]| list.iter().map(|&name| name.into()).collect();
        ClaimNames {
            realm: Box::default(),
            subject: names(&["/sub"]),
            client: names(&["/client_id", "/azp", "/cid", "/appid"]),
            scopes: names(&["/scope", "/scp"]),
            roles: names(&["/roles", "/realm_access/roles"]),
            groups: names(&["/groups"]),
            audiences: names(&["/aud"]),
        }
    }
}

/// Which key a token is bound to, so that it is worth nothing without it (RFC 7800).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Binding {
    /// The DPoP key (`cnf.jkt`, RFC 9449 section 6).
    pub jkt: Option<Thumbprint>,
    /// The client certificate (`cnf.x5t#S256`, RFC 8705 section 3.1).
    pub certificate: Option<Thumbprint>,
}

/// What an access token says, after its issuer's key, or the issuer itself, vouched for it. Facts, not a decision:
/// [`VerifiedToken::check`] and the binding are to be asked on every call.
pub struct VerifiedToken {
    principal: Arc<Principal>,
    claims: Arc<TokenClaims>,
    client: Option<Arc<str>>,
    audiences: Box<[Box<str>]>,
    expires: u64,
    not_before: u64,
    binding: Binding,
    key: Option<Arc<VerificationKey>>,
}

impl VerifiedToken {
    /// Reads `claims` of `issuer`, for whose truth the caller vouches. A token without `jti` is known as `name` says.
    pub(crate) fn read(
        claims: Members,
        issuer: &str,
        key: Option<Arc<VerificationKey>>,
        names: &ClaimNames,
        name: impl FnOnce() -> String,
    ) -> Result<VerifiedToken, TokenError> {
        let expires = date(&claims, "exp", Rounding::Down)?.ok_or(TokenError::Claims("`exp` is missing"))?;
        let not_before = date(&claims, "nbf", Rounding::Up)?.unwrap_or(0);
        let issued_at = date(&claims, "iat", Rounding::Down)?.unwrap_or(0);
        let read = Reader(&claims);
        let subject = read.name(&names.subject, TokenError::Claims("`sub` is not a short text"))?;
        let client = read.name(&names.client, TokenError::Claims("the client is not a short text"))?;
        let token_id = read.text(claims.get("jti"), TokenError::Claims("`jti` is not a short text"))?;
        let audiences =
            read.list(&names.audiences, false, TokenError::Claims("`aud` is not a text or texts"))?;
        let scopes =
            read.list(&names.scopes, true, TokenError::Claims("the scopes are not a text or texts"))?;
        // Names that other systems give other meanings: what is no list of texts grants nothing.
        let granted = |names| read.list(names, false, TokenError::Claims("")).unwrap_or_default();
        let (roles, groups) = (granted(&names.roles), granted(&names.groups));
        let binding = Binding::read(&claims)?;
        // Names that issuers give are their own: two of them may call different parties `alice`, and so may the gateway,
        // whose names have no slash. A user may be called like a client, too.
        let realm = if names.realm.is_empty() { issuer } else { &*names.realm };
        let consumer = match (client, subject) {
            (Some(client), _) => format!("{realm}/{client}").into(),
            (None, Some(subject)) => format!("{realm}/user/{subject}").into(),
            (None, None) => realm.into(),
        };
        let credential = token_id.map_or_else(|| name().into(), Into::into);
        let mut principal = Principal::new(consumer, credential, CredentialKind::AccessToken, scopes.into());
        let client = client.map(Into::into);
        let subject = subject.map(Into::into);
        let claims = TokenClaims {
            issuer: issuer.into(),
            subject,
            roles: roles.into(),
            groups: groups.into(),
            all: claims,
        };
        let claims = Arc::new(claims);
        principal.claims = Some(Arc::clone(&claims) as Arc<dyn Claims>);
        Ok(VerifiedToken {
            principal: Arc::new(principal),
            claims,
            client,
            audiences: audiences.into(),
            expires,
            // A token from the future is not valid yet, whatever it calls that.
            not_before: not_before.max(issued_at),
            binding,
            key,
        })
    }

    /// Who it acts for, with scopes, roles, groups and all claims. Its consumer is `REALM/CLIENT`, or where there is no
    /// client `REALM/user/SUBJECT`. Made once, so that a call only counts a reference.
    pub fn principal(&self) -> &Arc<Principal> {
        &self.principal
    }

    /// Who issued it, exactly as it says.
    pub fn issuer(&self) -> &str {
        &self.claims.issuer
    }

    /// Its `sub`.
    pub fn subject(&self) -> Option<&str> {
        self.claims.subject.as_deref()
    }

    /// The client it was given to (`client_id`, `azp`).
    pub fn client(&self) -> Option<&Arc<str>> {
        self.client.as_ref()
    }

    /// Whom it is meant for.
    pub fn audiences(&self) -> &[Box<str>] {
        &self.audiences
    }

    /// Seconds since the epoch from which on it no longer holds.
    pub fn expires(&self) -> u64 {
        self.expires
    }

    /// The key it is bound to.
    pub fn binding(&self) -> Binding {
        self.binding
    }

    /// The claim at a JSON pointer such as `/sub` or `/tenant/id`.
    pub fn claim(&self, pointer: &str) -> Option<&Value> {
        self.claims.claim(pointer)
    }

    /// The key that signed it; none where the issuer was asked about it instead.
    pub fn key(&self) -> Option<&Arc<VerificationKey>> {
        self.key.as_ref()
    }

    /// Whether it holds at `now` (seconds since the epoch, give or take `leeway_s`) for one of `audiences`. With no
    /// `audiences` every token is refused.
    ///
    /// # Errors
    /// [`TokenError::Expired`], [`TokenError::NotYetValid`] or [`TokenError::Audience`].
    pub fn check(&self, audiences: &[impl AsRef<str>], now: u64, leeway_s: u64) -> Result<(), TokenError> {
        self.check_times(now, leeway_s)?;
        let meant =
            self.audiences.iter().any(|theirs| audiences.iter().any(|ours| ours.as_ref() == &**theirs));
        if meant { Ok(()) } else { Err(TokenError::Audience) }
    }

    pub(crate) fn check_times(&self, now: u64, leeway_s: u64) -> Result<(), TokenError> {
        if now >= self.expires.saturating_add(leeway_s) {
            return Err(TokenError::Expired);
        }
        if self.not_before > now.saturating_add(leeway_s) {
            return Err(TokenError::NotYetValid);
        }
        Ok(())
    }
}

// Claims are personal data: only what names the token is printed.
impl fmt::Debug for VerifiedToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VerifiedToken")
            .field("issuer", &self.issuer())
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// What the issuer says, as the engine hands it to guards.
struct TokenClaims {
    issuer: Box<str>,
    subject: Option<Box<str>>,
    roles: Box<[Box<str>]>,
    groups: Box<[Box<str>]>,
    all: Members,
}

impl Claims for TokenClaims {
    fn issuer(&self) -> &str {
        &self.issuer
    }

    fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    fn roles(&self) -> &[Box<str>] {
        &self.roles
    }

    fn groups(&self) -> &[Box<str>] {
        &self.groups
    }

    fn claim(&self, pointer: &str) -> Option<&Value> {
        pointer::claim(&self.all, pointer)
    }
}

impl fmt::Debug for TokenClaims {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TokenClaims").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Binding {
    /// Reads `cnf`. A confirmation that is not understood cannot be asked for, so its token is refused.
    fn read(claims: &Members) -> Result<Binding, TokenError> {
        const UNKNOWN: TokenError = TokenError::Claims("`cnf` binds it in a way that is not known here");
        let cnf = match claims.get("cnf") {
            None => return Ok(Binding::default()),
            Some(Value::Object(cnf)) if !cnf.is_empty() => cnf,
            Some(_) => return Err(UNKNOWN),
        };
        let mut binding = Binding::default();
        for (name, value) in cnf {
            let thumbprint = value.as_str().and_then(Thumbprint::parse).ok_or(UNKNOWN)?;
            match name.as_str() {
                "jkt" => binding.jkt = Some(thumbprint),
                "x5t#S256" => binding.certificate = Some(thumbprint),
                _ => return Err(UNKNOWN),
            }
        }
        Ok(binding)
    }

    /// Whether the token is bound to any key.
    pub fn is_bound(&self) -> bool {
        *self != Binding::default()
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rounding {
    Up,
    Down,
}

/// A NumericDate (RFC 7519 section 2) in whole seconds, rounded so that the token holds for no longer.
fn date(claims: &Members, name: &str, rounding: Rounding) -> Result<Option<u64>, TokenError> {
    const BAD: TokenError = TokenError::Claims(
        "`exp`, `nbf` or `iat` is not a number of seconds since 1970 (before the year 10000)",
    );
    let Some(value) = claims.get(name) else { return Ok(None) };
    let seconds = value.as_f64().ok_or(BAD)?;
    if !(0.0..=LAST_DATE).contains(&seconds) {
        return Err(BAD);
    }
    let whole = if rounding == Rounding::Up { seconds.ceil() } else { seconds.floor() };
    // Within the bounds just checked, every whole number of seconds is exact.
    Ok(Some(whole as u64))
}

struct Reader<'a>(&'a Members);

impl<'a> Reader<'a> {
    /// The first of `pointers` that is there, as a text.
    fn name(&self, pointers: &[ClaimPointer], error: TokenError) -> Result<Option<&'a str>, TokenError> {
        self.text(pointers.iter().find_map(|pointer| pointer.of(self.0)), error)
    }

    /// `value` as a text, where it is there.
    fn text(&self, value: Option<&'a Value>, error: TokenError) -> Result<Option<&'a str>, TokenError> {
        match value {
            None => Ok(None),
            Some(Value::String(text)) if !text.is_empty() && text.len() <= MAX_NAME => Ok(Some(text)),
            Some(_) => Err(error),
        }
    }

    /// All texts at `pointers`: a text, split at spaces if `split`, or an array of texts. Sorted, each once.
    fn list(
        &self,
        pointers: &[ClaimPointer],
        split: bool,
        error: TokenError,
    ) -> Result<Vec<Box<str>>, TokenError> {
        let mut texts: Vec<Box<str>> = Vec::new();
        for value in pointers.iter().filter_map(|pointer| pointer.of(self.0)) {
            match value {
                Value::String(text) if split => {
                    texts.extend(text.split(' ').filter(|part| !part.is_empty()).map(Into::into));
                }
                Value::String(text) => texts.push(text.as_str().into()),
                Value::Array(entries) => {
                    for entry in entries {
                        texts.push(entry.as_str().ok_or(error)?.into());
                    }
                }
                _ => return Err(error),
            }
        }
        if texts.len() > MAX_ENTRIES || texts.iter().any(|text| text.len() > MAX_NAME) {
            return Err(error);
        }
        texts.sort_unstable();
        texts.dedup();
        Ok(texts)
    }
}

#[cfg(test)]
#[path = "claims_tests.rs"]
mod tests;
