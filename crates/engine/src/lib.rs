//! The policy engine of Portcullis: it decides every exchange and says why.
//!
//! The engine is **sans-I/O**: a host (the built-in proxy, Envoy, replay) feeds it what it saw, the engine
//! answers what to do. It never waits, reads a socket or looks at a clock; time and randomness are handed in.
//! That is why the proxy, the mesh and replay give the same answer.
//!
//! ```text
//! host                                   engine
//!  head read  ── Engine::begin ───────▶  normalise, route           -> Inspection
//!             ── request_head ────────▶  guards, in stage order     -> Step::{Forward, NeedBody, Reply}
//!  body read  ── request_body ────────▶  decode, parse once, guards -> Step::{Forward, Reply}
//!  (forward; the upstream takes a Permit, which only the engine makes)
//!  head read  ── response_head ───────▶  guards                     -> ResponseStep
//!  body read  ── response_body ───────▶  guards                     -> ResponseStep
//!  done       ── finish ──────────────▶  the Record
//! ```
//!
//! Any of these may answer `Lookup` first: the host asks outside, and goes on with [`Inspection::resolve`] or
//! [`Inspection::resolve_response`].
//!
//! A host that got [`Step::Reply`] or [`ResponseStep::Reply`] sends that reply and calls
//! [`Inspection::finish`]; one whose upstream failed asks [`Inspection::upstream_failed`] for the reply.

pub mod body;
pub mod canonical;
mod client;
pub mod code;
mod denial;
mod engine;
mod facts;
mod fields;
mod guard;
mod head;
mod headers;
mod inspection;
mod lookup;
pub mod memory;
mod normalise;
mod plan;
mod record;
mod routes;
mod run;
pub mod state;
mod units;

pub use body::{Body, Bounds, MediaType};
pub use client::{TrustedHops, one_client};
pub use code::{Code, Owasp, Severity};
pub use denial::{Denial, LocalReply, ProblemError};
pub use engine::{Destinations, Engine, EngineBuilder, EngineHandle, EngineRef, EngineWatch, Settings};
pub use facts::{Claims, CredentialKind, Facts, Principal};
pub use fields::{FieldName, Fields};
pub use guard::{BodyNeed, Cx, Finding, Guard, GuardError, Hooks, Role, Stage, Verdict};
pub use head::{
    BodyLength, ClientCertificate, Connection, ExchangeId, Now, Origin, Request, RequestHead, ResponseHead,
    Scheme,
};
pub use headers::ForwardedHeaders;
pub use inspection::{ForwardBody, Inspection, Permit, Recorded, ResponseStep, Step, UpstreamFailure};
pub use lookup::{Answer, Destination, Lookup, LookupFailure, LookupResult, MOST_LOOKUPS, UpstreamRead};
pub use normalise::looks_secret;
pub use plan::{FailMode, Mode, OperationInfo, Plan, Planned};
pub use record::{Decision, End, Masked, Observer, Outcome, Record};
pub use routes::{NoRoutes, PathParams, Routed, Routes};
pub use state::State;
pub use units::{Period, Size, UnitError};
