//! What `scan`, `audit` and `check` hand over: one report, whatever found it, and every form it is written in.
//!
//! A command fills a [`Report`] and calls [`Output::finish`]: baseline and ignore file are applied, secrets are
//! taken out, the report is written in the forms that the user asked for, and the exit code comes back.
//!
//! ```text
//! let mut report = Report::new("scan", "http://127.0.0.1:3000", now);
//! report.rules = CHECKS.iter().map(rule).collect();
//! report.items.push(item);
//! args.output.finish(report, now)
//! ```

mod baseline;
mod har;
mod html;
mod ignore;
mod item;
mod json;
mod junit;
mod markdown;
mod output;
mod redact;
mod reproduce;
mod sarif;
mod terminal;
#[cfg(test)]
mod tests;
mod xml;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;

pub(crate) use item::{
    Body, Confidence, Evidence, Exchange, Header, Item, Patch, Place, Request, Response, Rule, Severity,
    State, owasp_id,
};
pub(crate) use output::{Form, Output, save};
pub(crate) use reproduce::{Reproduction, Sign, Source, Step};

/// Most bytes of a report that is read again, and of a baseline, as which a report serves too.
pub(crate) const MAX_REPORT: u64 = 256 << 20;

/// Everything that one run of a command found.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Report {
    /// The command: `scan`, `audit` or `check`.
    pub(crate) command: String,
    /// The program's version.
    pub(crate) version: String,
    /// What was looked at: a URL or a file.
    pub(crate) target: String,
    /// When it began.
    #[serde(with = "moment")]
    pub(crate) started: OffsetDateTime,
    /// How long it took.
    pub(crate) seconds: f64,
    /// Why it did not come to its end; what was found until then is here all the same.
    pub(crate) incomplete: Option<String>,
    /// From 0, the worst, to 100.
    pub(crate) score: Option<u8>,
    /// What the reader should know of the run: requests sent, operations seen, seed.
    pub(crate) facts: Vec<Fact>,
    /// Further tables: scores by operation, the answers of a checklist.
    pub(crate) tables: Vec<Section>,
    /// What was left out and why, what expired, what could not be cleaned up.
    pub(crate) notes: Vec<String>,
    /// Every rule or check that ran, those that found nothing included.
    pub(crate) rules: Vec<Rule>,
    /// What was found, worst first once [`Report::sort`] ran.
    pub(crate) items: Vec<Item>,
    /// Secrets that the run used. None of them is written: see [`Report::redact`].
    #[serde(skip)]
    pub(crate) secrets: Vec<Secret>,
}

/// A line about the run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Fact {
    /// What it is, such as `requests`.
    pub(crate) name: String,
    /// Its value, as text.
    pub(crate) value: String,
}

/// A table of the report's own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Section {
    /// What stands above it.
    pub(crate) title: String,
    /// The heads of its columns.
    pub(crate) head: Vec<String>,
    /// Its rows, each as long as the head.
    pub(crate) rows: Vec<Vec<String>>,
}

/// A secret of an identity, and the shell variable that stands for it in what is written.
#[derive(Clone)]
pub(crate) struct Secret {
    /// The variable: capitals, digits and `_`, such as `ALICE_TOKEN`.
    pub(crate) variable: String,
    /// The secret. Texts shorter than 4 bytes are not looked for.
    pub(crate) value: String,
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secret").field("variable", &self.variable).finish_non_exhaustive()
    }
}

/// How many items there are of what.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// By severity: critical, high, medium, low, info. New ones that are not suspected only.
    pub(crate) by_severity: [usize; 5],
    /// New ones that are suspected only.
    pub(crate) suspected: usize,
    /// Known from the baseline.
    pub(crate) known: usize,
    /// Ignored by the ignore file.
    pub(crate) ignored: usize,
}

impl Report {
    /// A report without findings of a run that begins now.
    pub(crate) fn new(command: &str, target: &str, started: OffsetDateTime) -> Report {
        Report {
            command: command.into(),
            version: env!("CARGO_PKG_VERSION").into(),
            target: target.into(),
            started,
            seconds: 0.0,
            incomplete: None,
            score: None,
            facts: Vec::new(),
            tables: Vec::new(),
            notes: Vec::new(),
            rules: Vec::new(),
            items: Vec::new(),
            secrets: Vec::new(),
        }
    }

    /// Adds a fact.
    pub(crate) fn fact(&mut self, name: &str, value: impl ToString) {
        self.facts.push(Fact { name: name.into(), value: value.to_string() });
    }

    /// Puts the worst first: new before known before ignored, proved before suspected, then by severity, code
    /// and place. The order depends on nothing else, so that two equal runs write equal files.
    pub(crate) fn sort(&mut self) {
        self.items.sort_by(|a, b| {
            let rank = |item: &Item| {
                let known = match item.state {
                    State::New => 0,
                    State::Known => 1,
                    State::Ignored { .. } => 2,
                };
                (known, item.confidence == Confidence::Suspected, std::cmp::Reverse(item.severity))
            };
            rank(a)
                .cmp(&rank(b))
                .then_with(|| a.code.cmp(&b.code))
                .then_with(|| a.places.cmp(&b.places))
                .then_with(|| a.title.cmp(&b.title))
        });
    }

    /// Counts the items.
    pub(crate) fn counts(&self) -> Counts {
        let mut counts = Counts::default();
        for item in &self.items {
            match (&item.state, item.confidence) {
                (State::Known, _) => counts.known += 1,
                (State::Ignored { .. }, _) => counts.ignored += 1,
                (State::New, Confidence::Suspected) => counts.suspected += 1,
                (State::New, _) => {
                    let at = Severity::ALL.iter().position(|one| *one == item.severity).unwrap_or(0);
                    if let Some(count) = counts.by_severity.get_mut(at) {
                        *count += 1;
                    }
                }
            }
        }
        counts
    }
}

impl Counts {
    /// In words, such as `2 high, 1 low, 3 suspected`; `nothing` where there is nothing new.
    pub(crate) fn words(&self) -> String {
        let mut words: Vec<String> = Severity::ALL
            .iter()
            .zip(self.by_severity)
            .filter(|(_, count)| *count > 0)
            .map(|(severity, count)| format!("{count} {severity}"))
            .collect();
        if self.suspected > 0 {
            words.push(format!("{} suspected", self.suspected));
        }
        if words.is_empty() {
            words.push("nothing".into());
        }
        for (count, word) in [(self.known, "known"), (self.ignored, "ignored")] {
            if count > 0 {
                words.push(format!("{count} {word}"));
            }
        }
        words.join(", ")
    }
}

/// A moment as RFC 3339 in files.
mod moment {
    use serde::{Deserialize, Deserializer, Serializer, de, ser};
    use time::OffsetDateTime;
    use time::format_description::well_known::Rfc3339;

    pub(super) fn serialize<S: Serializer>(
        moment: &OffsetDateTime,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&moment.format(&Rfc3339).map_err(ser::Error::custom)?)
    }

    pub(super) fn deserialize<'d, D: Deserializer<'d>>(deserializer: D) -> Result<OffsetDateTime, D::Error> {
        OffsetDateTime::parse(&String::deserialize(deserializer)?, &Rfc3339).map_err(de::Error::custom)
    }
}
