//! From what was recorded to what it means: recordings and their replay through the engine; detectors and incidents.
//!
//! A [`Recording`] is a list of exchanges in the order in which they began, read from a HAR file
//! ([`Recording::from_har`]) or from an event log (the `store` crate makes it). [`replay`] feeds it to an
//! [`Engine`](portcullis_engine::Engine), each exchange at its recorded moment: what would this policy have done?
//! The same input gives the same report, on any machine, at any time.
//!
//! ```
//! use std::sync::Arc;
//! use portcullis_engine::{Engine, State};
//! use portcullis_watch::{HarLimits, Recording, ReplayOptions, replay};
//!
//! let har = br#"{"log": {"entries": [{"startedDateTime": "2026-01-15T09:00:00.000Z", "time": 3,
//!     "request": {"method": "GET", "url": "https://api.example.com//etc/passwd", "headers": []},
//!     "response": {"status": 200, "headers": [], "content": {"text": "root"}}}]}}"#;
//! let recording = Recording::from_har(har, &HarLimits::default()).unwrap();
//! // Counters of its own: a replay must neither see nor spend those of live traffic.
//! let engine = Engine::builder(Arc::new(State::default())).build();
//! let report = replay(&engine, recording, &ReplayOptions::default());
//! assert_eq!(report.now.refused, 1);
//! assert_eq!(report.codes[0].code, "path-ambiguous");
//! ```

mod base64;
mod detect;
mod har;
mod recording;
mod replay;
mod report;

pub use detect::{Incident, Seen, SpikeConfig, Spikes, Subject};
pub use har::{HarError, HarLimits};
pub use recording::{
    DecisionWord, Name, PastDecision, RecordedBody, RecordedExchange, RecordedResponse, Recording, Skipped,
    Source,
};
pub use replay::{Details, ReplayOptions, replay};
pub use report::{
    Change, Changes, CodeReport, ExchangeReport, FindingReport, NowDecision, OperationReport, Report, Tally,
};
