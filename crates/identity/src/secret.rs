//! Secrets: made from random bytes, in a form that secret scanners find and in which a typing error shows.
//!
//! `prefix_` + random part in base62 + CRC-32 (ISO-HDLC) of all before it, six base62 digits.

use std::fmt;

use zeroize::Zeroizing;

/// What a string of ours is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SecretKind {
    /// An API key: `pck_`, 256 random bits.
    ApiKey,
    /// An App ID: `pca_`, 96 random bits. It names and is no secret.
    AppId,
    /// An App Key: `pcs_`, 256 random bits.
    AppKey,
}

impl SecretKind {
    /// What it begins with.
    pub fn prefix(self) -> &'static str {
        match self {
            SecretKind::ApiKey => "pck_",
            SecretKind::AppId => "pca_",
            SecretKind::AppKey => "pcs_",
        }
    }

    fn digits(self) -> usize {
        match self {
            SecretKind::ApiKey | SecretKind::AppKey => 43, // 256 bits
            SecretKind::AppId => 17,                       // 96 bits
        }
    }
}

/// A new secret, to be shown once. Wiped from memory when dropped, and never printed.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// An API key of 32 random bytes.
    pub fn api_key(random: &[u8; 32]) -> Secret {
        Secret::make(SecretKind::ApiKey, random)
    }

    /// An App Key of 32 random bytes.
    pub fn app_key(random: &[u8; 32]) -> Secret {
        Secret::make(SecretKind::AppKey, random)
    }

    /// An App ID of 12 random bytes. It is public.
    pub fn app_id(random: &[u8; 12]) -> String {
        Secret::make(SecretKind::AppId, random).expose().to_owned()
    }

    /// The secret itself: for its owner's eyes and for [`crate::Pepper::digest`].
    pub fn expose(&self) -> &str {
        &self.0
    }

    fn make(kind: SecretKind, random: &[u8]) -> Secret {
        // Sized up front: growing would leave copies behind.
        let mut text = Zeroizing::new(String::with_capacity(64));
        text.push_str(kind.prefix());
        push_base62(&mut text, random, kind.digits());
        let sum = crc32(text.as_bytes());
        push_base62(&mut text, &sum.to_be_bytes(), 6);
        Secret(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What `text` is, where it looks like one of ours: `Ok` with a checksum that fits, `Err` where it begins like
/// one but was mistyped or cut. `None` where it is something else, such as a key imported from elsewhere.
pub fn recognise(text: &[u8]) -> Option<Result<SecretKind, SecretKind>> {
    let kinds = [SecretKind::ApiKey, SecretKind::AppId, SecretKind::AppKey];
    let kind = kinds.into_iter().find(|kind| text.starts_with(kind.prefix().as_bytes()))?;
    let whole = text.len() == kind.prefix().len() + kind.digits() + 6;
    let fits = || {
        let (body, sum) = text.split_at_checked(text.len() - 6)?;
        let mut expected = String::with_capacity(6);
        push_base62(&mut expected, &crc32(body).to_be_bytes(), 6);
        Some(expected.as_bytes() == sum)
    };
    Some(if whole && fits().unwrap_or(false) { Ok(kind) } else { Err(kind) })
}

/// Appends the big-endian number `bytes` as exactly `digits` base62 digits.
fn push_base62(out: &mut String, bytes: &[u8], digits: usize) {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut number = Zeroizing::new([0u8; 32]);
    let length = bytes.len().min(32);
    for (to, from) in number.iter_mut().zip(bytes) {
        *to = *from;
    }
    let mut text = Zeroizing::new([b'0'; 64]);
    for place in text.iter_mut().take(digits).rev() {
        let mut remainder = 0u32;
        for byte in number.iter_mut().take(length) {
            let value = remainder << 8 | u32::from(*byte);
            *byte = (value / 62) as u8;
            remainder = value % 62;
        }
        *place = ALPHABET.get(remainder as usize).copied().unwrap_or(b'0');
    }
    out.extend(text.iter().take(digits).map(|&byte| char::from(byte)));
}

fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = u32::MAX;
    for &byte in bytes {
        crc ^= u32::from(byte);
        for _ in 0..8 {
            let carry = 0u32.wrapping_sub(crc & 1);
            crc = crc >> 1 ^ (0xedb8_8320 & carry);
        }
    }
    !crc
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_crc32() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
    }

    #[test]
    fn base62_keeps_all_bits() {
        let digits = |bytes: &[u8], n| {
            let mut out = String::new();
            push_base62(&mut out, bytes, n);
            out
        };
        assert_eq!(digits(&[0, 0, 0, 61], 3), "00z");
        assert_eq!(digits(&[0, 0, 0, 62], 3), "010");
        assert_eq!(digits(&u32::MAX.to_be_bytes(), 6), "4gfFC3");
        // 62^43 > 2^256: the first digit of the largest value is not the highest digit, so none overflowed.
        assert_ne!(digits(&[0xff; 32], 43).chars().next(), Some('0'));
        assert_ne!(digits(&[0xff; 12], 17).chars().next(), Some('0'));
    }

    #[test]
    fn secrets_are_recognised_and_mistyping_shows() {
        let mut random = [0u8; 32];
        for round in 0..200u32 {
            random.iter_mut().enumerate().for_each(|(i, byte)| *byte = (round as usize * 131 + i * 29) as u8);
            let key = Secret::api_key(&random);
            let text = key.expose();
            assert_eq!(text.len(), 53);
            assert_eq!(recognise(text.as_bytes()), Some(Ok(SecretKind::ApiKey)));
            for at in 4..text.len() {
                let mut wrong = text.as_bytes().to_vec();
                wrong[at] = if wrong[at] == b'x' { b'y' } else { b'x' };
                assert_eq!(recognise(&wrong), Some(Err(SecretKind::ApiKey)));
            }
            assert_eq!(recognise(&text.as_bytes()[..40]), Some(Err(SecretKind::ApiKey)));
        }
        assert_eq!(recognise(Secret::app_id(&[9; 12]).as_bytes()), Some(Ok(SecretKind::AppId)));
        assert_eq!(recognise(Secret::app_key(&[9; 32]).expose().as_bytes()), Some(Ok(SecretKind::AppKey)));
        for other in ["", "pck", "sk_live_123", "PCK_abc", "\u{e9}"] {
            assert_eq!(recognise(other.as_bytes()), None, "{other}");
        }
        for broken in
            ["pck_", "pck_é", "pcs_0", "pca_00000000000000000000000000000000000000000000000000000000000"]
        {
            assert!(recognise(broken.as_bytes()).unwrap().is_err(), "{broken}");
        }
    }

    #[test]
    fn different_bytes_make_different_secrets_and_none_is_printed() {
        let (a, b) = (Secret::api_key(&[1; 32]), Secret::api_key(&[2; 32]));
        assert_ne!(a.expose(), b.expose());
        assert_eq!(format!("{a:?}"), "Secret(…)");
    }
}
