//! `portcullis run`: the gateway.

use std::path::{Path, PathBuf};
use std::time::Duration;

use portcullis_guards::{Access, Report};
use serde::Serialize;
use tokio::signal::unix::{Signal, SignalKind, signal};

use crate::config::{self, Config, Overrides};
use crate::exit::{Exit, Failure, Result};
use crate::gateway::Gateway;
use crate::gateway::reload::Reloader;
use crate::term::{self, Style, out};

/// Stand in front of an API and protect it.
#[derive(Debug, clap::Args)]
#[command(after_help = "Without a configuration file the contract alone decides who must authenticate, and \
                        every default is the safe one.\nSIGTERM drains, SIGHUP reloads; changed files reload by \
                        themselves.")]
pub(crate) struct Args {
    #[command(flatten)]
    overrides: Overrides,
    #[command(flatten)]
    serving: Serving,
}

/// How a gateway says what it does.
#[derive(Debug, clap::Args)]
pub(crate) struct Serving {
    /// File that is written once calls are served: {"listen": [...], "admin": ...}
    #[arg(long, value_name = "PATH")]
    ready_file: Option<PathBuf>,
    /// Write each call to standard error, and say more
    #[arg(long, short)]
    verbose: bool,
}

pub(crate) fn run(args: &Args) -> Result {
    let mut config = config::load(&args.overrides).map_err(Failure::usage)?;
    args.serving.prepare(&mut config);
    let contract = config.gateway.contract.is_some();
    let gateway = Gateway::start(config, args.overrides.clone())?;
    announce(&gateway.report, contract);
    args.serving.serve(gateway)
}

impl Serving {
    /// Sets what is said, and where.
    pub(crate) fn prepare(&self, config: &mut Config) {
        if self.verbose && config.gateway.log.access == crate::observe::access::Format::Off {
            config.gateway.log.access = crate::observe::access::Format::Text;
            "stderr".clone_into(&mut config.gateway.log.access_to);
        }
        super::log_to_stderr(&config.gateway.log, self.verbose);
    }

    /// Serves until a signal says to stop.
    pub(crate) fn serve(&self, gateway: Gateway) -> Result {
        for url in gateway.urls() {
            term::tell(format_args!("listening on {url}"));
        }
        if let Some(admin) = gateway.admin() {
            term::tell(format_args!("admin on http://{admin}"));
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| Failure::Incomplete(format!("the runtime cannot be started: {error}")))?;
        runtime.block_on(async {
            let signals =
                Signals::new().map_err(|error| Failure::Incomplete(format!("no signals: {error}")))?;
            if let Some(path) = &self.ready_file {
                write_ready(path, &gateway)?;
            }
            let reloader = gateway.reloader();
            gateway.serve(signals.wait(&reloader)).await
        })?;
        Ok(Exit::Ok)
    }
}

/// Open operations that are listed at start.
const MOST_LISTED: usize = 100;

/// Says what is open before anything else, then what cannot be proved or enforced.
fn announce(report: &Report, contract: bool) {
    if !contract {
        let what = "no contract: paths, parameters, bodies and answers are not checked against any, and who calls only \
                    where `authenticate` asks for a key; HTTP itself is checked, bodies are bounded, answers hardened. \
                    Give --spec openapi.yaml for the rest";
        term::tell(format_args!("{} {what}", out(Style::Yellow, "note:")));
    }
    let open: Vec<_> = report.open().collect();
    if !open.is_empty() {
        term::tell(format_args!(
            "{} {} of {} operations:",
            out(Style::Yellow, "open to anyone:"),
            open.len(),
            report.operations.len()
        ));
        for operation in open.iter().take(MOST_LISTED) {
            let why = match operation.access {
                Access::OpenByContract => "the contract says so",
                Access::OpenByPolicy => "a policy says `public: true`",
                Access::OpenBySilence => "neither contract nor policy says who may call",
                Access::Credentials(_) => "",
            };
            term::tell(format_args!("  {:7} {}  ({why})", operation.method, operation.template));
        }
    }
    if let Some(more) = open.len().checked_sub(MOST_LISTED).filter(|more| *more > 0) {
        term::tell(format_args!("  … and {more} more; `portcullis config show` lists all"));
    }
    for warning in &report.warnings {
        term::tell(format_args!("{} {warning}", out(Style::Yellow, "warning:")));
    }
    for operation in report.operations.iter().filter(|operation| !operation.unenforced.is_empty()) {
        term::tell(format_args!(
            "{} `{}` is refused, since its contract cannot be enforced:",
            out(Style::Yellow, "warning:"),
            operation.id
        ));
        for problem in &operation.unenforced {
            term::tell(format_args!("  {problem}"));
        }
    }
}

#[derive(Serialize)]
struct Ready {
    listen: Vec<String>,
    admin: Option<String>,
}

/// Writes the ready file beside its place and moves it there, so that a reader never sees half of it.
fn write_ready(path: &Path, gateway: &Gateway) -> Result<()> {
    let ready = Ready {
        listen: gateway.listen().iter().map(ToString::to_string).collect(),
        admin: gateway.admin().map(|address| address.to_string()),
    };
    let failed = |error| Failure::Incomplete(format!("`{}` cannot be written: {error}", path.display()));
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    std::fs::write(&name, serde_json::to_vec(&ready).unwrap_or_default()).map_err(failed)?;
    std::fs::rename(&name, path).map_err(failed)
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hang_up: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Signals> {
        Ok(Signals {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hang_up: signal(SignalKind::hangup())?,
        })
    }

    /// Waits for the signal to stop; reloads meanwhile. A second one ends the process at once.
    async fn wait(mut self, reloader: &Reloader) {
        loop {
            tokio::select! {
                _ = self.terminate.recv() => break,
                _ = self.interrupt.recv() => break,
                _ = self.hang_up.recv() => reloader.ask(),
            }
        }
        tracing::info!("stopping: calls under way may end");
        tokio::spawn(async move {
            // The same key press may arrive twice, through a shell and a terminal.
            tokio::time::sleep(Duration::from_millis(200)).await;
            tokio::select! {
                _ = self.terminate.recv() => {}
                _ = self.interrupt.recv() => {}
            }
            std::process::exit(3);
        });
    }
}
