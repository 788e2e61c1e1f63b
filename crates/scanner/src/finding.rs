//! What was found, and the proof of it.

use std::net::SocketAddr;

use portcullis_engine::{Owasp, Severity};

use crate::http::Exchange;
use crate::pool::{last_name, leaves};
use crate::reproduce::Reproduction;

/// What kind of weakness a finding is. One `static` each, beside the check that raises it.
#[derive(Debug, PartialEq, Eq)]
pub struct Kind {
    /// Lower-case words joined by hyphens; never renamed.
    pub code: &'static str,
    /// What is wrong, in a few words.
    pub title: &'static str,
    /// The OWASP category.
    pub owasp: Owasp,
    /// The Common Weakness Enumeration's number.
    pub cwe: u16,
    /// How bad.
    pub severity: Severity,
    /// How to mend it in the API.
    pub fix: &'static str,
    /// How the gateway keeps it from being used until then.
    pub block: &'static str,
}

/// How sure a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Confidence {
    /// Something looks wrong; a person has to say.
    Suspected,
    /// The evidence points there, and an innocent reading exists.
    Likely,
    /// Proved: the exchanges show it and a control rules the innocent readings out.
    Confirmed,
}

impl Confidence {
    /// `confirmed`, `likely` or `suspected`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Suspected => "suspected",
            Self::Likely => "likely",
            Self::Confirmed => "confirmed",
        }
    }
}

/// Something wrong with the API, and the proof.
#[derive(Debug, Clone)]
pub struct Finding {
    /// What kind of weakness.
    pub kind: &'static Kind,
    /// How sure.
    pub confidence: Confidence,
    /// `METHOD /path/{template}`, or empty for the API as a whole.
    pub operation: String,
    /// The parameter or member that carries it, if one does: `query q`, `body /items/0/quantity`.
    pub parameter: Option<String>,
    /// What happened, in one sentence.
    pub summary: String,
    /// What an API without the weakness would have done.
    pub expected: String,
    /// Why the exchanges prove it.
    pub proof: String,
    /// The exchanges in order, secrets left in: who writes them out masks them.
    pub evidence: Vec<Exchange>,
    /// How it is repeated; empty as long as nobody asked.
    pub recipe: Reproduction,
    /// Whether the last answer alone tells, and the others are there to compare with.
    last_tells: bool,
    /// What answers have to show, beside what every finding's do.
    pub(crate) signs: Vec<Sign>,
    /// Where the API expects its upstream, and for each exchange what that answers; nothing stands for silence.
    pub(crate) upstream: Option<(SocketAddr, Vec<Vec<u8>>)>,
}

/// What an answer shows when a finding is there, by the index of its call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sign {
    /// A status of this hundred.
    Status(usize, u16),
    /// A text in head or body.
    Has(usize, String),
    /// No such text.
    Lacks(usize, String),
    /// Bodies that differ, beside what always does.
    Differ(usize, usize),
    /// The first member of this name is not the same in both.
    Another(usize, usize, String),
    /// The first member of this name has the second of the call in it.
    Time(usize, String),
    /// The first takes so many times as long as the second.
    Slower(usize, usize, u32),
    /// A call-back arrived under this word.
    Called(String),
    /// Of a call that goes out several times at one moment, at least so many succeed.
    Together(usize, usize),
    /// Of the answer of the upstream behind it at least so many bytes were taken.
    Took(usize, usize),
    /// It takes more than so many seconds.
    Longer(usize, u64),
}

impl Sign {
    /// The text in it.
    pub(crate) fn text_mut(&mut self) -> Option<&mut String> {
        match self {
            Self::Has(_, text) | Self::Lacks(_, text) | Self::Called(text) => Some(text),
            _ => None,
        }
    }

    /// The same of calls that stand elsewhere.
    fn moved(&self, places: &[usize]) -> Option<Self> {
        let at = |index: &usize| places.get(*index).copied();
        Some(match self {
            Self::Status(index, class) => Self::Status(at(index)?, *class),
            Self::Has(index, text) => Self::Has(at(index)?, text.clone()),
            Self::Lacks(index, text) => Self::Lacks(at(index)?, text.clone()),
            Self::Differ(one, other) => Self::Differ(at(one)?, at(other)?),
            Self::Another(one, other, name) => Self::Another(at(one)?, at(other)?, name.clone()),
            Self::Time(index, name) => Self::Time(at(index)?, name.clone()),
            Self::Slower(one, other, times) => Self::Slower(at(one)?, at(other)?, *times),
            Self::Called(text) => Self::Called(text.clone()),
            Self::Together(index, least) => Self::Together(at(index)?, *least),
            Self::Took(index, bytes) => Self::Took(at(index)?, *bytes),
            Self::Longer(index, seconds) => Self::Longer(at(index)?, *seconds),
        })
    }
}

impl Finding {
    /// A finding of an operation (or, with an empty label, of the API) with its exchanges.
    pub(crate) fn new(
        kind: &'static Kind,
        confidence: Confidence,
        operation: impl Into<String>,
        evidence: &[&std::rc::Rc<Exchange>],
    ) -> Self {
        Self {
            kind,
            confidence,
            operation: operation.into(),
            parameter: None,
            summary: kind.title.to_owned(),
            expected: String::new(),
            proof: String::new(),
            evidence: evidence.iter().map(|exchange| exchange.as_ref().clone()).collect(),
            recipe: Reproduction::default(),
            last_tells: false,
            signs: Vec::new(),
            upstream: None,
        }
    }

    /// Says what an upstream answers behind each exchange.
    pub(crate) fn behind(mut self, address: SocketAddr, answers: Vec<Vec<u8>>) -> Self {
        self.upstream = Some((address, answers));
        self
    }

    /// Says that the last answer alone tells: what the others are depends on what else is there.
    pub(crate) fn last_tells(mut self) -> Self {
        self.last_tells = true;
        self
    }

    /// Says what an answer has to show for the finding to be there.
    pub(crate) fn shows(mut self, sign: Sign) -> Self {
        self.signs.push(sign);
        self
    }

    /// Says that an exchange of the evidence, the last, is one of several equal ones at one moment, of which more than one
    /// succeeded.
    pub(crate) fn at_once(mut self, index: usize, calls: usize) -> Self {
        self.evidence.truncate(index + 1);
        if let Some(exchange) = self.evidence.get_mut(index) {
            exchange.together = true;
        }
        self.times(index, calls).shows(Sign::Together(index, 2))
    }

    /// All signs: the statuses, what a read shows of what was sent before, the member that the finding is about; by the
    /// places of the exchanges among the calls that repeat it.
    pub(crate) fn signs(&self, places: &[usize]) -> Vec<Sign> {
        let mut signs: Vec<Sign> = Vec::new();
        for (index, exchange) in self.evidence.iter().enumerate() {
            let skipped = self.last_tells && index + 1 < self.evidence.len();
            if exchange.response.status != 0 && !exchange.together && !skipped {
                signs.push(Sign::Status(index, exchange.response.status / 100));
            }
        }
        let member = self.parameter.as_deref().and_then(|part| part.strip_prefix("answer "));
        if let Some(member) = member {
            let name = format!("\"{}\"", last_name(member));
            let shown = self.evidence.iter().rposition(|one| one.response.text().contains(&name));
            signs.extend(shown.map(|index| Sign::Has(index, name)));
        }
        signs.extend(self.kept());
        signs.extend(self.signs.iter().cloned());
        signs.iter().filter_map(|sign| sign.moved(places)).collect()
    }

    /// Values that one call sent and the answer to a later one shows.
    fn kept(&self) -> Vec<Sign> {
        let mut signs = Vec::new();
        if self.last_tells {
            return signs;
        }
        let part = self.parameter.as_deref().and_then(|part| part.strip_prefix("body "));
        for (sent, call) in self.evidence.iter().enumerate() {
            let Ok(body) = serde_json::from_slice(&call.request.body) else { continue };
            for (pointer, value) in leaves(&body) {
                let text = crate::api::text(value);
                let telling = part == Some(pointer.as_str()) || text.starts_with("pc");
                if !telling || !(1..=40).contains(&text.len()) {
                    continue;
                }
                let name = last_name(&pointer);
                let shown = [format!("\"{name}\":{value}"), format!("\"{name}\": {value}")];
                for (index, later) in self.evidence.iter().enumerate().skip(sent + 1) {
                    let answer = later.response.text();
                    if later.request != call.request
                        && let Some(shown) = shown.iter().find(|shown| answer.contains(shown.as_str()))
                    {
                        signs.push(Sign::Has(index, shown.clone()));
                    }
                }
            }
        }
        signs
    }

    /// Says that one exchange of the evidence stands for several equal ones in a row.
    pub(crate) fn times(mut self, index: usize, times: usize) -> Self {
        if let Some(exchange) = self.evidence.get_mut(index) {
            exchange.times = u32::try_from(times).unwrap_or(u32::MAX);
        }
        self
    }

    /// Names the parameter or member that carries it.
    pub(crate) fn at(mut self, parameter: impl Into<String>) -> Self {
        self.parameter = Some(parameter.into());
        self
    }

    /// Says what happened.
    pub(crate) fn saying(mut self, summary: impl Into<String>) -> Self {
        self.summary = summary.into();
        self
    }

    /// Says what was expected instead, and why the exchanges prove it.
    pub(crate) fn proved(mut self, expected: impl Into<String>, proof: impl Into<String>) -> Self {
        self.expected = expected.into();
        self.proof = proof.into();
        self
    }

    /// The same finding in two scans has the same key: kind, operation and parameter.
    pub fn key(&self) -> String {
        let mut key = format!("{} {}", self.kind.code, self.operation);
        if let Some(parameter) = &self.parameter {
            key.push(' ');
            key.push_str(parameter);
        }
        key
    }
}
