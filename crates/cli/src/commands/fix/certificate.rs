//! What the proof came to, and how it is told.

use std::collections::BTreeSet;

use super::Site;
use super::live::Repeated;
use super::prove::Replayed;
use super::search::{Standing, Work};
use crate::report::{Confidence, Patch, Report, Rule, Section};

/// What the proof came to.
#[derive(Default)]
pub(super) struct Certificate {
    pub(super) replays: Vec<Replayed>,
    pub(super) repeated: Vec<Repeated>,
    /// Of them: what passed and no longer does, for which the gateway is to blame.
    pub(super) affected: Vec<Repeated>,
    /// What the API itself answered otherwise.
    pub(super) changed: usize,
    pub(super) scans: usize,
    /// Codes that the scans looked for: only of these their silence says something.
    pub(super) codes: BTreeSet<String>,
    /// What only a scan through a gateway showed: what a remedy for something else brought to light.
    pub(super) fresh: usize,
}

/// Writes it into the report: what closes each finding, what became of ordinary calls, and what is left to the code.
pub(super) fn tell(site: &Site<'_>, works: &[Work], certificate: &Certificate, report: &mut Report) {
    let count = |state: Standing| works.iter().filter(|work| work.state == state).count();
    let (already, closed, offered) =
        (count(Standing::Already), count(Standing::Closed), count(Standing::Offered));
    report.fact("findings", works.len());
    report.fact("closed by the configuration as it is", already);
    if site.args.prove {
        report.fact("closed by the patch", closed);
    }
    if !site.args.prove || offered > 0 {
        report.fact("offered, not proved", offered);
    }
    report.fact("open", count(Standing::Open));
    if site.args.prove && !works.is_empty() {
        report.fact("closed at the gateway", format!("{} %", (already + closed) * 100 / works.len()));
        let confirmed = || works.iter().filter(|work| work.item.confidence == Confidence::Confirmed);
        let shut =
            confirmed().filter(|work| matches!(work.state, Standing::Already | Standing::Closed)).count();
        report.fact("confirmed findings closed", format!("{shut} of {}", confirmed().count()));
        report.fact("scans", certificate.scans + 1);
        report.fact("seed", site.scanning.seed());
        report.fact("found through the gateway only", certificate.fresh);
    }
    let rows = works.iter().map(|work| {
        let what = match (work.state, work.cure()) {
            (Standing::Already, _) => "the configuration as it is".to_owned(),
            (Standing::Open, _) => "open".to_owned(),
            (_, Some(cure)) => cure.guards().join(", "),
            (_, None) => "the patch of another finding".to_owned(),
        };
        let proof = match work.state {
            Standing::Offered if site.args.prove => {
                "not proved: no scan looks for it, only the command that found it"
            }
            Standing::Offered => "not proved; --prove does",
            _ => work.proof.as_str(),
        };
        vec![work.key.clone(), work.item.severity.to_string(), what, proof.to_owned()]
    });
    let head = ["finding", "severity", "closed by", "proof"].map(str::to_owned).to_vec();
    report.tables.push(Section { title: "Findings and what closes them".into(), head, rows: rows.collect() });
    traffic(certificate, site, report);
    for work in works.iter().filter(|work| work.state == Standing::Open) {
        let mut item = work.item.clone();
        let why = match (work.remedy, work.proof.is_empty()) {
            (None, _) => "there is no remedy for such findings at a gateway".to_owned(),
            (Some(_), false) => work.proof.clone(),
            (Some(remedy), true) => match work.cures.is_empty() {
                true => format!("nothing to write: {}", remedy.how),
                false => remedy.how.to_owned(),
            },
        };
        item.detail = format!("{} Not closed at the gateway: {why}. In the code: {}", item.detail, item.fix);
        item.patch = work.remedy.map(|remedy| Patch { text: remedy.how.into(), yaml: None });
        report.items.push(item);
    }
    for work in works {
        if !report.rules.iter().any(|rule| rule.code == work.item.code) {
            report.rules.push(Rule {
                code: work.item.code.clone(),
                title: work.item.title.clone(),
                page: work
                    .remedy
                    .map_or_else(String::new, |remedy| format!("At the gateway: {}.", remedy.how)),
                owasp: work.item.owasp,
                cwe: work.item.cwe,
                severity: work.item.severity,
            });
        }
    }
}

/// What became of ordinary calls.
fn traffic(certificate: &Certificate, site: &Site<'_>, report: &mut Report) {
    if site.recordings.is_empty() {
        report
            .notes
            .push("no ordinary calls were given (--traffic): whether they still pass is not proved".into());
        return;
    }
    let calls: u64 = certificate.replays.iter().map(|replayed| replayed.calls).sum();
    let untold: usize = certificate.replays.iter().map(|replayed| replayed.untold).sum();
    let stopped: usize = certificate.replays.iter().map(|replayed| replayed.stopped.len()).sum();
    let mut rows = vec![vec![
        "replayed in the engine".to_owned(),
        calls.to_string(),
        stopped.to_string(),
        if untold > 0 { format!("{untold} cannot be told from the recording") } else { String::new() },
    ]];
    if site.args.prove {
        let changed = certificate.changed;
        rows.push(vec![
            "made again through the gateway".to_owned(),
            certificate.repeated.len().to_string(),
            certificate.affected.len().to_string(),
            if changed > 0 {
                format!("{changed} are answered otherwise by the API itself")
            } else {
                String::new()
            },
        ]);
    }
    let head = ["ordinary calls", "calls", "passed and no longer do", ""].map(str::to_owned).to_vec();
    report.tables.push(Section { title: "Ordinary calls".into(), head, rows });
    for one in certificate.replays.iter().flat_map(|replayed| &replayed.stopped).take(20) {
        report.notes.push(format!("an ordinary call would be stopped: {} ({})", one.call, one.code));
    }
    for one in certificate.affected.iter().take(20) {
        let code = one.code.as_deref().unwrap_or("no refusal");
        report.notes.push(format!(
            "an ordinary call fails: {} answers {} instead of {} ({code})",
            one.call, one.now, one.then
        ));
    }
}
