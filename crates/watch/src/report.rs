//! What a replay found.

use std::net::IpAddr;

use portcullis_engine::{Owasp, Severity};
use serde::{Deserialize, Serialize};

use crate::recording::{DecisionWord, Name, PastDecision, Skipped, Source};

/// What a policy would have done with a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Where the recording comes from.
    pub source: Source,
    /// Exchanges that were replayed.
    pub exchanges: u64,
    /// The beginning of the first one, and of the last: nanoseconds since the Unix epoch.
    pub span: Option<(u64, u64)>,
    /// What would be decided now.
    pub now: Tally,
    /// What was decided then, where the recording knows.
    pub then: Tally,
    /// What changes.
    pub changes: Changes,
    /// By operation, the most changed and most refused first.
    pub operations: Vec<OperationReport>,
    /// By code, the most frequent first.
    pub codes: Vec<CodeReport>,
    /// Single exchanges, as [`Details`](crate::Details) asked for, in the order of the recording.
    pub details: Vec<ExchangeReport>,
    /// Whether there are more single exchanges than are listed.
    pub details_cut: bool,
    /// What could not be replayed.
    pub skipped: Vec<Skipped>,
}

/// How many of each decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Tally {
    /// Went through.
    pub permitted: u64,
    /// Refused on the way in.
    pub refused: u64,
    /// The answer was withheld.
    pub withheld: u64,
    /// Answered by the gateway.
    pub answered: u64,
    /// The recording does not hold enough to say.
    pub undecided: u64,
}

impl Tally {
    pub(crate) fn count(&mut self, decision: DecisionWord) {
        *match decision {
            DecisionWord::Permitted => &mut self.permitted,
            DecisionWord::Refused => &mut self.refused,
            DecisionWord::Withheld => &mut self.withheld,
            DecisionWord::Answered => &mut self.answered,
            DecisionWord::Undecided => &mut self.undecided,
        } += 1;
    }
}

/// How many exchanges change, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Changes {
    /// Decided as then.
    pub same: u64,
    /// Went through then, would be stopped now.
    pub newly_stopped: u64,
    /// Was stopped then, would go through now.
    pub newly_passed: u64,
    /// Stopped both times, by another guard or for another reason.
    pub otherwise: u64,
    /// Cannot be said.
    pub undecided: u64,
}

/// What became of one exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Decided as then.
    Same,
    /// Went through then, would be stopped now.
    NewlyStopped,
    /// Was stopped then, would go through now.
    NewlyPassed,
    /// Stopped both times, by another guard or for another reason.
    Otherwise,
    /// Cannot be said.
    Undecided,
}

impl Changes {
    pub(crate) fn count(&mut self, change: Change) {
        *match change {
            Change::Same => &mut self.same,
            Change::NewlyStopped => &mut self.newly_stopped,
            Change::NewlyPassed => &mut self.newly_passed,
            Change::Otherwise => &mut self.otherwise,
            Change::Undecided => &mut self.undecided,
        } += 1;
    }
}

/// One operation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct OperationReport {
    /// Its name in the contract; `None` stands for calls that match no operation.
    pub operation: Option<String>,
    /// What would be decided now.
    pub now: Tally,
    /// What changes.
    pub changes: Changes,
    /// Codes of refusals and findings, with their number.
    pub codes: Vec<(String, u64)>,
}

/// One code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CodeReport {
    /// Its name; `portcullis explain` tells the rest.
    pub code: String,
    /// What it means, in a few words.
    pub title: String,
    /// The OWASP category.
    pub owasp: Owasp,
    /// How bad.
    pub severity: Severity,
    /// Exchanges that would be stopped for it.
    pub enforced: u64,
    /// Exchanges in which it was seen, but not enforced.
    pub monitored: u64,
    /// A reason, as an example.
    pub reason: String,
    /// The exchange of that reason.
    pub example: Name,
}

/// One exchange.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ExchangeReport {
    /// How to find it again.
    pub name: Name,
    /// When it began: nanoseconds since the Unix epoch.
    pub time: u64,
    /// The client that it was replayed as coming from.
    pub client: IpAddr,
    /// The method.
    pub method: String,
    /// The canonical path.
    pub path: String,
    /// The query, values of secret-looking parameters replaced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// The operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Who called.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub consumer: Option<String>,
    /// What would be decided now.
    pub now: NowDecision,
    /// What was decided then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub then: Option<PastDecision>,
    /// The difference.
    pub change: Change,
    /// What the recording does not hold although a guard asked for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing: Option<&'static str>,
    /// All that guards saw.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub findings: Vec<FindingReport>,
}

/// A decision of the replay.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NowDecision {
    /// What.
    pub decision: DecisionWord,
    /// The code of a refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// The guard that refused or answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub guard: Option<&'static str>,
    /// What exactly, for the operator.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// The status that the client would get, where it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
}

/// Something wrong that a guard saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FindingReport {
    /// Its stable code.
    pub code: &'static str,
    /// The guard that saw it.
    pub guard: &'static str,
    /// What exactly, for the operator.
    pub reason: String,
    /// Whether the call was refused for it.
    pub enforced: bool,
}
