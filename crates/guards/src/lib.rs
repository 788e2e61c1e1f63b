//! One file per protection, and their registry.
//!
//! ```text
//! configuration ──▶ Policies ──compile(contract, policies, settings, keys, state)──▶ Compiled
//!                                                                                     ├ engine: Arc<Engine>
//!                                                                                     └ report: what guards what
//! ```
//!
//! A [`Protection`] is one file: its page for users is the module's doc comment, its configuration one struct,
//! its guards what `compile` makes of them for one operation. [`REGISTRY`] lists them in the order in which
//! guards of one stage run.
//!
//! ```
//! use std::sync::Arc;
//! use portcullis_engine::{Settings, State};
//! use portcullis_guards::{Policies, compile};
//! use portcullis_identity::{KeyRing, KeyRingHandle, Pepper};
//! use portcullis_openapi::{Contract, Options};
//!
//! let document = br#"{"openapi": "3.0.3", "info": {"title": "t", "version": "1"},
//!     "paths": {"/status": {"get": {"security": [], "responses": {"200": {"description": "ok"}}}}}}"#;
//! let contract = Arc::new(Contract::parse("openapi.json", document, &Options::default()).unwrap());
//! // From a configuration file: `Policies::from_value`, or serde. None: `Policies::zero_config()`.
//! let policies = Policies::from_value(&serde_json::json!({ "limit": { "baseline": { "rate": "50/s" } } })).unwrap();
//! let keys = KeyRingHandle::new(KeyRing::empty(Pepper::new([0; 32])));
//! let compiled = compile(Some(contract), &policies, Settings::default(), keys, Arc::new(State::default())).unwrap();
//! assert_eq!(compiled.report.open().count(), 1);
//!
//! // What is wrong is said at its place, with the nearest known word.
//! let errors = Policies::from_value(&serde_json::json!({ "limit": { "baseline": { "raet": "50/s" } } })).unwrap_err();
//! assert_eq!(errors[0].pointer, "/limit/baseline/raet");
//! assert!(errors[0].message.contains("did you mean `rate`?"), "{}", errors[0].message);
//! ```

mod authenticate;
mod authorize;
mod bots;
mod callers;
mod codes;
mod compile;
mod config;
mod cookies;
mod cors;
mod data_keys;
mod decide;
mod deprecated;
mod egress;
mod encrypt;
mod flow;
mod headers;
mod inspect;
mod limit;
mod mask;
mod media;
mod place;
mod policies;
mod properties;
mod protection;
mod provenance;
mod rewrite;
mod routes;
mod seal;
mod session;
mod ssrf;
#[cfg(test)]
mod testing;
mod text;
mod validate;
mod values;
mod who;

use portcullis_engine::Code;

pub use authenticate::{Credentials, IntrospectionConfig, IssuerConfig, Tokens};
pub use compile::{Access, Compiled, GuardReport, OperationReport, Report, compile};
pub use config::CompileError;
pub use data_keys::{DataRings, KeyPlace, KeySource, RingConfig};
pub use egress::{DestinationConfig, Egress, compile_egress};
pub use policies::{Day, GuardMode, Match, Patch, Policies};
pub use protection::{CompileCx, Entry, Fault, Part, Protection};

/// Every protection. Guards of one stage run in this order.
pub static REGISTRY: &[Entry] = &[
    Entry::of::<cors::Cors>(include_str!("cors.rs")),
    Entry::of::<bots::Bots>(include_str!("bots.rs")),
    Entry::of::<validate::Validate>(include_str!("validate.rs")),
    Entry::of::<limit::Limit>(include_str!("limit.rs")),
    Entry::of::<deprecated::Deprecated>(include_str!("deprecated.rs")),
    Entry::of::<authenticate::Authenticate>(include_str!("authenticate.rs")),
    Entry::of::<session::Session>(include_str!("session.rs")),
    Entry::of::<seal::Seal>(include_str!("seal.rs")),
    Entry::of::<authorize::Authorize>(include_str!("authorize.rs")),
    Entry::of::<properties::Properties>(include_str!("properties.rs")),
    Entry::of::<provenance::Provenance>(include_str!("provenance.rs")),
    Entry::of::<decide::Decide>(include_str!("decide.rs")),
    Entry::of::<flow::Flow>(include_str!("flow.rs")),
    Entry::of::<values::Values>(include_str!("values.rs")),
    Entry::of::<ssrf::Ssrf>(include_str!("ssrf.rs")),
    Entry::of::<inspect::Inspect>(include_str!("inspect.rs")),
    Entry::of::<encrypt::Encrypt>(include_str!("encrypt.rs")),
    Entry::of::<mask::Mask>(include_str!("mask.rs")),
    Entry::of::<cookies::Cookies>(include_str!("cookies.rs")),
    Entry::of::<headers::Headers>(include_str!("headers.rs")),
];

/// The codes of all guards; those of the engine and its hosts are in [`portcullis_engine::code::CODES`].
pub fn codes() -> impl Iterator<Item = &'static Code> {
    REGISTRY.iter().flat_map(|entry| entry.codes).chain(egress::CODES).copied()
}

/// The pages for users: each protection's name, its page in Markdown and its codes, in the registry's order; last that
/// of the guard that a forward proxy has.
pub fn docs() -> impl Iterator<Item = (&'static str, String, &'static [&'static Code])> {
    let egress = (egress::NAME, protection::page(include_str!("egress.rs")), egress::CODES);
    REGISTRY.iter().map(|entry| (entry.name, entry.page(), entry.codes)).chain([egress])
}

#[cfg(test)]
mod tests;
