//! Counters of the data plane. Each worker has its own set, so that counting never crosses a core.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// A counter with one writer: its worker. Reading from elsewhere is always allowed.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Counts one.
    #[inline]
    pub(crate) fn up(&self) {
        self.add(1);
    }

    /// Counts `n`.
    #[inline]
    pub(crate) fn add(&self, n: u64) {
        // One writer: a plain load and store, without the cost of a locked instruction.
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(n), Ordering::Relaxed);
    }

    /// Takes one back, of what is now open or at work.
    #[inline]
    pub(crate) fn down(&self) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_sub(1), Ordering::Relaxed);
    }

    /// The value.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident: $kind:ident,)*) => {
        /// The counters of one worker.
        #[derive(Debug, Default)]
        #[repr(align(128))]
        pub struct WorkerStats {
            $($(#[doc = $doc])+ pub $name: Counter,)*
        }

        impl ProxyStats {
            /// Every counter, summed over the workers: name, help, whether it only goes up, value.
            #[must_use]
            pub fn read(&self) -> Vec<Reading> {
                vec![$(Reading {
                    name: stringify!($name),
                    help: concat!($($doc),+).trim(),
                    kind: Kind::$kind,
                    value: self.workers.iter().fold(0u64, |sum, w| sum.wrapping_add(w.$name.get())),
                },)*]
            }
        }
    };
}

counters! {
    /// Client connections accepted.
    connections_total: Counter,
    /// Client connections open now.
    connections_open: Gauge,
    /// Client connections closed at once, since their address has too many.
    connections_refused_total: Counter,
    /// TLS handshakes with clients that failed.
    tls_failures_total: Counter,
    /// Requests read.
    requests_total: Counter,
    /// Exchanges at work now.
    in_flight: Gauge,
    /// Requests shed with 503, since the gateway was at its capacity.
    shed_total: Counter,
    /// Requests refused for their form before the engine saw them.
    protocol_refusals_total: Counter,
    /// Clients cut off by a deadline while they sent.
    slow_requests_total: Counter,
    /// Clients cut off by a deadline while they received.
    slow_readers_total: Counter,
    /// Exchanges that the client left before their end.
    client_aborts_total: Counter,
    /// Request body bytes received.
    bytes_in_total: Counter,
    /// Response body bytes sent.
    bytes_out_total: Counter,
    /// Connections made to the upstream.
    upstream_connects_total: Counter,
    /// Calls that used a pooled upstream connection.
    upstream_reuses_total: Counter,
    /// Connections to the upstream that could not be made.
    upstream_connect_failures_total: Counter,
    /// Calls that the upstream did not answer, or not in HTTP, or not in time.
    upstream_failures_total: Counter,
    /// Calls tried again.
    upstream_retries_total: Counter,
    /// Calls refused, since no upstream instance was available.
    upstream_unavailable_total: Counter,
    /// What guards had to ask outside before they could decide.
    lookups_total: Counter,
    /// Of these, those that got no answer.
    lookup_failures_total: Counter,
    /// HTTP/2 connections closed for a flood of frames.
    http2_floods_total: Counter,
    /// Connections that were upgraded.
    tunnels_total: Counter,
}

/// Whether a reading only goes up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Only goes up.
    Counter,
    /// Goes up and down.
    Gauge,
}

/// One value for the metrics page.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The name, without a prefix.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// Whether it only goes up.
    pub kind: Kind,
    /// The sum over all workers.
    pub value: u64,
}

/// The counters of all workers.
#[derive(Clone, Debug)]
pub struct ProxyStats {
    pub(crate) workers: Arc<[Arc<WorkerStats>]>,
}

impl ProxyStats {
    pub(crate) fn new(workers: usize) -> Self {
        Self { workers: (0..workers).map(|_| Arc::default()).collect() }
    }

    /// Exchanges at work now.
    pub(crate) fn in_flight(&self) -> usize {
        let sum = self.workers.iter().fold(0u64, |sum, worker| sum.wrapping_add(worker.in_flight.get()));
        usize::try_from(sum).unwrap_or(usize::MAX)
    }
}
