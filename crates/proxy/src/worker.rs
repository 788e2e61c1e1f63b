//! One worker: a thread with its own runtime, listeners, clock, buffers and upstream connections.

use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use bytes::BytesMut;
use http::HeaderValue;
use portcullis_engine::{
    EngineHandle, EngineRef, EngineWatch, ExchangeId, Fields, Now, Observer, Request, TrustedHops,
    UpstreamFailure,
};
use tokio::net::{TcpListener, TcpStream};

use crate::alarm::{Alarms, TICK};
use crate::config::{Limits, Listen, Timeouts};
use crate::io::{Outbox, READ, READ_MOST};
use crate::limits::{Gate, Memory};
use crate::lookup::Lookups;
use crate::server;
use crate::stats::{ProxyStats, WorkerStats};
use crate::upstream::{Elsewhere, Group, Upstream};

/// What all workers share.
#[derive(Debug)]
pub(crate) struct Shared {
    /// The zero of all monotonic times.
    pub(crate) start: Instant,
    /// By how many nanoseconds exchanges are judged as if it were later.
    pub(crate) ahead: AtomicU64,
    pub(crate) workers: usize,
    /// Clients say where calls go.
    pub(crate) forward_proxy: bool,
    pub(crate) gate: Arc<Gate>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) stats: ProxyStats,
    /// What a reload may change.
    pub(crate) settings: ArcSwap<Settings>,
    pub(crate) tls: Option<Arc<crate::tls::Server>>,
    /// No new connections and no further requests on old ones.
    pub(crate) draining: AtomicBool,
    /// The drain deadline has passed: close everything.
    pub(crate) cut: AtomicBool,
    /// Client connections, over all workers.
    pub(crate) connections: AtomicUsize,
}

/// What a reload may change, swapped whole.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) timeouts: Timeouts,
    /// Who may send a PROXY protocol header.
    pub(crate) trusted_hops: TrustedHops,
    pub(crate) group: Arc<Group>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) index: usize,
    pub(crate) alarms: Rc<Alarms>,
    pub(crate) stats: Arc<WorkerStats>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) lookups: Arc<dyn Lookups>,
    engine: EngineWatch,
    settings: RefCell<Arc<Settings>>,
    upstream: RefCell<Rc<Upstream>>,
    /// Where clients of a forward proxy called lately.
    elsewhere: RefCell<Elsewhere>,
    /// When this worker saw that it is to drain, on its coarse clock.
    draining_since: Cell<Option<u64>>,
    /// Connections that wait for a request with their buffers in hand.
    pub(crate) warm: Cell<usize>,
    /// Exchanges at work on all workers, as of the last tick.
    in_flight: Cell<usize>,
    random: Cell<u64>,
    spare: RefCell<Vec<(BytesMut, Outbox)>>,
    spare_fields: RefCell<Vec<Fields>>,
    date: RefCell<(u64, HeaderValue)>,
    /// Unix time minus monotonic time, in nanoseconds; corrected with every tick.
    unix_offset: Cell<u64>,
    /// By how many nanoseconds exchanges are judged as if it were later, as of the last tick.
    ahead: Cell<u64>,
}

/// How long a drain waits for requests on connections that are open, in milliseconds.
const LAST_REQUESTS: u64 = 300;

/// Buffers that are kept for reuse.
const SPARE: usize = 256;

impl Worker {
    pub(crate) fn new(
        shared: Arc<Shared>,
        index: usize,
        engine: &EngineHandle,
        observer: Arc<dyn Observer>,
        lookups: Arc<dyn Lookups>,
    ) -> Rc<Self> {
        let settings = shared.settings.load_full();
        let upstream = Upstream::new(Arc::clone(&settings.group), index);
        let stats = shared.stats.workers.get(index).map(Arc::clone).unwrap_or_default();
        let worker = Rc::new(Self {
            index,
            alarms: Alarms::new(shared.start),
            stats,
            observer,
            lookups,
            engine: engine.watch(),
            settings: RefCell::new(settings),
            upstream: RefCell::new(upstream),
            elsewhere: RefCell::default(),
            draining_since: Cell::new(None),
            warm: Cell::new(0),
            in_flight: Cell::new(0),
            random: Cell::new(seed()),
            spare: RefCell::default(),
            spare_fields: RefCell::default(),
            date: RefCell::new((0, HeaderValue::from_static(""))),
            unix_offset: Cell::new(0),
            ahead: Cell::new(0),
            shared,
        });
        worker.tick();
        worker
    }

    /// Accepts on `listeners` and serves until drained.
    pub(crate) async fn run(self: Rc<Self>, listeners: Vec<(TcpListener, Listen)>) {
        for (listener, listen) in listeners {
            let worker = Rc::clone(&self);
            tokio::task::spawn_local(worker.accept(listener, listen));
        }
        let mut ticks = tokio::time::interval(TICK);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut let_go = false;
        loop {
            ticks.tick().await;
            self.tick();
            self.upstream.borrow().sweep(self.alarms.now());
            self.elsewhere.borrow_mut().sweep(self.alarms.now());
            if self.is_draining() && self.draining_since.get().is_none() {
                self.draining_since.set(Some(self.alarms.now()));
                self.alarms.wake_all();
            }
            if self.is_cut() || (self.lets_go() && !let_go) {
                let_go = true;
                self.alarms.wake_all();
            }
            if self.is_draining() && self.stats.connections_open.get() == 0 {
                self.upstream.borrow().clear();
                self.elsewhere.borrow_mut().clear();
                return;
            }
        }
    }

    fn tick(&self) {
        self.alarms.tick();
        self.in_flight.set(self.shared.stats.in_flight());
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
        let mono = self.shared.start.elapsed().as_nanos();
        self.unix_offset.set(u64::try_from(unix.saturating_sub(mono)).unwrap_or(u64::MAX));
        self.ahead.set(self.shared.ahead.load(Ordering::Relaxed));
        let settings = self.shared.settings.load();
        if !Arc::ptr_eq(&settings, &self.settings.borrow()) {
            let settings = Arc::clone(&settings);
            if !Arc::ptr_eq(&settings.group, &self.upstream.borrow().group) {
                *self.upstream.borrow_mut() = Upstream::new(Arc::clone(&settings.group), self.index);
                self.elsewhere.borrow_mut().clear();
            }
            *self.settings.borrow_mut() = settings;
        }
    }

    async fn accept(self: Rc<Self>, listener: TcpListener, listen: Listen) {
        loop {
            let mut waited = false;
            let accepted = std::future::poll_fn(|cx| {
                // A drain serves those who have connected already.
                let accepted = listener.poll_accept(cx).map(Some);
                if accepted.is_pending() && self.is_draining() {
                    std::task::Poll::Ready(None)
                } else {
                    accepted
                }
            });
            // The ticker wakes this often enough to see a drain.
            let accepted = match tokio::time::timeout(Duration::from_millis(200), accepted).await {
                Ok(Some(accepted)) => accepted,
                Ok(None) => return,
                Err(_) => continue,
            };
            while !self.shared.gate.has_room(self.limits().connections) && !self.is_draining() {
                waited = true;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            match accepted {
                Ok((stream, peer)) => self.admit(stream, peer, listen),
                Err(error) => {
                    // Out of file descriptors, or a connection that is gone already.
                    tracing::warn!(%error, waited, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    fn admit(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr, listen: Listen) {
        // A load balancer's connections are those of many clients: each is counted once it is known whose it is.
        let (known, most) = match listen.proxy_protocol {
            true => (self.settings.borrow().trusted_hops.trusts(peer.ip()), usize::MAX),
            false => (true, self.limits().connections_per_client),
        };
        let Some(admission) = self.shared.gate.admit(peer.ip(), most).filter(|_| known) else {
            self.stats.connections_refused_total.up();
            return;
        };
        self.stats.connections_total.up();
        let open = Open::new(self);
        let worker = Rc::clone(self);
        tokio::task::spawn_local(async move {
            server::serve(worker, stream, peer, listen, admission).await;
            drop(open);
        });
    }

    /// The engine in force.
    #[inline]
    pub(crate) fn engine(&self) -> EngineRef {
        self.engine.load()
    }

    /// Where a request goes: to the API, or where a forward proxy is asked to call.
    pub(crate) fn upstream(&self, request: &Request) -> Result<Rc<Upstream>, UpstreamFailure> {
        let upstream = self.upstream.borrow();
        match &request.origin {
            None => Ok(Rc::clone(&upstream)),
            Some(origin) => self.elsewhere.borrow_mut().upstream(&upstream.group, origin, self.alarms.now()),
        }
    }

    #[inline]
    pub(crate) fn limits(&self) -> std::cell::Ref<'_, Limits> {
        std::cell::Ref::map(self.settings.borrow(), |s| &s.limits)
    }

    #[inline]
    pub(crate) fn timeouts(&self) -> std::cell::Ref<'_, Timeouts> {
        std::cell::Ref::map(self.settings.borrow(), |s| &s.timeouts)
    }

    /// The moment, to the nanosecond.
    #[inline]
    pub(crate) fn now(&self) -> Now {
        let mono_ns = u64::try_from(self.shared.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let mono_ns = mono_ns.wrapping_add(self.ahead.get());
        Now { unix_ns: mono_ns.wrapping_add(self.unix_offset.get()), mono_ns }
    }

    /// A name for an exchange.
    #[inline]
    pub(crate) fn id(&self) -> ExchangeId {
        ExchangeId(u128::from(self.random()) << 64 | u128::from(self.random()))
    }

    /// The next of a sequence of numbers that look random (SplitMix64).
    #[inline]
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// The moment as a Date field says it, made once a second.
    pub(crate) fn date(&self) -> HeaderValue {
        let seconds = self.now().unix_ns / 1_000_000_000;
        let mut date = self.date.borrow_mut();
        if date.0 != seconds {
            *date = (seconds, crate::date::format(seconds));
        }
        date.1.clone()
    }

    /// Empty buffers for one side of one exchange.
    #[inline]
    pub(crate) fn buffers(&self) -> (BytesMut, Outbox) {
        self.spare
            .borrow_mut()
            .pop()
            .unwrap_or_else(|| (BytesMut::with_capacity(2 * READ), Outbox::default()))
    }

    /// Takes buffers back.
    #[inline]
    pub(crate) fn recycle(&self, mut buffer: BytesMut, mut out: Outbox) {
        let mut spare = self.spare.borrow_mut();
        if spare.len() < SPARE && buffer.capacity() <= READ_MOST {
            buffer.clear();
            out.clear();
            spare.push((buffer, out));
        }
    }

    /// Whether more exchanges are at work than may be. Counting them all reads what other cores write, so it is done
    /// only where the last tick or this worker's own share says that the bound may be near.
    pub(crate) fn is_over_capacity(&self) -> bool {
        let most = self.limits().in_flight;
        let own = usize::try_from(self.stats.in_flight.get()).unwrap_or(usize::MAX);
        let near = self.in_flight.get() > most / 2 || own > most / (2 * self.shared.workers.max(1));
        near && self.shared.stats.in_flight() > most
    }

    /// An empty map with room for the fields of a usual message.
    #[inline]
    pub(crate) fn fields(&self) -> Fields {
        self.spare_fields.borrow_mut().pop().unwrap_or_else(|| Fields::with_capacity(12))
    }

    /// Takes a map back.
    #[inline]
    pub(crate) fn recycle_fields(&self, mut fields: Fields) {
        let mut spare = self.spare_fields.borrow_mut();
        if spare.len() < SPARE && fields.capacity() <= 48 {
            fields.clear();
            spare.push(fields);
        }
    }

    #[inline]
    pub(crate) fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// Whether connections that wait for a further request are closed. A request that was sent just when the drain
    /// began is still read, and its answer says that it is the last.
    #[inline]
    pub(crate) fn lets_go(&self) -> bool {
        let long = |since: u64| self.alarms.now() >= since.saturating_add(LAST_REQUESTS);
        self.is_draining() && self.draining_since.get().is_some_and(long)
    }

    #[inline]
    pub(crate) fn is_cut(&self) -> bool {
        self.shared.cut.load(Ordering::Relaxed)
    }
}

/// One open client connection, as counted.
struct Open {
    worker: Rc<Worker>,
}

impl Open {
    fn new(worker: &Rc<Worker>) -> Self {
        worker.stats.connections_open.up();
        worker.shared.connections.fetch_add(1, Ordering::Relaxed);
        Self { worker: Rc::clone(worker) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.worker.stats.connections_open.down();
        self.worker.shared.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A seed from the system's randomness, which the standard library draws for its hash maps.
fn seed() -> u64 {
    use std::hash::BuildHasher;
    std::hash::RandomState::new().hash_one(0u64)
}
