//! What readers ask for.

use std::str::FromStr;

use ipnet::IpNet;
use portcullis_engine::ExchangeId;

use super::event::EventDecision;
use super::frame::View;

/// Which events to read. Everything that is set must hold; the default is everything, oldest first.
#[derive(Debug, Clone, Default)]
pub struct Query {
    /// Exchanges that began at this moment or later: nanoseconds since the Unix epoch.
    pub since: Option<u64>,
    /// Exchanges that began before this moment.
    pub until: Option<u64>,
    /// The consumer's name.
    pub consumer: Option<String>,
    /// The credential's public identifier.
    pub credential: Option<String>,
    /// The operation's name.
    pub operation: Option<String>,
    /// The method, in upper case.
    pub method: Option<String>,
    /// What the path begins with.
    pub path: Option<String>,
    /// The status that the client got.
    pub status: Option<StatusRange>,
    /// What was decided.
    pub decision: Option<EventDecision>,
    /// The code of the refusal, or of any finding.
    pub code: Option<String>,
    /// The guard that refused or answered, or that has a finding.
    pub guard: Option<String>,
    /// The client's network; one address is a network too.
    pub client: Option<IpNet>,
    /// The exchange's name.
    pub reference: Option<ExchangeId>,
    /// At most so many events.
    pub limit: Option<usize>,
    /// Which come first.
    pub order: Order,
}

/// Which events come first, by the moment when the exchange ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Order {
    /// As they were written.
    #[default]
    OldestFirst,
    /// The last first.
    NewestFirst,
}

/// Statuses: `404`, `4xx` or `400-403`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusRange {
    /// The lowest.
    pub from: u16,
    /// The highest.
    pub to: u16,
}

/// A part of a query could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum QueryError {
    /// No statuses.
    #[error("`{0}` names no statuses: expected one like `404`, a class like `4xx` or a range like `400-403`")]
    Status(String),
    /// No decision.
    #[error("`{0}` is no decision: expected `permitted`, `refused`, `withheld` or `answered`")]
    Decision(String),
}

impl FromStr for StatusRange {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        let number = |part: &str| {
            let digits = part.len() == 3 && part.bytes().all(|b| b.is_ascii_digit());
            part.parse::<u16>().ok().filter(|n| digits && (100..1000).contains(n))
        };
        let range = if let Some(class) = text.strip_suffix("xx").or_else(|| text.strip_suffix("XX")) {
            let class = class.parse::<u16>().ok().filter(|c| class.len() == 1 && (1..=9).contains(c));
            class.map(|class| StatusRange { from: class * 100, to: class * 100 + 99 })
        } else if let Some((from, to)) = text.split_once('-') {
            number(from).zip(number(to)).map(|(from, to)| StatusRange { from, to })
        } else {
            number(text).map(|status| StatusRange { from: status, to: status })
        };
        range.filter(|r| r.from <= r.to).ok_or_else(|| QueryError::Status(text.to_owned()))
    }
}

impl FromStr for EventDecision {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        use EventDecision::{Answered, Permitted, Refused, Withheld};
        [Permitted, Refused, Withheld, Answered]
            .into_iter()
            .find(|decision| decision.word() == text)
            .ok_or_else(|| QueryError::Decision(text.to_owned()))
    }
}

impl Query {
    /// Whether an event is asked for; order and limit aside.
    pub(super) fn matches(&self, view: &View<'_>) -> bool {
        let is = |wanted: &Option<String>, field: Option<&[u8]>| match wanted {
            Some(wanted) => field == Some(wanted.as_bytes()),
            None => true,
        };
        self.since.is_none_or(|since| view.began >= since)
            && self.until.is_none_or(|until| view.began < until)
            && self.status.is_none_or(|range| (range.from..=range.to).contains(&view.status))
            && self.decision.is_none_or(|decision| decision == view.decision)
            && self.reference.is_none_or(|reference| reference == view.id)
            && self.client.is_none_or(|network| network.contains(&view.client))
            && self.path.as_ref().is_none_or(|prefix| view.path.starts_with(prefix.as_bytes()))
            && is(&self.consumer, view.consumer)
            && is(&self.credential, view.credential)
            && is(&self.operation, view.operation)
            && is(&self.method, Some(view.method))
            && self.in_findings(&self.code, view.code, view, |finding| finding.code)
            && self.in_findings(&self.guard, view.guard, view, |finding| finding.guard)
    }

    fn in_findings<'a>(
        &self,
        wanted: &Option<String>,
        own: Option<&[u8]>,
        view: &View<'a>,
        of: impl Fn(&super::frame::FindingView<'a>) -> &'a [u8],
    ) -> bool {
        let Some(wanted) = wanted else { return true };
        own == Some(wanted.as_bytes()) || view.findings().any(|finding| of(&finding) == wanted.as_bytes())
    }
}
