//! Weak keys from elsewhere: hashed slowly, so that a stolen database does not give them away (Argon2id, RFC 9106).

use std::fmt;

use argon2::{Algorithm, Argon2, Params, Version};

use crate::pepper::{Digest, Pepper};

/// What one digest costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StretchCost {
    /// Memory in KiB: 8 to 1,048,576. Default 19,456.
    pub memory_kib: u32,
    /// Passes over the memory: 1 to 100. Default 2.
    pub passes: u32,
}

impl Default for StretchCost {
    /// 19 MiB and two passes, some 20 milliseconds.
    fn default() -> StretchCost {
        StretchCost { memory_kib: 19_456, passes: 2 }
    }
}

/// Why there is no digest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StretchError {
    /// The costs are out of bounds.
    #[error("the cost of Argon2id is out of bounds: memory of 8 KiB to 1 GiB, 1 to 100 passes")]
    Cost,
    /// The secret is longer than is read.
    #[error("the key is longer than 4096 bytes")]
    TooLong,
    /// The library failed.
    #[error("the key could not be hashed")]
    Failed,
}

/// Makes slow digests of keys that could be guessed. The salt is one for all, and secret like the pepper: that is what
/// lets a key be found by its digest, and without the pepper nothing can be guessed at all.
///
/// Each digest takes the memory and time of its [`StretchCost`]: callers bound how many run at once, and remember
/// by [`Pepper::digest`] what they have found.
pub struct Stretcher {
    secret: Digest,
    salt: Digest,
    params: Params,
}

impl Stretcher {
    /// A stretcher under `pepper`.
    ///
    /// # Errors
    /// If `cost` is out of bounds.
    pub fn new(pepper: &Pepper, cost: StretchCost) -> Result<Stretcher, StretchError> {
        if !(8..=1 << 20).contains(&cost.memory_kib) || !(1..=100).contains(&cost.passes) {
            return Err(StretchError::Cost);
        }
        let params =
            Params::new(cost.memory_kib, cost.passes, 1, Some(32)).map_err(|_| StretchError::Cost)?;
        Ok(Stretcher {
            secret: pepper.digest("argon2id secret"),
            salt: pepper.digest("argon2id salt"),
            params,
        })
    }

    /// What is kept of `key`. Takes long.
    ///
    /// # Errors
    /// If it is longer than 4096 bytes.
    pub fn digest(&self, key: &[u8]) -> Result<Digest, StretchError> {
        if key.len() > 4096 {
            return Err(StretchError::TooLong);
        }
        let argon2 =
            Argon2::new_with_secret(&self.secret.0, Algorithm::Argon2id, Version::V0x13, self.params.clone())
                .map_err(|_| StretchError::Failed)?;
        let mut digest = [0; 32];
        argon2.hash_password_into(key, &self.salt.0, &mut digest).map_err(|_| StretchError::Failed)?;
        Ok(Digest(digest))
    }
}

impl fmt::Debug for Stretcher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stretcher").field("params", &self.params).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use portcullis_engine::CredentialKind;

    use super::*;
    use crate::{KeyEntry, KeyRing, Verdict};

    const CHEAP: StretchCost = StretchCost { memory_kib: 64, passes: 1 };

    #[test]
    fn a_weak_key_is_found_by_its_slow_digest_only() {
        let pepper = Pepper::new([1; 32]);
        let slow = Stretcher::new(&pepper, CHEAP).unwrap();
        let digest = slow.digest(b"letmein").unwrap();
        assert_eq!(slow.digest(b"letmein").unwrap(), digest);
        assert_ne!(slow.digest(b"letmeim").unwrap(), digest);
        let dearer = Stretcher::new(&pepper, StretchCost { passes: 2, ..CHEAP }).unwrap();
        assert_ne!(dearer.digest(b"letmein").unwrap(), digest);
        assert_ne!(Stretcher::new(&Pepper::new([2; 32]), CHEAP).unwrap().digest(b"letmein").unwrap(), digest);
        let ring =
            KeyRing::new(pepper, [KeyEntry::new(digest, CredentialKind::ApiKey, "shop", "old-1")]).unwrap();
        let client = "192.0.2.1".parse().unwrap();
        assert!(matches!(ring.api_key_by_digest(&digest, 1, client), Verdict::Found(_)));
        assert_eq!(ring.api_key(b"letmein", 1, client), Verdict::Unknown);
        assert_eq!(ring.api_key_by_digest(&Digest([0; 32]), 1, client), Verdict::Unknown);
    }

    #[test]
    fn what_is_out_of_bounds_is_refused() {
        let pepper = Pepper::new([1; 32]);
        for (memory_kib, passes) in
            [(0, 1), (7, 1), (64, 0), (64, 101), ((1 << 20) + 1, 1), (u32::MAX, u32::MAX)]
        {
            let cost = StretchCost { memory_kib, passes };
            assert_eq!(Stretcher::new(&pepper, cost).unwrap_err(), StretchError::Cost, "{cost:?}");
        }
        let slow = Stretcher::new(&pepper, CHEAP).unwrap();
        assert_eq!(slow.digest(&[0; 4097]), Err(StretchError::TooLong));
        assert!(slow.digest(&[0; 4096]).is_ok() && slow.digest(b"").is_ok());
        let printed = format!("{slow:?}");
        assert!(printed.starts_with("Stretcher { params: ") && !printed.contains("salt"), "{printed}");
    }
}
