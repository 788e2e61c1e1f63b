//! What the demonstration shows: who got what at which door.

use std::collections::BTreeMap;
use std::path::Path;

use portcullis_demo::play::{Ending, Outcome};
use portcullis_store::events::{Query, Reader};

use super::{Doors, Played, heading};
use crate::commands::explain;
use crate::gateway::events_folder;
use crate::term::{self, Style, Table, out};

/// The categories in the order in which they are shown, with their titles.
const CATEGORIES: [(&str, &str); 12] = [
    ("API1", "API1  someone else's objects"),
    ("API2", "API2  someone else's identity"),
    ("API3", "API3  fields that are none of one's business"),
    ("API4", "API4  more than the shop can bear"),
    ("API5", "API5  functions of other roles"),
    ("API6", "API6  business flows, overdone"),
    ("API7", "API7  the shop as a messenger inside"),
    ("API8", "API8  careless settings"),
    ("API9", "API9  forgotten versions and pages"),
    ("API10", "API10  trust in partners"),
    ("injection", "injection"),
    ("protocol", "HTTP that two servers read in two ways"),
];

/// Each attack at both doors.
pub(super) fn attacks(bare: &[Outcome], guarded: &[Outcome]) {
    let width = term::width().saturating_sub(44).clamp(30, 76);
    for (category, title) in categories(bare) {
        heading(&title);
        let mut table = Table::new(&["", "what the attacker tries", "bare", "behind Portcullis"]);
        for (left, right) in bare.iter().zip(guarded).filter(|(left, _)| left.category == category) {
            table.row(vec![
                (String::new(), None),
                (term::fit(&left.title, width), None),
                attack_cell(left),
                attack_cell(right),
            ]);
        }
        term::say(&table);
    }
}

fn categories(outcomes: &[Outcome]) -> Vec<(String, String)> {
    let mut all: Vec<(String, String)> =
        CATEGORIES.iter().map(|(name, title)| ((*name).to_owned(), (*title).to_owned())).collect();
    for outcome in outcomes {
        if !all.iter().any(|(name, _)| *name == outcome.category) {
            all.push((outcome.category.clone(), outcome.category.clone()));
        }
    }
    all.retain(|(name, _)| outcomes.iter().any(|outcome| outcome.category == *name));
    all
}

fn attack_cell(outcome: &Outcome) -> (String, Option<Style>) {
    match &outcome.ending {
        Ending::Succeeded => ("got through".into(), Some(Style::Red)),
        Ending::Stopped { status, code } => (stopped(*status, code.as_deref()), Some(Style::Green)),
        Ending::Failed(what) => (term::fit(&format!("not tried: {what}"), 40), Some(Style::Yellow)),
    }
}

/// `stopped, 404 path-unknown (validate)`; without a code where the answer only lacks what was looked for.
fn stopped(status: Option<u16>, code: Option<&str>) -> String {
    match (status, code) {
        (Some(status), Some(code)) => format!("stopped {status} {code} ({})", guard_of(code)),
        (Some(status), None) if status < 400 => format!("came to nothing {status}"),
        (Some(status), None) => format!("refused {status}"),
        (None, _) => "connection closed".into(),
    }
}

/// The guard that raises a code.
fn guard_of(code: &str) -> &'static str {
    portcullis_guards::REGISTRY
        .iter()
        .find(|entry| entry.codes.iter().any(|known| known.name == code))
        .map_or("protocol", |entry| entry.name)
}

/// Ordinary users, where something went differently than it should.
pub(super) fn ordinary(bare: &[Outcome], guarded: &[Outcome]) {
    for (door, outcomes) in [("bare", bare), ("behind Portcullis", guarded)] {
        let hurt: Vec<&Outcome> =
            outcomes.iter().filter(|outcome| outcome.ending != Ending::Succeeded).collect();
        if hurt.is_empty() {
            continue;
        }
        heading(&format!("ordinary users who were hurt, {door}"));
        for outcome in hurt {
            let what = match &outcome.ending {
                Ending::Stopped { status, code } => stopped(*status, code.as_deref()),
                Ending::Failed(what) => what.clone(),
                Ending::Succeeded => String::new(),
            };
            term::say(format_args!("  {} ({}): {what}", outcome.id, outcome.request));
        }
        term::say("");
    }
}

/// What guards noticed and, by their mode, let pass.
pub(super) fn noticed(data: &Path) {
    let Ok(reader) = Reader::open(events_folder(data)) else { return };
    let Ok(events) = reader.query(&Query::default()) else { return };
    let mut counts: BTreeMap<(String, String), usize> = BTreeMap::new();
    for event in events.flatten() {
        for finding in event.findings.into_iter().filter(|finding| !finding.enforced) {
            *counts.entry((finding.guard, finding.code)).or_default() += 1;
        }
    }
    if counts.is_empty() {
        return;
    }
    heading("noticed and, by default, only recorded");
    let mut table = Table::new(&["", "calls", "code", "what it means"]);
    for ((guard, code), count) in counts {
        let title =
            explain::all().into_iter().find(|known| known.name == code).map_or("", |known| known.title);
        table.row(vec![
            (String::new(), None),
            (count.to_string(), None),
            (format!("{code} ({guard})"), Some(Style::Cyan)),
            (title.to_owned(), None),
        ]);
    }
    term::say(&table);
}

/// The sums.
pub(super) fn summary(bare: &Played, guarded: &Played) {
    let fine = |outcomes: &[Outcome]| outcomes.iter().filter(|o| o.ending == Ending::Succeeded).count();
    let harmless =
        |outcomes: &[Outcome]| outcomes.iter().filter(|o| matches!(o.ending, Ending::Stopped { .. })).count();
    let mut table = Table::new(&["", "bare", "behind Portcullis"]);
    let row = |label: &str, bare: String, guarded: String, style: Option<Style>| {
        vec![(label.to_owned(), Some(Style::Bold)), (bare, None), (guarded, style)]
    };
    let (left, right) = (fine(&bare.ordinary), fine(&guarded.ordinary));
    let of = bare.ordinary.len();
    let unharmed = if right == of { Style::Green } else { Style::Red };
    table.row(row(
        "ordinary calls that went well",
        format!("{left} of {of}"),
        format!("{right} of {of}"),
        Some(unharmed),
    ));
    let of = bare.attacks.len();
    table.row(row(
        "attacks that got through",
        format!("{} of {of}", fine(&bare.attacks)),
        format!("{} of {of}", fine(&guarded.attacks)),
        None,
    ));
    table.row(row(
        "attacks that were stopped",
        format!("{} of {of}", harmless(&bare.attacks)),
        format!("{} of {of}", harmless(&guarded.attacks)),
        Some(Style::Green),
    ));
    heading("summary");
    term::say(&table);
    let through: Vec<(String, usize)> = categories(&guarded.attacks)
        .into_iter()
        .map(|(name, _)| {
            let one = |o: &&Outcome| o.category == name && o.ending == Ending::Succeeded;
            let count = guarded.attacks.iter().filter(one).count();
            (name, count)
        })
        .filter(|(_, count)| *count > 0)
        .collect();
    if !through.is_empty() {
        let list: Vec<String> = through.iter().map(|(name, count)| format!("{name} {count}")).collect();
        term::say(format_args!("still open behind Portcullis: {}", list.join(", ")));
        let why = "those calls are well-formed, carry a valid key and are within the contract: telling them from \
                   ordinary ones takes knowledge of users, objects and values that this gateway does not have yet";
        term::say(format_args!("{}\n", out(Style::Dim, why)));
    }
}

const SQL: &str = "0%20UNION%20SELECT%20id%2Cusername%2CpasswordHash%2C1%2C1%2C1%2C1%2C1%2C1%20FROM%20users%20\
                   WHERE%20id%3D1";

/// Commands for the reader.
pub(super) fn try_it(doors: &Doors, data: &Path) {
    let Doors { bare, guarded, admin, credentials } = doors;
    heading("your turn");
    for (what, tail) in [
        ("an ordinary call", format!("/v2/products?limit=2' -H 'X-Api-Key: {}", credentials.api_key)),
        ("a stack trace", "/v2/products/abc".to_owned()),
        ("the users' table, through a product's number", format!("/v2/products/{SQL}")),
        ("a page that nobody documented", "/internal/debug".to_owned()),
        ("somebody's order, from a version that was forgotten", "/v1/orders/1001".to_owned()),
    ] {
        term::say(out(Style::Dim, format_args!("  # {what}: bare, then guarded")));
        for door in [bare, guarded] {
            term::say(format_args!("  curl -si 'http://{door}{tail}'"));
        }
    }
    term::say(out(Style::Dim, "  # what was decided, and why"));
    let program = std::env::args().next().unwrap_or_else(|| "portcullis".into());
    term::say(format_args!("  {program} log --data {} --limit 20", data.display()));
    term::say(format_args!("  {program} explain path-unknown"));
    if let Some(admin) = admin {
        term::say(format_args!("  curl -s http://{admin}/metrics"));
    }
    term::say(out(Style::Dim, "\nCtrl-C ends it"));
}
