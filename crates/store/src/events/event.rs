//! Events in the form in which they are read.

use std::net::IpAddr;

use portcullis_engine::{CredentialKind, ExchangeId};
use serde::{Deserialize, Serialize};

/// What is kept of an exchange: `portcullis_engine::Record`, read back. Fields longer than the log keeps are cut
/// ([`Event::cut`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// When the request's head was read: nanoseconds since the Unix epoch, in JSON RFC 3339 in UTC.
    #[serde(with = "super::event::iso")]
    pub time: u64,
    /// Names the exchange; the `reference` of a refusal. In JSON 32 hex digits.
    #[serde(with = "super::event::reference")]
    pub reference: ExchangeId,
    /// The client's address.
    pub client: IpAddr,
    /// The method.
    pub method: String,
    /// The canonical path; escaped and cut where the request was refused for its form.
    pub path: String,
    /// The query, values of secret-looking parameters replaced by `***`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The authority that was asked for.
    pub authority: String,
    /// `HTTP/1.1`, `HTTP/2`.
    pub version: String,
    /// The contract's name of the operation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// The registered client.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// The credential's public identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
    /// What kind of credential it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_kind: Option<CredentialKind>,
    /// What was decided.
    pub decision: EventDecision,
    /// The code of a refusal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// The guard that refused or answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub guard: Option<String>,
    /// What exactly, for the operator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status that the client got.
    pub status: u16,
    /// How it ended on the wire.
    pub end: EventEnd,
    /// Nanoseconds from head to end.
    pub duration_ns: u64,
    /// Nanoseconds that the upstream took to its response head.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream_ns: Option<u64>,
    /// The upstream instance.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub upstream: Option<String>,
    /// Body bytes in.
    pub bytes_in: u64,
    /// Body bytes out.
    pub bytes_out: u64,
    /// The request's content type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content_type: Option<String>,
    /// The client's `User-Agent`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_agent: Option<String>,
    /// The trace (W3C Trace Context). In JSON 32 hex digits.
    #[serde(with = "super::event::hex")]
    pub trace: u128,
    /// What an error said before it was masked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub masked: Option<EventMasked>,
    /// All that guards saw, enforced or not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<EventFinding>,
    /// Whether a field was too long for the log and was cut, or findings were left out.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub cut: bool,
}

impl Event {
    /// When the exchange ended: nanoseconds since the Unix epoch. The order in which events are read.
    pub fn ended(&self) -> u64 {
        self.time.saturating_add(self.duration_ns)
    }
}

/// What was decided; see `portcullis_engine::Decision`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventDecision {
    /// It went to the upstream, and the answer to the client.
    Permitted,
    /// Nothing reached the upstream.
    Refused,
    /// The upstream got it, but its answer was withheld.
    Withheld,
    /// The gateway answered by itself.
    Answered,
}

impl EventDecision {
    /// The word that stands in logs and JSON.
    pub fn word(self) -> &'static str {
        match self {
            EventDecision::Permitted => "permitted",
            EventDecision::Refused => "refused",
            EventDecision::Withheld => "withheld",
            EventDecision::Answered => "answered",
        }
    }
}

/// How the exchange ended on the wire; see `portcullis_engine::End`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum EventEnd {
    /// The client was handed the whole answer.
    Complete,
    /// The client went away before.
    ClientGone,
    /// The upstream's answer broke off.
    UpstreamBroke,
    /// The gateway stopped it.
    Cut,
}

/// Something wrong that a guard saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventFinding {
    /// Its stable code.
    pub code: String,
    /// The guard that saw it.
    pub guard: String,
    /// What exactly, for the operator.
    pub reason: String,
    /// Whether the call was refused for it.
    pub enforced: bool,
}

/// What an upstream's error said before it was masked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventMasked {
    /// The upstream's status.
    pub status: u16,
    /// The start of its body.
    pub excerpt: String,
}

/// Nanoseconds since the Unix epoch, as RFC 3339 in UTC.
mod iso {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(super) fn serialize<S: Serializer>(ns: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        let moment =
            OffsetDateTime::from_unix_timestamp_nanos(i128::from(*ns)).map_err(ser::Error::custom)?;
        serializer.serialize_str(&moment.format(&Rfc3339).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        let moment = OffsetDateTime::parse(&text, &Rfc3339).map_err(de::Error::custom)?;
        u64::try_from(moment.unix_timestamp_nanos()).map_err(de::Error::custom)
    }
}

/// 128 bits as 32 hex digits.
mod hex {
    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(super) fn serialize<S: Serializer>(value: &u128, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{value:032x}"))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u128, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        u128::from_str_radix(&text, 16).map_err(de::Error::custom)
    }
}

mod reference {
    use portcullis_engine::ExchangeId;
    use serde::{Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(id: &ExchangeId, serializer: S) -> Result<S::Ok, S::Error> {
        super::hex::serialize(&id.0, serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ExchangeId, D::Error> {
        super::hex::deserialize(deserializer).map(ExchangeId)
    }
}
