//! What was found, and the proof of it.

use portcullis_engine::{Owasp, Severity};

use crate::http::Exchange;

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
        }
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
