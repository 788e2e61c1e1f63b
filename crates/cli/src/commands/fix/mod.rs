//! `portcullis fix`: from findings to gateway policy that is proved to close them.

mod certificate;
mod incidents;
mod live;
mod patch;
mod prove;
mod remedies;
mod remedy;
mod review;
mod search;
mod traffic;

use std::cell::Cell;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use portcullis_openapi::Contract;
use portcullis_watch::Recording;
use time::{Duration, OffsetDateTime};

use super::audit;
use super::scan::Scanning;
use crate::config::{self, Config, DEFAULT_FILE, Overrides};
use crate::control::{self, Ask};
use crate::exit::{Failure, Result};
use crate::files;
use crate::gateway::build;
use crate::report::{Confidence, Item, MAX_REPORT, Output, Report, State, save};
use crate::term;

/// Close findings at the gateway: a policy patch, proved by scanning again and by ordinary calls that still pass
#[derive(Debug, clap::Args)]
#[command(after_help = "portcullis fix scan.json --traffic ordinary.har\n\
                        portcullis fix --identity alice=login:alice:${ALICE} --identity bob=login:bob:${BOB} \\\n    \
                        --traffic ordinary.har --prove --apply -o certificate.html\n\
                        Without a report the API is scanned first, where `upstream` says that it is. The patch is shown; \
                        --apply writes it. --prove starts a gateway of its own with it on this machine, scans the API \
                        through that, and makes the ordinary calls again. Only scan what is yours.")]
pub(crate) struct Args {
    /// Reports of scan, audit or check, JSON, or the data folder of a gateway that saw incidents; without one the API is scanned
    reports: Vec<PathBuf>,
    /// The gateway's configuration
    #[arg(long, short, value_name = "FILE", default_value = DEFAULT_FILE)]
    config: PathBuf,
    /// Ordinary calls: a HAR file, or the folder of an event log; can be given again
    #[arg(long, value_name = "PATH")]
    traffic: Vec<PathBuf>,
    /// The id of the key that recorded calls without one carry
    #[arg(long, value_name = "ID")]
    credential: Option<String>,
    /// Prove the patch before it is offered
    #[arg(long)]
    prove: bool,
    /// Write the patch into the configuration, and have the running gateway load it
    #[arg(long)]
    apply: bool,
    /// Look at the patches that the configuration has: scan the API without the gateway, and say which can go
    #[arg(long, conflicts_with_all = ["prove", "reports"])]
    review: bool,
    /// A command that puts the API back into its first state; run before each scan and each series of calls
    #[arg(long, value_name = "COMMAND")]
    before: Option<String>,
    /// Days after which the patch is to be looked at again
    #[arg(long, value_name = "DAYS", default_value_t = 180)]
    days: u16,
    /// How often another remedy is tried where one does not close a finding, or stops ordinary calls
    #[arg(long, value_name = "COUNT", default_value_t = 4)]
    rounds: u8,
    #[command(flatten)]
    scanning: Scanning,
    #[command(flatten)]
    output: Output,
}

/// Runs it.
///
/// # Errors
/// If the configuration, a report or a recording cannot be read, or the API does not answer.
pub(crate) fn run(args: &Args) -> Result {
    let now = OffsetDateTime::now_utc();
    args.output.check(now)?;
    let clock = Instant::now();
    let site = Site::open(args, now)?;
    let mut report = match args.review {
        true => review::review(&site)?,
        false => search::close(&site)?,
    };
    report.seconds = clock.elapsed().as_secs_f64();
    args.output.finish(report, OffsetDateTime::now_utc())
}

/// How the gateway closes findings of a code, in a sentence.
pub(super) fn how(code: &str) -> Option<&'static str> {
    remedies::remedy(code).map(|remedy| remedy.how)
}

/// What a run works on.
struct Site<'a> {
    args: &'a Args,
    /// The configuration as it is written.
    text: String,
    config: Config,
    overrides: Overrides,
    contract: Contract,
    /// With what the API itself is scanned.
    scanning: Scanning,
    /// What follows the address: the base path of the target.
    base: String,
    recordings: Vec<Recording>,
    /// Scans so far.
    runs: Cell<u64>,
    now: OffsetDateTime,
}

impl<'a> Site<'a> {
    fn open(args: &'a Args, now: OffsetDateTime) -> Result<Site<'a>> {
        let path = &args.config;
        let text = files::read_text(path, config::MAX_BYTES).map_err(|error| {
            let hint = "`portcullis init` writes one";
            Failure::Usage(format!("`{}` cannot be read: {error}; {hint}", path.display()))
        })?;
        let overrides = Overrides {
            config: Some(path.clone()),
            upstream: Vec::new(),
            scan: true,
            ..Overrides::default()
        };
        let config = config::load(&overrides).map_err(Failure::usage)?;
        let Some(source) = &config.gateway.contract else {
            return Err(Failure::Usage(format!(
                "`{}` names no contract: what an operation is, nobody says; add `contract: openapi.yaml`",
                path.display()
            )));
        };
        let (contract, _) = build::load_contract(&config, source, "/contract").map_err(Failure::usage)?;
        // Before minutes of scanning, not after.
        prove::compile(&overrides)?;
        let mut scanning = args.scanning.clone();
        scanning.fill(&config)?;
        let target = scanning.target.clone().unwrap_or_default();
        let start = target.find("://").map_or(0, |at| at + 3);
        let path = target.get(start..).and_then(|rest| rest.get(rest.find('/')?..)).unwrap_or_default();
        let base = path.trim_end_matches('/').to_owned();
        let recordings = args.traffic.iter().map(|path| super::replay::read(path)).collect::<Result<_>>()?;
        Ok(Site {
            args,
            text,
            config,
            overrides,
            contract,
            scanning,
            base,
            recordings,
            runs: Cell::new(0),
            now,
        })
    }

    /// Scans the API at `address`, a gateway before it.
    fn scan_through(&self, address: SocketAddr) -> Result<Report> {
        let target = format!("http://{address}{}", self.base);
        self.scan(&self.scanning.through(target), "the scan through the gateway proves nothing")
    }

    /// Scans the API where it is; with another seed each time that `seed` is another.
    fn scan_bare(&self, seed: u64) -> Result<Report> {
        let mut scanning = self.scanning.clone();
        scanning.seed = Some(scanning.seed().wrapping_add(seed));
        self.scan(&scanning, "a scan of the API shows nothing")
    }

    /// A scan whose silence means something: who cannot log in finds nothing.
    fn scan(&self, scanning: &Scanning, or: &str) -> Result<Report> {
        self.reset()?;
        let run = self.runs.replace(self.runs.get() + 1);
        let found = scanning.scan(self.now, run)?;
        // At the end of a scan it may be a limit that keeps them out.
        let kept_out = |note: &&String| note.starts_with("identity `") && !note.ends_with("no longer does");
        match found.notes.iter().find(kept_out) {
            Some(note) => Err(Failure::Incomplete(format!("{or}: {note}"))),
            None => Ok(found),
        }
    }

    /// Puts the API back into its first state, where there is a command for it.
    fn reset(&self) -> Result<()> {
        let Some(command) = &self.args.before else { return Ok(()) };
        let status = std::process::Command::new("sh")
            .args(["-c", command])
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::null())
            .status();
        match status {
            Ok(status) if status.success() => Ok(()),
            Ok(status) => Err(Failure::Incomplete(format!("`{command}` ended with {status}"))),
            Err(error) => Err(Failure::Incomplete(format!("`{command}` cannot be run: {error}"))),
        }
    }

    /// The day on which a patch of today is looked at again.
    fn until(&self) -> String {
        day(self.now.saturating_add(Duration::days(i64::from(self.args.days))))
    }

    /// Shows what would be written, and writes it where that is asked for.
    fn write(&self, text: &str, report: &mut Report) -> Result<()> {
        let name = self.args.config.display().to_string();
        let diff = patch::diff(&name, &self.text, text);
        if diff.is_empty() {
            return Ok(());
        }
        if self.args.output.format == crate::report::Form::Terminal {
            term::say(&diff);
        }
        if !self.args.apply {
            report.notes.push("nothing was written; --apply does".into());
            return Ok(());
        }
        // A scan takes minutes, in which somebody may have written there.
        if std::fs::read_to_string(&self.args.config).ok().as_deref() != Some(&self.text) {
            return Err(Failure::Incomplete(format!(
                "`{name}` was changed meanwhile, and is left as it is: run this again"
            )));
        }
        save(&self.args.config, text)?;
        let loaded = match control::ask(&self.config.gateway.data, Ask::Reload) {
            Ok(Some(answer)) if answer.ok => format!("the running gateway says: {}", answer.message),
            Ok(Some(answer)) => {
                save(&self.args.config, &self.text)?;
                return Err(Failure::Incomplete(format!(
                    "the running gateway refuses it, and `{name}` is as it was: {}",
                    answer.message
                )));
            }
            Ok(None) => "no gateway runs over its data folder".into(),
            Err(error) => format!("the running gateway could not be asked: {error}"),
        };
        report.notes.push(format!("written to `{name}`; {loaded}"));
        Ok(())
    }
}

/// A day as policies write it.
fn day(moment: OffsetDateTime) -> String {
    let format = time::macros::format_description!("[year]-[month]-[day]");
    moment.date().format(format).unwrap_or_default()
}

/// What a finding is, in two runs and in a patch: its code, and what it is about.
fn key(item: &Item) -> String {
    let place = item.places.first();
    let here = finding_at(&item.code, place.and_then(|place| place.operation.as_deref()));
    let part = place.and_then(|place| place.part.as_deref());
    part.map_or_else(|| here.clone(), |part| format!("{here} {part}"))
}

/// The beginning of a key: the code, and the operation where it is about one.
fn finding_at(code: &str, operation: Option<&str>) -> String {
    operation.map_or_else(|| code.to_owned(), |operation| format!("{code} {operation}"))
}

/// The code of a key.
fn code_of(key: &str) -> &str {
    key.split(' ').next().unwrap_or(key)
}

/// The findings of reports and incidents that are to be closed: what is not ignored, and more than suspected.
fn findings(paths: &[PathBuf], contract: &Contract) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for path in paths {
        if let Some(data) = incidents::folder(path) {
            items.extend(incidents::read(&data, contract)?);
            continue;
        }
        let report = read_report(path)?;
        if report.command == "fix" {
            return Err(Failure::Usage(format!(
                "`{}` is a report of fix itself: give that of the scan",
                path.display()
            )));
        }
        items.extend(report.items);
    }
    items.retain(counts);
    Ok(items)
}

fn counts(item: &Item) -> bool {
    item.confidence != Confidence::Suspected && !matches!(item.state, State::Ignored { .. })
}

fn read_report(path: &Path) -> Result<Report> {
    let wrong = |what: String| Failure::Usage(format!("`{}` {what}", path.display()));
    let bytes = audit::read_file(path, MAX_REPORT)?;
    serde_json::from_slice(&bytes).map_err(|error| {
        wrong(format!("is no report: {error}; expected what `portcullis scan -o report.json` writes"))
    })
}
