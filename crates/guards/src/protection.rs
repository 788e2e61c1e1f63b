//! What a protection is: a name, a page, a configuration, and the guards it makes of them.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::sync::Arc;

use http::header::HeaderName;
use portcullis_engine::{Bounds, Code, FailMode, Guard, Mode, Stage};
use portcullis_identity::KeyRingHandle;
use portcullis_openapi::{Contract, Operation};
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::authenticate::Tokens;
use crate::compile::Access;
use crate::config::{self, CompileError};
use crate::cors;
use crate::data_keys::DataRings;
use crate::inspect::Held;
use crate::seal;

/// One protection: implemented by a unit struct in a file of its own, and listed in [`crate::REGISTRY`].
pub trait Protection: 'static {
    /// Its name: configuration key, metric label, page.
    const NAME: &'static str;
    /// The codes with which its guards refuse or find.
    const CODES: &'static [&'static Code];
    /// Its section of the configuration, without `mode` and `on_error`, which every section has. Every field
    /// has a default: a section of a policy says only what differs.
    type Config: DeserializeOwned + JsonSchema + Default + 'static;

    /// The guards for one operation, or for requests that match none (`cx.operation` is `None`). No guard is
    /// made where there is nothing to do.
    ///
    /// # Errors
    /// If the configuration cannot be enforced here.
    fn compile(config: &Self::Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault>;
}

/// A guard, and when it runs.
#[derive(Debug)]
pub struct Part {
    /// When it runs.
    pub stage: Stage,
    /// Whether it only watches, whatever the section's mode: all of its switches are set to monitor.
    pub monitor: bool,
    /// The guard.
    pub guard: Box<dyn Guard>,
}

impl Part {
    /// `guard` in `stage`, in the section's mode.
    pub fn new(stage: Stage, guard: impl Guard + 'static) -> Part {
        Part { stage, monitor: false, guard: Box::new(guard) }
    }
}

/// What is wrong with a section, and where in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// A JSON pointer into the section (RFC 6901).
    pub pointer: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl Fault {
    /// A fault at `pointer` in the section.
    pub fn new(pointer: impl Into<String>, message: impl Into<String>) -> Fault {
        Fault { pointer: pointer.into(), message: message.into() }
    }
}

/// What is known when a guard is compiled.
#[derive(Debug)]
pub struct CompileCx<'a> {
    /// The contract.
    pub contract: Option<&'a Arc<Contract>>,
    /// The operation and its index in the contract; `None` for requests that match none.
    pub operation: Option<(usize, &'a Operation)>,
    /// Whether a policy says `public: true`.
    pub public: bool,
    /// Whether there is no configuration file: what a file would have to decide is taken the careful way that
    /// still starts, with a warning.
    pub zero_config: bool,
    /// The keys.
    pub keys: &'a KeyRingHandle,
    /// Who issues access tokens.
    pub tokens: &'a Arc<Tokens>,
    /// The keys for data.
    pub rings: &'a DataRings,
    /// The section's mode here.
    pub mode: Mode,
    /// How large and how complex bodies may be here.
    pub bounds: Bounds,
    pub(crate) section: &'a config::Section,
    pub(crate) shared: &'a Shared,
    pub(crate) label: &'a str,
}

impl CompileCx<'_> {
    /// Tells the operator something about this operation at start.
    pub fn warn(&self, message: impl Into<String>) {
        self.warn_once(format!("{}: {}", self.label, message.into()));
    }

    /// Tells the operator something that is not about one operation; said once however often it is found.
    pub fn warn_once(&self, message: impl Into<String>) {
        self.shared.warnings.borrow_mut().insert(message.into());
    }

    /// Says that the field `name` carries credentials or trusted facts: the engine refuses it when it stands
    /// twice or is imitated.
    pub fn protect_header(&self, name: &HeaderName) {
        let mut protected = self.shared.protected.borrow_mut();
        if !protected.contains(name) {
            protected.push(name.clone());
        }
    }

    /// Says that the query parameter `name` carries a secret: it never reaches a record.
    pub fn secret_parameter(&self, name: &str) {
        self.shared.secret_parameters.borrow_mut().insert(name.into());
    }

    /// Says that calls that the contract does not have are refused.
    pub(crate) fn refuse_unmatched(&self) {
        self.shared.refuses_unmatched.set(true);
    }

    /// Whether calls that the contract does not have are refused.
    pub(crate) fn refuses_unmatched(&self) -> bool {
        self.shared.refuses_unmatched.get()
    }

    /// Says who may call this operation.
    pub(crate) fn access(&self, access: Access) {
        if self.operation.is_some() {
            *self.shared.access.borrow_mut() = Some(access);
        }
    }

    /// Says that only those may call this operation that `credential` lets in, although the contract is silent.
    pub(crate) fn access_by(&self, credential: &str) {
        self.shared.silent.borrow_mut().retain(|label| label != self.label);
        let mut access = self.shared.access.borrow_mut();
        if !matches!(*access, Some(Access::Credentials(_))) {
            *access = Some(Access::Credentials(vec![credential.to_owned()]));
        }
    }

    /// Says what of this operation's calls the contract's checks hold to it.
    pub(crate) fn holds(&self, held: Held) {
        self.shared.held.set(held);
    }

    /// What of this operation's calls the contract's checks hold to it.
    pub(crate) fn held(&self) -> Held {
        self.shared.held.get()
    }

    /// Whether this section's guards let calls pass when they fail.
    pub(crate) fn fails_open(&self) -> bool {
        self.section.on_error == FailMode::Open
    }

    /// Says that nobody said who may call this operation.
    pub(crate) fn open_by_silence(&self) {
        self.shared.silent.borrow_mut().push(self.label.to_owned());
    }

    /// Says that calls of this operation provide the `kind` of thing named `name`, which others may ask for.
    pub(crate) fn provides(&self, kind: &'static str, name: &str) {
        self.shared.provided.borrow_mut().insert((kind, name.into()));
    }

    /// Says that `pointer` in the section asks for something that some operation has to provide.
    pub(crate) fn asks_for(&self, kind: &'static str, name: &str, pointer: &str) {
        let place = self.section.place(pointer);
        self.shared.asked_for.borrow_mut().push((kind, name.into(), place));
    }

    /// Which part of the configuration last set `key` of this section: the text of a policy's `match`, or the
    /// empty string for the section that holds for all. Names counters, so that they survive a reload.
    pub fn scope(&self, key: &str) -> &str {
        self.section.scope(key)
    }
}

/// What the guards of all operations leave at compile time for each other and for the engine.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    pub(crate) warnings: RefCell<BTreeSet<String>>,
    pub(crate) protected: RefCell<Vec<HeaderName>>,
    pub(crate) secret_parameters: RefCell<BTreeSet<Box<str>>>,
    /// Of the operation that is being compiled.
    pub(crate) held: Cell<Held>,
    /// Of the operation that is being compiled.
    pub(crate) access: RefCell<Option<Access>>,
    /// Calls that match no operation are refused.
    pub(crate) refuses_unmatched: Cell<bool>,
    /// Operations that nobody said anything about.
    pub(crate) silent: RefCell<Vec<String>>,
    /// Kinds and names of what some operation provides to others.
    pub(crate) provided: RefCell<BTreeSet<(&'static str, Box<str>)>>,
    /// Kinds and names of what is asked for, and where in the configuration.
    pub(crate) asked_for: RefCell<Vec<(&'static str, Box<str>, String)>>,
    /// By operation: who may ask from another origin. Complete once all operations are compiled.
    pub(crate) cross_origin: cors::Table,
    pub(crate) cross_origin_draft: RefCell<Vec<Option<Arc<cors::Policy>>>>,
    /// By operation: where identifiers stand in its URLs. Complete once all operations are compiled.
    pub(crate) sealed: seal::Table,
    pub(crate) sealed_draft: RefCell<Vec<Option<Arc<seal::InUrl>>>>,
}

impl Shared {
    /// What is asked for and not provided by any operation.
    pub(crate) fn missing(&self) -> Vec<CompileError> {
        let provided = self.provided.borrow();
        let mut errors: Vec<CompileError> = Vec::new();
        for (kind, name, place) in self.asked_for.borrow().iter() {
            if provided.contains(&(*kind, name.clone())) || errors.iter().any(|known| known.pointer == *place)
            {
                continue;
            }
            let known = provided.iter().filter(|(other, _)| other == kind).map(|(_, name)| &**name);
            errors.push(CompileError::new(place.clone(), config::unknown(kind, name, known)));
        }
        errors
    }

    /// Says who may call the operation `index` from another origin.
    pub(crate) fn cross_origin_of(&self, index: usize, policy: Option<Arc<cors::Policy>>) {
        if let Some(place) = self.cross_origin_draft.borrow_mut().get_mut(index) {
            *place = policy;
        }
    }

    /// Says where identifiers stand in the URLs of the operation `index`.
    pub(crate) fn sealed_in(&self, index: usize, places: seal::InUrl) {
        if let Some(place) = self.sealed_draft.borrow_mut().get_mut(index) {
            *place = Some(Arc::new(places));
        }
    }
}

type Compile = fn(&dyn Any, &CompileCx<'_>) -> Result<Vec<Part>, Fault>;

/// A line of the registry.
#[derive(Debug)]
pub struct Entry {
    /// The protection's name.
    pub name: &'static str,
    /// Its codes.
    pub codes: &'static [&'static Code],
    source: &'static str,
    pub(crate) parse: fn(&Value) -> Result<Box<dyn Any>, CompileError>,
    pub(crate) compile: Compile,
    schema: fn(&mut SchemaGenerator) -> Schema,
}

impl Entry {
    /// The line of `P`, whose file's text is `source`.
    pub const fn of<P: Protection>(source: &'static str) -> Entry {
        Entry {
            name: P::NAME,
            codes: P::CODES,
            source,
            parse: |value| config::parse::<P::Config>(value).map(|config| Box::new(config) as Box<dyn Any>),
            compile: |config, cx| match config.downcast_ref::<P::Config>() {
                Some(config) => P::compile(config, cx),
                None => Err(Fault::new("", "the section was read as another guard's")),
            },
            schema: |generator| generator.subschema_for::<P::Config>(),
        }
    }

    /// Its page for users, in Markdown.
    pub fn page(&self) -> String {
        page(self.source)
    }

    /// The JSON Schema of its section, `mode` and `on_error` included.
    pub fn schema(&self, generator: &mut SchemaGenerator) -> Schema {
        config::section_schema((self.schema)(generator), generator)
    }
}

/// The page for users at the beginning of a file, in Markdown.
pub(crate) fn page(source: &str) -> String {
    let mut page = String::new();
    for line in source.lines().map_while(|line| line.strip_prefix("//!")) {
        page.push_str(line.strip_prefix(' ').unwrap_or(line));
        page.push('\n');
    }
    page
}
