//! All configured issuers: a token in, what it says out.

use std::sync::Arc;

use hashbrown::HashMap;
use portcullis_engine::Now;

use crate::jose::{Algorithm, HeaderKeys, Jws, JwsRules, KeySet, KnownHeaders, TokenError};
use crate::json::{self, Members};
use crate::oauth::access::TokenRules;
use crate::oauth::claims::VerifiedToken;
use crate::oauth::issuer_keys::{FoundKeys, IssuerKeys, KeyLookup, KeyTimes, KeysFrom};
use crate::oauth::token_cache::{TokenCache, TokenName};
use crate::pepper::Digest;

const SECOND: u64 = 1_000_000_000;

/// Levels of nesting and number of values in a token's claims.
const CLAIM_BOUNDS: (u32, u32) = (16, 5000);

/// One issuer as an operator configured it.
#[derive(Debug)]
pub struct Issuer {
    keys: IssuerKeys,
    rules: TokenRules,
    algorithms: Box<[Algorithm]>,
}

impl Issuer {
    /// An issuer whose keys are fetched. `algorithms` says which are accepted; symmetric ones are passed over.
    /// Where `from` is [`KeysFrom::WellKnown`], `issuer` is only a name for it: what its tokens must say is in the
    /// metadata.
    pub fn fetched(
        issuer: impl Into<Arc<str>>,
        from: KeysFrom,
        algorithms: impl IntoIterator<Item = Algorithm>,
        times: KeyTimes,
        rules: TokenRules,
    ) -> Issuer {
        let algorithms: Box<[Algorithm]> =
            algorithms.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect();
        let keys = IssuerKeys::fetched(issuer, from, algorithms.iter().copied(), times);
        Issuer { keys, rules, algorithms }
    }

    /// An issuer whose keys an operator gave: a key set on file, or a shared secret.
    pub fn fixed(issuer: impl Into<Arc<str>>, set: KeySet, rules: TokenRules) -> Issuer {
        let mut algorithms: Vec<Algorithm> = set.keys().iter().map(|key| key.algorithm()).collect();
        algorithms.dedup();
        Issuer { keys: IssuerKeys::fixed(issuer, set), rules, algorithms: algorithms.into() }
    }

    /// Its keys.
    pub fn keys(&self) -> &IssuerKeys {
        &self.keys
    }

    /// How its tokens are judged.
    pub fn rules(&self) -> &TokenRules {
        &self.rules
    }
}

/// What is to be said of a token.
#[derive(Debug, Clone)]
pub enum Verification {
    /// It is genuine, of the right type, and says this. Whether that is enough for a call is to be asked every
    /// time: [`VerifiedToken::check`] and [`crate::Presented::check`].
    Verified(Arc<VerifiedToken>),
    /// The keys of this issuer must be fetched, or a fetch waited for; then ask once more. If the answer is this
    /// again, the keys are unavailable.
    NeedKeys(Arc<Issuer>),
    /// It is refused.
    Refused(TokenError),
    /// Its issuer's keys cannot be had now, so nobody can tell: 503, not 401.
    Unavailable {
        /// Seconds after which asking again may help.
        retry_after_s: u64,
    },
    /// It is no JWT: an opaque token, about which its issuer is to be asked.
    Opaque,
}

/// All configured issuers, and what their tokens said lately.
#[derive(Debug, Default)]
pub struct Issuers {
    by_name: HashMap<Arc<str>, Arc<Issuer>>,
    all: Vec<Arc<Issuer>>,
    /// The most that any of them reads: longer tokens are nobody's.
    max_bytes: usize,
    cache: TokenCache,
    headers: KnownHeaders,
}

impl Issuers {
    /// These issuers. `cache` keeps what tokens said.
    pub fn new(issuers: impl IntoIterator<Item = Issuer>, cache: TokenCache) -> Issuers {
        let mut this = Issuers { cache, ..Issuers::default() };
        for issuer in issuers {
            this.add(issuer);
        }
        this
    }

    /// Adds `issuer`; one of the same name that was there before is replaced.
    fn add(&mut self, issuer: Issuer) {
        let issuer = Arc::new(issuer);
        self.max_bytes = self.max_bytes.max(issuer.rules.max_bytes);
        let name = Arc::clone(issuer.keys.issuer());
        if let KeysFrom::WellKnown(_) = issuer.keys.from() {
            // Whether its name ends in a slash is known only once the metadata are there.
            let other = name.strip_suffix('/').map_or_else(|| format!("{name}/"), str::to_owned);
            self.by_name.entry(other.into()).or_insert_with(|| Arc::clone(&issuer));
        }
        if let Some(before) = self.by_name.insert(name, Arc::clone(&issuer)) {
            self.all.retain(|other| !Arc::ptr_eq(other, &before));
        }
        self.all.push(issuer);
    }

    /// All of them, for background refresh: [`IssuerKeys::due`], [`IssuerKeys::begin`], [`IssuerKeys::finish`].
    pub fn all(&self) -> &[Arc<Issuer>] {
        &self.all
    }

    /// The issuer of this name.
    pub fn get(&self, issuer: &str) -> Option<&Arc<Issuer>> {
        self.by_name.get(issuer)
    }

    /// What there is to say of `token` at `now`. Its times and type are judged here; its audience, scopes and
    /// binding are not.
    pub fn verify(&self, token: &str, now: Now) -> Verification {
        if token.len() > self.max_bytes {
            return Verification::Refused(TokenError::TooLarge);
        }
        let TokenName { digest, signed } = self.cache.name(token);
        if let Some(known) = self.cache.get(&digest, now) {
            return Verification::Verified(known);
        }
        match token.bytes().filter(|&byte| byte == b'.').count() {
            2 => {}
            4 => {
                return Verification::Refused(TokenError::Header(
                    "it is encrypted, and no encrypted tokens are read",
                ));
            }
            _ => return Verification::Opaque,
        }
        let token = match self.read(token, signed) {
            Ok(token) => token,
            Err(error) => return Verification::Refused(error),
        };
        let Unverified { jws, issuer, .. } = &token;
        let (header_text, header) = jws.header();
        let header = Arc::clone(header);
        match issuer.keys.lookup(jws.kid(), jws.algorithm(), now) {
            KeyLookup::Found(keys) => match token.verify(&keys, &digest, now) {
                Ok(verified) => {
                    let verified = Arc::new(verified);
                    self.headers.remember(header_text, &header);
                    self.cache.insert(digest, Arc::clone(&verified), now);
                    Verification::Verified(verified)
                }
                Err(error) => Verification::Refused(error),
            },
            KeyLookup::Need => Verification::NeedKeys(Arc::clone(issuer)),
            KeyLookup::Unknown => Verification::Refused(TokenError::UnknownKey),
            KeyLookup::Unavailable { retry_after_s } => Verification::Unavailable { retry_after_s },
        }
    }

    fn read<'t>(
        &self,
        token: &'t str,
        signed: Option<aws_lc_rs::digest::Digest>,
    ) -> Result<Unverified<'t>, TokenError> {
        // The issuer's own rules are known only once it is; until then the widest bounds hold.
        let rules = JwsRules { max_bytes: self.max_bytes, keys: HeaderKeys::Ignore };
        let jws = Jws::parse_knowing(token, &rules, signed, |header| self.headers.get(header))?;
        let (depth, values) = CLAIM_BOUNDS;
        let claims = json::object(jws.unverified_payload(), depth, values).ok_or(TokenError::Malformed(
            "the claims are no JSON object, name a member twice, or are too complex",
        ))?;
        let stated = claims.text("iss").ok().flatten().ok_or(TokenError::Issuer)?;
        let issuer = Arc::clone(self.by_name.get(stated).ok_or(TokenError::Issuer)?);
        if token.len() > issuer.rules.max_bytes {
            return Err(TokenError::TooLarge);
        }
        if issuer.rules.header_keys != HeaderKeys::Ignore && jws.brings_key() {
            return Err(TokenError::Header("it brings a key of its own (`jwk`, `jku`, `x5u` or `x5c`)"));
        }
        // Before any key is asked for: no such key could be of use.
        if !issuer.algorithms.contains(&jws.algorithm()) {
            return Err(TokenError::Algorithm);
        }
        Ok(Unverified { jws, claims, issuer })
    }
}

/// A token that was read, and for which nobody vouched.
struct Unverified<'t> {
    jws: Jws<'t>,
    claims: Members,
    issuer: Arc<Issuer>,
}

impl Unverified<'_> {
    fn verify(self, keys: &FoundKeys, digest: &Digest, now: Now) -> Result<VerifiedToken, TokenError> {
        let Unverified { jws, claims, issuer } = self;
        let mut candidates = keys.candidates(jws.kid(), jws.algorithm());
        let key = candidates.find(|key| jws.verify(key).is_ok()).ok_or(TokenError::Signature)?;
        // Now the claims are the issuer's own.
        if !claims.text("iss").is_ok_and(|stated| stated == Some(keys.issuer())) {
            return Err(TokenError::Issuer);
        }
        issuer.rules.check_type(&jws, &claims)?;
        let key = Some(Arc::clone(key));
        let token = VerifiedToken::read(claims, keys.issuer(), key, &issuer.rules.names, || digest.short())?;
        token.check_times(now.unix_ns / SECOND, issuer.rules.leeway_s)?;
        Ok(token)
    }
}

#[cfg(test)]
#[path = "issuers_tests.rs"]
mod tests;
