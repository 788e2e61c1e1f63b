//! Detectors: from exchanges, one after the other, to incidents. Pure: they know no clock but the moments of the
//! exchanges, so that what happened last week gives the same incidents when its log is read again.

mod spike;

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

pub use spike::{SpikeConfig, Spikes};

/// What a detector is told of an exchange.
#[derive(Debug, Clone, Copy)]
pub struct Seen<'a> {
    /// When its head was read: nanoseconds since the Unix epoch.
    pub at: u64,
    /// The client.
    pub client: IpAddr,
    /// The consumer, where one was proved.
    pub consumer: Option<&'a str>,
    /// The contract's name of the operation.
    pub operation: Option<&'a str>,
    /// The status that the client got.
    pub status: u16,
}

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(tag = "kind", content = "name", rename_all = "kebab-case")]
pub enum Subject {
    /// A client: an IPv4 address, or an IPv6 /64.
    Client(IpAddr),
    /// A consumer.
    Consumer(String),
    /// An operation, whoever calls.
    Operation(String),
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Subject::Client(address) => write!(f, "client {address}"),
            Subject::Consumer(name) => write!(f, "consumer {name}"),
            Subject::Operation(name) => write!(f, "operation {name}"),
        }
    }
}

/// Something that happens and that somebody should know of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Incident {
    /// Names it; the same for the same exchanges.
    pub id: String,
    /// The detector: `refusal-spike`.
    pub detector: String,
    /// What it is about.
    pub subject: Subject,
    /// When the first exchange of it began: nanoseconds since the Unix epoch.
    pub began: u64,
    /// When the last one did.
    pub last: u64,
    /// Whether it is over.
    pub over: bool,
    /// Refusals that belong to it.
    pub refusals: u64,
    /// Of them, with status 401.
    pub unauthorized: u64,
    /// The most within one minute.
    pub peak: u64,
    /// How many a minute are usual there.
    pub usual: f64,
    /// What happened, in a sentence.
    pub summary: String,
}
