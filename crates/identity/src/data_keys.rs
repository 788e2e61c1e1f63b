//! Keys for data: values encrypted for the API's own storage, and identifiers sealed for one reader.
//!
//! | form | algorithm | nonce |
//! |---|---|---|
//! | [`DataKeys::encrypt`] | XAES-256-GCM (C2SP): AES-256-GCM under a key derived for each value | 24 bytes in the text |
//! | [`DataKeys::encrypt_same`], [`Sealer::seal`] | AES-256-GCM-SIV (RFC 8452) | of the context |
//!
//! Every text is bound to its context as associated data: it opens nowhere else. The second form says the same of the
//! same value in the same context, by which it can be looked for; that is all it tells.

use std::fmt;

use aws_lc_rs::aead::{AES_256_GCM, AES_256_GCM_SIV, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::{cmac, digest, hkdf, hmac};
use zeroize::{Zeroize, Zeroizing};

use crate::base64url;

/// What an encrypted value begins with.
pub const ENCRYPTED_PREFIX: &str = "pce_";
/// What a sealed identifier begins with.
pub const SEALED_PREFIX: &str = "pci_";

/// Bytes that name the key within a text.
const NAME: usize = 4;
const RANDOM: u8 = 0;
const SAME: u8 = 1;
/// Bytes of the nonce of XAES-256-GCM.
const LONG_NONCE: usize = 24;

/// A 32-byte key as its owner keeps it. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// A text that is no 32-byte key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected 32 bytes in base64 or 64 hexadecimal digits, as `openssl rand -base64 32` prints them")]
pub struct MasterKeyError;

impl MasterKey {
    /// A key of 32 random bytes. This copy of them is wiped.
    pub fn new(mut bytes: [u8; 32]) -> MasterKey {
        let key = MasterKey(Zeroizing::new(bytes));
        bytes.zeroize();
        key
    }

    /// Reads 32 bytes in base64 (either alphabet, padded or not) or in hexadecimal; white space around them is nothing.
    ///
    /// # Errors
    /// If it is something else. The text is not repeated.
    pub fn parse(text: &str) -> Result<MasterKey, MasterKeyError> {
        use data_encoding::{BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
        let text = text.trim().as_bytes();
        let forms = [BASE64, BASE64_NOPAD, BASE64URL, BASE64URL_NOPAD, HEXLOWER_PERMISSIVE];
        forms
            .iter()
            .filter_map(|form| form.decode(text).ok().map(Zeroizing::new))
            .find_map(|bytes| <[u8; 32]>::try_from(bytes.as_slice()).ok())
            .map(MasterKey::new)
            .ok_or(MasterKeyError)
    }

    /// The key for `purpose` that follows from this one (HKDF-SHA-256, RFC 5869).
    fn derive(&self, purpose: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
        let salt = hkdf::Salt::new(hkdf::HKDF_SHA256, b"portcullis data keys");
        let mut out = Zeroizing::new([0; 32]);
        salt.extract(&*self.0).expand(&[purpose], hkdf::HKDF_SHA256).ok()?.fill(&mut *out).ok()?;
        Some(out)
    }
}

impl fmt::Debug for MasterKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("MasterKey(…)")
    }
}

/// A ring of keys. New texts are made with the current one; those of all others still open.
pub struct DataKeys {
    /// The current one first.
    keys: Vec<Key>,
    /// The place of the one for values that are looked for.
    lookup: usize,
}

struct Key {
    /// By which its texts name it. Derived: it tells nothing of the key.
    name: [u8; NAME],
    random: cmac::Key,
    hedge: hmac::Key,
    same: LessSafeKey,
    sealed: LessSafeKey,
}

/// What stands behind a context: parts that cannot be confused with each other, whatever is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Context(Vec<u8>);

impl Context {
    /// The context of `parts`, outermost first.
    pub fn of(parts: &[&[u8]]) -> Context {
        let mut bytes = Vec::with_capacity(parts.iter().map(|part| part.len() + 8).sum());
        for part in parts {
            bytes.extend_from_slice(&(part.len() as u64).to_be_bytes());
            bytes.extend_from_slice(part);
        }
        Context(bytes)
    }

    fn nonce(&self) -> [u8; 12] {
        let digest = digest::digest(&digest::SHA256, &self.0);
        digest.as_ref().first_chunk().copied().unwrap_or_default()
    }
}

/// Why a text does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unopened {
    /// It was never encrypted here.
    #[error("it is not encrypted")]
    Plain,
    /// Its key is not in the ring.
    #[error("its key is not in the ring")]
    KeyMissing,
    /// It was altered, cut, or made for another place.
    #[error("it was altered, or made for another place")]
    Broken,
}

/// The library could not do what it always can.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the cryptographic library failed")]
pub struct CryptoFailed;

impl DataKeys {
    /// A ring of `keys`, the first of them current; `lookup` is the place of the key for values that are looked for. It
    /// stays the same when the current one changes, until what is stored was encrypted anew.
    ///
    /// # Errors
    /// If there is no such key.
    pub fn new(keys: &[MasterKey], lookup: usize) -> Result<DataKeys, CryptoFailed> {
        let keys = keys.iter().map(Key::new).collect::<Option<Vec<Key>>>().ok_or(CryptoFailed)?;
        if lookup >= keys.len() {
            return Err(CryptoFailed);
        }
        Ok(DataKeys { keys, lookup })
    }

    fn key(&self, place: usize) -> Result<&Key, CryptoFailed> {
        self.keys.get(place).ok_or(CryptoFailed)
    }

    fn named(&self, name: &[u8]) -> Option<&Key> {
        self.keys.iter().find(|key| key.name == *name)
    }

    /// Encrypts `plain`. No two texts are alike as long as `unique` differs; should it not, texts are alike only for the
    /// same value in the same context.
    ///
    /// # Errors
    /// If the library fails.
    pub fn encrypt(&self, context: &Context, unique: &[u8], plain: &[u8]) -> Result<String, CryptoFailed> {
        let key = self.key(0)?;
        let mut sign = hmac::Context::with_key(&key.hedge);
        for part in [unique, &context.0, plain] {
            sign.update(&(part.len() as u64).to_be_bytes());
            sign.update(part);
        }
        let tag = sign.sign();
        let nonce: &[u8; LONG_NONCE] = tag.as_ref().first_chunk().ok_or(CryptoFailed)?;
        let (aead, short) = xaes(&key.random, nonce)?;
        let mut out = key.head(RANDOM);
        out.extend_from_slice(nonce);
        let mut body = plain.to_vec();
        aead.seal_in_place_append_tag(short, Aad::from(&context.0), &mut body).map_err(|_| CryptoFailed)?;
        out.append(&mut body);
        Ok(format!("{ENCRYPTED_PREFIX}{}", base64url::encode(&out)))
    }

    /// Encrypts `plain` so that the same value in the same context is the same text.
    ///
    /// # Errors
    /// If the library fails.
    pub fn encrypt_same(&self, context: &Context, plain: &[u8]) -> Result<String, CryptoFailed> {
        let key = self.key(self.lookup)?;
        let mut out = key.head(SAME);
        out.append(&mut siv(&key.same, context, context.nonce(), plain)?);
        Ok(format!("{ENCRYPTED_PREFIX}{}", base64url::encode(&out)))
    }

    /// Whether `text` looks as if it was encrypted here.
    pub fn is_encrypted(text: &str) -> bool {
        text.starts_with(ENCRYPTED_PREFIX)
    }

    /// The value that `text` was made of, in either form.
    ///
    /// # Errors
    /// Why it does not open.
    pub fn decrypt(&self, context: &Context, text: &str) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let text = text.strip_prefix(ENCRYPTED_PREFIX).ok_or(Unopened::Plain)?;
        let bytes = base64url::decode(text.as_bytes()).ok_or(Unopened::Broken)?;
        let (head, body) = bytes.split_at_checked(NAME + 1).ok_or(Unopened::Broken)?;
        let (name, form) = head.split_at(NAME);
        let key = self.named(name).ok_or(Unopened::KeyMissing)?;
        match form {
            [RANDOM] => {
                let (nonce, body) = body.split_first_chunk::<LONG_NONCE>().ok_or(Unopened::Broken)?;
                let (aead, short) = xaes(&key.random, nonce).map_err(|_| Unopened::Broken)?;
                open(&aead, context, short, body)
            }
            [SAME] => open(&key.same, context, Nonce::assume_unique_for_key(context.nonce()), body),
            _ => None,
        }
        .ok_or(Unopened::Broken)
    }

    /// What seals and opens identifiers in `context`.
    pub fn sealer(&self, context: Context) -> Sealer<'_> {
        Sealer { keys: self, nonce: context.nonce(), context }
    }
}

impl fmt::Debug for DataKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKeys({})", self.keys.len())
    }
}

impl Key {
    fn new(master: &MasterKey) -> Option<Key> {
        let aead = |purpose: &[u8]| -> Option<LessSafeKey> {
            let key = master.derive(purpose)?;
            Some(LessSafeKey::new(UnboundKey::new(&AES_256_GCM_SIV, &*key).ok()?))
        };
        Some(Key {
            name: *master.derive(b"name")?.first_chunk()?,
            random: cmac::Key::new(cmac::AES_256, &*master.derive(b"random")?).ok()?,
            hedge: hmac::Key::new(hmac::HMAC_SHA256, &*master.derive(b"hedge")?),
            same: aead(b"same")?,
            sealed: aead(b"sealed")?,
        })
    }

    fn head(&self, form: u8) -> Vec<u8> {
        let mut head = self.name.to_vec();
        head.push(form);
        head
    }
}

/// Seals identifiers in one context: for one reader and one kind.
#[derive(Debug)]
pub struct Sealer<'k> {
    keys: &'k DataKeys,
    context: Context,
    nonce: [u8; 12],
}

impl Sealer<'_> {
    /// `plain`, sealed. The same every time, so that clients can compare and keep it.
    ///
    /// # Errors
    /// If the library fails.
    pub fn seal(&self, plain: &[u8]) -> Result<String, CryptoFailed> {
        let key = self.keys.key(0)?;
        let mut out = key.name.to_vec();
        out.append(&mut siv(&key.sealed, &self.context, self.nonce, plain)?);
        Ok(format!("{SEALED_PREFIX}{}", base64url::encode(&out)))
    }

    /// What `text` was made of. `None` for whatever was not sealed in this context: nobody learns why.
    pub fn open(&self, text: &[u8]) -> Option<Vec<u8>> {
        let bytes = base64url::decode(text.strip_prefix(SEALED_PREFIX.as_bytes())?)?;
        let (name, body) = bytes.split_at_checked(NAME)?;
        let key = self.keys.named(name)?;
        let opened = open(&key.sealed, &self.context, Nonce::assume_unique_for_key(self.nonce), body)?;
        Some(opened.to_vec())
    }
}

fn siv(key: &LessSafeKey, context: &Context, nonce: [u8; 12], plain: &[u8]) -> Result<Vec<u8>, CryptoFailed> {
    let mut body = plain.to_vec();
    // RFC 8452 section 9: with one nonce for all values of a context, only equal values are seen to be equal.
    let nonce = Nonce::assume_unique_for_key(nonce);
    key.seal_in_place_append_tag(nonce, Aad::from(&context.0), &mut body).map_err(|_| CryptoFailed)?;
    Ok(body)
}

fn open(aead: &LessSafeKey, context: &Context, nonce: Nonce, body: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let mut body = Zeroizing::new(body.to_vec());
    let length = aead.open_in_place(nonce, Aad::from(&context.0), &mut body).ok()?.len();
    body.truncate(length);
    Some(body)
}

/// The key and nonce of AES-256-GCM that follow from a nonce of 24 bytes: XAES-256-GCM, <https://c2sp.org/XAES-256-GCM>.
fn xaes(key: &cmac::Key, nonce: &[u8; LONG_NONCE]) -> Result<(LessSafeKey, Nonce), CryptoFailed> {
    let mut derived = Zeroizing::new([0u8; 32]);
    let (first, last) = nonce.split_at(12);
    for (half, counter) in derived.chunks_exact_mut(16).zip([1u8, 2]) {
        let message = [&[0, counter, b'X', 0], first].concat();
        let block = cmac::sign(key, &message).map_err(|_| CryptoFailed)?;
        half.copy_from_slice(block.as_ref().get(..16).ok_or(CryptoFailed)?);
    }
    let aead = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &*derived).map_err(|_| CryptoFailed)?);
    Ok((aead, Nonce::try_assume_unique_for_key(last).map_err(|_| CryptoFailed)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(keys: &[u8], lookup: usize) -> DataKeys {
        let keys: Vec<_> = keys.iter().map(|byte| MasterKey::new([*byte; 32])).collect();
        DataKeys::new(&keys, lookup).unwrap()
    }

    fn context(name: &str) -> Context {
        Context::of(&[b"card", name.as_bytes()])
    }

    #[test]
    fn is_xaes_256_gcm() {
        // https://c2sp.org/XAES-256-GCM, "Test Vectors".
        for (byte, aad, expected) in [
            (1, "", "ce546ef63c9cc60765923609b33a9a1974e96e52daf2fcf7075e2271"),
            (3, "c2sp.org/XAES-256-GCM", "986ec1832593df5443a179437fd083bf3fdb41abd740a21f71eb769d"),
        ] {
            let key = cmac::Key::new(cmac::AES_256, &[byte; 32]).unwrap();
            let (aead, nonce) = xaes(&key, b"ABCDEFGHIJKLMNOPQRSTUVWX").unwrap();
            let mut body = b"XAES-256-GCM".to_vec();
            aead.seal_in_place_append_tag(nonce, Aad::from(aad), &mut body).unwrap();
            assert_eq!(data_encoding::HEXLOWER.encode(&body), expected);
        }
    }

    #[test]
    fn values_come_back_where_they_were_put() {
        let keys = ring(&[1], 0);
        for plain in [&b""[..], b"4111111111111111", &[0xff; 5000]] {
            let random = keys.encrypt(&context("a"), b"1", plain).unwrap();
            let same = keys.encrypt_same(&context("a"), plain).unwrap();
            for text in [&random, &same] {
                assert_eq!(&**keys.decrypt(&context("a"), text).unwrap(), plain);
                assert_eq!(keys.decrypt(&context("b"), text), Err(Unopened::Broken));
                assert!(DataKeys::is_encrypted(text));
            }
            assert_ne!(random, keys.encrypt(&context("a"), b"2", plain).unwrap());
            assert_eq!(same, keys.encrypt_same(&context("a"), plain).unwrap());
            assert_ne!(same, keys.encrypt_same(&context("b"), plain).unwrap());
        }
        assert_eq!(keys.decrypt(&context("a"), "4111"), Err(Unopened::Plain));
        assert!(!DataKeys::is_encrypted("4111"));
        // How much one nonce may be used for is bounded, so that each context has its own.
        assert_ne!(context("a").nonce(), context("b").nonce());
    }

    #[test]
    fn a_repeated_number_does_not_repeat_a_nonce() {
        let keys = ring(&[1], 0);
        let nonce = |plain: &[u8], name| {
            let text = keys.encrypt(&context(name), b"1", plain).unwrap();
            base64url::decode(&text.as_bytes()[4..]).unwrap()[5..29].to_vec()
        };
        assert_ne!(nonce(b"x", "a"), nonce(b"y", "a"));
        assert_ne!(nonce(b"x", "a"), nonce(b"x", "b"));
    }

    #[test]
    fn rings_turn() {
        let old = ring(&[1], 0);
        let random = old.encrypt(&context("a"), b"1", b"x").unwrap();
        let same = old.encrypt_same(&context("a"), b"x").unwrap();
        let sealed = old.sealer(context("a")).seal(b"17").unwrap();
        let new = ring(&[2, 1], 1);
        assert_eq!(&**new.decrypt(&context("a"), &random).unwrap(), b"x");
        assert_eq!(new.encrypt_same(&context("a"), b"x").unwrap(), same, "look-ups still find it");
        assert_eq!(new.sealer(context("a")).open(sealed.as_bytes()).unwrap(), b"17");
        let newer = new.encrypt(&context("a"), b"1", b"x").unwrap();
        assert_eq!(old.decrypt(&context("a"), &newer), Err(Unopened::KeyMissing));
        assert_eq!(ring(&[2], 0).decrypt(&context("a"), &random), Err(Unopened::KeyMissing));
        assert_eq!(ring(&[2], 0).sealer(context("a")).open(sealed.as_bytes()), None);
        assert!(DataKeys::new(&[], 0).is_err());
    }

    #[test]
    fn no_altered_text_opens() {
        let keys = ring(&[1], 0);
        let value = keys.encrypt(&context("a"), b"1", b"4111").unwrap();
        let same = keys.encrypt_same(&context("a"), b"4111").unwrap();
        let sealer = keys.sealer(context("a"));
        let sealed = sealer.seal(b"17").unwrap();
        for at in 4..value.len().max(same.len()) {
            let change = |text: &str| {
                let mut bytes = text.as_bytes().to_vec();
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = if *byte == b'A' { b'B' } else { b'A' };
                }
                String::from_utf8(bytes).unwrap()
            };
            for text in [&value, &same] {
                let changed = change(text);
                if changed != *text {
                    assert!(keys.decrypt(&context("a"), &changed).is_err(), "{at}");
                }
                if text.is_char_boundary(at) && at < text.len() {
                    assert!(keys.decrypt(&context("a"), &text[..at]).is_err(), "{at}");
                }
            }
            let changed = change(&sealed);
            if changed != sealed {
                assert_eq!(sealer.open(changed.as_bytes()), None, "{at}");
            }
        }
    }

    #[test]
    fn seals_are_one_readers_and_one_kinds() {
        let keys = ring(&[1], 0);
        let sealer = |who: &str, kind: &str| keys.sealer(Context::of(&[who.as_bytes(), kind.as_bytes()]));
        let text = sealer("alice", "order").seal(b"17").unwrap();
        assert_eq!(text, sealer("alice", "order").seal(b"17").unwrap());
        assert!(text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')));
        for (who, kind) in [("bob", "order"), ("alice", "user"), ("alic", "eorder"), ("", "aliceorder")] {
            assert_eq!(sealer(who, kind).open(text.as_bytes()), None);
            assert_ne!(sealer(who, kind).seal(b"17").unwrap(), text);
        }
        for guess in ["17", "", "pci_", "pci_17", &text[4..], &format!("{text}=="), &format!("{text} ")] {
            assert_eq!(sealer("alice", "order").open(guess.as_bytes()), None, "{guess}");
        }
    }

    #[test]
    fn keys_are_read_and_never_shown() {
        let bytes = [0xfb; 32];
        for text in [
            data_encoding::BASE64.encode(&bytes),
            data_encoding::BASE64URL_NOPAD.encode(&bytes),
            data_encoding::HEXUPPER.encode(&bytes),
            format!(" {}\n", data_encoding::HEXLOWER.encode(&bytes)),
        ] {
            assert_eq!(*MasterKey::parse(&text).unwrap().0, bytes, "{text}");
        }
        for wrong in ["", "secret", &"a".repeat(63), &data_encoding::BASE64.encode(&bytes[1..])] {
            let error = MasterKey::parse(wrong).unwrap_err().to_string();
            assert!(wrong.is_empty() || !error.contains(wrong));
        }
        assert_eq!(format!("{:?} {:?}", MasterKey::new(bytes), ring(&[1], 0)), "MasterKey(…) DataKeys(1)");
    }
}
