//! Counters that outlive policy: rate limits, windows and concurrency. Bounded in memory, sharded, in-process.

use std::hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, HashMap};
use parking_lot::Mutex;

use crate::facts::Principal;
use crate::head::Now;
use crate::memory::Memory;

const SHARDS: usize = 64;

/// A rate: so many calls in so long, evenly or with a burst.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Calls allowed per period; at least 1.
    pub calls: u32,
    /// The period in nanoseconds; at least `calls`.
    pub period_ns: u64,
    /// Calls that may come at once; at least 1.
    pub burst: u32,
}

/// What a limiter said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taken {
    /// Whether the call is within the limit.
    pub allowed: bool,
    /// Calls left right now.
    pub remaining: u32,
    /// Nanoseconds until the limit is whole again (window: until it ends).
    pub reset_ns: u64,
    /// Nanoseconds until the next call would be allowed; zero where this one was.
    pub retry_ns: u64,
}

/// A counter's name: which rule, and whose. A hash keyed by a secret made at start, so that nobody can aim at a shard
/// or at somebody else's counter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u64);

#[derive(Debug, Default)]
#[repr(align(64))]
struct Shard {
    // GCRA: theoretical arrival time. Window: count in the low half, window number in `at`.
    counters: HashMap<Key, Counter, BuildHasherDefault<Hashed>>,
    slots: HashMap<Key, u32, BuildHasherDefault<Hashed>>,
    swept_ns: u64,
}

/// The hash of a [`Key`], which is one already.
#[derive(Debug, Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        // The low bits are the same for a whole shard.
        self.0 = hash.rotate_right(SHARDS.trailing_zeros());
    }
}

#[derive(Debug, Clone, Copy)]
struct Counter {
    at: u64,
    count: u64,
    expires_ns: u64,
}

/// The counters of a gateway. Shared by all workers; survives a reload.
#[derive(Debug)]
pub struct State {
    shards: Box<[Mutex<Shard>]>,
    /// What guards remember between calls.
    pub memory: Memory,
    /// Sessions that the API handed out, and whose they are.
    pub sessions: Memory<Arc<Principal>>,
    hasher: DefaultHashBuilder,
    /// From the operating system's random source.
    secret: u64,
    per_shard: usize,
}

impl Default for State {
    fn default() -> Self {
        State::new(1_000_000)
    }
}

impl State {
    /// Counters for at most `entries` subjects at a time (about 64 bytes each). Over that, expired ones go
    /// first, then the one closest to expiry among a few.
    pub fn new(entries: usize) -> State {
        State {
            shards: (0..SHARDS).map(|_| Mutex::new(Shard::default())).collect(),
            memory: Memory::new(entries),
            sessions: Memory::new(entries),
            hasher: DefaultHashBuilder::default(),
            secret: RandomState::new().hash_one(0u64),
            per_shard: (entries / SHARDS).max(16),
        }
    }

    /// The key of `subject` under the rule named `rule`. Rules keep their counters over a reload by keeping
    /// their name.
    pub fn key(&self, rule: &str, subject: impl Hash) -> Key {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(self.secret);
        rule.hash(&mut hasher);
        subject.hash(&mut hasher);
        Key(hasher.finish())
    }

    /// Takes one call from a rate: the generic cell rate algorithm (ITU-T I.371), one word of state a subject.
    pub fn take(&self, key: Key, rate: &Rate, now: Now) -> Taken {
        let interval = (rate.period_ns / u64::from(rate.calls.max(1))).max(1);
        let tolerance = interval.saturating_mul(u64::from(rate.burst.max(1)));
        let mut shard = self.shard(key).lock();
        let shard = &mut *shard;
        let known = shard.counters.get_mut(&key);
        let at = known.as_ref().map_or(0, |counter| counter.at).max(now.mono_ns);
        let next = at.saturating_add(interval);
        let ahead = next - now.mono_ns;
        if ahead > tolerance {
            return Taken {
                allowed: false,
                remaining: 0,
                reset_ns: at - now.mono_ns,
                retry_ns: ahead - tolerance,
            };
        }
        let remaining = u32::try_from((tolerance - ahead) / interval).unwrap_or(u32::MAX);
        let counter = Counter { at: next, count: 0, expires_ns: next };
        match known {
            Some(known) => *known = counter,
            None => self.store(shard, key, counter, now),
        }
        Taken { allowed: true, remaining, reset_ns: ahead, retry_ns: 0 }
    }

    /// Takes one call from a fixed window of `window_ns`, aligned to the Unix epoch.
    pub fn take_window(&self, key: Key, limit: u64, window_ns: u64, now: Now) -> Taken {
        let window_ns = window_ns.max(1);
        let window = now.unix_ns / window_ns;
        let left = window_ns - now.unix_ns % window_ns;
        let mut shard = self.shard(key).lock();
        let shard = &mut *shard;
        let known = shard.counters.get_mut(&key);
        let count = known.as_ref().filter(|counter| counter.at == window).map_or(0, |counter| counter.count);
        if count >= limit {
            return Taken { allowed: false, remaining: 0, reset_ns: left, retry_ns: left };
        }
        let expires_ns = now.mono_ns.saturating_add(left);
        let counter = Counter { at: window, count: count + 1, expires_ns };
        match known {
            Some(known) => *known = counter,
            None => self.store(shard, key, counter, now),
        }
        let remaining = u32::try_from(limit - count - 1).unwrap_or(u32::MAX);
        Taken { allowed: true, remaining, reset_ns: left, retry_ns: 0 }
    }

    /// Takes one of `most` slots, given back when the returned guard is dropped.
    pub fn acquire(self: &Arc<Self>, key: Key, most: u32) -> Option<Held> {
        let mut shard = self.shard(key).lock();
        let used = shard.slots.entry(key).or_insert(0);
        if *used >= most {
            return None;
        }
        *used += 1;
        Some(Held { state: Arc::clone(self), key })
    }

    /// Counters in use.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().counters.len()).sum()
    }

    /// Whether nothing was counted yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, key: Key) -> &Mutex<Shard> {
        let index = key.0 as usize % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "index is below SHARDS, the length set in `new`")]
        &self.shards[index]
    }

    /// Begins to count for a key that has no counter.
    fn store(&self, shard: &mut Shard, key: Key, counter: Counter, now: Now) {
        if shard.counters.len() >= self.per_shard {
            // A full sweep is dear: at most one a second, so that a flood cannot buy one a call.
            if now.mono_ns.saturating_sub(shard.swept_ns) >= 1_000_000_000 {
                shard.swept_ns = now.mono_ns;
                shard.counters.retain(|_, counter| counter.expires_ns > now.mono_ns);
            }
            if shard.counters.len() >= self.per_shard {
                // The table's order is random to outsiders; losing the one nearest to expiry forgets least.
                let victim = shard
                    .counters
                    .iter()
                    .take(16)
                    .min_by_key(|(_, counter)| counter.expires_ns)
                    .map(|(k, _)| *k);
                if let Some(victim) = victim {
                    shard.counters.remove(&victim);
                }
            }
        }
        shard.counters.insert(key, counter);
    }
}

/// A concurrency slot; dropping it gives it back.
#[derive(Debug)]
pub struct Held {
    state: Arc<State>,
    key: Key,
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut shard = self.state.shard(self.key).lock();
        if let Some(used) = shard.slots.get_mut(&self.key) {
            *used -= 1;
            if *used == 0 {
                shard.slots.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(ms: u64) -> Now {
        Now::recorded(1_000_000 * SECOND + ms * 1_000_000)
    }

    #[test]
    fn gcra_allows_the_burst_then_the_rate() {
        let state = State::new(1000);
        let key = state.key("r", "alice");
        let rate = Rate { calls: 10, period_ns: SECOND, burst: 3 };
        let allowed = |ms| state.take(key, &rate, at(ms)).allowed;
        assert!(allowed(0) && allowed(0) && allowed(0) && !allowed(0));
        assert!(!allowed(99) && allowed(100) && !allowed(100));
        let refused = state.take(key, &rate, at(150));
        assert_eq!(
            refused,
            Taken { allowed: false, remaining: 0, reset_ns: 250_000_000, retry_ns: 50_000_000 }
        );
        assert!(state.take(state.key("r", "bob"), &rate, at(0)).allowed);
        assert_eq!(state.take(key, &rate, at(10_000)).remaining, 2);
    }

    #[test]
    fn windows_start_over() {
        let state = State::new(1000);
        let key = state.key("w", 1);
        for _ in 0..5 {
            assert!(state.take_window(key, 5, SECOND, at(500)).allowed);
        }
        let refused = state.take_window(key, 5, SECOND, at(500));
        assert!(!refused.allowed && refused.retry_ns == SECOND / 2);
        assert!(state.take_window(key, 5, SECOND, at(1000)).allowed);
        assert!(!state.take_window(key, 0, SECOND, at(1000)).allowed);
    }

    #[test]
    fn slots_come_back() {
        let state = Arc::new(State::new(1000));
        let key = state.key("c", 1);
        let one = state.acquire(key, 2).unwrap();
        let _two = state.acquire(key, 2).unwrap();
        assert!(state.acquire(key, 2).is_none());
        drop(one);
        assert!(state.acquire(key, 2).is_some());
    }

    #[test]
    fn memory_is_bounded_and_the_spent_are_kept() {
        let state = State::new(64 * 16);
        let slow = Rate { calls: 1, period_ns: 3600 * SECOND, burst: 1 };
        let spent = state.key("slow", "attacker");
        assert!(state.take(spent, &slow, at(0)).allowed);
        let quick = Rate { calls: 1000, period_ns: SECOND, burst: 1 };
        for i in 0..100_000u32 {
            state.take(state.key("quick", i), &quick, at(0));
        }
        assert!(state.len() <= 64 * 16);
        assert!(!state.take(spent, &slow, at(1)).allowed, "a flood of others must not reset a spent limit");
    }
}
