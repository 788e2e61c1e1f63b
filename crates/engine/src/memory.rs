//! What guards remember between calls: that somebody did something, was shown something, used something up; and what
//! belongs to that, such as whose a session is.

use std::collections::HashMap;
use std::fmt;
use std::hash::{BuildHasher, Hash, RandomState};

use parking_lot::Mutex;

use crate::head::Now;

const SHARDS: usize = 64;

/// What is remembered, by name: which rule, and about whom or what. 128 bits by SipHash under secrets made at start:
/// nobody can find another thing of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Mark(u128);

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", (self.0 >> 64) as u64)
    }
}

/// A bounded memory, shared by all workers. It survives a reload, and ends with the process.
///
/// When it is full, what was to be forgotten soonest goes first. So it must only hold what lets a call pass: losing
/// it refuses. The exception is [`Memory::claim`], whose callers say how long a thing counts as used at most.
///
/// `V` is what is kept beside each mark.
#[derive(Debug)]
pub struct Memory<V = ()> {
    shards: Box<[Mutex<Shard<V>>]>,
    seeds: (RandomState, RandomState),
    per_shard: usize,
}

#[derive(Debug)]
struct Shard<V> {
    marks: HashMap<Mark, Kept<V>>,
    swept_ns: u64,
}

/// Times are on the monotonic clock.
#[derive(Debug, Clone)]
struct Kept<V> {
    since_ns: u64,
    until_ns: u64,
    value: V,
}

impl Default for Memory {
    fn default() -> Self {
        Memory::new(1_000_000)
    }
}

impl Memory {
    /// Remembers `mark` for `ttl_ns` from now on. What was remembered before begins anew.
    pub fn remember(&self, mark: Mark, ttl_ns: u64, now: Now) {
        self.keep(mark, (), ttl_ns, now);
    }

    /// Remembers `mark` for `ttl_ns` if it is not remembered yet; whether it was not. Of many at once, one gets `true`.
    pub fn claim(&self, mark: Mark, ttl_ns: u64, now: Now) -> bool {
        let mut shard = self.shard(mark).lock();
        if shard.marks.get(&mark).is_some_and(|kept| kept.until_ns > now.mono_ns) {
            return false;
        }
        let kept = Kept { since_ns: now.mono_ns, until_ns: now.mono_ns.saturating_add(ttl_ns), value: () };
        self.store(&mut shard, mark, kept, now);
        true
    }
}

impl<V: Clone> Memory<V> {
    /// Room for `entries` marks, about 64 bytes each.
    pub fn new(entries: usize) -> Memory<V> {
        let shard = || Shard { marks: HashMap::new(), swept_ns: 0 };
        Memory {
            shards: (0..SHARDS).map(|_| Mutex::new(shard())).collect(),
            seeds: (RandomState::new(), RandomState::new()),
            per_shard: (entries / SHARDS).max(16),
        }
    }

    /// The name of `what` under the rule named `rule`.
    pub fn mark(&self, rule: &str, what: impl Hash) -> Mark {
        let high = self.seeds.0.hash_one((rule, &what));
        let low = self.seeds.1.hash_one((rule, &what));
        Mark(u128::from(high) << 64 | u128::from(low))
    }

    /// Keeps `value` under `mark` for `ttl_ns` from now on, in the place of what was kept there before.
    pub fn keep(&self, mark: Mark, value: V, ttl_ns: u64, now: Now) {
        let kept = Kept { since_ns: now.mono_ns, until_ns: now.mono_ns.saturating_add(ttl_ns), value };
        self.store(&mut self.shard(mark).lock(), mark, kept, now);
    }

    /// What is kept under `mark`.
    pub fn value(&self, mark: Mark, now: Now) -> Option<V> {
        let shard = self.shard(mark).lock();
        shard.marks.get(&mark).filter(|kept| kept.until_ns > now.mono_ns).map(|kept| kept.value.clone())
    }

    /// How many nanoseconds ago `mark` was remembered; `None` where it is not, or no longer.
    pub fn age(&self, mark: Mark, now: Now) -> Option<u64> {
        let shard = self.shard(mark).lock();
        let kept = shard.marks.get(&mark).filter(|kept| kept.until_ns > now.mono_ns)?;
        Some(now.mono_ns.saturating_sub(kept.since_ns))
    }

    /// Forgets `mark`; whether it was remembered. Of many at once, one gets `true`.
    pub fn forget(&self, mark: Mark, now: Now) -> bool {
        let removed = self.shard(mark).lock().marks.remove(&mark);
        removed.is_some_and(|kept| kept.until_ns > now.mono_ns)
    }

    /// Marks that are kept, those whose time is over but that were not swept yet included.
    pub fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().marks.len()).sum()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn shard(&self, mark: Mark) -> &Mutex<Shard<V>> {
        let index = mark.0 as usize % SHARDS;
        #[expect(clippy::indexing_slicing, reason = "index is below SHARDS, the length set in `new`")]
        &self.shards[index]
    }

    fn store(&self, shard: &mut Shard<V>, mark: Mark, kept: Kept<V>, now: Now) {
        if shard.marks.len() >= self.per_shard && !shard.marks.contains_key(&mark) {
            // A full sweep is dear: at most one a second, so that a flood cannot buy one a call.
            if now.mono_ns.saturating_sub(shard.swept_ns) >= 1_000_000_000 {
                shard.swept_ns = now.mono_ns;
                shard.marks.retain(|_, kept| kept.until_ns > now.mono_ns);
            }
            if shard.marks.len() >= self.per_shard {
                let soonest = shard.marks.iter().take(16).min_by_key(|(_, kept)| kept.until_ns);
                if let Some(victim) = soonest.map(|(mark, _)| *mark) {
                    shard.marks.remove(&victim);
                }
            }
        }
        shard.marks.insert(mark, kept);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn at(seconds: u64) -> Now {
        Now::recorded((1_000_000 + seconds) * SECOND)
    }

    #[test]
    fn marks_last_as_long_as_they_should() {
        let memory: Memory = Memory::new(1000);
        let mark = memory.mark("shown", ("alice", "order", "17"));
        assert_eq!(memory.age(mark, at(0)), None);
        memory.remember(mark, 10 * SECOND, at(0));
        assert_eq!(memory.age(mark, at(9)), Some(9 * SECOND));
        assert_eq!(memory.age(mark, at(10)), None);
        assert_eq!(memory.age(memory.mark("shown", ("bob", "order", "17")), at(1)), None);
        memory.remember(mark, 10 * SECOND, at(8));
        assert_eq!(memory.age(mark, at(12)), Some(4 * SECOND), "it begins anew");
        assert!(memory.forget(mark, at(12)) && !memory.forget(mark, at(12)));
    }

    #[test]
    fn values_are_kept_as_long_as_their_marks() {
        let memory: Memory<&str> = Memory::new(1000);
        let mark = memory.mark("session", "s");
        memory.keep(mark, "alice", 10 * SECOND, at(0));
        assert_eq!((memory.value(mark, at(9)), memory.value(mark, at(10))), (Some("alice"), None));
        memory.keep(mark, "bob", 10 * SECOND, at(1));
        assert_eq!(memory.value(mark, at(10)), Some("bob"));
        assert!(memory.forget(mark, at(10)) && memory.value(mark, at(10)).is_none());
    }

    #[test]
    fn one_of_many_claims() {
        let memory: Memory = Memory::new(1000);
        let mark = memory.mark("key", "k");
        let won: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| usize::from(memory.claim(mark, SECOND, at(0))))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(won, 1);
        assert!(memory.claim(mark, SECOND, at(1)), "its time is over");
    }

    #[test]
    fn memory_is_bounded() {
        let memory: Memory = Memory::new(64 * 16);
        for i in 0..50_000u32 {
            memory.remember(memory.mark("flood", i), 3600 * SECOND, at(0));
        }
        assert!(memory.len() <= 64 * 16);
    }
}
