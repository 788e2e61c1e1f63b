//! Patches that the configuration has: which are still needed, which are due to be looked at, which can go.

use std::collections::BTreeSet;

use time::Date;

use super::{Site, code_of, finding_at, patch};
use crate::exit::{Failure, Result};
use crate::report::{Report, Section, State};
use crate::term;

/// Scans the API without the gateway, and compares. What is taken out opens a hole if the scan was wrong: it scans twice,
/// with values of its own each time, and whatever speaks for a finding keeps its patch.
pub(super) fn review(site: &Site<'_>) -> Result<Report> {
    let mut report = Report::new("fix", &site.args.config.display().to_string(), site.now);
    if site.config.policies.patches().next().is_none() {
        report.notes.push("the configuration has no patches".into());
        return Ok(report);
    }
    let mut seen = Seen::default();
    for again in 0..2 {
        term::note(match again {
            0 => "scanning the API without the gateway",
            _ => "scanning it once more, with other values",
        });
        let found = site.scan_bare(again)?;
        seen.add(&found);
        report.secrets.extend(found.secrets);
        report.incomplete = report.incomplete.or(found.incomplete);
    }
    let today = site.now.date();
    let (mut rows, mut gone, mut due) = (Vec::new(), Vec::new(), 0);
    for (index, patch) in site.config.policies.patches() {
        let overdue = is_due(patch.until.0, today);
        due += usize::from(overdue);
        let verdict = match (seen.judge(&patch.closes), &report.incomplete) {
            (Verdict::Needed, _) if overdue => "still needed, and due",
            (Verdict::Needed, _) => "still needed",
            (Verdict::Unknown, _) => "cannot be told: the scan does not look for all that it closes",
            (Verdict::Gone, Some(_)) => "cannot be told: the scan did not come to its end",
            // What scans and users left behind hides findings: an order that is paid shows no weakness of open ones.
            (Verdict::Gone, None) if site.args.before.is_none() => {
                "may go: not found; --before puts the API back first, so that it can be told"
            }
            (Verdict::Gone, None) => {
                gone.push(index);
                "can go: the API itself no longer shows what it closes"
            }
        };
        let until = serde_json::to_value(patch.until).ok().and_then(|day| day.as_str().map(str::to_owned));
        rows.push(vec![patch.closes.join("; "), until.unwrap_or_default(), verdict.to_owned()]);
    }
    report.fact("patches", rows.len());
    report.fact("can go", gone.len());
    report.fact("due", due);
    let head = ["closes", "until", "verdict"].map(str::to_owned).to_vec();
    report.tables.push(Section { title: "Patches".into(), head, rows });
    if !gone.is_empty() {
        let text = patch::without(&site.text, &gone).map_err(Failure::Incomplete)?;
        super::prove::Trial::new(&site.args.config, &text, &site.overrides)?;
        site.write(&text, &mut report)?;
    }
    Ok(report)
}

/// What scans of the API showed.
#[derive(Debug, Default)]
struct Seen {
    /// Codes and operations of findings, however sure. Which of its parameters carries a finding hangs on what else the scan
    /// found there.
    open: BTreeSet<String>,
    /// Codes that were looked for.
    codes: BTreeSet<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Needed,
    Gone,
    Unknown,
}

impl Seen {
    fn add(&mut self, found: &Report) {
        let items = found.items.iter().filter(|item| !matches!(item.state, State::Ignored { .. }));
        self.open.extend(items.map(|item| {
            let operation = item.places.first().and_then(|place| place.operation.as_deref());
            finding_at(&item.code, operation)
        }));
        self.codes.extend(found.rules.iter().map(|rule| rule.code.clone()));
    }

    fn judge(&self, closes: &[String]) -> Verdict {
        // A key is the code, `METHOD /path` where it is about an operation, and the part of it that carries it.
        let is_open = |key: &String| {
            let mut words = key.split(' ');
            let code = words.next().unwrap_or_default();
            let operation = words.next().zip(words.next()).map(|(method, path)| format!("{method} {path}"));
            self.open.contains(&finding_at(code, operation.as_deref()))
        };
        let is_looked_for = |key: &String| self.codes.contains(code_of(key));
        match (closes.iter().any(is_open), closes.iter().all(is_looked_for)) {
            (true, _) => Verdict::Needed,
            (false, true) => Verdict::Gone,
            (false, false) => Verdict::Unknown,
        }
    }
}

/// Whether the day is over.
fn is_due(until: Date, today: Date) -> bool {
    until < today
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(closes: &[&str]) -> Verdict {
        let seen = Seen {
            open: ["bola-read GET /a/{id}", "no-tls"].map(str::to_owned).into(),
            codes: ["bola-read", "sql-injection", "no-tls", "token-in-url"].map(str::to_owned).into(),
        };
        seen.judge(&closes.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn a_patch_goes_only_where_all_that_it_closes_was_looked_for_and_is_gone() {
        assert_eq!(judge(&["bola-read GET /a/{id}"]), Verdict::Needed);
        assert_eq!(judge(&["bola-read GET /a/{id} path id"]), Verdict::Needed, "whatever part carries it");
        assert_eq!(judge(&["sql-injection GET /b query q", "no-tls"]), Verdict::Needed, "one is enough");
        assert_eq!(judge(&["sql-injection GET /b query q"]), Verdict::Gone);
        assert_eq!(judge(&["bola-read GET /b/{id}", "token-in-url GET /b query key"]), Verdict::Gone);
        assert_eq!(judge(&["check-headers"]), Verdict::Unknown, "no scan looks for it");
        assert_eq!(judge(&["sql-injection GET /b", "policy-unlimited POST /c"]), Verdict::Unknown);
        assert_eq!(judge(&["policy-unlimited POST /c", "no-tls"]), Verdict::Needed);
    }
}
