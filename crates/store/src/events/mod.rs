//! The event log: one event for every exchange, in append-only checksummed segments.
//!
//! ```no_run
//! use portcullis_store::events::{EventLog, LogConfig, Order, Query, Reader};
//!
//! // The gateway: an `Observer`.
//! let log = EventLog::open(LogConfig::new("/var/lib/portcullis/events"))?;
//! assert!(log.healthy());
//!
//! // Anyone else, at the same time.
//! let query = Query { status: Some("4xx".parse()?), order: Order::NewestFirst, limit: Some(20), ..Query::default() };
//! for event in Reader::open("/var/lib/portcullis/events")?.query(&query)? {
//!     println!("{}", event?.reference);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is promised
//! - An event whose `observe` returned is found by readers, whatever happens to the process afterwards: it lies
//!   in a shared mapping of the file, which the kernel keeps. Power loss can cost what was written since the last
//!   sync ([`LogConfig::sync_every`]).
//! - Writing never blocks on a disk on purpose and never fails the call: what cannot be kept is counted
//!   ([`LogStats::lost`]) and [`EventLog::healthy`] turns false until it can be kept again.
//! - The folder never holds more than [`LogConfig::total_bytes`].
//!
//! # The format, version 1
//! A segment is one file, `<created, ms>-<chain, 16 hex digits>-<writer>-<sequence>.events`; a *chain* is one
//! opening of the log, and each of its writers fills segments one after the other. Numbers are little-endian.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `PCEVENTS` |
//! | 8 | 4 | version, 1 |
//! | 12 | 4 | length of this header, 128: where frames begin |
//! | 16 | 8 | created, nanoseconds since the Unix epoch |
//! | 24 | 8 | chain |
//! | 32 | 4 | writer |
//! | 36 | 4 | sequence |
//! | 40 | 4 | CRC-32 of bytes 0-39 |
//! | 48 | 4 | 1 once the segment is sealed: its owner is done with it |
//! | 52 | 4 | CRC-32 of bytes 56-103 |
//! | 56 | 8 | where frames end |
//! | 64 | 8 | events |
//! | 72 | 32 | earliest and latest beginning, earliest and latest end of an exchange |
//!
//! A frame begins at a multiple of 8: payload length (4 bytes, written last; zero where there is no frame yet),
//! CRC-32 of the payload seeded with its length (4), payload (`frame.rs`). A segment is allocated in full when
//! it is made and cut to its used length when it is sealed. Its owner holds a file lock on it; an unsealed segment
//! that nobody holds belonged to a process that died, and is sealed by the next one.

mod event;
mod frame;
mod housekeeping;
mod log;
mod merge;
mod query;
mod reader;
mod recording;
mod segment;

pub use event::{Event, EventDecision, EventEnd, EventFinding, EventMasked};
pub use log::{EventLog, LogConfig, LogError, LogStats};
pub use merge::{Damage, Events};
pub use query::{Order, Query, QueryError, StatusRange};
pub use reader::{Follower, ReadError, Reader, Start};

#[cfg(test)]
mod fixtures;
#[cfg(test)]
mod tests;
