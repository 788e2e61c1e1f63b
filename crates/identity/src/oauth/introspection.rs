//! Opaque tokens: what their issuer says about them when it is asked (RFC 7662).

use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use portcullis_engine::Now;
use serde_json::Value;

use crate::generations::Generations;
use crate::jose::TokenError;
use crate::json;
use crate::oauth::claims::{ClaimNames, VerifiedToken};
use crate::oauth::issuer_keys::Fetched;
use crate::pepper::{Digest, Pepper};

const SECOND: u64 = 1_000_000_000;

/// Most bytes of an introspection response.
pub const MAX_INTROSPECTION_BYTES: usize = 64 << 10;

/// How long answers are believed, and how they are read.
#[derive(Debug, Clone)]
pub struct IntrospectionRules {
    /// Seconds for which a token is taken to be active after its issuer said so, however long it still holds: so long
    /// may a revoked token work. Default 30.
    pub active_s: u64,
    /// Seconds for which a token is taken to be inactive. Default 10.
    pub inactive_s: u64,
    /// Seconds by which the issuer's clock may differ from ours. Default 30.
    pub leeway_s: u64,
    /// Where the claims stand.
    pub names: ClaimNames,
    /// The audiences of a token whose issuer names none. For issuers that only answer about tokens that are meant for
    /// who asks. Default none: such a token is refused.
    pub silent_audiences: Vec<Box<str>>,
}

impl Default for IntrospectionRules {
    fn default() -> IntrospectionRules {
        IntrospectionRules {
            active_s: 30,
            inactive_s: 10,
            leeway_s: 30,
            names: ClaimNames::default(),
            silent_audiences: Vec::new(),
        }
    }
}

/// What is known about an opaque token.
#[derive(Debug, Clone)]
pub enum Introspected {
    /// It is active, and says this. Whether that is enough for a call is to be asked every time.
    Active(Arc<VerifiedToken>),
    /// It is not active: unknown, expired, revoked, or for somebody else.
    Inactive,
    /// Its issuer is to be asked: `POST` [`Introspection::form`] and hand the answer to [`Introspection::store`].
    Ask,
}

/// Why an answer says nothing about the token. Nothing is kept of it; 503.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntrospectionError {
    /// There was no answer, or not with 200.
    #[error("the issuer did not answer about the token (no answer, or not 200)")]
    NoAnswer,
    /// It is no JSON object with a truth value `active`, or too long.
    #[error("the issuer's answer is no JSON object with `active`, names a member twice, or is too long")]
    Unreadable,
}

/// What one issuer said about opaque tokens lately: bounded, and without the tokens themselves.
#[derive(Debug)]
pub struct Introspection {
    issuer: Box<str>,
    rules: IntrospectionRules,
    key: Pepper,
    tokens: Generations<Digest, Known>,
}

#[derive(Debug, Clone)]
struct Known {
    /// None: it is inactive.
    token: Option<Arc<VerifiedToken>>,
    /// On the monotonic clock, nanoseconds.
    until: u64,
}

impl Introspection {
    /// Answers of `issuer`, about at most about `capacity` tokens. `key`: 32 random bytes that nobody else knows.
    pub fn new(
        issuer: impl Into<Box<str>>,
        rules: IntrospectionRules,
        key: [u8; 32],
        capacity: usize,
    ) -> Introspection {
        Introspection {
            issuer: issuer.into(),
            rules,
            key: Pepper::new(key),
            tokens: Generations::new(capacity),
        }
    }

    /// What is known about `token` at `now`.
    pub fn lookup(&self, token: &str, now: Now) -> Introspected {
        let digest = self.key.digest(token);
        let Some(known) = self.tokens.get(&digest) else { return Introspected::Ask };
        if now.mono_ns >= known.until {
            self.tokens.remove(&digest);
            return Introspected::Ask;
        }
        match known.token {
            None => Introspected::Inactive,
            Some(token) if token.check_times(now.unix_ns / SECOND, self.rules.leeway_s).is_ok() => {
                Introspected::Active(token)
            }
            Some(_) => Introspected::Inactive,
        }
    }

    /// Takes the issuer's answer about `token`.
    ///
    /// # Errors
    /// If it says nothing; then nothing is kept, and nobody knows whether the token is good.
    pub fn store(
        &self,
        token: &str,
        answer: Fetched<'_>,
        now: Now,
    ) -> Result<Introspected, IntrospectionError> {
        let body = match answer {
            Fetched::Answer { status: 200, body, .. } => body,
            Fetched::Answer { .. } | Fetched::Failed => return Err(IntrospectionError::NoAnswer),
        };
        if body.len() > MAX_INTROSPECTION_BYTES {
            return Err(IntrospectionError::Unreadable);
        }
        let claims = json::object(body, 16, 5000).ok_or(IntrospectionError::Unreadable)?;
        let active = claims.get("active").and_then(Value::as_bool).ok_or(IntrospectionError::Unreadable)?;
        let digest = self.key.digest(token);
        // An answer that contradicts itself makes the token inactive: it is the token's own fault, and final.
        let token = if active { self.read(claims, &digest, now).ok().map(Arc::new) } else { None };
        let for_s = if token.is_some() { self.rules.active_s } else { self.rules.inactive_s };
        let until = now.mono_ns.saturating_add(for_s.saturating_mul(SECOND));
        self.tokens.insert(digest, Known { token: token.clone(), until });
        Ok(token.map_or(Introspected::Inactive, Introspected::Active))
    }

    /// The body that asks about `token` (`application/x-www-form-urlencoded`). It holds the token: not for logs.
    pub fn form(token: &str) -> String {
        const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        format!("token={}&token_type_hint=access_token", utf8_percent_encode(token, ENCODED))
    }

    fn read(
        &self,
        mut claims: json::Members,
        digest: &Digest,
        now: Now,
    ) -> Result<VerifiedToken, TokenError> {
        let now_s = now.unix_ns / SECOND;
        // Both are optional here (RFC 7662 section 2.2).
        if claims.get("iss").is_some_and(|stated| stated.as_str() != Some(&self.issuer)) {
            return Err(TokenError::Issuer);
        }
        if !claims.has("exp") {
            claims.insert("exp", now_s.saturating_add(self.rules.active_s).into());
        }
        if !self.rules.names.audiences.iter().any(|audience| audience.of(&claims).is_some()) {
            let silent = self.rules.silent_audiences.iter().map(|name| Value::from(&**name)).collect();
            claims.insert("aud", silent);
        }
        let dpop = claims
            .get("token_type")
            .and_then(Value::as_str)
            .is_some_and(|kind| kind.eq_ignore_ascii_case("dpop"));
        let token = VerifiedToken::read(claims, &self.issuer, None, &self.rules.names, || digest.short())?;
        if dpop && token.binding().jkt.is_none() {
            return Err(TokenError::Claims("it is a DPoP token, and its key is not said"));
        }
        token.check_times(now_s, self.rules.leeway_s)?;
        Ok(token)
    }
}

#[cfg(test)]
#[path = "introspection_tests.rs"]
mod tests;
