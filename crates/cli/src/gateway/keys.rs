//! The keys of a data folder, as the engine asks for them and as commands change them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use portcullis_guards::Credentials;
use portcullis_identity::{Digest, KeyEntry, KeyRing, KeyRingHandle, Pepper};
use portcullis_store::keys::{Changes, KeyRow, KeyStore, SqliteKeys, create_pepper, read_pepper};

use super::data_keys;
use crate::exit::{Failure, Result};
use crate::random;

/// Keys in force, and where they come from.
#[derive(Debug)]
pub(crate) struct Keys {
    ring: KeyRingHandle,
    source: Option<Source>,
}

#[derive(Debug)]
struct Source {
    store: SqliteKeys,
    pepper: [u8; 32],
    changes: Mutex<Changes>,
}

/// The store in `data` and its pepper; both are made where they are missing.
pub(crate) fn open_store(data: &Path) -> Result<(SqliteKeys, [u8; 32])> {
    let store = SqliteKeys::open(store_file(data)).map_err(Failure::incomplete)?;
    let file = data.join("pepper");
    let pepper = match read_pepper(&file).map_err(Failure::incomplete)? {
        Some(pepper) => pepper,
        None if store.list().map_err(Failure::incomplete)?.is_empty() => {
            create_pepper(&file, random::bytes()?).map_err(Failure::incomplete)?
        }
        // A new one would recognise none of the keys, and nobody would know why.
        None => {
            let what = format!("there are keys, but `{}` is gone", file.display());
            let hint = "bring it back from a backup; without it, delete the store and create all keys anew";
            return Err(Failure::Incomplete(format!("{what}: {hint}")));
        }
    };
    Ok((store, pepper))
}

fn store_file(data: &Path) -> PathBuf {
    data.join("keys.db")
}

impl Keys {
    /// The keys in `data`, in force.
    pub(crate) fn open(data: &Path) -> Result<Keys> {
        let (store, pepper) = open_store(data)?;
        let keys = Keys {
            ring: KeyRingHandle::new(KeyRing::empty(Pepper::new(pepper))),
            source: Some(Source { store, pepper, changes: Mutex::default() }),
        };
        keys.refresh(true).map_err(Failure::Incomplete)?;
        Ok(keys)
    }

    /// No keys at all.
    pub(crate) fn none() -> Keys {
        Keys { ring: KeyRingHandle::new(KeyRing::empty(Pepper::new([0; 32]))), source: None }
    }

    /// The ring that engines ask.
    pub(crate) fn ring(&self) -> &KeyRingHandle {
        &self.ring
    }

    /// What engines are made with: the ring, and the key that seals identifiers.
    pub(crate) fn credentials(&self) -> std::result::Result<Credentials, String> {
        let mut credentials = Credentials::from(self.ring.clone());
        if let Some(source) = &self.source {
            credentials.data.own = Some(Arc::new(data_keys::own(source.pepper)?));
        }
        Ok(credentials)
    }

    /// Puts the store's keys in force, where it changed or `always`. How many, where that was done.
    pub(crate) fn refresh(&self, always: bool) -> std::result::Result<Option<usize>, String> {
        let Some(Source { store, pepper, changes }) = &self.source else { return Ok(None) };
        let mut changes = changes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut seen = *changes;
        if !seen.changed(store).map_err(|error| error.to_string())? && !always {
            return Ok(None);
        }
        let rows = store.list().map_err(|error| error.to_string())?;
        let ring =
            KeyRing::new(Pepper::new(*pepper), rows.iter().map(entry)).map_err(|error| error.to_string())?;
        let count = ring.len();
        self.ring.swap(ring);
        // Only what is in force counts as seen: what failed is tried again.
        *changes = seen;
        Ok(Some(count))
    }
}

fn entry(row: &KeyRow) -> KeyEntry {
    KeyEntry {
        scopes: row.scopes.iter().map(|scope| scope.as_str().into()).collect(),
        not_before: row.not_before,
        expires: row.expires,
        networks: row.networks.clone(),
        revoked: row.revoked_at.is_some(),
        ..KeyEntry::new(Digest(row.digest), row.kind, row.consumer.as_str(), row.credential.as_str())
    }
}
