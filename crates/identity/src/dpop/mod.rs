//! Proofs of possession (DPoP, RFC 9449): that who sends a token holds the key that it is bound to.

mod nonce;
mod replay;
mod target;

use portcullis_engine::Now;
use serde_json::Value;

use crate::jose::{
    Algorithm, HeaderKeys, JwkError, JwkRules, Jws, JwsRules, Thumbprint, TokenError, VerificationKey,
};
use crate::json::{self, Members};
use crate::pepper::Pepper;
use nonce::Nonces;
use replay::{Replays, Shown};
use target::TargetUri;

const SECOND: u64 = 1_000_000_000;

/// Longest `jti` that is taken.
const MAX_JTI_BYTES: usize = 512;

/// How proofs are judged.
#[derive(Debug, Clone)]
pub struct DpopRules {
    /// Accepted algorithms. Default: ECDSA, RSA-PSS and Ed25519 (as FAPI 2.0 section 5.4 has it); symmetric ones are
    /// never accepted.
    pub algorithms: Vec<Algorithm>,
    /// Seconds that a proof may be old. Default 60.
    pub max_age_s: u64,
    /// Seconds by which a proof may be from the future, because clocks differ. Default 10.
    pub max_ahead_s: u64,
    /// Whether every proof must have a nonce of ours. A proof with one may be of any age: the nonce dates it, and the
    /// client's clock does not matter. Default no.
    pub require_nonce: bool,
    /// Seconds after which a new nonce is made; each holds for up to twice as long. Default 60.
    pub nonce_s: u64,
    /// Most bytes of a proof. Default 8 KiB.
    pub max_bytes: usize,
    /// How many proofs can be remembered at once. Where there is no more room, proofs are refused (503). Default
    /// 1,000,000 (about 20 MB when full).
    pub capacity: usize,
}

impl Default for DpopRules {
    fn default() -> DpopRules {
        DpopRules {
            algorithms: Algorithm::ASYMMETRIC
                .into_iter()
                .filter(|algorithm| {
                    !matches!(algorithm, Algorithm::Rs256 | Algorithm::Rs384 | Algorithm::Rs512)
                })
                .collect(),
            max_age_s: 60,
            max_ahead_s: 10,
            require_nonce: false,
            nonce_s: 60,
            max_bytes: 8 << 10,
            capacity: 1_000_000,
        }
    }
}

/// The call that a proof must be for.
#[derive(Debug, Clone, Copy)]
pub struct ProvedCall<'a> {
    /// The method, exactly.
    pub method: &'a str,
    /// `https` or `http`, as the client used it.
    pub scheme: &'a str,
    /// Host and port, as the client used them.
    pub authority: &'a str,
    /// The path; a query after it does not count.
    pub path: &'a str,
}

/// Why a proof is refused. The texts quote nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DpopError {
    /// It is no signed token of type `dpop+jwt`, or its signature does not verify.
    #[error("the DPoP proof is refused: {0}")]
    Proof(TokenError),
    /// Its `jwk` is not used.
    #[error("the DPoP proof's `jwk` is refused: {0}")]
    Key(JwkError),
    /// It is by another key than the token is bound to.
    #[error("the DPoP proof is of another key than the token is bound to")]
    OtherKey,
    /// A claim is missing or is not what it must be.
    #[error("the DPoP proof's `{0}` is missing or is not what it must be")]
    Claim(&'static str),
    /// It is for another method.
    #[error("the DPoP proof is for another method (`htm`)")]
    Method,
    /// It is for another target URI.
    #[error("the DPoP proof is for another URI (`htu`)")]
    Target,
    /// It is for another token.
    #[error("the DPoP proof is for another access token (`ath`)")]
    Token,
    /// It is too old, or from the future.
    #[error("the DPoP proof is too old or from the future (`iat`): check the client's clock")]
    Time,
    /// It needs a nonce of ours that still holds: answer 401 with `error="use_dpop_nonce"` and `DPoP-Nonce`.
    #[error("the DPoP proof needs a current nonce: repeat the call with the one in `DPoP-Nonce`")]
    Nonce,
    /// It was used before.
    #[error("the DPoP proof was used before: make a new one for every call")]
    Replayed,
    /// It cannot be remembered, so it cannot be accepted: 503.
    #[error("too many DPoP proofs are in use")]
    NoRoom,
}

/// Judges proofs, and remembers those that were used. One for all threads.
#[derive(Debug)]
pub struct Dpop {
    rules: DpopRules,
    nonces: Nonces,
    replays: Replays,
}

impl Dpop {
    /// `key`: 32 secret random bytes, under which nonces are made. Gateways that share it accept each other's.
    pub fn new(rules: DpopRules, key: [u8; 32]) -> Dpop {
        let key = Pepper::new(key);
        // Until when a proof could be shown again: its time must be over, or its nonce.
        let by_time = rules.max_age_s.saturating_add(rules.max_ahead_s).saturating_add(1);
        let keep_s = by_time.max(rules.nonce_s.saturating_mul(2));
        Dpop {
            nonces: Nonces::new(key.clone(), rules.nonce_s),
            replays: Replays::new(key, keep_s, rules.capacity),
            rules,
        }
    }

    /// The nonce to send in `DPoP-Nonce` at `now`.
    pub fn nonce(&self, now: Now) -> String {
        self.nonces.issue(now.unix_ns / SECOND)
    }

    /// Whether `proof`, the value of the one `DPoP` field, proves that who makes `call` with `token` holds the key
    /// `bound` that the token is bound to ([`crate::oauth::Binding::jkt`]). The token itself must have been verified:
    /// a proof is remembered only for keys that an issuer vouched for.
    ///
    /// # Errors
    /// As RFC 9449 section 4.3 says.
    pub fn verify(
        &self,
        proof: &str,
        call: &ProvedCall<'_>,
        token: &str,
        bound: Thumbprint,
        now: Now,
    ) -> Result<Thumbprint, DpopError> {
        let rules = JwsRules { max_bytes: self.rules.max_bytes, keys: HeaderKeys::Proof };
        let jws = Jws::parse(proof, &rules).map_err(DpopError::Proof)?;
        if !jws.is_type("dpop+jwt") {
            return Err(DpopError::Proof(TokenError::Type("its `typ` is not `dpop+jwt`")));
        }
        let algorithm = jws.algorithm();
        if algorithm.is_symmetric() || !self.rules.algorithms.contains(&algorithm) {
            return Err(DpopError::Proof(TokenError::Algorithm));
        }
        let jwk = jws.jwk().ok_or(DpopError::Claim("jwk"))?;
        let key = VerificationKey::from_object(jwk, &JwkRules { algorithms: &[algorithm] })
            .map_err(DpopError::Key)?;
        if key.thumbprint() != bound {
            return Err(DpopError::OtherKey);
        }
        let payload = jws.verify(&key).map_err(DpopError::Proof)?;
        let claims = json::object(payload, 8, 200).ok_or(DpopError::Proof(TokenError::Malformed(
            "its claims are no JSON object, or name a member twice",
        )))?;
        check_call(&claims, call, token)?;
        self.check_time(&claims, now.unix_ns / SECOND)?;
        let jti = text(&claims, "jti")?;
        if jti.is_empty() || jti.len() > MAX_JTI_BYTES {
            return Err(DpopError::Claim("jti"));
        }
        match self.replays.show(bound, jti, now.mono_ns / SECOND) {
            Shown::New => Ok(bound),
            Shown::Again => Err(DpopError::Replayed),
            Shown::NoRoom => Err(DpopError::NoRoom),
        }
    }

    /// RFC 9449 section 4.3, items 10 and 11: the nonce dates the proof, or else `iat` does.
    fn check_time(&self, claims: &Members, now_s: u64) -> Result<(), DpopError> {
        let issued = seconds(claims, "iat")?.ok_or(DpopError::Claim("iat"))?;
        match claims.get("nonce") {
            Some(Value::String(nonce)) if self.nonces.holds(nonce, now_s) => return Ok(()),
            Some(_) => return Err(DpopError::Nonce),
            None if self.rules.require_nonce => return Err(DpopError::Nonce),
            None => {}
        }
        let (max_age_s, max_ahead_s) = (self.rules.max_age_s as f64, self.rules.max_ahead_s as f64);
        let age = now_s as f64 - issued;
        // `exp` and `nbf` are not for proofs, but who writes them means them.
        let over = seconds(claims, "exp")?.is_some_and(|end| now_s as f64 >= end + max_ahead_s);
        let early = seconds(claims, "nbf")?.is_some_and(|start| now_s as f64 + max_ahead_s < start);
        if age > max_age_s || age < -max_ahead_s || over || early {
            return Err(DpopError::Time);
        }
        Ok(())
    }
}

/// Items 8, 9 and 12: method, target and token.
fn check_call(claims: &Members, call: &ProvedCall<'_>, token: &str) -> Result<(), DpopError> {
    if text(claims, "htm")? != call.method {
        return Err(DpopError::Method);
    }
    let target = TargetUri::parse(text(claims, "htu")?).ok_or(DpopError::Target)?;
    if Some(target) != TargetUri::new(call.scheme, call.authority, call.path) {
        return Err(DpopError::Target);
    }
    let hash = Thumbprint::parse(text(claims, "ath")?).ok_or(DpopError::Claim("ath"))?;
    if hash == Thumbprint::of(token.as_bytes()) { Ok(()) } else { Err(DpopError::Token) }
}

fn text<'a>(claims: &'a Members, name: &'static str) -> Result<&'a str, DpopError> {
    claims.get(name).and_then(Value::as_str).ok_or(DpopError::Claim(name))
}

fn seconds(claims: &Members, name: &'static str) -> Result<Option<f64>, DpopError> {
    claims.get(name).map(|value| value.as_f64().ok_or(DpopError::Claim(name))).transpose()
}
