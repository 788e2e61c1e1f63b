//! Key sets (RFC 7517 section 5): one bad key never costs the others.

use std::borrow::Cow;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::jose::{Algorithm, JwkError, JwkRules, VerificationKey};

/// Most bytes of a key set.
pub const MAX_KEY_SET_BYTES: usize = 512 << 10;

/// Most keys that are read of a set.
pub const MAX_KEYS: usize = 100;

/// Most keys that are tried for a token that names none.
const MAX_TRIES: usize = 8;

/// The usable keys of an issuer, immutable.
#[derive(Debug, Clone, Default)]
pub struct KeySet {
    keys: Vec<Arc<VerificationKey>>,
    skipped: Vec<SkippedKey>,
}

/// A key of a set that is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedKey {
    /// Its place in the set, from 0.
    pub index: usize,
    /// What the set calls it.
    pub kid: Option<Arc<str>>,
    /// Why it is not used.
    pub reason: JwkError,
}

/// Why a document is no key set at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeySetError {
    /// It is longer than is read.
    #[error("the key set is longer than {MAX_KEY_SET_BYTES} bytes")]
    TooLarge,
    /// It is not JSON, or no object with an array `keys`.
    #[error("the key set is not a JSON object with an array `keys`")]
    NotAKeySet,
    /// None of its keys can be used.
    #[error("no key of the set can be used")]
    NoKey,
}

impl KeySet {
    /// The keys of `json` that `rules` take. What is not usable is skipped, each with its reason.
    ///
    /// # Errors
    /// If it is no key set, or none of its keys is usable.
    pub fn parse(json: &[u8], rules: &JwkRules<'_>) -> Result<KeySet, KeySetError> {
        if json.len() > MAX_KEY_SET_BYTES {
            return Err(KeySetError::TooLarge);
        }
        let document: Document<'_> = serde_json::from_slice(json).map_err(|_| KeySetError::NotAKeySet)?;
        let mut set = KeySet::default();
        let mut unreadable = Vec::new();
        for (index, raw) in document.keys.iter().enumerate() {
            if index >= MAX_KEYS {
                set.skip(index, None, JwkError::TooMany);
                break;
            }
            match VerificationKey::from_jwk(raw.get().as_bytes(), rules) {
                Ok(key) => set.add(index, key),
                Err(reason) => {
                    let named: Named<'_> = serde_json::from_str(raw.get()).unwrap_or_default();
                    set.skip(index, named.kid.as_deref().map(Into::into), reason);
                    // A key for something else takes no name from those for signatures.
                    if reason != JwkError::NotForSignatures {
                        unreadable.push(named);
                    }
                }
            }
        }
        set.drop_ambiguous(&unreadable);
        if set.keys.is_empty() { Err(KeySetError::NoKey) } else { Ok(set) }
    }

    /// A set of one key.
    pub fn of(key: VerificationKey) -> KeySet {
        KeySet { keys: vec![Arc::new(key)], skipped: Vec::new() }
    }

    /// Those that a token may have been signed with: of its algorithm, and under its `kid` if it has one. Without
    /// one, at most eight keys are tried.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Arc<VerificationKey>> {
        let named = move |key: &&Arc<VerificationKey>| kid.is_none() || key.kid() == kid;
        self.keys.iter().filter(named).filter(move |key| key.algorithm() == algorithm).take(MAX_TRIES)
    }

    /// The usable keys.
    pub fn keys(&self) -> &[Arc<VerificationKey>] {
        &self.keys
    }

    /// What is not used, and why.
    pub fn skipped(&self) -> &[SkippedKey] {
        &self.skipped
    }

    /// Takes over the keys that `old` has already, so that what they proved goes on to hold, and stands by all keys
    /// until `mono_ns`. Those of `old` that are not here are stood by no longer.
    pub(crate) fn succeed(&mut self, old: Option<&KeySet>, mono_ns: u64) {
        for key in &mut self.keys {
            if let Some(known) = old.and_then(|old| old.keys.iter().find(|known| known.same(key))) {
                *key = Arc::clone(known);
            }
        }
        for gone in old.into_iter().flat_map(|old| &old.keys) {
            if !self.keys.iter().any(|key| key.same(gone)) {
                gone.trust_until(0);
            }
        }
        for key in &self.keys {
            key.trust_until(mono_ns);
        }
    }

    fn add(&mut self, index: usize, key: VerificationKey) {
        // The same key listed twice is one key.
        if self.keys.iter().any(|known| known.same(&key)) {
            self.skip(index, key.kid().map(Into::into), JwkError::SameKid);
        } else {
            self.keys.push(Arc::new(key));
        }
    }

    fn skip(&mut self, index: usize, kid: Option<Arc<str>>, reason: JwkError) {
        self.skipped.push(SkippedKey { index, kid, reason });
    }

    /// Different keys under one `kid` and algorithm, those that could not be read among them: a token cannot say
    /// which it means. Public keys beside shared secrets: the secrets go.
    fn drop_ambiguous(&mut self, unreadable: &[Named<'_>]) {
        let all = std::mem::take(&mut self.keys);
        let public = all.iter().any(|key| !key.algorithm().is_symmetric());
        for (index, key) in all.iter().enumerate() {
            let named_alike = |other: &VerificationKey| {
                key.kid().is_some() && other.kid() == key.kid() && other.algorithm() == key.algorithm()
            };
            let unreadable_alike = |other: &Named<'_>| {
                let alg = other.alg.as_deref().map(Algorithm::from_name);
                key.kid().is_some()
                    && other.kid.as_deref() == key.kid()
                    && alg.is_none_or(|alg| alg == Some(key.algorithm()))
            };
            let alike = all.iter().enumerate().any(|(at, other)| at != index && named_alike(other));
            if alike || unreadable.iter().any(unreadable_alike) {
                self.skip(index, key.kid().map(Into::into), JwkError::SameKid);
            } else if public && key.algorithm().is_symmetric() {
                self.skip(index, key.kid().map(Into::into), JwkError::Mixed);
            } else {
                self.keys.push(Arc::clone(key));
            }
        }
    }
}

#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    keys: Vec<&'a RawValue>,
}

#[derive(Deserialize, Default)]
struct Named<'a> {
    #[serde(borrow)]
    kid: Option<Cow<'a, str>>,
    #[serde(borrow)]
    alg: Option<Cow<'a, str>>,
}
