//! Plans: the guards of one operation, compiled at load and sorted by step.

use std::sync::Arc;

use http::Method;
use serde::{Deserialize, Serialize};

use crate::body::Bounds;
use crate::guard::{Guard, Stage};

/// Whether a guard's refusals take effect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// A refusal refuses.
    #[default]
    Enforce,
    /// A refusal is counted and recorded; the call goes on.
    Monitor,
}

/// What happens to a call when a guard itself fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum FailMode {
    /// It is refused.
    #[default]
    Closed,
    /// It goes on; the failure is recorded.
    Open,
}

/// A guard in its place.
#[derive(Debug)]
pub struct Planned {
    /// The guard's name: config key, metric label, docs page.
    pub name: &'static str,
    /// When it runs.
    pub stage: Stage,
    /// Whether its refusals take effect.
    pub mode: Mode,
    /// What happens when it fails.
    pub on_error: FailMode,
    /// The guard.
    pub guard: Box<dyn Guard>,
}

/// What records and metrics say of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OperationInfo {
    /// The contract's `operationId`, or `METHOD /template` where it has none.
    pub id: Arc<str>,
    /// The method.
    pub method: Method,
    /// The path template.
    pub template: Arc<str>,
    /// Whether WebSocket upgrades may pass.
    pub websocket: bool,
}

/// The guards of one operation, or of requests that match none.
#[derive(Debug)]
pub struct Plan {
    pub(crate) operation: Option<Arc<OperationInfo>>,
    pub(crate) bounds: Bounds,
    pub(crate) watches_upgrades: bool,
    pub(crate) guards: Box<[Planned]>,
    pub(crate) request_head: Box<[u16]>,
    pub(crate) request_body: Box<[u16]>,
    pub(crate) response_head: Box<[u16]>,
    pub(crate) response_body: Box<[u16]>,
    pub(crate) shape: Box<[u16]>,
}

impl Plan {
    /// Sorts `guards` by stage (stable) and notes which step needs which.
    pub fn new(operation: Option<OperationInfo>, bounds: Bounds, mut guards: Vec<Planned>) -> Plan {
        guards.sort_by_key(|planned| planned.stage);
        let pick = |wanted: &dyn Fn(&Planned) -> bool| -> Box<[u16]> {
            guards.iter().zip(0u16..).filter(|(planned, _)| wanted(planned)).map(|(_, index)| index).collect()
        };
        Plan {
            operation: operation.map(Arc::new),
            bounds,
            watches_upgrades: false,
            request_head: pick(&|p| p.guard.hooks().request_head),
            request_body: pick(&|p| p.guard.hooks().request_body),
            response_head: pick(&|p| p.guard.hooks().response_head),
            response_body: pick(&|p| p.guard.hooks().response_body),
            shape: pick(&|p| p.stage == Stage::Shape && p.guard.hooks().response_head),
            guards: guards.into(),
        }
    }

    /// The same, where a WebSocket that is not offered passes and is only recorded: the operation is in monitor mode.
    #[must_use]
    pub fn watch_upgrades(mut self) -> Plan {
        self.watches_upgrades = true;
        self
    }

    /// The operation, where this is not the plan of unmatched requests.
    pub fn operation(&self) -> Option<&OperationInfo> {
        self.operation.as_deref()
    }

    /// The guards in the order in which they run.
    pub fn guards(&self) -> &[Planned] {
        &self.guards
    }

    /// The bounds of bodies.
    pub fn bounds(&self) -> &Bounds {
        &self.bounds
    }
}
