//! The keys of one issuer, as they were last fetched, and when to fetch them again.
//!
//! Pure: it says what to fetch and is told what came. It gives leave for at most one fetch in 30 seconds, whatever
//! tokens arrive, and keeps nothing about keys that it does not know.

use std::sync::Arc;

use arc_swap::ArcSwapOption;
use parking_lot::Mutex;
use portcullis_engine::Now;

use crate::jose::{Algorithm, JwkRules, KeySet};
use crate::oauth::discovery::{Metadata, metadata_addresses};

const SECOND: u64 = 1_000_000_000;

/// Least time between the beginnings of two fetches of one issuer's keys, in seconds.
pub const FETCH_INTERVAL_S: u64 = 30;

/// Metadata is asked for anew after this many seconds; the keys themselves more often.
const METADATA_AGE_S: u64 = 24 * 3600;

/// Where an issuer's keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeysFrom {
    /// The issuer's own metadata, at the addresses that follow from its name.
    Discovery,
    /// A metadata document at this address; its `issuer` must be the configured one.
    Metadata(Box<str>),
    /// A metadata document at this address, where nobody said what its issuer is called (a contract's
    /// `openIdConnectUrl`): it may be called only what belongs at that address.
    WellKnown(Box<str>),
    /// A key set at this address.
    KeySet(Box<str>),
}

/// How long keys are good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyTimes {
    /// Seconds after which keys are fetched again in the background. A shorter `max-age` that the issuer states is
    /// followed, down to a minute. Default 300.
    pub refresh_s: u64,
    /// Seconds for which the last good keys are used while none can be fetched. Default 86,400.
    pub keep_s: u64,
}

impl Default for KeyTimes {
    fn default() -> KeyTimes {
        KeyTimes { refresh_s: 300, keep_s: 24 * 3600 }
    }
}

/// The keys of one issuer.
#[derive(Debug)]
pub struct IssuerKeys {
    issuer: Arc<str>,
    from: KeysFrom,
    algorithms: Box<[Algorithm]>,
    times: KeyTimes,
    /// Whether the keys were given, and are never fetched.
    fixed: bool,
    current: ArcSwapOption<Current>,
    fetching: Mutex<Fetching>,
}

#[derive(Debug)]
struct Current {
    issuer: Arc<str>,
    set: KeySet,
    /// On the monotonic clock, nanoseconds.
    trusted_until: u64,
}

/// What to do about a token's key.
#[derive(Debug, Clone)]
pub enum KeyLookup {
    /// These are the issuer's keys, and one or more of them may have signed the token.
    Found(FoundKeys),
    /// The key is not known, and fetching may help: fetch, or wait for the fetch that is under way, then ask once
    /// more.
    Need,
    /// The issuer was asked a short while ago, and has no such key.
    Unknown,
    /// The issuer cannot be asked, so nobody knows.
    Unavailable {
        /// Seconds after which asking again may help.
        retry_after_s: u64,
    },
}

/// Keys to try.
#[derive(Debug, Clone)]
pub struct FoundKeys(Arc<Current>);

impl FoundKeys {
    /// The issuer, exactly as its tokens must name it.
    pub fn issuer(&self) -> &Arc<str> {
        &self.0.issuer
    }

    /// Those that may have signed a token of `algorithm` that names `kid`.
    pub fn candidates<'a>(
        &'a self,
        kid: Option<&'a str>,
        algorithm: Algorithm,
    ) -> impl Iterator<Item = &'a Arc<crate::jose::VerificationKey>> {
        self.0.set.candidates(kid, algorithm)
    }
}

/// Leave to fetch one document, with a `GET`, without following redirects, within the fetch's bound of bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// What to fetch.
    pub url: Box<str>,
    /// Most bytes to read of it.
    pub max_bytes: usize,
    step: FetchStep,
    ticket: u64,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum FetchStep {
    /// Metadata, from the address with this index.
    Metadata(usize),
    KeySet,
}

/// Whether to fetch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begin {
    /// Fetch this and hand the answer to [`IssuerKeys::finish`], whatever it is.
    Fetch(Fetch),
    /// Another fetch is under way: wait for its end.
    UnderWay,
    /// Not now: there was a fetch less than [`FETCH_INTERVAL_S`] ago.
    NotNow,
}

/// What came of a fetch.
#[derive(Debug, Clone, Copy)]
pub enum Fetched<'a> {
    /// An answer.
    Answer {
        /// Its status.
        status: u16,
        /// Its body.
        body: &'a [u8],
        /// Seconds for which it is fresh (RFC 9111 section 4.2.1), if it says.
        max_age_s: Option<u64>,
    },
    /// None: it could not be connected, timed out, was cut off or too long.
    Failed,
}

/// How a fetch went on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finish {
    /// Go on with this.
    Next(Fetch),
    /// The keys are there.
    Done {
        /// How many can be used.
        usable: usize,
        /// How many cannot.
        skipped: usize,
    },
    /// It failed; the last good keys stay. The text is for logs.
    Failed(String),
    /// The answer is to a fetch that has been given up.
    Late,
}

#[derive(Debug, Default)]
struct Fetching {
    ticket: u64,
    under_way: bool,
    started: Option<u64>,
    /// When the background fetch is next due.
    due: u64,
    failures: u32,
    metadata: Option<Metadata>,
    /// When the metadata came; none if they are to be asked for anew.
    metadata_at: Option<u64>,
}

impl IssuerKeys {
    /// Keys of `issuer` that are still to be fetched. Keys for other than `algorithms` are not used; symmetric
    /// algorithms never are, because fetched keys are public.
    pub fn fetched(
        issuer: impl Into<Arc<str>>,
        from: KeysFrom,
        algorithms: impl IntoIterator<Item = Algorithm>,
        times: KeyTimes,
    ) -> IssuerKeys {
        IssuerKeys {
            issuer: issuer.into(),
            from,
            algorithms: algorithms.into_iter().filter(|algorithm| !algorithm.is_symmetric()).collect(),
            times,
            fixed: false,
            current: ArcSwapOption::empty(),
            fetching: Mutex::default(),
        }
    }

    /// Keys of `issuer` that an operator gave, and that are never fetched.
    pub fn fixed(issuer: impl Into<Arc<str>>, set: KeySet) -> IssuerKeys {
        let issuer = issuer.into();
        let current = Current { issuer: Arc::clone(&issuer), set, trusted_until: u64::MAX };
        IssuerKeys {
            issuer,
            from: KeysFrom::Discovery,
            algorithms: Box::default(),
            times: KeyTimes::default(),
            fixed: true,
            current: ArcSwapOption::from_pointee(current),
            fetching: Mutex::default(),
        }
    }

    /// Whose keys they are.
    pub fn issuer(&self) -> &Arc<str> {
        &self.issuer
    }

    /// Where they come from.
    pub fn from(&self) -> &KeysFrom {
        &self.from
    }

    /// The keys in force, with those that are skipped: for the log, the console and `doctor`.
    pub fn key_set(&self) -> KeySet {
        self.current.load().as_ref().map(|current| current.set.clone()).unwrap_or_default()
    }

    /// Where the issuer answers about opaque tokens, if its metadata said so.
    pub fn introspection_endpoint(&self) -> Option<Box<str>> {
        self.fetching.lock().metadata.as_ref().and_then(|metadata| metadata.introspection_endpoint.clone())
    }

    /// What is known of the key that a token of `algorithm` names with `kid`. Changes nothing.
    pub fn lookup(&self, kid: Option<&str>, algorithm: Algorithm, now: Now) -> KeyLookup {
        let current = self.current.load();
        let trusted = current.as_ref().filter(|current| now.mono_ns < current.trusted_until);
        if let Some(current) = trusted
            && current.set.candidates(kid, algorithm).next().is_some()
        {
            return KeyLookup::Found(FoundKeys(Arc::clone(current)));
        }
        if self.fixed {
            return KeyLookup::Unknown;
        }
        let fetching = self.fetching.lock();
        let wait = fetching.wait(now);
        if wait == 0 || fetching.under_way {
            KeyLookup::Need
        } else if trusted.is_some() && fetching.failures == 0 {
            KeyLookup::Unknown
        } else {
            KeyLookup::Unavailable { retry_after_s: wait.div_ceil(SECOND) }
        }
    }

    /// Whether it is time for a fetch in the background.
    pub fn due(&self, now: Now) -> bool {
        let fetching = self.fetching.lock();
        !self.fixed && now.mono_ns >= fetching.due && fetching.wait(now) == 0
    }

    /// Asks for leave to fetch. Of many who ask at once, one gets it.
    pub fn begin(&self, now: Now) -> Begin {
        if self.fixed {
            return Begin::NotNow;
        }
        let mut fetching = self.fetching.lock();
        if fetching.wait(now) > 0 {
            return if fetching.under_way { Begin::UnderWay } else { Begin::NotNow };
        }
        // A fetch that never came back is given up here: its answer will be late.
        fetching.ticket += 1;
        fetching.under_way = true;
        fetching.started = Some(now.mono_ns);
        let fresh =
            fetching.metadata_at.is_some_and(|at| now.mono_ns.saturating_sub(at) < METADATA_AGE_S * SECOND);
        let known = fetching.metadata.as_ref().filter(|_| fresh).map(|metadata| metadata.jwks_uri.clone());
        let step = match (&self.from, known) {
            (KeysFrom::KeySet(url), _) => Some((FetchStep::KeySet, url.clone())),
            (_, Some(url)) => Some((FetchStep::KeySet, url)),
            (_, None) => self.metadata_address(0).map(|url| (FetchStep::Metadata(0), url)),
        };
        let Some((step, url)) = step else { return Begin::NotNow };
        Begin::Fetch(Fetch::new(url, step, fetching.ticket))
    }

    /// Hands in what came of `fetch`.
    pub fn finish(&self, fetch: &Fetch, fetched: Fetched<'_>, now: Now) -> Finish {
        let mut fetching = self.fetching.lock();
        if fetching.ticket != fetch.ticket || !fetching.under_way {
            return Finish::Late;
        }
        let outcome = match fetch.step {
            FetchStep::Metadata(index) => self.finish_metadata(&mut fetching, index, fetched, now),
            FetchStep::KeySet => self.finish_keys(&mut fetching, fetched, now),
        };
        match outcome {
            Ok(finish) => {
                if let Finish::Done { .. } = finish {
                    fetching.under_way = false;
                    fetching.failures = 0;
                }
                finish
            }
            Err(why) => {
                fetching.under_way = false;
                fetching.failures = fetching.failures.saturating_add(1);
                // 30, 60, 120, 240 seconds, then as often as if it had succeeded.
                let backoff = FETCH_INTERVAL_S << (fetching.failures - 1).min(3);
                fetching.due = now
                    .mono_ns
                    .saturating_add(backoff.min(self.times.refresh_s.max(FETCH_INTERVAL_S)) * SECOND);
                // Its keys may have moved.
                fetching.metadata_at = None;
                Finish::Failed(why)
            }
        }
    }

    fn finish_metadata(
        &self,
        fetching: &mut Fetching,
        index: usize,
        fetched: Fetched<'_>,
        now: Now,
    ) -> Result<Finish, String> {
        let body = match fetched {
            Fetched::Answer { status: 200, body, .. } => body,
            Fetched::Answer { status: status @ 400..=499, .. } => {
                // Not here; perhaps at the next address.
                let next = self
                    .metadata_address(index + 1)
                    .ok_or_else(|| format!("the metadata was answered {status}"))?;
                return Ok(Finish::Next(Fetch::new(next, FetchStep::Metadata(index + 1), fetching.ticket)));
            }
            Fetched::Answer { status, .. } => return Err(format!("the metadata was answered {status}")),
            Fetched::Failed => return Err("the metadata could not be fetched".to_owned()),
        };
        let metadata = match &self.from {
            KeysFrom::WellKnown(address) => Metadata::parse_at(body, address),
            _ => Metadata::parse(body, &self.issuer),
        };
        let metadata = metadata.map_err(|error| error.to_string())?;
        let next = Fetch::new(metadata.jwks_uri.clone(), FetchStep::KeySet, fetching.ticket);
        fetching.metadata = Some(metadata);
        fetching.metadata_at = Some(now.mono_ns);
        Ok(Finish::Next(next))
    }

    fn finish_keys(&self, fetching: &mut Fetching, fetched: Fetched<'_>, now: Now) -> Result<Finish, String> {
        let (body, max_age_s) = match fetched {
            Fetched::Answer { status: 200, body, max_age_s } => (body, max_age_s),
            Fetched::Answer { status, .. } => return Err(format!("the key set was answered {status}")),
            Fetched::Failed => return Err("the key set could not be fetched".to_owned()),
        };
        let rules = JwkRules { algorithms: &self.algorithms };
        let mut set = KeySet::parse(body, &rules).map_err(|error| error.to_string())?;
        let done = Finish::Done { usable: set.keys().len(), skipped: set.skipped().len() };
        let trusted_until = now.mono_ns.saturating_add(self.times.keep_s.saturating_mul(SECOND));
        set.succeed(self.current.load().as_deref().map(|current| &current.set), trusted_until);
        let issuer = match (&self.from, &fetching.metadata) {
            (KeysFrom::WellKnown(_), Some(metadata)) => Arc::from(&*metadata.issuer),
            _ => Arc::clone(&self.issuer),
        };
        self.current.store(Some(Arc::new(Current { issuer, set, trusted_until })));
        let refresh_s =
            max_age_s.map_or(self.times.refresh_s, |age| age.clamp(60, self.times.refresh_s.max(60)));
        fetching.due = now.mono_ns.saturating_add(refresh_s.max(FETCH_INTERVAL_S).saturating_mul(SECOND));
        Ok(done)
    }

    fn metadata_address(&self, index: usize) -> Option<Box<str>> {
        match &self.from {
            KeysFrom::Discovery => metadata_addresses(&self.issuer).into_iter().nth(index).map(Into::into),
            KeysFrom::Metadata(url) | KeysFrom::WellKnown(url) => (index == 0).then(|| url.clone()),
            KeysFrom::KeySet(_) => None,
        }
    }
}

impl Fetch {
    fn new(url: Box<str>, step: FetchStep, ticket: u64) -> Fetch {
        let max_bytes = match step {
            FetchStep::Metadata(_) => crate::oauth::discovery::MAX_METADATA_BYTES,
            FetchStep::KeySet => crate::jose::MAX_KEY_SET_BYTES,
        };
        Fetch { url, max_bytes, step, ticket }
    }
}

impl Fetching {
    /// Nanoseconds until the next fetch may begin.
    fn wait(&self, now: Now) -> u64 {
        let earliest = self.started.map_or(0, |started| started.saturating_add(FETCH_INTERVAL_S * SECOND));
        earliest.saturating_sub(now.mono_ns)
    }
}

#[cfg(test)]
#[path = "issuer_keys_tests.rs"]
mod tests;
