//! The search for a patch: for every finding the first remedy that closes it and stops no ordinary call.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use portcullis_guards::REGISTRY;
use portcullis_watch::Recording;

use super::certificate::{self, Certificate};
use super::live::{self, Repeated};
use super::patch::Patches;
use super::prove::{Replayed, Running, Trial};
use super::remedies::remedy;
use super::remedy::{Case, Cure, Remedy, Scope};
use super::traffic::{Sessions, Traffic};
use super::{Site, code_of, counts, day, findings, key};
use crate::commands::audit::{transport, wire::Endpoint};
use crate::exit::{Failure, Result};
use crate::report::{Confidence, Item, Report};
use crate::term;

/// How long patches let a session live.
pub(super) const LIFETIME: Duration = Duration::from_secs(12 * 3600);

/// A finding on its way.
pub(super) struct Work {
    pub(super) item: Item,
    pub(super) key: String,
    pub(super) remedy: Option<&'static Remedy>,
    pub(super) cures: Vec<Cure>,
    /// The cure that is tried, or that closed it.
    at: usize,
    pub(super) state: Standing,
    /// What shows it.
    pub(super) proof: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
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
    pub(super) fn cure(&self) -> Option<&Cure> {
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

/// What a scan found.
struct Found {
    /// By key, how sure it is.
    keys: BTreeMap<String, Confidence>,
    /// What it proved and no scan before did.
    fresh: Vec<Item>,
}

impl Found {
    /// Whether it shows a finding again, as surely as before: what was proved and is not any more was closed, whatever
    /// still speaks for it.
    fn has(&self, work: &Work) -> bool {
        self.keys.get(&work.key).is_some_and(|confidence| *confidence >= work.item.confidence)
    }
}

/// From findings to a patch, a proof, and a report of both.
pub(super) fn close(site: &Site<'_>) -> Result<Report> {
    let mut report = Report::new("fix", &site.args.config.display().to_string(), site.now);
    let items = match site.args.reports.is_empty() {
        false => findings(&site.args.reports, &site.contract)?,
        true => {
            term::note("scanning the API as it is");
            let found = site.scan_bare(0)?;
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
        true => {
            let mut known = Known { traffic: &mut traffic, sessions: sessions.as_ref() };
            prove(site, &mut known, &mut works, &mut certificate, &mut report)?
        }
        false => {
            let (text, trial) = compatible(site, &mut works)?;
            certificate.replays = replay(site, &trial)?;
            text
        }
    };
    certificate::tell(site, &works, &certificate, &mut report);
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

/// What remedies are made of.
struct Known<'k, 'c> {
    traffic: &'k mut Traffic<'c>,
    sessions: Option<&'k Sessions>,
}

impl Known<'_, '_> {
    /// Takes up findings that came to light on the way; whether there is something to try for them.
    fn add(
        &mut self,
        site: &Site<'_>,
        items: Vec<Item>,
        works: &mut Vec<Work>,
        certificate: &mut Certificate,
    ) -> bool {
        certificate.fresh += items.len();
        items.iter().for_each(|item| self.traffic.add_evidence(item));
        let before = works.len();
        works.extend(items.into_iter().map(|item| work(site, item, self.traffic, self.sessions)));
        works.iter().skip(before).any(|work| work.state == Standing::Offered)
    }
}

fn work(site: &Site<'_>, item: Item, traffic: &Traffic<'_>, sessions: Option<&Sessions>) -> Work {
    let remedy = remedy(&item.code);
    let (today, until) = (day(site.now), site.until());
    let case = Case { item: &item, contract: &site.contract, traffic, sessions, today, until };
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

/// The same, and a trial of it. A remedy that the gateway does not take beside those of other findings is passed over.
fn compatible(site: &Site<'_>, works: &mut [Work]) -> Result<(String, Trial)> {
    loop {
        let text = patched(site, works)?;
        let failure = match Trial::new(&site.args.config, &text, &site.overrides) {
            Ok(trial) => return Ok((text, trial)),
            Err(failure) => failure,
        };
        let fits = |works: &[Work]| {
            let text = patched(site, works);
            text.and_then(|text| Trial::new(&site.args.config, &text, &site.overrides)).is_ok()
        };
        // Of the first so many that do not go together, the last one is one too many.
        let most = (1..=works.len()).find(|most| !fits(works.get(..*most).unwrap_or_default()));
        match most.and_then(|most| works.get_mut(most - 1)).filter(|work| work.cure().is_some()) {
            Some(work) => work.next("the remedy does not go with those of other findings"),
            None => return Err(failure),
        }
    }
}

fn replay(site: &Site<'_>, trial: &Trial) -> Result<Vec<Replayed>> {
    let one = |recording: &Recording| trial.replay(recording, site.args.credential.as_deref());
    site.recordings.iter().map(one).collect()
}

/// Tries remedies until every finding is closed or has none left, and ordinary calls pass.
fn prove(
    site: &Site<'_>,
    known: &mut Known<'_, '_>,
    works: &mut Vec<Work>,
    certificate: &mut Certificate,
    report: &mut Report,
) -> Result<String> {
    let mut text = site.text.clone();
    term::note("scanning through the gateway as it is configured");
    let seen = {
        let running = Trial::new(&site.args.config, &text, &site.overrides)?.start()?;
        let open = scan(site, works, &running, certificate, report)?;
        let seen = judge(site, works, (&open, &certificate.codes), &running, Standing::Already);
        known.add(site, open.fresh, works, certificate) || seen
    };
    if !seen && works.iter().all(|work| work.state != Standing::Offered) {
        return Ok(text);
    }
    for round in 1..=site.args.rounds.max(1) {
        let trial = loop {
            let trial;
            (text, trial) = compatible(site, works)?;
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
        let mut open = scan(site, works, &running, certificate, report)?;
        let ends = session_ends(site, known, works, &mut open, &running)?;
        let mut again = judge(site, works, (&open, &certificate.codes), &running, Standing::Closed);
        for work in works.iter_mut().filter(|work| work.item.code == ENDLESS && ends) {
            work.proof = "a recorded session is refused once its time is over by the gateway's clock".into();
        }
        again |= known.add(site, open.fresh, works, certificate);
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
    let is_provable = |work: &Work| certificate.codes.contains(&work.item.code);
    for work in works.iter_mut().filter(|work| work.state == Standing::Offered && is_provable(work)) {
        work.state = Standing::Open;
        work.proof = "no remedy closed it in the rounds that there were; --rounds gives more".into();
    }
    let last = patched(site, works)?;
    if last != text {
        let trial = Trial::new(&site.args.config, &last, &site.overrides)?;
        certificate.replays = replay(site, &trial)?;
        let running = trial.start()?;
        let open = scan(site, works, &running, certificate, report)?;
        for work in works.iter_mut().filter(|work| work.state == Standing::Closed && open.has(work)) {
            work.state = Standing::Open;
            work.proof = "the last scan found it again".into();
        }
        let before = works.len();
        known.add(site, open.fresh, works, certificate);
        for work in works.iter_mut().skip(before) {
            work.state = Standing::Open;
            work.proof = "the last scan found it; --rounds gives more".into();
        }
        drop(running);
        repeat(site, &trial.start()?, certificate)?;
    }
    Ok(last)
}

/// What a scan through the gateway finds: keys, and how sure it is.
fn scan(
    site: &Site<'_>,
    works: &[Work],
    running: &Running,
    certificate: &mut Certificate,
    report: &mut Report,
) -> Result<Found> {
    let found = site.scan_through(running.address)?;
    certificate.scans += 1;
    report.secrets.extend(found.secrets);
    if let Some(why) = found.incomplete {
        return Err(Failure::Incomplete(format!("the scan through the gateway proves nothing: {why}")));
    }
    let keys = found.items.iter().map(|item| (key(item), item.confidence)).collect();
    let is_fresh = |item: &Item| {
        counts(item)
            && item.confidence == Confidence::Confirmed
            && !works.iter().any(|work| work.key == key(item))
    };
    certificate.codes = found.rules.into_iter().map(|rule| rule.code).collect();
    Ok(Found { keys, fresh: found.items.into_iter().filter(is_fresh).collect() })
}

/// Findings that a session goes on for ever: its end at the gateway is not to be seen from outside.
const ENDLESS: &str = "token-never-expires";

/// Whether such findings are closed: a recorded session that passes is refused once its time is over.
fn session_ends(
    site: &Site<'_>,
    known: &Known<'_, '_>,
    works: &[Work],
    open: &mut Found,
    running: &Running,
) -> Result<bool> {
    let asked = works.iter().any(|work| work.item.code == ENDLESS && open.has(work));
    let Some(sessions) = known.sessions.filter(|_| asked) else { return Ok(false) };
    let (tls, fields) = (transport::curious(&transport::roots(None)?)?, site.scanning.fields()?);
    let through = Endpoint::parse(&format!("http://{}", running.address)).map_err(Failure::Incomplete)?;
    let wait = |time| running.wait(time);
    let mut ends = false;
    for recording in site.recordings.iter().filter(|one| one.source() == portcullis_watch::Source::Har) {
        site.reset()?;
        ends = live::session_ends(recording, &through, &tls, &fields, &sessions.by, LIFETIME, &wait);
        if ends {
            open.keys.retain(|key, _| code_of(key) != ENDLESS);
            break;
        }
    }
    Ok(ends)
}

/// Whether something is left to try. What is not among `open` is closed; of the rest the next remedy is taken.
fn judge(
    site: &Site<'_>,
    works: &mut [Work],
    (open, codes): (&Found, &BTreeSet<String>),
    running: &Running,
    closed: Standing,
) -> bool {
    let deeds = running.deeds();
    let mut again = false;
    for work in works.iter_mut().filter(|work| codes.contains(&work.item.code)) {
        if work.state == Standing::Already {
            // What was closed without a patch may come back with one for something else.
            if open.has(work) {
                work.state = if work.cures.is_empty() { Standing::Open } else { Standing::Offered };
                work.proof = "it came back with a patch for something else".into();
                again |= work.state == Standing::Offered;
            }
            continue;
        }
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

/// Whether a remedy was passed over since it stopped an ordinary call: by operation, guard and call. What was written for
/// that operation is to blame; only where there is nothing, what was written for all. Of several, those that stop an ordinary
/// call by themselves.
fn pass_over(site: &Site<'_>, works: &mut [Work], stopped: &[(String, String, String)]) -> bool {
    for (operation, guard, call) in stopped {
        let here =
            |scope: &Scope| matches!(scope, Scope::Operation(label) if is_named(site, operation, label));
        let all = |scope: &Scope| *scope == Scope::All;
        for blames in [&here as &dyn Fn(&Scope) -> bool, &all] {
            let is_to_blame = |work: &Work| {
                let pieces = work.cure().into_iter().flat_map(|cure| &cure.pieces);
                pieces.into_iter().any(|piece| piece.section == guard && blames(&piece.scope))
            };
            let mut blamed: Vec<usize> = Vec::new();
            blamed.extend(works.iter().enumerate().filter(|(_, work)| is_to_blame(work)).map(|(at, _)| at));
            if blamed.len() > 1 {
                let guilty: Vec<usize> = blamed
                    .iter()
                    .copied()
                    .filter(|at| works.get(*at).is_some_and(|work| stops(site, work)))
                    .collect();
                blamed = if guilty.is_empty() { blamed } else { guilty };
            }
            for at in &blamed {
                if let Some(work) = works.get_mut(*at) {
                    work.next(&format!("the remedy would stop an ordinary call: {call}"));
                }
            }
            if !blamed.is_empty() {
                return true;
            }
        }
    }
    false
}

/// Whether the remedy of a finding alone stops a recorded call.
fn stops(site: &Site<'_>, work: &Work) -> bool {
    let replays = patched(site, std::slice::from_ref(work))
        .and_then(|text| Trial::new(&site.args.config, &text, &site.overrides))
        .and_then(|trial| replay(site, &trial));
    replays.is_ok_and(|replays| replays.iter().any(|replayed| !replayed.stopped.is_empty()))
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
        let repeated = live::repeat(recording, &through, &tls, &fields, &|time| running.wait(time));
        let failed = |one: &&Repeated| one.passed() && !one.passes();
        if repeated.iter().any(|one| failed(&one) && one.code.is_none()) {
            site.reset()?;
            let without = live::repeat(recording, &bare, &tls, &fields, &std::thread::sleep);
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
