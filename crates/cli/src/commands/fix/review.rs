//! Patches that the configuration has: which are still needed, which are due to be looked at, which can go.

use std::collections::BTreeSet;

use time::Date;

use super::{Site, counts, key, patch};
use crate::exit::Result;
use crate::report::{Report, Section};
use crate::term;

/// Scans the API without the gateway, and compares.
pub(super) fn review(site: &Site<'_>) -> Result<Report> {
    let mut report = Report::new("fix", &site.args.config.display().to_string(), site.now);
    if site.config.policies.patches().next().is_none() {
        report.notes.push("the configuration has no patches".into());
        return Ok(report);
    }
    term::note("scanning the API without the gateway");
    let found = site.scan(None)?;
    report.secrets.extend(found.secrets);
    report.incomplete.clone_from(&found.incomplete);
    let open: BTreeSet<String> = found.items.iter().filter(|item| counts(item)).map(key).collect();
    let today = site.now.date();
    let (mut rows, mut gone, mut due) = (Vec::new(), Vec::new(), 0);
    for (index, patch) in site.config.policies.patches() {
        let needed: Vec<&String> = patch.closes.iter().filter(|key| open.contains(*key)).collect();
        let overdue = is_due(patch.until.0, today);
        due += usize::from(overdue);
        let verdict = match (needed.is_empty(), &report.incomplete) {
            (true, None) => {
                gone.push(index);
                "can go: the API itself no longer shows what it closes"
            }
            (true, Some(_)) => "cannot be told: the scan did not come to its end",
            (false, _) if overdue => "still needed, and due",
            (false, _) => "still needed",
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
        let text = patch::without(&site.text, &gone).map_err(crate::exit::Failure::Incomplete)?;
        super::prove::Trial::new(&site.args.config, &text, &site.overrides)?;
        site.write(&text, &mut report)?;
    }
    Ok(report)
}

/// Whether the day is over.
fn is_due(until: Date, today: Date) -> bool {
    until < today
}
