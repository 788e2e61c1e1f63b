//! The commands, one file each, and the command line that chooses among them.

mod advisories;
pub(crate) mod audit;
mod check;
mod completions;
mod config;
mod contract;
mod demo;
mod docs;
mod doctor;
mod egress;
mod explain;
mod fix;
mod init;
mod inspect;
mod keys;
mod learn;
mod log;
mod replay;
mod run;
mod sbom;
mod scan;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::EnvFilter;

use crate::config::written::{Level, LogWritten};
use crate::exit::{Exit, Result};
use crate::term::{self, Style};

/// Secures HTTP APIs: stands in front of an API, decides every call, and writes down why.
#[derive(Debug, Parser)]
#[command(name = "portcullis", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 done, 1 something was found wrong, 2 wrong usage or configuration, \
                        3 could not be brought to its end.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Egress(egress::Args),
    Demo(demo::Args),
    Keys(keys::Args),
    Log(log::Args),
    Replay(replay::Args),
    Audit(audit::Args),
    Check(check::Args),
    #[command(subcommand)]
    Advisories(advisories::Args),
    Sbom(sbom::Args),
    Scan(scan::Args),
    Fix(Box<fix::Args>),
    Init(init::Args),
    Doctor(doctor::Args),
    #[command(subcommand)]
    Config(config::Args),
    #[command(subcommand)]
    Contract(contract::Args),
    Explain(explain::Args),
    Inspect(inspect::Args),
    Learn(learn::Args),
    Completions(completions::Args),
    #[command(hide = true)]
    Docs(docs::Args),
}

/// Parses the command line and runs the command.
pub(crate) fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Ok.into() };
        }
    };
    match run(cli.command) {
        Ok(exit) => exit.into(),
        Err(failure) => {
            term::note(format_args!("{}: {failure}", term::err(Style::Red, "error")));
            failure.exit().into()
        }
    }
}

fn run(command: Command) -> Result {
    match command {
        Command::Run(args) => run::run(&args),
        Command::Egress(args) => egress::run(&args),
        Command::Demo(args) => demo::run(&args),
        Command::Init(args) => init::run(&args),
        Command::Doctor(args) => doctor::run(&args),
        Command::Keys(args) => keys::run(&args),
        Command::Replay(args) => replay::run(&args),
        Command::Audit(args) => audit::run(&args),
        Command::Check(args) => check::run(&args),
        Command::Advisories(args) => advisories::run(&args),
        Command::Sbom(args) => sbom::run(&args),
        Command::Scan(args) => scan::run(&args),
        Command::Fix(args) => fix::run(&args),
        Command::Log(args) => log::run(&args),
        Command::Config(args) => config::run(&args),
        Command::Contract(args) => contract::run(&args),
        Command::Explain(args) => explain::run(&args),
        Command::Inspect(args) => inspect::run(&args),
        Command::Learn(args) => learn::run(&args),
        Command::Completions(args) => completions::run(&args),
        Command::Docs(args) => docs::run(&args),
    }
}

/// The whole command line, for completions and the reference.
pub(crate) fn command_line() -> clap::Command {
    Cli::command()
}

/// Sends what the program says of itself to standard error. `PORTCULLIS_LOG` goes before the configuration:
/// a level, or directives such as `info,portcullis_proxy=debug`.
pub(crate) fn log_to_stderr(log: &LogWritten, verbose: bool) {
    let level = match log.level {
        _ if verbose => "debug",
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    };
    let filter = EnvFilter::try_from_env("PORTCULLIS_LOG").unwrap_or_else(|_| EnvFilter::new(level));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(term::colours_on_stderr())
        .with_target(false);
    // A second call changes nothing: the first one decides.
    let _ = if log.json { builder.json().try_init() } else { builder.try_init() };
}
