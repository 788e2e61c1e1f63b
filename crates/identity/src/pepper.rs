//! The key under which secrets are hashed at rest.

use std::fmt;
use std::hash::Hasher;

use aws_lc_rs::constant_time;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroize;

/// A secret as it is kept: HMAC-SHA256 (RFC 2104) under the [`Pepper`]. Worthless without the pepper.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// Compares in time that does not depend on where the two differ.
    pub fn same(&self, other: &Digest) -> bool {
        constant_time::verify_slices_are_equal(&self.0, &other.0).is_ok()
    }

    /// A name for what was digested: 16 hexadecimal digits, by which nothing can be looked up.
    pub(crate) fn short(&self) -> String {
        data_encoding::HEXLOWER.encode(self.0.first_chunk::<8>().unwrap_or(&[0; 8]))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digest(…)")
    }
}

/// The 32-byte key of all digests. Kept apart from them (a file or the environment, never the database), so
/// that a stolen database names no key. Never printed; wiped from memory when dropped.
///
/// It is asked on every call, for a few dozen bytes: what is kept is the state behind the key's block, which this
/// implementation copies, where `aws-lc-rs` makes and wipes a context for half of the time.
#[derive(Clone)]
pub struct Pepper(Hmac<Sha256>);

impl Pepper {
    /// A pepper of 32 random bytes. This copy of them is wiped.
    pub fn new(mut bytes: [u8; 32]) -> Pepper {
        let mut block = hmac::digest::Key::<Hmac<Sha256>>::default();
        block.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        // The key is padded with zeros to a block (RFC 2104 section 2).
        let state = Hmac::new(&block);
        bytes.zeroize();
        block.as_mut_slice().zeroize();
        Pepper(state)
    }

    /// What is kept of `secret`.
    pub fn digest(&self, secret: impl AsRef<[u8]>) -> Digest {
        self.digest_of([secret.as_ref()])
    }

    /// What is kept of `parts` one after the other.
    pub(crate) fn digest_of<const N: usize>(&self, parts: [&[u8]; N]) -> Digest {
        let mut state = self.0.clone();
        parts.into_iter().for_each(|part| state.update(part));
        Digest(state.finalize().into_bytes().into())
    }
}

impl fmt::Debug for Pepper {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pepper(…)")
    }
}

/// A digest is evenly spread and keyed already: its first eight bytes are hash enough.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct DigestHasher(u64);

impl Hasher for DigestHasher {
    fn finish(&self) -> u64 {
        self.0
    }

    // An array writes its length, then its bytes: the last write counts.
    fn write(&mut self, bytes: &[u8]) {
        if let Some(first) = bytes.first_chunk::<8>() {
            self.0 = u64::from_le_bytes(*first);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_hmac_sha256() {
        // RFC 4231, test case 2 pads the key with zeros to the block size, so a zero-padded key is the same key.
        let mut key = [0; 32];
        key[..4].copy_from_slice(b"Jefe");
        let hex: String = Pepper::new(key)
            .digest("what do ya want for nothing?")
            .0
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        assert_eq!(hex, "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn digests_are_told_apart_and_named() {
        let [one, two] = ["x", "y"].map(|text| Pepper::new([1; 32]).digest(text));
        let hash = |digest: &Digest| {
            let mut hasher = DigestHasher::default();
            std::hash::Hash::hash(digest, &mut hasher);
            hasher.finish()
        };
        assert_ne!(hash(&one), hash(&two));
        assert!(one.same(&one) && !one.same(&two));
        let first: String = one.0[..8].iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(one.short(), first);
    }

    #[test]
    fn prints_nothing() {
        let pepper = Pepper::new([0x41; 32]);
        assert_eq!(format!("{pepper:?} {:?}", pepper.digest("x")), "Pepper(…) Digest(…)");
    }
}
