//! What tokens said, so that a signature is verified once and not on every call.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use portcullis_engine::Now;

use crate::generations::Generations;
use crate::jose::split_signature;
use crate::oauth::claims::VerifiedToken;
use crate::pepper::{Digest, Pepper};

const SECOND: u64 = 1_000_000_000;

/// Tokens and what they said: bounded, shared by all threads, and without the tokens themselves (they are known by a
/// keyed hash). It holds facts; what they allow is asked on every call.
#[derive(Debug)]
pub struct TokenCache {
    key: Pepper,
    tokens: Generations<Digest, Arc<VerifiedToken>>,
}

impl TokenCache {
    /// A cache of at most about `capacity` tokens. `key`: 32 random bytes that nobody else knows; a new process may
    /// take new ones.
    pub fn new(key: [u8; 32], capacity: usize) -> TokenCache {
        TokenCache { key: Pepper::new(key), tokens: Generations::new(capacity) }
    }

    /// How `token` is known here. What is signed of it is hashed once, for this and for the signature.
    pub(crate) fn name(&self, token: &str) -> TokenName {
        match split_signature(token) {
            Some((signed, signature)) => {
                let sha256 = digest(&SHA256, signed.as_bytes());
                let whole = self.key.digest_of([sha256.as_ref(), signature.as_bytes()]);
                TokenName { digest: whole, signed: Some(sha256) }
            }
            None => TokenName { digest: self.key.digest(token), signed: None },
        }
    }

    /// What the token said, if it has not expired and the key that proved it still stands.
    pub(crate) fn get(&self, digest: &Digest, now: Now) -> Option<Arc<VerifiedToken>> {
        let token = self.tokens.get(digest)?;
        let holds = now.unix_ns / SECOND < token.expires()
            && token.key().is_some_and(|key| key.is_trusted(now.mono_ns));
        if !holds {
            self.tokens.remove(digest);
        }
        holds.then_some(token)
    }

    pub(crate) fn insert(&self, digest: Digest, token: Arc<VerifiedToken>, now: Now) {
        // A token within the leeway after its end is verified each time.
        if now.unix_ns / SECOND < token.expires() {
            self.tokens.insert(digest, token);
        }
    }

    /// How many tokens are kept.
    pub fn len(&self) -> usize {
        self.tokens.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a token is known in a [`TokenCache`].
pub(crate) struct TokenName {
    /// Of the whole token, keyed.
    pub(crate) digest: Digest,
    /// SHA-256 of what is signed of it; none where it has no signature.
    pub(crate) signed: Option<aws_lc_rs::digest::Digest>,
}

impl Default for TokenCache {
    /// A cache that keeps nothing.
    fn default() -> TokenCache {
        TokenCache::new([0; 32], 0)
    }
}
