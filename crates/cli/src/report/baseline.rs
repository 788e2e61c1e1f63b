//! Baseline files: what is known already, so that only what is new fails a build.

use std::collections::BTreeSet;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{MAX_REPORT, Report, State};
use crate::exit::{Failure, Result};
use crate::files;

/// A baseline, as its file has it. A JSON report serves as one, too.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Baseline {
    /// What is known.
    items: Vec<Known>,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
struct Known {
    fingerprint: String,
    /// For the reader only.
    #[serde(default)]
    code: String,
    /// For the reader only.
    #[serde(default)]
    title: String,
}

impl Baseline {
    /// Reads a baseline.
    pub(super) fn read(path: &Path) -> Result<Baseline> {
        let name = path.display();
        let text = files::read_text(path, MAX_REPORT).map_err(|error| {
            Failure::Usage(format!(
                "the baseline `{name}` cannot be read: {error}; `--write-baseline {name}` makes one"
            ))
        })?;
        serde_json::from_str(&text).map_err(|error| {
            Failure::Usage(format!(
                "the baseline `{name}` is not one: {error}; expected what `--write-baseline` or `--format json` writes"
            ))
        })
    }

    /// Marks what is known; answers how many of the baseline's are gone.
    pub(super) fn apply(&self, report: &mut Report) -> usize {
        let known: BTreeSet<&str> = self.items.iter().map(|item| item.fingerprint.as_str()).collect();
        let mut seen = BTreeSet::new();
        for item in &mut report.items {
            if known.contains(item.fingerprint.as_str()) {
                seen.insert(item.fingerprint.clone());
                if item.state == State::New {
                    item.state = State::Known;
                }
            }
        }
        known.len() - seen.len()
    }

    /// The baseline that knows everything that a report has, ignored findings apart.
    pub(super) fn of(report: &Report) -> Baseline {
        let kept = report.items.iter().filter(|item| !matches!(item.state, State::Ignored { .. }));
        let items: BTreeSet<Known> = kept
            .map(|item| Known {
                fingerprint: item.fingerprint.clone(),
                code: item.code.clone(),
                title: item.title.clone(),
            })
            .collect();
        Baseline { items: items.into_iter().collect() }
    }

    /// As its file has it.
    pub(super) fn text(&self) -> String {
        serde_json::to_string_pretty(self).unwrap_or_default() + "\n"
    }
}
