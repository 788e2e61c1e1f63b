//! `portcullis replay`: what would this policy have done with traffic that was recorded?

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::State;
use portcullis_store::events::{Damage, Query, Reader};
use portcullis_watch::{
    Change, Details, ExchangeReport, HarLimits, Name, Recording, ReplayOptions, Report, Tally, replay,
};

use crate::config::{self, Overrides};
use crate::exit::{Exit, Failure, Result};
use crate::files;
use crate::gateway::build;
use crate::gateway::keys::Keys;
use crate::term::{self, Style, Table, out};

/// Run recorded traffic through the engine: what would this policy have done?
#[derive(Debug, clap::Args)]
#[command(after_help = "portcullis replay traffic.har --spec openapi.yaml\n\
                        portcullis replay .portcullis/events --config next-policy.yaml --strict\n\
                        The keys of --data are known; a HAR of a browser leaves them out: --credential ID stands in.")]
pub(crate) struct Args {
    /// A HAR file, or the folder of an event log
    recording: PathBuf,
    #[command(flatten)]
    overrides: Overrides,
    /// Only calls to these hosts; a browser's recording has others, too
    #[arg(long = "host", value_name = "HOST")]
    hosts: Vec<String>,
    /// The id of the key that calls without a recorded one carry
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// The client of calls whose recording names none
    #[arg(long, value_name = "IP")]
    client: Option<IpAddr>,
    /// Show every call
    #[arg(long)]
    all: bool,
    /// Exit with 1 where a call that went through would be stopped, or that cannot be said
    #[arg(long)]
    strict: bool,
    /// Write JSON
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let overrides = Overrides { upstream_optional: true, ..args.overrides.clone() };
    let config = config::load(&overrides).map_err(Failure::usage)?;
    let keys = if config.gateway.data.is_dir() { Keys::open(&config.gateway.data)? } else { Keys::none() };
    // Counters of its own: nothing of live traffic is seen or spent.
    let compiled =
        build::compile(&config, keys.credentials().map_err(Failure::Incomplete)?, Arc::new(State::default()))
            .map_err(Failure::usage)?;
    let mut recording = read(&args.recording)?;
    let hosts = recording.authorities();
    if !args.hosts.is_empty() {
        recording.retain_authorities(&args.hosts);
        if recording.exchanges().is_empty() {
            return Err(Failure::Usage(format!(
                "no call goes to {}; {}",
                args.hosts.join(", "),
                list_hosts(&hosts)
            )));
        }
    }
    let mut options = ReplayOptions::default();
    options.client = args.client.unwrap_or(options.client);
    options.credential = args.credential.as_deref().map(Into::into);
    options.details = if args.all { Details::All } else { Details::Notable };
    let report = replay(&compiled.engine, recording, &options);
    if args.json {
        term::say(serde_json::to_string_pretty(&report).unwrap_or_default());
    } else {
        show(&report);
        if args.hosts.is_empty() && hosts.len() > 1 {
            term::note(format_args!("{}; --host keeps those that are meant", list_hosts(&hosts)));
        }
    }
    let bad = report.changes.newly_stopped + report.changes.undecided;
    Ok(if args.strict && bad > 0 { Exit::Failed } else { Exit::Ok })
}

fn list_hosts(hosts: &BTreeMap<String, usize>) -> String {
    let list: Vec<String> = hosts.iter().take(10).map(|(host, count)| format!("{host} {count}")).collect();
    format!("recorded hosts: {}", list.join(", "))
}

/// A HAR file, or the folder of an event log.
///
/// # Errors
/// If it cannot be read.
pub(super) fn read(path: &Path) -> Result<Recording> {
    let unreadable =
        |error: std::io::Error| Failure::Usage(format!("`{}` cannot be read: {error}", path.display()));
    let limits = HarLimits::default();
    let metadata = std::fs::metadata(path).map_err(unreadable)?;
    if metadata.is_dir() {
        return read_events(path);
    }
    let bytes = files::read(path, limits.bytes as u64).map_err(unreadable)?;
    Recording::from_har(&bytes, &limits)
        .map_err(|error| Failure::Usage(format!("`{}`: {error}", path.display())))
}

fn show(report: &Report) {
    for exchange in &report.details {
        show_exchange(exchange);
    }
    if report.details_cut {
        term::say("… and more; the sums below count all");
    }
    if !report.details.is_empty() {
        term::say("");
    }
    let mut table = Table::new(&[
        "operation",
        "calls",
        "through",
        "stopped",
        "undecided",
        "newly stopped",
        "newly through",
    ]);
    let sums = [(Some("all".to_owned()), &report.now, &report.changes)];
    let rows = report.operations.iter().map(|one| (one.operation.clone(), &one.now, &one.changes));
    for (operation, now, changes) in rows.chain(sums) {
        let Tally { permitted, refused, withheld, answered, undecided } = *now;
        let through = permitted + answered;
        let stopped = refused + withheld;
        let red = |count: u64| (count > 0).then_some(Style::Red);
        table.row(vec![
            (term::fit(operation.as_deref().unwrap_or("(none)"), 50), None),
            ((through + stopped + undecided).to_string(), None),
            (through.to_string(), Some(Style::Green)),
            (stopped.to_string(), red(stopped)),
            (undecided.to_string(), (undecided > 0).then_some(Style::Yellow)),
            (changes.newly_stopped.to_string(), red(changes.newly_stopped)),
            (changes.newly_passed.to_string(), (changes.newly_passed > 0).then_some(Style::Yellow)),
        ]);
    }
    term::say(&table);
    if !report.codes.is_empty() {
        let mut table = Table::new(&["code", "stopped", "monitored", "for example", "reason"]);
        for code in &report.codes {
            table.row(vec![
                (code.code.clone(), Some(Style::Bold)),
                (code.enforced.to_string(), None),
                (code.monitored.to_string(), None),
                (name(code.example), None),
                (term::fit(&code.reason, 90), None),
            ]);
        }
        term::say(&table);
    }
    for skipped in &report.skipped {
        let reason = term::fit(&skipped.reason, 200);
        term::say(format_args!("{} {}: {reason}", out(Style::Yellow, "skipped"), name(skipped.name)));
    }
}

fn show_exchange(exchange: &ExchangeReport) {
    let now = &exchange.now;
    let word = format!("{:?}", now.decision).to_lowercase();
    let style = match word.as_str() {
        "permitted" | "answered" => Style::Green,
        "undecided" => Style::Yellow,
        _ => Style::Red,
    };
    let query = exchange.query.as_deref().map(|query| format!("?{query}")).unwrap_or_default();
    let call = term::fit(&format!("{} {}{query}", exchange.method, exchange.path), term::width());
    let change = match exchange.change {
        Change::NewlyStopped => "  newly stopped",
        Change::NewlyPassed => "  newly through",
        Change::Same | Change::Otherwise | Change::Undecided => "",
    };
    term::say(format_args!(
        "{} {} {call}{}",
        out(Style::Dim, name(exchange.name)),
        out(style, format_args!("{word:9}")),
        out(Style::Yellow, change)
    ));
    if let (Some(guard), Some(code)) = (now.guard, now.code) {
        let reason = term::fit(now.reason.as_deref().unwrap_or_default(), 200);
        term::say(format_args!("    {} {reason}", out(Style::Yellow, format_args!("{guard}/{code}"))));
    }
    if let Some(missing) = exchange.missing {
        term::say(format_args!("    {}", out(Style::Dim, missing)));
    }
    for finding in exchange.findings.iter().filter(|finding| !finding.enforced) {
        let reason = term::fit(&finding.reason, 200);
        let what = format!("{}/{} (monitor)", finding.guard, finding.code);
        term::say(format_args!("    {} {reason}", out(Style::Cyan, what)));
    }
}

fn name(name: Name) -> String {
    match name {
        Name::Entry(index) => format!("entry {index}"),
        Name::Reference(id) => id.to_string(),
    }
}

fn read_events(folder: &Path) -> Result<Recording> {
    // The data folder is meant as well as the log in it.
    let inner = crate::gateway::events_folder(folder);
    let folder = if inner.is_dir() { inner.as_path() } else { folder };
    let reader = Reader::open(folder).map_err(Failure::incomplete)?;
    let (recording, damage) = reader.recording(&Query::default()).map_err(Failure::incomplete)?;
    for Damage { segment, offset, what } in &damage {
        let mark = term::err(Style::Yellow, "unreadable");
        term::note(format_args!("{mark}: `{}` at byte {offset}: {what}", segment.display()));
    }
    Ok(recording)
}
