//! The search for a patch: for every finding the first remedy that closes it and stops no ordinary call.

use std::collections::BTreeMap;

use portcullis_guards::REGISTRY;
use portcullis_watch::Recording;

use super::live::{self, Repeated};
use super::patch::Patches;
use super::prove::{Replayed, Running, Trial};
use super::remedies::remedy;
use super::remedy::{Case, Cure, Remedy, Scope};
use super::traffic::{Sessions, Traffic};
use super::{Site, counts, day, findings, key};
use crate::commands::audit::{transport, wire::Endpoint};
use crate::exit::{Failure, Result};
use crate::report::{Confidence, Item, Patch, Report, Rule, Section};
use crate::term;

/// A finding on its way.
struct Work {
    item: Item,
    key: String,
    remedy: Option<&'static Remedy>,
    cures: Vec<Cure>,
    /// The cure that is tried, or that closed it.
    at: usize,
    state: Standing,
    /// What shows it.
    proof: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The configuration closes it as it is.
    Already,
    /// A patch is offered, and not proved.
    Offered,
    /// A patch closes it.
    Closed,
    /// No remedy closes it.
    Open,
}

impl Work {
    fn cure(&self) -> Option<&Cure> {
        match self.state {
            Standing::Offered | Standing::Closed => self.cures.get(self.at),
            Standing::Already | Standing::Open => None,
        }
    }

    /// The next remedy, or none.
    fn next(&mut self, why: &str) {
        self.at += 1;
        self.state = if self.at < self.cures.len() { Standing::Offered } else { Standing::Open };
        self.proof = why.to_owned();
    }
}

/// What a scan found: keys, and how sure it is.
struct Found(BTreeMap<String, Confidence>);

impl Found {
    /// Whether it shows a finding again, as surely as before: what was proved and is not any more was closed, whatever
    /// still speaks for it.
    fn has(&self, work: &Work) -> bool {
        self.0.get(&work.key).is_some_and(|confidence| *confidence >= work.item.confidence)
    }
}

/// What the proof came to.
#[derive(Default)]
struct Certificate {
    replays: Vec<Replayed>,
    repeated: Vec<Repeated>,
    /// Of them: what passed and no longer does, for which the gateway is to blame.
    affected: Vec<Repeated>,
    /// What the API itself answered otherwise.
    changed: usize,
    scans: usize,
}

/// From findings to a patch, a proof, and a report of both.
pub(super) fn close(site: &Site<'_>) -> Result<Report> {
    let mut report = Report::new("fix", &site.args.config.display().to_string(), site.now);
    let items = match site.args.reports.is_empty() {
        false => findings(&site.args.reports)?,
        true => {
            term::note("scanning the API as it is");
            let found = site.scan(None)?;
            report.secrets.extend(found.secrets);
            report.incomplete = found.incomplete;
            report.notes.extend(found.notes);
            found.items.into_iter().filter(counts).collect()
        }
    };
    let mut traffic = Traffic::new(&site.contract);
    site.recordings.iter().for_each(|recording| traffic.add(recording));
    items.iter().for_each(|item| traffic.add_evidence(item));
    let sessions = traffic.sessions();
    let mut works: Vec<Work> =
        items.into_iter().map(|item| work(site, item, &traffic, sessions.as_ref())).collect();
    let mut certificate = Certificate::default();
    let text = match site.args.prove {
        true => prove(site, &mut works, &mut certificate, &mut report)?,
        false => {
            let text = patched(site, &works)?;
            certificate.replays = replay(site, &Trial::new(&site.args.config, &text, &site.overrides)?)?;
            text
        }
    };
    tell(site, &works, &certificate, &mut report);
    let stopped = certificate.replays.iter().any(|replayed| !replayed.stopped.is_empty());
    if stopped || !certificate.affected.is_empty() {
        report
            .incomplete
            .get_or_insert_with(|| "ordinary calls would be stopped: nothing was written".into());
        return Ok(report);
    }
    site.write(&text, &mut report)?;
    Ok(report)
}

fn work(site: &Site<'_>, item: Item, traffic: &Traffic<'_>, sessions: Option<&Sessions>) -> Work {
    let remedy = remedy(&item.code);
    let case = Case { item: &item, contract: &site.contract, traffic, sessions, today: day(site.now) };
    let mut cures = remedy.map(|remedy| (remedy.cures)(&case)).unwrap_or_default();
    // One that the configuration does not take is none.
    cures.retain(|cure| {
        let mut patches = Patches::default();
        patches.add(cure, "trial");
        let text = patches.written_into(&site.text, &site.contract, &site.until());
        text.is_ok_and(|text| Trial::new(&site.args.config, &text, &site.overrides).is_ok())
    });
    let state = if cures.is_empty() { Standing::Open } else { Standing::Offered };
    Work { key: key(&item), item, remedy, cures, at: 0, state, proof: String::new() }
}

/// The configuration with what is offered and what closes something.
fn patched(site: &Site<'_>, works: &[Work]) -> Result<String> {
    let mut patches = Patches::default();
    for work in works {
        if let Some(cure) = work.cure() {
            patches.add(cure, &work.key);
        }
    }
    patches
        .written_into(&site.text, &site.contract, &site.until())
        .map_err(|what| Failure::Usage(format!("`{}` cannot be patched: {what}", site.args.config.display())))
}

fn replay(site: &Site<'_>, trial: &Trial) -> Result<Vec<Replayed>> {
    let one = |recording: &Recording| trial.replay(recording, site.args.credential.as_deref());
    site.recordings.iter().map(one).collect()
}

/// Tries remedies until every finding is closed or has none left, and ordinary calls pass.
fn prove(
    site: &Site<'_>,
    works: &mut [Work],
    certificate: &mut Certificate,
    report: &mut Report,
) -> Result<String> {
    let mut text = site.text.clone();
    term::note("scanning through the gateway as it is configured");
    let seen = {
        let running = Trial::new(&site.args.config, &text, &site.overrides)?.start()?;
        let open = scan(site, &running, certificate, report)?;
        judge(site, works, &open, &running, Standing::Already)
    };
    if !seen {
        return Ok(text);
    }
    for round in 1..=site.args.rounds.max(1) {
        let trial = loop {
            text = patched(site, works)?;
            let trial = Trial::new(&site.args.config, &text, &site.overrides)?;
            certificate.replays = replay(site, &trial)?;
            // Recorded calls cost nothing: a remedy that stops them is passed over before anything is scanned.
            let stopped: Vec<(String, String, String)> = certificate
                .replays
                .iter()
                .flat_map(|replayed| &replayed.stopped)
                .map(|one| {
                    (
                        one.operation.clone().unwrap_or_default(),
                        one.guard.clone().unwrap_or_default(),
                        one.call.clone(),
                    )
                })
                .collect();
            if !pass_over(site, works, &stopped) {
                break trial;
            }
        };
        term::note(format_args!("round {round}: scanning through the patched gateway"));
        let running = trial.start()?;
        let open = scan(site, &running, certificate, report)?;
        let mut again = judge(site, works, &open, &running, Standing::Closed);
        drop(running);
        let running = trial.start()?;
        repeat(site, &running, certificate)?;
        let stopped: Vec<(String, String, String)> = certificate
            .affected
            .iter()
            .map(|one| (operation_of(site, &one.call), guard_of(one.code.as_deref()), one.call.clone()))
            .collect();
        again |= pass_over(site, works, &stopped);
        if !again {
            return Ok(text);
        }
    }
    // What is still only offered was not proved: the patch is what was.
    for work in works.iter_mut().filter(|work| work.state == Standing::Offered) {
        work.state = Standing::Open;
        work.proof = "no remedy closed it in the rounds that there were; --rounds gives more".into();
    }
    let last = patched(site, works)?;
    if last != text {
        let trial = Trial::new(&site.args.config, &last, &site.overrides)?;
        certificate.replays = replay(site, &trial)?;
        let running = trial.start()?;
        let open = scan(site, &running, certificate, report)?;
        for work in works.iter_mut().filter(|work| work.state == Standing::Closed && open.has(work)) {
            work.state = Standing::Open;
            work.proof = "the last scan found it again".into();
        }
        drop(running);
        repeat(site, &trial.start()?, certificate)?;
    }
    Ok(last)
}

/// What a scan through the gateway finds: keys, and how sure it is.
fn scan(
    site: &Site<'_>,
    running: &Running,
    certificate: &mut Certificate,
    report: &mut Report,
) -> Result<Found> {
    let found = site.scan(Some(running.address))?;
    certificate.scans += 1;
    report.secrets.extend(found.secrets);
    if let Some(why) = found.incomplete {
        return Err(Failure::Incomplete(format!("the scan through the gateway proves nothing: {why}")));
    }
    // Who cannot log in finds nothing. At the end of a scan it may be a limit that keeps them out.
    let kept_out = |note: &&String| note.starts_with("identity `") && !note.ends_with("no longer does");
    if let Some(note) = found.notes.iter().filter(kept_out).find(|note| !report.notes.contains(note)) {
        return Err(Failure::Incomplete(format!("the scan through the gateway proves nothing: {note}")));
    }
    Ok(Found(found.items.iter().map(|item| (key(item), item.confidence)).collect()))
}

/// Whether something is left to try. What is not among `open` is closed; of the rest the next remedy is taken.
fn judge(site: &Site<'_>, works: &mut [Work], open: &Found, running: &Running, closed: Standing) -> bool {
    let deeds = running.deeds();
    let mut again = false;
    for work in works.iter_mut().filter(|work| work.state != Standing::Already) {
        let operation =
            work.item.places.first().and_then(|place| place.operation.clone()).unwrap_or_default();
        let done: Vec<String> = deeds
            .iter()
            .filter(|((name, ..), _)| operation.is_empty() || is_named(site, name, &operation))
            .map(|((_, guard, code), count)| format!("{guard}/{code} {count}×"))
            .take(6)
            .collect();
        if !open.has(work) {
            work.state = closed;
            work.proof = match done.is_empty() {
                true => "the same scan finds it no more".into(),
                false => format!("the same scan finds it no more; there: {}", done.join(", ")),
            };
        } else if closed == Standing::Already {
            again |= !work.cures.is_empty();
        } else if work.state != Standing::Open {
            work.next("the remedies that were tried do not close it");
            again = true;
        }
    }
    again
}

/// Whether a remedy was passed over since it stopped an ordinary call: by operation, guard and call.
fn pass_over(site: &Site<'_>, works: &mut [Work], stopped: &[(String, String, String)]) -> bool {
    let mut any = false;
    for (operation, guard, call) in stopped {
        for work in works.iter_mut() {
            let touches = work.cure().is_some_and(|cure| {
                cure.pieces.iter().any(|piece| {
                    piece.section == guard
                        && match &piece.scope {
                            Scope::All => true,
                            Scope::Operation(label) => is_named(site, operation, label),
                        }
                })
            });
            if touches {
                work.next(&format!("the remedy would stop an ordinary call: {call}"));
                any = true;
            }
        }
        if any {
            break;
        }
    }
    any
}

/// Whether `name`, an id or a label, is the operation `label`.
fn is_named(site: &Site<'_>, name: &str, label: &str) -> bool {
    let operation = site.contract.operations().iter().find(|operation| operation.label() == label);
    name == label || operation.is_some_and(|operation| operation.id.as_deref() == Some(name))
}

fn operation_of(site: &Site<'_>, call: &str) -> String {
    let (method, target) = call.split_once(' ').unwrap_or_default();
    let (path, query) = target.split_once('?').map_or((target, None), |(path, query)| (path, Some(query)));
    match site.contract.route(method, path, query) {
        portcullis_openapi::Route::Found { operation, .. } => site
            .contract
            .operations()
            .get(operation)
            .map(portcullis_openapi::Operation::label)
            .unwrap_or_default(),
        _ => String::new(),
    }
}

fn guard_of(code: Option<&str>) -> String {
    let of = |code: &str| REGISTRY.iter().find(|entry| entry.codes.iter().any(|known| known.name == code));
    code.and_then(of).map(|entry| entry.name.to_owned()).unwrap_or_default()
}

/// Makes the recorded calls again, through the gateway; where something fails that it let through, without it as well.
fn repeat(site: &Site<'_>, running: &Running, certificate: &mut Certificate) -> Result<()> {
    certificate.repeated.clear();
    certificate.affected.clear();
    certificate.changed = 0;
    let tls = transport::curious(&transport::roots(None)?)?;
    let fields = site.scanning.fields()?;
    let through = Endpoint::parse(&format!("http://{}", running.address)).map_err(Failure::Incomplete)?;
    let bare = site.scanning.target.as_deref().unwrap_or_default();
    let origin = bare.strip_suffix(&site.base).unwrap_or(bare).trim_end_matches('/');
    let bare = Endpoint::parse(origin).map_err(Failure::Usage)?;
    for recording in site.recordings.iter().filter(|one| one.source() == portcullis_watch::Source::Har) {
        site.reset()?;
        let repeated = live::repeat(recording, &through, &tls, &fields);
        let failed = |one: &&Repeated| one.passed() && !one.passes();
        if repeated.iter().any(|one| failed(&one) && one.code.is_none()) {
            site.reset()?;
            let without = live::repeat(recording, &bare, &tls, &fields);
            for one in repeated.iter().filter(failed) {
                let same = without.iter().any(|other| other.name == one.name && !other.passes());
                match one.code.is_none() && same {
                    true => certificate.changed += 1,
                    false => certificate.affected.push(one.clone()),
                }
            }
        } else {
            certificate.affected.extend(repeated.iter().filter(failed).cloned());
        }
        certificate.repeated.extend(repeated);
    }
    Ok(())
}

fn tell(site: &Site<'_>, works: &[Work], certificate: &Certificate, report: &mut Report) {
    let count = |state: Standing| works.iter().filter(|work| work.state == state).count();
    let (already, closed, offered) =
        (count(Standing::Already), count(Standing::Closed), count(Standing::Offered));
    report.fact("findings", works.len());
    report.fact("closed by the configuration as it is", already);
    report
        .fact(if site.args.prove { "closed by the patch" } else { "offered, not proved" }, closed + offered);
    report.fact("open", count(Standing::Open));
    if site.args.prove && !works.is_empty() {
        report.fact("closed at the gateway", format!("{} %", (already + closed) * 100 / works.len()));
        let confirmed = || works.iter().filter(|work| work.item.confidence == Confidence::Confirmed);
        let shut = confirmed().filter(|work| work.state != Standing::Open).count();
        report.fact("confirmed findings closed", format!("{shut} of {}", confirmed().count()));
        report.fact("scans", certificate.scans + 1);
    }
    let rows = works.iter().map(|work| {
        let what = match (work.state, work.cure()) {
            (Standing::Already, _) => "the configuration as it is".to_owned(),
            (Standing::Open, _) => "open".to_owned(),
            (_, Some(cure)) => cure.guards().join(", "),
            (_, None) => "the patch of another finding".to_owned(),
        };
        let proof = match work.state {
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
