//! The upstream: its instances, the connections to them, and calls that go there.

pub(crate) mod call;
mod connect;
pub(crate) mod control;
mod elsewhere;
mod forward;
mod h2call;
mod origin;
pub(crate) mod pool;

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use portcullis_engine::{Fields, UpstreamFailure};

pub(crate) use self::call::UpstreamHead;
use self::call::{CallError, H1Call, Head};
pub(crate) use self::connect::{ConnectError, reach};
pub(crate) use self::elsewhere::Elsewhere;
pub(crate) use self::forward::{Answer, ForwardError, Outbound, Pumped};
use self::h2call::H2Call;
pub(crate) use self::origin::{Availability, Origin};
pub use self::origin::{OriginError, OriginState};
use self::pool::Pool;
use crate::config::UpstreamConfig;
use crate::message::{BodyError, Frame};
use crate::worker::Worker;

/// What all workers share of one upstream; replaced whole by a reload.
#[derive(Debug)]
pub(crate) struct Group {
    pub(crate) config: UpstreamConfig,
    pub(crate) origins: Vec<Arc<Origin>>,
    pub(crate) tls: Option<Arc<rustls::ClientConfig>>,
}

/// One worker's view of the upstream.
#[derive(Debug)]
pub(crate) struct Upstream {
    pub(crate) group: Arc<Group>,
    instances: Vec<Rc<Instance>>,
    /// Retries that may be made, in hundredths.
    retries: Cell<u64>,
}

/// One worker's view of an instance.
#[derive(Debug)]
pub(crate) struct Instance {
    pub(crate) origin: Arc<Origin>,
    pub(crate) pool: Rc<Pool>,
    /// The origin's label, in memory of this worker's own: references to it are counted with every call.
    pub(crate) label: Arc<str>,
    worker: usize,
}

impl Instance {
    fn enter(&self) {
        self.origin.enter(self.worker);
    }

    fn leave(&self) {
        self.origin.leave(self.worker);
    }
}

/// Retries that are always possible, in hundredths, so that a quiet gateway can retry too.
const RETRY_FLOOR: u64 = 1_000;

impl Upstream {
    /// That of the worker of this index.
    pub(crate) fn new(group: Arc<Group>, worker: usize) -> Rc<Self> {
        let instance = |origin: &Arc<Origin>| {
            let label = Arc::from(&*origin.label);
            Rc::new(Instance { origin: Arc::clone(origin), pool: Rc::default(), label, worker })
        };
        let instances = group.origins.iter().map(instance).collect();
        Rc::new(Self { group, instances, retries: Cell::new(RETRY_FLOOR) })
    }

    /// Closes connections that were not used for too long.
    pub(crate) fn sweep(&self, now: u64) {
        let oldest = now.saturating_sub(self.group.config.idle.millis());
        for instance in &self.instances {
            instance.pool.sweep(oldest);
        }
    }

    /// Closes all unused connections.
    pub(crate) fn clear(&self) {
        for instance in &self.instances {
            instance.pool.clear();
        }
    }

    /// Whether it holds no connection, used or not.
    fn is_unused(&self) -> bool {
        self.instances.iter().all(|instance| instance.pool.is_empty())
    }

    fn earn_retry(&self) {
        let earned = u64::from(self.group.config.retry_budget);
        self.retries.set((self.retries.get() + earned).min(RETRY_FLOOR * 10));
    }

    fn spend_retry(&self) -> bool {
        let left = self.retries.get().checked_sub(100);
        if let Some(left) = left {
            self.retries.set(left);
        }
        left.is_some()
    }

    /// Picks the less loaded of two instances drawn at random (power of two choices), leaving out those of `tried`.
    fn pick(&self, worker: &Worker, tried: u64) -> Option<usize> {
        let origins = &self.group.origins;
        let now = worker.alarms.now();
        if let [only] = origins.as_slice() {
            return usable(only, now).then_some(0);
        }
        let mut candidates: smallvec::SmallVec<[usize; 16]> = smallvec::SmallVec::new();
        for (index, origin) in origins.iter().enumerate() {
            let was_tried = index < 64 && tried & (1 << index) != 0;
            match origin.availability(now) {
                _ if was_tried => {}
                Availability::Yes => candidates.push(index),
                // A trial comes before everything else: it is one call, and it can be repeated elsewhere.
                Availability::Trial if origin.claim_trial() => return Some(index),
                Availability::Trial | Availability::No => {}
            }
        }
        let draw = || {
            let n = candidates.len() as u64;
            usize::try_from(worker.random() % n.max(1)).ok().and_then(|i| candidates.get(i).copied())
        };
        let (a, b) = (draw()?, draw()?);
        let load = |i: usize| origins.get(i).map_or(u64::MAX, |o| o.load());
        Some(if load(b) < load(a) { b } else { a })
    }
}

fn usable(origin: &Origin, now: u64) -> bool {
    match origin.availability(now) {
        Availability::Yes => true,
        Availability::Trial => origin.claim_trial(),
        Availability::No => false,
    }
}

/// A call under way on either protocol.
#[derive(Debug)]
pub(crate) enum Call {
    H1(Box<H1Call>),
    H2(Box<H2Call>),
}

impl Call {
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        match self {
            Self::H1(call) => call.has_room(),
            Self::H2(call) => call.has_room(),
        }
    }

    #[inline]
    pub(crate) fn data(&mut self, data: Bytes) {
        match self {
            Self::H1(call) => call.data(data),
            Self::H2(call) => call.data(data),
        }
    }

    #[inline]
    pub(crate) fn end(&mut self, trailers: Option<Fields>) {
        match self {
            Self::H1(call) => call.end(trailers.as_ref()),
            Self::H2(call) => call.end(trailers),
        }
    }

    /// Sends what is queued; ready once all of it was sent, or can no longer be.
    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::H1(call) => call.poll_write(cx),
            Self::H2(call) => call.poll_write(cx),
        }
    }

    #[inline]
    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, CallError>> {
        match self {
            Self::H1(call) => call.poll_head(cx),
            Self::H2(call) => call.poll_head(cx),
        }
    }

    #[inline]
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        match self {
            Self::H1(call) => call.poll_body(cx),
            Self::H2(call) => call.poll_body(cx),
        }
    }

    #[inline]
    pub(crate) fn body_done(&self) -> bool {
        match self {
            Self::H1(call) => call.body_done(),
            Self::H2(call) => call.body_done(),
        }
    }
}

/// What an error of the upstream means to the engine.
pub(crate) fn failure(error: &ConnectError) -> UpstreamFailure {
    match error {
        ConnectError::Failed(reason) => UpstreamFailure::Unreachable(reason.clone().into()),
        ConnectError::TimedOut => UpstreamFailure::Timeout,
        ConnectError::QueueFull => UpstreamFailure::Unavailable(1),
    }
}
