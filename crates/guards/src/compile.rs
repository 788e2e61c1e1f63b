//! From configuration and contract to an engine.

use std::any::Any;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use http::Method;
use portcullis_engine::{Engine, FailMode, Mode, OperationInfo, Plan, Planned, Role, Settings, Stage, State};
use portcullis_identity::KeyRingHandle;
use portcullis_openapi::{Contract, Operation, Security};

use crate::REGISTRY;
use crate::authenticate::{Credentials, Tokens};
use crate::config::CompileError;
use crate::data_keys::DataRings;
use crate::inspect::Held;
use crate::policies::{Effective, Policies};
use crate::protection::{CompileCx, Shared};
use crate::routes::ContractRoutes;

/// An engine, and what it does.
#[derive(Debug)]
pub struct Compiled {
    /// Ready to inspect exchanges.
    pub engine: Arc<Engine>,
    /// What guards what.
    pub report: Report,
    /// Who issues access tokens: their keys are to be fetched.
    pub tokens: Arc<Tokens>,
}

/// What guards what: for `portcullis config show`, and the list of open operations at start.
#[derive(Debug)]
pub struct Report {
    /// In the contract's order.
    pub operations: Vec<OperationReport>,
    /// What guards requests that match no operation.
    pub unmatched: Vec<GuardReport>,
    /// What the operator should know.
    pub warnings: Vec<String>,
}

/// What guards one operation.
#[derive(Debug)]
pub struct OperationReport {
    /// Its `operationId`, or `METHOD /template`.
    pub id: Arc<str>,
    /// Its method.
    pub method: Method,
    /// Its path template.
    pub template: Arc<str>,
    /// Who may call it.
    pub access: Access,
    /// Whether the contract demands credentials, whatever a policy says.
    pub demands: bool,
    /// Its guards in the order in which they run.
    pub guards: Vec<GuardReport>,
    /// What the contract says of it that cannot be enforced.
    pub unenforced: Vec<String>,
}

/// Who may call an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Access {
    /// Anyone: the contract says `security: []` or offers a way without credentials.
    OpenByContract,
    /// Anyone: a policy says `public: true`.
    OpenByPolicy,
    /// Anyone: neither the contract nor a policy says a word, and there is no configuration file.
    OpenBySilence,
    /// Whoever presents one of these sets of credentials.
    Credentials(Vec<String>),
}

/// A guard in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GuardReport {
    /// Its name.
    pub name: &'static str,
    /// When it runs.
    pub stage: Stage,
    /// Whether its refusals take effect.
    pub mode: Mode,
    /// What happens when it fails.
    pub on_error: FailMode,
    /// What it is there for.
    pub role: Role,
}

impl Report {
    /// The operations that anyone may call.
    pub fn open(&self) -> impl Iterator<Item = &OperationReport> {
        self.operations.iter().filter(|operation| !matches!(operation.access, Access::Credentials(_)))
    }
}

/// Compiles `policies` for the operations of `contract`.
///
/// `settings` is what the host's own configuration says; the fields and parameters that carry credentials are
/// added to it. The ring of `credentials` is shared: a new one counts at once. `state` outlives the engine.
///
/// # Errors
/// All that is wrong, each at its place in the configuration. Among them: an operation that is open although
/// nobody said so (unless there is no configuration file), and a policy that is about no operation.
pub fn compile(
    contract: Option<Arc<Contract>>,
    policies: &Policies,
    settings: Settings,
    credentials: impl Into<Credentials>,
    state: Arc<State>,
) -> Result<Compiled, Vec<CompileError>> {
    compile_behind(&Vec::new, contract, policies, settings, credentials.into(), state)
}

/// As [`compile`], with the guards of `first` before those of each operation.
pub(crate) fn compile_behind(
    first: &dyn Fn() -> Vec<Planned>,
    contract: Option<Arc<Contract>>,
    policies: &Policies,
    mut settings: Settings,
    credentials: Credentials,
    state: Arc<State>,
) -> Result<Compiled, Vec<CompileError>> {
    let tokens = Tokens::of(&policies.issuers, contract.as_deref(), policies.zero_config, &credentials)?;
    let mut run = Run {
        first,
        contract: contract.as_ref(),
        policies,
        keys: &credentials.keys,
        tokens: &tokens,
        rings: &credentials.data,
        shared: Shared::default(),
        sections: HashMap::new(),
        errors: policies.idle(contract.as_deref()),
    };
    let operations = contract.as_ref().map_or(&[][..], |contract| contract.operations());
    let mut plans = Vec::with_capacity(operations.len());
    let mut reports = Vec::with_capacity(operations.len());
    for (index, operation) in operations.iter().enumerate() {
        run.shared.cross_origin_draft.borrow_mut().push(None);
        run.shared.sealed_draft.borrow_mut().push(None);
        run.shared.held.set(Held::default());
        let prepared = run.prepare(Some(operation));
        let label = operation.label();
        let guards = run.guards(Some((index, operation)), &prepared, &label);
        let id: Arc<str> = operation.id.as_deref().unwrap_or(&label).into();
        let info = OperationInfo {
            id: id.clone(),
            method: Method::from_bytes(operation.method.as_str().as_bytes()).unwrap_or_default(),
            template: (&*operation.path).into(),
            websocket: prepared.effective.websocket,
        };
        let (method, template) = (info.method.clone(), info.template.clone());
        let plan = prepared.plan(Some(info), guards);
        reports.push(OperationReport {
            id,
            method,
            template,
            // Without the guard, the configuration opened it.
            access: run.shared.access.take().unwrap_or(Access::OpenByPolicy),
            demands: match &operation.security {
                Security::AnyOf(any) => !any.is_empty() && any.iter().all(|needed| !needed.all_of.is_empty()),
                Security::Absent => false,
            },
            guards: describe(&plan),
            unenforced: operation.unenforced.iter().map(ToString::to_string).collect(),
        });
        plans.push(plan);
    }
    let prepared = run.prepare(None);
    let guards = run.guards(None, &prepared, "requests that match no operation");
    let unmatched = prepared.plan(None, guards);
    settings.websocket_unmatched |= prepared.effective.websocket;
    let Run { shared, mut errors, .. } = run;
    errors.extend(silence(&shared.silent.borrow()));
    errors.extend(shared.missing());
    if !errors.is_empty() {
        return Err(errors);
    }
    // Nobody else has a hand on it while this function runs.
    let _ = shared.cross_origin.set(shared.cross_origin_draft.into_inner());
    let _ = shared.sealed.set(shared.sealed_draft.into_inner());
    for name in shared.protected.into_inner() {
        if !settings.protected_fields.contains(&name) {
            settings.protected_fields.push(name);
        }
    }
    settings.secret_parameters.extend(shared.secret_parameters.into_inner());
    let report = Report {
        operations: reports,
        unmatched: describe(&unmatched),
        warnings: shared.warnings.into_inner().into_iter().collect(),
    };
    let mut builder = Engine::builder(state).settings(settings).unmatched(unmatched);
    if let Some(contract) = contract {
        builder = builder.routes(ContractRoutes(contract), plans);
    }
    Ok(Compiled { engine: builder.build(), report, tokens })
}

struct Run<'a> {
    first: &'a dyn Fn() -> Vec<Planned>,
    contract: Option<&'a Arc<Contract>>,
    policies: &'a Policies,
    keys: &'a KeyRingHandle,
    tokens: &'a Arc<Tokens>,
    rings: &'a DataRings,
    shared: Shared,
    /// Sections read once for all operations to which the same policies apply.
    sections: HashMap<(bool, Vec<usize>), Rc<Prepared>>,
    errors: Vec<CompileError>,
}

struct Prepared {
    effective: Effective,
    /// One for each entry of the registry; `None` where the guard is off or its section could not be read.
    configs: Vec<Option<Box<dyn Any>>>,
}

impl Prepared {
    fn plan(&self, operation: Option<OperationInfo>, guards: Vec<Planned>) -> Plan {
        let plan = Plan::new(operation, self.effective.bounds, guards);
        if self.effective.mode == Mode::Monitor { plan.watch_upgrades() } else { plan }
    }
}

impl Run<'_> {
    fn prepare(&mut self, operation: Option<&Operation>) -> Rc<Prepared> {
        let applying = (operation.is_some(), self.policies.applying(operation));
        if let Some(prepared) = self.sections.get(&applying) {
            return Rc::clone(prepared);
        }
        let effective = self.policies.effective(operation);
        let mut configs = Vec::with_capacity(REGISTRY.len());
        for (entry, section) in REGISTRY.iter().zip(&effective.sections) {
            configs.push(match section.off {
                true => None,
                false => section.parse(entry).map_err(|error| self.error(error)).ok(),
            });
        }
        let prepared = Rc::new(Prepared { effective, configs });
        self.sections.insert(applying, Rc::clone(&prepared));
        prepared
    }

    fn error(&mut self, error: CompileError) {
        // One slip in a section that holds for many operations is one error.
        if !self.errors.contains(&error) {
            self.errors.push(error);
        }
    }

    fn guards(
        &mut self,
        operation: Option<(usize, &Operation)>,
        prepared: &Prepared,
        label: &str,
    ) -> Vec<Planned> {
        let mut planned = (self.first)();
        for ((entry, section), config) in
            REGISTRY.iter().zip(&prepared.effective.sections).zip(&prepared.configs)
        {
            let Some(config) = config else { continue };
            let cx = CompileCx {
                contract: self.contract,
                operation,
                public: prepared.effective.public,
                zero_config: self.policies.zero_config,
                keys: self.keys,
                tokens: self.tokens,
                rings: self.rings,
                mode: section.mode,
                bounds: prepared.effective.bounds,
                section,
                shared: &self.shared,
                label,
            };
            match (entry.compile)(&**config, &cx) {
                Ok(parts) => planned.extend(parts.into_iter().map(|part| Planned {
                    name: entry.name,
                    stage: part.stage,
                    mode: if part.monitor { Mode::Monitor } else { section.mode },
                    on_error: section.on_error,
                    guard: part.guard,
                })),
                Err(fault) => {
                    let pointer = section.place(&fault.pointer);
                    self.error(CompileError::new(pointer, fault.message));
                }
            }
        }
        planned
    }
}

fn describe(plan: &Plan) -> Vec<GuardReport> {
    let report = |planned: &Planned| GuardReport {
        name: planned.name,
        stage: planned.stage,
        mode: planned.mode,
        on_error: planned.on_error,
        role: planned.guard.role(),
    };
    plan.guards().iter().map(report).collect()
}

/// The error of operations about which nobody said who may call them.
fn silence(labels: &[String]) -> Option<CompileError> {
    let shown = labels.get(..labels.len().min(8)).unwrap_or_default();
    if shown.is_empty() {
        return None;
    }
    let more = match labels.len() - shown.len() {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let message = format!(
        "nothing says who may call `{}`{more}: add `security` to the contract, name a header under \
         `authenticate` (`api_key`, or `app_id` and `app_key`), or say `public: true` in a policy",
        shown.join("`, `")
    );
    Some(CompileError::new("/authenticate", message))
}
