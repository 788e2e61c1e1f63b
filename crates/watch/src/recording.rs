//! Recorded exchanges, wherever they come from.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::StatusCode;
use portcullis_engine::{Decision, ExchangeId, Fields, RequestHead, Scheme};
use serde::{Deserialize, Serialize};

/// Where a recording comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A HAR file: whole heads, and bodies where the recorder kept them.
    Har,
    /// An event log: who asked for what, and what was decided; no fields, no bodies.
    EventLog,
}

/// How a person finds an exchange again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Name {
    /// Index of the HAR file's entry, from 0.
    Entry(usize),
    /// The event's reference.
    #[serde(with = "reference")]
    Reference(ExchangeId),
}

/// Exchanges, in the order in which they began.
#[derive(Debug, Clone)]
pub struct Recording {
    pub(crate) source: Source,
    pub(crate) exchanges: Vec<RecordedExchange>,
    pub(crate) skipped: Vec<Skipped>,
}

/// One exchange.
#[derive(Debug, Clone)]
pub struct RecordedExchange {
    /// How a person finds it again.
    pub name: Name,
    /// Names it in the replay.
    pub id: ExchangeId,
    /// When its head was read: nanoseconds since the Unix epoch.
    pub began: u64,
    /// Nanoseconds until its end.
    pub duration: u64,
    /// The request's head.
    pub head: RequestHead,
    /// Whether the head has all of its fields; otherwise only those that a record keeps.
    pub fields: bool,
    /// Whether values in the target were replaced because they look secret.
    pub redacted: bool,
    /// How it was reached.
    pub scheme: Scheme,
    /// The client, where it is known.
    pub client: Option<IpAddr>,
    /// The public identifier of the credential that was proved then.
    pub credential: Option<Arc<str>>,
    /// The request's body.
    pub body: RecordedBody,
    /// What the upstream answered, where it is known.
    pub response: Option<RecordedResponse>,
    /// What was decided then, where it is known.
    pub past: Option<PastDecision>,
}

/// A body, as far as it was recorded. Content encodings are undone already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecordedBody {
    /// There was none.
    None,
    /// There was one, but it was not kept, or not whole.
    Missing,
    /// All of it.
    Whole(Bytes),
}

/// What the upstream answered.
#[derive(Debug, Clone)]
pub struct RecordedResponse {
    /// The status.
    pub status: StatusCode,
    /// The fields.
    pub headers: Fields,
    /// The body.
    pub body: RecordedBody,
}

/// What was decided when it was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PastDecision {
    /// What.
    pub decision: DecisionWord,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The guard that refused or answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// The status that the client got.
    pub status: u16,
}

/// A decision in one word; see [`Decision`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DecisionWord {
    /// It went to the upstream, and the answer to the client.
    Permitted,
    /// Nothing reached the upstream.
    Refused,
    /// The upstream got it, but its answer was withheld.
    Withheld,
    /// The gateway answered by itself.
    Answered,
    /// The recording does not hold what a guard would have had to see.
    Undecided,
}

impl From<&Decision> for DecisionWord {
    fn from(decision: &Decision) -> Self {
        match decision {
            Decision::Permitted => DecisionWord::Permitted,
            Decision::Refused { .. } => DecisionWord::Refused,
            Decision::Withheld { .. } => DecisionWord::Withheld,
            Decision::Answered { .. } => DecisionWord::Answered,
        }
    }
}

/// An entry that cannot be replayed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// Which.
    pub name: Name,
    /// Why.
    pub reason: String,
}

impl Recording {
    /// A recording of `exchanges`, which it sorts by their beginning.
    pub fn new(source: Source, mut exchanges: Vec<RecordedExchange>, skipped: Vec<Skipped>) -> Recording {
        exchanges.sort_by_key(|exchange| exchange.began);
        Recording { source, exchanges, skipped }
    }

    /// Where it comes from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// The exchanges, in the order in which they began.
    pub fn exchanges(&self) -> &[RecordedExchange] {
        &self.exchanges
    }

    /// What cannot be replayed, and why.
    pub fn skipped(&self) -> &[Skipped] {
        &self.skipped
    }

    /// How many exchanges each authority has. A browser's recording holds those of strangers too. Those that name
    /// none, or whose refusal came before it was read, are left out.
    pub fn authorities(&self) -> BTreeMap<String, usize> {
        let mut counts = BTreeMap::new();
        for exchange in self.exchanges.iter().filter(|exchange| !exchange.authority().is_empty()) {
            *counts.entry(exchange.authority()).or_insert(0) += 1;
        }
        counts
    }

    /// Keeps the exchanges whose authority (host, with its port where one stands there) is among `authorities`, and
    /// those that name none.
    pub fn retain_authorities(&mut self, authorities: &[impl AsRef<str>]) {
        self.exchanges.retain(|exchange| {
            let own = exchange.authority();
            own.is_empty()
                || authorities.iter().any(|authority| authority.as_ref().eq_ignore_ascii_case(&own))
        });
    }
}

impl RecordedExchange {
    /// The authority that was asked for, in lower case; empty where none was.
    pub fn authority(&self) -> String {
        let host = || self.head.headers.get(http::header::HOST).map(|value| value.as_bytes());
        let bytes = self.head.authority.as_deref().or_else(host).unwrap_or_default();
        String::from_utf8_lossy(bytes).to_ascii_lowercase()
    }
}

mod reference {
    use portcullis_engine::ExchangeId;
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(id: &ExchangeId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExchangeId, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map(ExchangeId).map_err(de::Error::custom)
    }
}
