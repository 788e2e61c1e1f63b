//! Key rings: all keys of a gateway, as one immutable snapshot.

use std::cmp::Reverse;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::{ArcSwap, Guard};
use hashbrown::HashMap;
use ipnet::IpNet;
use portcullis_engine::{CredentialKind, Principal};

use crate::pepper::{Digest, DigestHasher, Pepper};

/// Keys of one App ID that may overlap, so that one can be rotated while the others still work. Whoever makes keys
/// holds to it ([`KeyRing::app_keys`] counts them); a ring looks up more, if it is given more.
pub const MAX_APP_KEYS: usize = 5;

/// One key: what is kept of its secret, whose it is and when it holds.
#[derive(Debug, Clone)]
pub struct KeyEntry {
    /// [`Pepper::digest`] of the secret.
    pub digest: Digest,
    /// What kind of credential.
    pub kind: CredentialKind,
    /// The consumer; for an App Key its App ID.
    pub consumer: Arc<str>,
    /// The credential's public identifier, unique in a ring.
    pub credential: Arc<str>,
    /// What the credential may be used for.
    pub scopes: Arc<[Box<str>]>,
    /// Seconds since the Unix epoch from which on it holds.
    pub not_before: Option<u64>,
    /// Seconds since the Unix epoch from which on it no longer holds.
    pub expires: Option<u64>,
    /// Networks from which it may be used; empty means any.
    pub networks: Vec<IpNet>,
    /// Whether it was taken back.
    pub revoked: bool,
}

impl KeyEntry {
    /// A key without scopes, that always holds, from everywhere.
    pub fn new(
        digest: Digest,
        kind: CredentialKind,
        consumer: impl Into<Arc<str>>,
        credential: impl Into<Arc<str>>,
    ) -> KeyEntry {
        KeyEntry {
            digest,
            kind,
            consumer: consumer.into(),
            credential: credential.into(),
            scopes: Arc::new([]),
            not_before: None,
            expires: None,
            networks: Vec::new(),
            revoked: false,
        }
    }
}

/// What is to be said of a credential.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It holds.
    Found(Arc<Principal>),
    /// There is no such key, or no such App ID: which of them is not said.
    Unknown,
    /// It held once.
    Expired,
    /// It will hold later.
    NotYetValid,
    /// It was taken back.
    Revoked,
    /// It holds, but not from this client's network.
    NetworkRefused,
}

/// Why entries make no ring.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RingError {
    /// Two keys have one secret.
    #[error("the credentials `{0}` and `{1}` have the same secret: revoke and replace one of them")]
    SameSecret(Arc<str>, Arc<str>),
    /// Two keys have one identifier.
    #[error("two credentials are named `{0}`: identifiers must be unique")]
    SameId(Arc<str>),
}

/// All keys, immutable. Looking one up costs a digest of the secret and one table access, however many keys
/// there are.
pub struct KeyRing {
    pepper: Pepper,
    entries: Box<[Entry]>,
    api_keys: HashMap<Digest, u32, BuildHasherDefault<DigestHasher>>,
    apps: HashMap<Arc<str>, App>,
    by_id: HashMap<Arc<str>, u32>,
}

#[derive(Debug)]
struct Entry {
    digest: Digest,
    principal: Arc<Principal>,
    not_before: u64,
    expires: u64,
    revoked: bool,
    networks: Box<[IpNet]>,
}

/// The keys of an App ID: those that hold longest, and the others.
#[derive(Debug, Default)]
struct App {
    current: [Option<u32>; MAX_APP_KEYS],
    past: Vec<u32>,
}

impl KeyRing {
    /// A ring of `entries`. Revoked entries stay in it, so that their use is told from guessing.
    ///
    /// # Errors
    /// If two entries share a secret or an identifier.
    pub fn new(pepper: Pepper, entries: impl IntoIterator<Item = KeyEntry>) -> Result<KeyRing, RingError> {
        let mut ring = KeyRing {
            pepper,
            entries: Box::default(),
            api_keys: HashMap::default(),
            apps: HashMap::new(),
            by_id: HashMap::new(),
        };
        let mut kept: Vec<Entry> = Vec::new();
        for entry in entries {
            let index = u32::try_from(kept.len()).unwrap_or(u32::MAX);
            if ring.by_id.insert(entry.credential.clone(), index).is_some() {
                return Err(RingError::SameId(entry.credential));
            }
            match entry.kind {
                CredentialKind::ApiKey => {
                    if let Some(first) = ring.api_keys.insert(entry.digest, index) {
                        let first = kept.get(first as usize).map(|e| e.principal.credential.clone());
                        return Err(RingError::SameSecret(first.unwrap_or_default(), entry.credential));
                    }
                }
                CredentialKind::AppKey => {
                    let app = ring.apps.entry(entry.consumer.clone()).or_default();
                    let others = app.current.iter().flatten().chain(&app.past);
                    let twin = others
                        .filter_map(|&i| kept.get(i as usize))
                        .find(|other| other.digest.same(&entry.digest));
                    if let Some(twin) = twin {
                        return Err(RingError::SameSecret(
                            twin.principal.credential.clone(),
                            entry.credential,
                        ));
                    }
                    app.past.push(index);
                }
                // Proved elsewhere: nothing of them is looked up by a secret.
                CredentialKind::AccessToken | CredentialKind::Certificate | CredentialKind::Session => {}
            }
            kept.push(Entry {
                digest: entry.digest,
                not_before: entry.not_before.unwrap_or(0),
                expires: entry.expires.unwrap_or(u64::MAX),
                revoked: entry.revoked,
                networks: entry.networks.into(),
                principal: Arc::new(Principal::new(
                    entry.consumer,
                    entry.credential,
                    entry.kind,
                    entry.scopes,
                )),
            });
        }
        // Those that hold longest first: they are compared on every look-up, what is over only where none fits.
        let ends = |index: &u32| {
            kept.get(*index as usize).map(|entry| (entry.revoked, Reverse(entry.expires), Reverse(*index)))
        };
        for app in ring.apps.values_mut() {
            app.past.sort_unstable_by_key(ends);
            let current = app.past.drain(..app.past.len().min(MAX_APP_KEYS));
            for (place, index) in app.current.iter_mut().zip(current) {
                *place = Some(index);
            }
        }
        ring.entries = kept.into();
        Ok(ring)
    }

    /// A ring without keys: every credential is unknown.
    pub fn empty(pepper: Pepper) -> KeyRing {
        KeyRing {
            pepper,
            entries: Box::default(),
            api_keys: HashMap::default(),
            apps: HashMap::new(),
            by_id: HashMap::new(),
        }
    }

    /// Whose API key `secret` is. `now` in seconds since the Unix epoch.
    pub fn api_key(&self, secret: &[u8], now: u64, client: IpAddr) -> Verdict {
        self.api_key_by_digest(&self.pepper.digest(secret), now, client)
    }

    /// Whose API key has this digest: that of the ring's pepper, or of a [`crate::Stretcher`] where the ring was
    /// given such.
    pub fn api_key_by_digest(&self, digest: &Digest, now: u64, client: IpAddr) -> Verdict {
        // The table is searched by a keyed digest: what its timing gives away says nothing about any secret.
        let entry = self.api_keys.get(digest).and_then(|&index| self.entries.get(index as usize));
        entry.map_or(Verdict::Unknown, |entry| entry.judge(now, client))
    }

    /// Whose App ID and App Key these are. An unknown App ID takes as long as a wrong key.
    pub fn app_key(&self, app_id: &[u8], secret: &[u8], now: u64, client: IpAddr) -> Verdict {
        let digest = self.pepper.digest(secret);
        let app = std::str::from_utf8(app_id).ok().and_then(|id| self.apps.get(id));
        let nobody = Digest([0; 32]);
        let mut found = None;
        // Always as many compares as an App ID can have keys.
        for place in 0..MAX_APP_KEYS {
            let entry = app
                .and_then(|app| app.current.get(place).copied().flatten())
                .and_then(|index| self.entries.get(index as usize));
            let same = entry.map_or(&nobody, |entry| &entry.digest).same(&digest);
            found = entry.filter(|_| same).or(found);
        }
        let past = || {
            let mut past = app?.past.iter().filter_map(|&index| self.entries.get(index as usize));
            past.find(|entry| entry.digest.same(&digest))
        };
        found.or_else(past).map_or(Verdict::Unknown, |entry| entry.judge(now, client))
    }

    /// Whose credential is named `id`: for replay, where secrets are not recorded.
    pub fn by_id(&self, id: &str, now: u64, client: IpAddr) -> Verdict {
        let entry = self.by_id.get(id).and_then(|&index| self.entries.get(index as usize));
        entry.map_or(Verdict::Unknown, |entry| entry.judge(now, client))
    }

    /// How many keys of `app_id` hold at `now` or will later.
    pub fn app_keys(&self, app_id: &str, now: u64) -> usize {
        let app = self.apps.get(app_id);
        let keys = app.into_iter().flat_map(|app| app.current.iter().flatten().chain(&app.past));
        let entries = keys.filter_map(|&index| self.entries.get(index as usize));
        entries.filter(|entry| !entry.revoked && now < entry.expires).count()
    }

    /// How many keys there are, revoked and expired ones included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

impl fmt::Debug for KeyRing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyRing").field("keys", &self.entries.len()).finish_non_exhaustive()
    }
}

impl Entry {
    fn judge(&self, now: u64, client: IpAddr) -> Verdict {
        if self.revoked {
            return Verdict::Revoked;
        }
        if now >= self.expires {
            return Verdict::Expired;
        }
        if now < self.not_before {
            return Verdict::NotYetValid;
        }
        let client = client.to_canonical();
        if !self.networks.is_empty() && !self.networks.iter().any(|network| network.contains(&client)) {
            return Verdict::NetworkRefused;
        }
        Verdict::Found(Arc::clone(&self.principal))
    }
}

/// The ring in force, shared by all guards: a new or revoked key counts from the next call on, without a reload.
#[derive(Debug, Clone)]
pub struct KeyRingHandle(Arc<ArcSwap<KeyRing>>);

impl KeyRingHandle {
    /// A handle on `ring`.
    pub fn new(ring: KeyRing) -> KeyRingHandle {
        KeyRingHandle(Arc::new(ArcSwap::from_pointee(ring)))
    }

    /// The ring in force.
    pub fn load(&self) -> Guard<Arc<KeyRing>> {
        self.0.load()
    }

    /// Puts `ring` in force.
    pub fn swap(&self, ring: KeyRing) {
        self.0.store(Arc::new(ring));
    }
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
