//! The engine: compiled policy, ready to inspect exchanges.

use std::cell::RefCell;
use std::fmt::Debug;
use std::ops::Deref;
use std::sync::Arc;

use arc_swap::{ArcSwap, Cache};
use http::header::HeaderName;

use crate::body::Bounds;
use crate::client::TrustedHops;
use crate::denial::{Denial, LocalReply};
use crate::head::{Connection, ExchangeId, Now, Origin, RequestHead};
use crate::headers::ForwardedHeaders;
use crate::inspection::{Inspection, Recorded};
use crate::plan::Plan;
use crate::routes::{NoRoutes, Routes};
use crate::state::State;

/// What holds for every exchange, whatever its operation.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Proxies in front whose word on the client is taken.
    pub trusted_hops: TrustedHops,
    /// What the upstream is told about the client.
    pub forwarded: ForwardedHeaders,
    /// Whether `%2F` in a path segment is data; otherwise it is refused.
    pub encoded_slash: bool,
    /// Field names that carry credentials or trusted facts: they must be single, and look-alikes are refused.
    pub protected_fields: Vec<HeaderName>,
    /// Whether WebSocket upgrades pass on requests that match no operation.
    pub websocket_unmatched: bool,
    /// Query parameters whose values never reach a record, beside those that look secret by name.
    pub secret_parameters: Vec<Box<str>>,
    /// Whether clients say where calls go: a forward proxy. Otherwise all go to one API.
    pub forward_proxy: bool,
}

/// The policies of a forward proxy, one for each destination.
pub trait Destinations: Debug + Send + Sync {
    /// The engine that judges calls to `origin`; `None` where nobody named it.
    fn engine(&self, origin: &Origin) -> Option<&Arc<Engine>>;
}

/// Compiled policy. Immutable; a reload makes a new one and swaps the [`EngineHandle`].
#[derive(Debug)]
pub struct Engine {
    pub(crate) routes: Box<dyn Routes>,
    pub(crate) plans: Box<[Plan]>,
    pub(crate) unmatched: Plan,
    pub(crate) settings: Settings,
    pub(crate) state: Arc<State>,
    pub(crate) destinations: Option<Box<dyn Destinations>>,
}

/// Puts an engine together.
#[derive(Debug)]
pub struct EngineBuilder(Engine);

impl Engine {
    /// Starts an engine that has no contract and no guards.
    pub fn builder(state: Arc<State>) -> EngineBuilder {
        EngineBuilder(Engine {
            routes: Box::new(NoRoutes),
            plans: Box::default(),
            unmatched: Plan::new(None, Bounds::default(), Vec::new()),
            settings: Settings::default(),
            state,
            destinations: None,
        })
    }

    /// Begins to inspect an exchange, as [`EngineRef::begin`] does.
    pub fn begin(
        self: Arc<Self>,
        head: RequestHead,
        connection: &Connection,
        id: ExchangeId,
        now: Now,
    ) -> Inspection {
        EngineRef::new(self).begin(head, connection, id, now)
    }

    /// As [`Engine::begin`], for a recording: `recorded` is what the recording knows beside the head.
    pub fn begin_recorded(
        self: Arc<Self>,
        head: RequestHead,
        connection: &Connection,
        id: ExchangeId,
        now: Now,
        recorded: Recorded,
    ) -> Inspection {
        Inspection::begin(EngineRef::new(self), head, connection, id, now, Some(Box::new(recorded)))
    }

    /// The counters.
    pub fn state(&self) -> &Arc<State> {
        &self.state
    }

    /// The plans of the contract's operations, by index.
    pub fn plans(&self) -> &[Plan] {
        &self.plans
    }

    /// The plan of requests that match no operation.
    pub fn unmatched(&self) -> &Plan {
        &self.unmatched
    }

    /// The plan of that index; without one, that of requests that match no operation.
    pub(crate) fn plan(&self, index: Option<usize>) -> &Plan {
        index.and_then(|index| self.plans.get(index)).unwrap_or(&self.unmatched)
    }

    /// What holds for every exchange.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }
}

impl EngineBuilder {
    /// Sets the router and the plans that its indices mean.
    pub fn routes(mut self, routes: impl Routes + 'static, plans: Vec<Plan>) -> EngineBuilder {
        self.0.routes = Box::new(routes);
        self.0.plans = plans.into();
        self
    }

    /// Sets the plan of requests that match no operation.
    pub fn unmatched(mut self, plan: Plan) -> EngineBuilder {
        self.0.unmatched = plan;
        self
    }

    /// Sets what holds for every exchange.
    pub fn settings(mut self, settings: Settings) -> EngineBuilder {
        self.0.settings = settings;
        self
    }

    /// Sets who judges calls of a forward proxy; this engine judges those that lead elsewhere.
    pub fn destinations(mut self, destinations: impl Destinations + 'static) -> EngineBuilder {
        self.0.destinations = Some(Box::new(destinations));
        self
    }

    /// The engine.
    pub fn build(self) -> Arc<Engine> {
        Arc::new(self.0)
    }
}

/// A thread's own hold on an engine. Exchanges that begin through it count their references in memory that no other
/// thread writes to: a count that all threads share would move from core to core with every call.
#[derive(Debug, Clone)]
#[expect(clippy::redundant_allocation, reason = "the outer count is one that no other thread writes to")]
pub struct EngineRef(Arc<Arc<Engine>>);

impl EngineRef {
    /// A hold of its own on `engine`.
    pub fn new(engine: Arc<Engine>) -> EngineRef {
        EngineRef(Arc::new(engine))
    }

    /// Begins to inspect an exchange: normalises its head and routes it. Never fails; a head that must be
    /// refused is refused by [`Inspection::request_head`].
    pub fn begin(&self, head: RequestHead, connection: &Connection, id: ExchangeId, now: Now) -> Inspection {
        Inspection::begin(self.clone(), head, connection, id, now, None)
    }

    /// An exchange whose head could not even be parsed: its reply, and the inspection to finish. `target` is
    /// what is known of the request target, for the record.
    pub fn refuse(
        &self,
        denial: &Denial,
        target: &[u8],
        connection: &Connection,
        id: ExchangeId,
        now: Now,
    ) -> (Inspection, LocalReply) {
        Inspection::refused(self.clone(), denial, target, connection, id, now)
    }
}

impl Deref for EngineRef {
    type Target = Engine;

    fn deref(&self) -> &Engine {
        &self.0
    }
}

/// The engine in force, swapped whole by a reload; exchanges under way keep the one they began with.
#[derive(Debug, Clone)]
pub struct EngineHandle(Arc<ArcSwap<Engine>>);

impl EngineHandle {
    /// A handle on `engine`.
    pub fn new(engine: Arc<Engine>) -> EngineHandle {
        EngineHandle(Arc::new(ArcSwap::new(engine)))
    }

    /// The engine in force, for one thread.
    pub fn watch(&self) -> EngineWatch {
        let latest = Cache::new(Arc::clone(&self.0));
        let held = EngineRef::new(Arc::clone(latest.arc_swap().load().deref()));
        EngineWatch(RefCell::new(Watched { latest, held }))
    }

    /// Puts `engine` in force for exchanges that begin from now on.
    pub fn swap(&self, engine: Arc<Engine>) {
        self.0.store(engine);
    }
}

/// One thread's view of the engine in force.
#[derive(Debug)]
pub struct EngineWatch(RefCell<Watched>);

#[derive(Debug)]
struct Watched {
    latest: Cache<Arc<ArcSwap<Engine>>, Arc<Engine>>,
    held: EngineRef,
}

impl EngineWatch {
    /// The engine in force. Costs nothing that other threads feel while it stays the same.
    pub fn load(&self) -> EngineRef {
        let Watched { latest, held } = &mut *self.0.borrow_mut();
        let latest = latest.load();
        if !Arc::ptr_eq(latest, &held.0) {
            *held = EngineRef::new(Arc::clone(latest));
        }
        held.clone()
    }
}
