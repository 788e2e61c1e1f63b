//! Proofs that were used, so that none is used twice (RFC 9449 section 11.1).

use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasherDefault;

use parking_lot::Mutex;

use crate::jose::Thumbprint;
use crate::pepper::{DigestHasher, Pepper};

const SHARDS: usize = 64;

/// What came of showing a proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    New,
    Again,
    /// There is no room to remember it, so it cannot be taken: forgetting an older one would let that be replayed.
    NoRoom,
}

/// Proofs that were used, each for at least `keep_s` seconds. A key's proofs stand in one of 64 shards of their own
/// bound: who floods it shuts out few others.
pub(crate) struct Replays {
    hash: Pepper,
    keep_s: u64,
    per_shard: usize,
    shards: Box<[Mutex<Shard>]>,
}

type Seen = HashSet<u128, BuildHasherDefault<DigestHasher>>;

/// Entries move from young to old, and from old out, every `keep_s` seconds.
#[derive(Default)]
struct Shard {
    young: Seen,
    old: Seen,
    turned_s: u64,
}

impl Replays {
    pub(crate) fn new(hash: Pepper, keep_s: u64, capacity: usize) -> Replays {
        Replays {
            hash,
            keep_s: keep_s.max(1),
            per_shard: capacity.div_ceil(SHARDS),
            shards: std::iter::repeat_with(Mutex::default).take(SHARDS).collect(),
        }
    }

    /// Remembers that `key` showed the proof `jti`. `now_s` is on a clock that never goes back.
    pub(crate) fn show(&self, key: Thumbprint, jti: &str, now_s: u64) -> Shown {
        let digest = self.hash.digest([&key.0[..], jti.as_bytes()].concat());
        let id = u128::from_le_bytes(digest.0.first_chunk().copied().unwrap_or_default());
        let Some(shard) = self.shards.get(usize::from(key.0[31]) % SHARDS) else { return Shown::NoRoom };
        let mut shard = shard.lock();
        shard.turn(now_s, self.keep_s);
        if shard.young.contains(&id) || shard.old.contains(&id) {
            return Shown::Again;
        }
        if shard.young.len() + shard.old.len() >= self.per_shard {
            return Shown::NoRoom;
        }
        shard.young.insert(id);
        Shown::New
    }
}

impl Shard {
    fn turn(&mut self, now_s: u64, keep_s: u64) {
        let since = now_s.saturating_sub(self.turned_s);
        if since >= keep_s {
            self.old = std::mem::take(&mut self.young);
            self.turned_s = now_s;
        }
        if since >= 2 * keep_s {
            self.old = Seen::default();
        }
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Replays").field("keep_s", &self.keep_s).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_remembered_at_least_as_long_as_asked() {
        let replays = Replays::new(Pepper::new([1; 32]), 60, 64 * 1000);
        let [a, b] = [Thumbprint([1; 32]), Thumbprint([2; 32])];
        for start in [0, 59, 60, 61, 119, 500, 100_000] {
            let jti = format!("jti-{start}");
            assert_eq!(replays.show(a, &jti, start), Shown::New);
            assert_eq!(replays.show(b, &jti, start), Shown::New, "another key's");
            for later in 0..=60 {
                assert_eq!(replays.show(a, &jti, start + later), Shown::Again, "{start}+{later}");
            }
        }
        assert_eq!(replays.show(a, "jti-0", 100_121), Shown::New, "and forgotten some time later");
    }

    #[test]
    fn a_late_turn_forgets_no_proof_that_is_young() {
        let replays = Replays::new(Pepper::new([1; 32]), 60, 64 * 10);
        let key = Thumbprint([1; 32]);
        assert_eq!(replays.show(key, "turns", 1000), Shown::New);
        assert_eq!(replays.show(key, "young", 1059), Shown::New);
        assert_eq!(replays.show(key, "young", 1070), Shown::Again);
        assert_eq!(format!("{replays:?}"), "Replays { keep_s: 60, .. }");
    }

    #[test]
    fn what_is_full_forgets_nothing() {
        let replays = Replays::new(Pepper::new([1; 32]), 60, 64 * 10);
        let [flooding, other] = [Thumbprint([1; 32]), Thumbprint([2; 32])];
        for n in 0..10 {
            assert_eq!(replays.show(flooding, &n.to_string(), 0), Shown::New);
        }
        assert_eq!(replays.show(flooding, "10", 0), Shown::NoRoom);
        assert_eq!(replays.show(flooding, "0", 59), Shown::Again);
        assert_eq!(replays.show(other, "10", 0), Shown::New);
        assert_eq!(replays.show(flooding, "10", 120), Shown::New);
    }
}
