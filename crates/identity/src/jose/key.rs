//! A key that verifies signatures of one algorithm.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aws_lc_rs::digest::Digest;
use aws_lc_rs::hmac;
use aws_lc_rs::signature::ParsedPublicKey;

use crate::jose::{Algorithm, Thumbprint};

/// A key, for exactly one algorithm. Made by [`VerificationKey::from_jwk`] or as part of a
/// [`KeySet`](crate::jose::KeySet).
pub struct VerificationKey {
    algorithm: Algorithm,
    kid: Option<Arc<str>>,
    thumbprint: Thumbprint,
    material: Material,
    /// Until when its issuer stands by it, on the host's monotonic clock in nanoseconds.
    trusted_until: AtomicU64,
}

pub(crate) enum Material {
    Public(ParsedPublicKey),
    Secret(Box<hmac::Key>),
}

/// What a signature is over.
#[derive(Clone)]
pub(crate) struct Message<'a> {
    pub(crate) bytes: &'a [u8],
    /// The SHA-256 digest of `bytes`, where somebody needed it before: most algorithms begin with it.
    pub(crate) sha256: Option<Digest>,
}

impl VerificationKey {
    pub(crate) fn new(
        algorithm: Algorithm,
        kid: Option<Arc<str>>,
        thumbprint: Thumbprint,
        material: Material,
    ) -> VerificationKey {
        VerificationKey { algorithm, kid, thumbprint, material, trusted_until: AtomicU64::new(u64::MAX) }
    }

    /// The one algorithm that it is for.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// What its issuer calls it.
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// What names the key itself.
    pub fn thumbprint(&self) -> Thumbprint {
        self.thumbprint
    }

    /// Whether its issuer stands by it at `mono_ns`: it is among the keys that were last fetched, and those are
    /// not older than is allowed. What this key has proved holds only as long.
    pub fn is_trusted(&self, mono_ns: u64) -> bool {
        mono_ns < self.trusted_until.load(Ordering::Acquire)
    }

    pub(crate) fn trust_until(&self, mono_ns: u64) {
        self.trusted_until.store(mono_ns, Ordering::Release);
    }

    /// Whether `other` may stand in for it: the same key for the same algorithm under the same name.
    pub(crate) fn same(&self, other: &VerificationKey) -> bool {
        self.thumbprint == other.thumbprint && self.algorithm == other.algorithm && self.kid == other.kid
    }

    /// Whether `signature` is this key's over `message`. Secrets are compared in constant time.
    pub(crate) fn verifies(&self, message: &Message<'_>, signature: &[u8]) -> bool {
        match (&self.material, &message.sha256) {
            (Material::Public(key), Some(digest)) if self.algorithm.hashes_to_sha256() => {
                key.verify_digest_sig(digest, signature).is_ok()
            }
            (Material::Public(key), _) => key.verify_sig(message.bytes, signature).is_ok(),
            (Material::Secret(key), _) => hmac::verify(key, message.bytes, signature).is_ok(),
        }
    }
}

impl fmt::Debug for VerificationKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut debug = f.debug_struct("VerificationKey");
        debug.field("algorithm", &self.algorithm).field("kid", &self.kid);
        // The hash of a shared secret would let it be guessed.
        if let Material::Public(_) = self.material {
            debug.field("thumbprint", &self.thumbprint);
        }
        debug.finish_non_exhaustive()
    }
}
