//! Keys: who may call, and the digests by which their secrets are known.
//!
//! A store never sees a secret: callers hand in digests (`portcullis_identity::Pepper::digest`) and random
//! identifiers. Times are seconds since the Unix epoch and are handed in too.

mod pepper;
mod sqlite;

use std::fmt;

use ipnet::IpNet;
use portcullis_engine::CredentialKind;
use serde::{Deserialize, Serialize};

pub use pepper::{PepperError, create_pepper, read_pepper};
pub use sqlite::SqliteKeys;

/// Keys of one App ID that may overlap, so that one can be rotated while the others still work.
pub const MAX_APP_KEYS: usize = 5;

/// One key.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyRow {
    /// The credential's public identifier, unique in the store.
    pub credential: String,
    /// The registered client that owns it; for an App Key the App ID.
    pub consumer: String,
    /// What kind of credential.
    pub kind: CredentialKind,
    /// Keyed hash of the secret. In JSON 64 hex digits.
    #[serde(with = "digest")]
    pub digest: [u8; 32],
    /// What it may be used for.
    #[serde(default)]
    pub scopes: Vec<String>,
    /// Networks from which it may be used; empty means any.
    #[serde(default)]
    pub networks: Vec<IpNet>,
    /// From when on it holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub not_before: Option<u64>,
    /// From when on it no longer holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<u64>,
    /// When it was taken back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked_at: Option<u64>,
    /// When it was made.
    pub created_at: u64,
    /// What a person calls it.
    #[serde(default)]
    pub label: String,
}

impl KeyRow {
    /// Whether it is, or will be, accepted: neither revoked nor expired.
    pub fn is_active(&self, now: u64) -> bool {
        self.revoked_at.is_none() && self.expires.is_none_or(|expires| expires > now)
    }
}

/// Digests are worthless without the pepper, but no log needs them.
impl fmt::Debug for KeyRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRow")
            .field("credential", &self.credential)
            .field("consumer", &self.consumer)
            .field("kind", &self.kind)
            .field("expires", &self.expires)
            .field("revoked_at", &self.revoked_at)
            .finish_non_exhaustive()
    }
}

/// What replaces a key.
#[derive(Clone)]
pub struct Replacement {
    /// The new credential's public identifier.
    pub credential: String,
    /// Keyed hash of the new secret.
    pub digest: [u8; 32],
    /// From when on the new one no longer holds.
    pub expires: Option<u64>,
    /// Until when the old one still holds; not later than it would have anyway. A moment that has passed revokes
    /// it.
    pub old_until: u64,
}

impl fmt::Debug for Replacement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replacement").field("credential", &self.credential).finish_non_exhaustive()
    }
}

/// What an import did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Imported {
    /// Keys that are new.
    pub added: usize,
    /// Keys that were there already, the same.
    pub unchanged: usize,
}

/// Why a key could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// There is no such credential.
    #[error("there is no credential `{0}`: `portcullis keys list` shows those that there are")]
    Unknown(String),
    /// The identifier is taken.
    #[error("the credential `{0}` exists already with other contents: choose another identifier")]
    Exists(String),
    /// The secret is another key's.
    #[error("the credential `{0}` has a secret that another credential has already: make a new secret")]
    SameSecret(String),
    /// The App ID has its most keys.
    #[error(
        "the App ID `{0}` has {MAX_APP_KEYS} keys that are neither revoked nor expired, the most there may be: revoke one first"
    )]
    TooMany(String),
    /// A revoked or expired key cannot be rotated.
    #[error("the credential `{0}` is revoked or expired: create a new one instead")]
    NotActive(String),
    /// A field is not as it must be.
    #[error("the {field} of `{credential}` cannot be kept: expected {expected}")]
    Invalid {
        /// The credential.
        credential: String,
        /// The field.
        field: &'static str,
        /// What it must be.
        expected: &'static str,
    },
    /// The store itself failed.
    #[error("the key store `{place}` {error}")]
    Store {
        /// Where it is.
        place: String,
        /// What failed, and what to do.
        error: String,
    },
}

/// A place where keys are kept. Every implementation passes the same tests. Changes are all or nothing, and
/// durable once they return.
pub trait KeyStore: Send + Sync + fmt::Debug {
    /// Adds a key.
    ///
    /// # Errors
    /// [`KeyError::Exists`], [`KeyError::SameSecret`], [`KeyError::TooMany`], [`KeyError::Invalid`].
    fn create(&self, key: &KeyRow, now: u64) -> Result<(), KeyError>;

    /// All keys, also those that no longer hold, by consumer and age.
    ///
    /// # Errors
    /// Where the store fails.
    fn list(&self) -> Result<Vec<KeyRow>, KeyError>;

    /// One key.
    ///
    /// # Errors
    /// Where the store fails.
    fn get(&self, credential: &str) -> Result<Option<KeyRow>, KeyError>;

    /// Adds a key like `credential` (consumer, kind, scopes, networks, label) under a new identifier and secret,
    /// and ends the old one. Gives the new one.
    ///
    /// # Errors
    /// [`KeyError::Unknown`], [`KeyError::NotActive`], and those of [`KeyStore::create`].
    fn rotate(&self, credential: &str, new: &Replacement, now: u64) -> Result<KeyRow, KeyError>;

    /// Takes a key back, for good. Once more changes nothing. Gives the key.
    ///
    /// # Errors
    /// [`KeyError::Unknown`].
    fn revoke(&self, credential: &str, now: u64) -> Result<KeyRow, KeyError>;

    /// Adds keys of another store with the same pepper: all of them, or none.
    ///
    /// # Errors
    /// Those of [`KeyStore::create`].
    fn import(&self, keys: &[KeyRow], now: u64) -> Result<Imported, KeyError>;

    /// A number that differs after every change, by whatever process. Cheap enough to ask many times a
    /// second.
    ///
    /// # Errors
    /// Where the store fails.
    fn version(&self) -> Result<u64, KeyError>;
}

/// Tells when a store has changed since one looked last.
#[derive(Debug, Clone, Copy, Default)]
pub struct Changes {
    seen: Option<u64>,
}

impl Changes {
    /// Whether `store` was changed since the last call; the first call says yes. Read the keys *after* asking.
    ///
    /// # Errors
    /// Where the store fails.
    pub fn changed(&mut self, store: &dyn KeyStore) -> Result<bool, KeyError> {
        let version = Some(store.version()?);
        let changed = self.seen != version;
        self.seen = version;
        Ok(changed)
    }
}

/// Checks what every store must be able to keep, and give back to config files, logs and URLs.
fn check(key: &KeyRow) -> Result<(), KeyError> {
    let invalid = |field, expected| {
        let credential = key.credential.chars().filter(|c| !c.is_control()).take(64).collect();
        Err(KeyError::Invalid { credential, field, expected })
    };
    let plain =
        |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    if key.credential.is_empty() || key.credential.len() > 128 || !plain(&key.credential) {
        return invalid("identifier", "1 to 128 letters, digits, `-`, `_` or `.`");
    }
    let consumer = &key.consumer;
    if consumer.is_empty()
        || consumer.len() > 128
        || consumer.trim() != consumer
        || consumer.chars().any(|c| c.is_control() || c == '/')
    {
        // With a slash begin the names of those whom an issuer of tokens knows.
        return invalid("consumer", "1 to 128 bytes without `/`, control characters or spaces around them");
    }
    let scope = |scope: &String| {
        !scope.is_empty() && scope.len() <= 256 && scope.bytes().all(|b| b.is_ascii_graphic())
    };
    if key.scopes.len() > 256 || !key.scopes.iter().all(scope) {
        return invalid("scopes", "at most 256, each 1 to 256 visible ASCII characters");
    }
    if key.networks.len() > 256 {
        return invalid("networks", "at most 256");
    }
    if key.label.len() > 256 || key.label.chars().any(char::is_control) {
        return invalid("label", "at most 256 bytes without control characters");
    }
    let times = [key.not_before, key.expires, key.revoked_at, Some(key.created_at)];
    if times.into_iter().flatten().any(|seconds| i64::try_from(seconds).is_err()) {
        return invalid("times", "seconds since 1970");
    }
    if key.not_before.zip(key.expires).is_some_and(|(from, until)| from >= until) {
        return invalid("validity", "an end after its beginning");
    }
    Ok(())
}

mod digest {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(digest: &[u8; 32], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&super::to_hex(digest))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<[u8; 32], D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        super::from_hex(&text).ok_or_else(|| de::Error::custom("expected 64 hex digits"))
    }
}

fn to_hex(bytes: &[u8; 32]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(64), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if pairs.len() != bytes.len() || !rest.is_empty() {
        return None;
    }
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests;
