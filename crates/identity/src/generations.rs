//! A bounded map for caches, shared between threads.

use std::fmt;
use std::hash::{BuildHasherDefault, Hash};

use hashbrown::HashMap;
use parking_lot::Mutex;

use crate::pepper::{Digest, DigestHasher};

const SHARDS: usize = 32;

/// A map of at most about `capacity` entries in two generations. When the younger is full it becomes the older, and
/// the older is dropped; an entry of the older that is asked for moves to the younger. So what is used stays, at a
/// constant cost, and nothing ever scans.
pub(crate) struct Generations<K, V> {
    shards: Box<[Mutex<Shard<K, V>>]>,
    /// Entries of one generation of one shard.
    generation: usize,
}

struct Shard<K, V> {
    young: HashMap<K, V, BuildHasherDefault<DigestHasher>>,
    old: HashMap<K, V, BuildHasherDefault<DigestHasher>>,
}

/// A key of which some bytes are evenly spread.
pub(crate) trait Spread: Eq + Hash {
    /// Bytes other than those by which a table places it.
    fn shard(&self) -> usize;
}

impl Spread for Digest {
    fn shard(&self) -> usize {
        usize::from(self.0[31])
    }
}

impl<K: Spread, V: Clone> Generations<K, V> {
    pub(crate) fn new(capacity: usize) -> Generations<K, V> {
        let shard = || Mutex::new(Shard { young: HashMap::default(), old: HashMap::default() });
        Generations {
            shards: std::iter::repeat_with(shard).take(SHARDS).collect(),
            generation: capacity.div_ceil(2 * SHARDS),
        }
    }

    pub(crate) fn get(&self, key: &K) -> Option<V> {
        let mut shard = self.shard(key)?.lock();
        if let Some(value) = shard.young.get(key) {
            return Some(value.clone());
        }
        let (key, value) = shard.old.remove_entry(key)?;
        shard.put(key, value.clone(), self.generation);
        Some(value)
    }

    pub(crate) fn insert(&self, key: K, value: V) {
        if self.generation > 0
            && let Some(shard) = self.shard(&key)
        {
            let mut shard = shard.lock();
            shard.old.remove(&key);
            shard.put(key, value, self.generation);
        }
    }

    pub(crate) fn remove(&self, key: &K) {
        if let Some(shard) = self.shard(key) {
            let mut shard = shard.lock();
            shard.young.remove(key);
            shard.old.remove(key);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.shards
            .iter()
            .map(|shard| {
                let shard = shard.lock();
                shard.young.len() + shard.old.len()
            })
            .sum()
    }

    fn shard(&self, key: &K) -> Option<&Mutex<Shard<K, V>>> {
        self.shards.get(key.shard() % SHARDS)
    }
}

impl<K: Spread, V> Shard<K, V> {
    fn put(&mut self, key: K, value: V, generation: usize) {
        if self.young.len() >= generation && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

impl<K: Spread, V: Clone> fmt::Debug for Generations<K, V> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Generations").field("entries", &self.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(n: u32) -> Digest {
        Pepper::new([1; 32]).digest(n.to_be_bytes())
    }

    use crate::Pepper;

    #[test]
    fn it_is_bounded_and_keeps_what_is_used() {
        let map = Generations::new(1000);
        map.insert(key(0), 0);
        for n in 1..20_000 {
            map.insert(key(n), n);
            if n % 100 == 0 {
                assert_eq!(map.get(&key(0)), Some(0), "asked for often, so it stays");
            }
        }
        assert!((500..=1024).contains(&map.len()), "{}", map.len());
        assert_eq!(map.get(&key(19_999)), Some(19_999));
        assert_eq!(map.get(&key(1)), None);
        map.insert(key(0), 7);
        assert_eq!(map.get(&key(0)), Some(7), "the last value counts");
        map.remove(&key(0));
        assert_eq!(map.get(&key(0)), None);
        let none = Generations::new(0);
        none.insert(key(1), 1);
        assert_eq!((none.get(&key(1)), none.len()), (None, 0));
        assert_eq!(format!("{none:?}"), "Generations { entries: 0, .. }");
    }
}
