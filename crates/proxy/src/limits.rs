//! Bounds that all workers share: open connections, and the memory of buffered bodies.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use portcullis_engine::one_client;

/// How long a body waits for memory before its call is refused.
const MEMORY_WAIT: Duration = Duration::from_secs(1);
const MEMORY_RETRY: Duration = Duration::from_millis(20);

/// The budget of all bodies that are held in memory at the same time.
#[derive(Debug)]
pub(crate) struct Memory {
    used: AtomicUsize,
    most: AtomicUsize,
}

/// A share of the budget; given back when dropped.
#[derive(Debug)]
pub(crate) struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Memory {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { used: AtomicUsize::new(0), most: AtomicUsize::new(most) })
    }

    pub(crate) fn set_most(&self, most: usize) {
        self.most.store(most, Ordering::Relaxed);
    }

    /// A share of nothing, to grow.
    pub(crate) fn hold(self: &Arc<Self>) -> Held {
        Held { memory: Arc::clone(self), bytes: 0 }
    }

    fn try_take(&self, bytes: usize) -> bool {
        let most = self.most.load(Ordering::Relaxed);
        let take = |used: usize| used.checked_add(bytes).filter(|sum| *sum <= most);
        self.used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }
}

impl Held {
    /// Takes `bytes` more, and waits a moment if there are none; `false` if there still are none.
    ///
    /// The caller reads nothing meanwhile, so the sender feels it.
    pub(crate) async fn grow(&mut self, bytes: usize) -> bool {
        if !self.memory.try_take(bytes) {
            let mut waited = Duration::ZERO;
            loop {
                if waited >= MEMORY_WAIT {
                    return false;
                }
                tokio::time::sleep(MEMORY_RETRY).await;
                waited += MEMORY_RETRY;
                if self.memory.try_take(bytes) {
                    break;
                }
            }
        }
        self.bytes += bytes;
        true
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.used.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Counts open connections, all together and by address.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    open: AtomicUsize,
    by_client: Mutex<HashMap<IpAddr, usize>>,
}

/// One open connection; closed when dropped.
#[derive(Debug)]
pub(crate) struct Admission {
    gate: Arc<Gate>,
    key: IpAddr,
}

impl Gate {
    /// Whether one more connection may be accepted at all.
    pub(crate) fn has_room(&self, most: usize) -> bool {
        self.open.load(Ordering::Relaxed) < most
    }

    /// Admits a connection from `address`, unless it has `most_per_client` open.
    pub(crate) fn admit(self: &Arc<Self>, address: IpAddr, most_per_client: usize) -> Option<Admission> {
        let key = one_client(address);
        let mut by_client = self.by_client.lock();
        let count = by_client.entry(key).or_default();
        if *count >= most_per_client {
            if *count == 0 {
                by_client.remove(&key);
            }
            return None;
        }
        *count += 1;
        self.open.fetch_add(1, Ordering::Relaxed);
        Some(Admission { gate: Arc::clone(self), key })
    }
}

impl Admission {
    /// The same connection, of another client than it seemed; `None` if that one has too many.
    pub(crate) fn instead(self, address: IpAddr, most_per_client: usize) -> Option<Admission> {
        self.gate.admit(address, most_per_client)
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        self.gate.open.fetch_sub(1, Ordering::Relaxed);
        let mut by_client = self.gate.by_client.lock();
        if let Some(count) = by_client.get_mut(&self.key) {
            *count -= 1;
            if *count == 0 {
                by_client.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_are_counted_by_client() {
        let gate = Arc::new(Gate::default());
        let admit = |a: &str| gate.admit(a.parse().unwrap(), 2);
        let first = admit("192.0.2.1").unwrap();
        let second = admit("::ffff:192.0.2.1").unwrap();
        assert!(admit("192.0.2.1").is_none());
        assert!(admit("192.0.2.2").is_some());
        drop(first);
        let third = admit("192.0.2.1");
        assert!(third.is_some());
        let _a = admit("2001:db8::1").unwrap();
        let _b = admit("2001:db8::ffff:0:1").unwrap();
        assert!(admit("2001:db8::2").is_none(), "one /64 is one client");
        assert!(admit("2001:db8:0:1::2").is_some());
        assert!(!gate.has_room(4) && gate.has_room(5));
        drop((second, third));
        assert!(gate.admit("192.0.2.9".parse().unwrap(), 0).is_none());
        assert_eq!(gate.by_client.lock().len(), 1);
    }

    #[tokio::test]
    async fn memory_is_waited_for_and_then_refused() {
        let memory = Memory::new(100);
        let mut first = memory.hold();
        assert!(first.grow(80).await);
        let mut second = memory.hold();
        assert!(!second.grow(30).await);
        assert!(second.grow(20).await);
        drop(first);
        assert!(second.grow(80).await);
        assert!(!second.grow(usize::MAX).await);
        drop(second);
        assert_eq!(memory.used.load(Ordering::Relaxed), 0);
    }
}
