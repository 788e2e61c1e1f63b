//! `portcullis audit`: how secure an API's description, dependencies, gateway policy and transport are, without a
//! call to the API.

mod contract;
pub(crate) mod dependencies;
mod policy;
pub(crate) mod transport;
pub(crate) mod wire;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Instant;

use time::OffsetDateTime;

use crate::config::DEFAULT_FILE;
use crate::exit::{Failure, Result};
use crate::files;
use crate::report::{Output, Report};

/// Read an API's description, lock files, gateway policy or transport, and say how secure they are
#[derive(Debug, clap::Args)]
#[command(after_help = "portcullis audit openapi.yaml\n\
                        portcullis audit openapi.yaml Cargo.lock portcullis.yaml --tls api.example.com -o report.html\n\
                        portcullis audit . --fix\n\
                        No call is made to the API; --tls opens connections to the host that it names.")]
pub(crate) struct Args {
    /// OpenAPI or Swagger documents, lock files, SBOMs, portcullis.yaml, or folders with them
    #[arg(required_unless_present_any = ["tls", "list"])]
    paths: Vec<PathBuf>,
    /// Advisories in the OSV format: a folder, a .zip or a .json [default: what `portcullis advisories` keeps]
    #[arg(long, value_name = "PATH")]
    advisories: Vec<PathBuf>,
    /// Also look at the transport of HOST[:PORT]; can be given again
    #[arg(long, value_name = "HOST[:PORT]")]
    tls: Vec<String>,
    /// Authorities that sign the hosts' certificates, PEM [default: those of this machine]
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca: Option<PathBuf>,
    /// Write the safe fixes into the documents; comments and order stay
    #[arg(long)]
    fix: bool,
    /// Also write fixes that may turn away calls that the API serves now, such as limits
    #[arg(long)]
    unsafe_fixes: bool,
    /// List the rules for descriptions
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    output: Output,
}

/// Bytes of a document that are read at most.
const MAX_BYTES: u64 = 128 << 20;

/// Bytes of a file that are looked at to tell whether it is a description.
const PEEK: u64 = 8 << 10;

/// Files that a folder is searched for at most.
const MAX_FILES: usize = 20_000;

/// Runs it.
///
/// # Errors
/// If a path cannot be read or is of no kind that can be audited.
pub(crate) fn run(args: &Args) -> Result {
    if args.list {
        return Ok(contract::list());
    }
    let now = OffsetDateTime::now_utc();
    args.output.check(now)?;
    let clock = Instant::now();
    let mut found = Found::default();
    for path in &args.paths {
        found.add(path)?;
    }
    let names: Vec<String> = args.paths.iter().map(|path| path.display().to_string()).collect();
    let target = names.iter().chain(&args.tls).map(String::as_str).collect::<Vec<_>>().join(" ");
    let mut report = Report::new("audit", &target, now);
    if !found.contracts.is_empty() {
        let fixes = contract::Fixes { write: args.fix || args.unsafe_fixes, all: args.unsafe_fixes };
        contract::collect(&mut report, &found.contracts, fixes, now)?;
    }
    if !found.locks.is_empty() {
        dependencies::collect(&mut report, &found.locks, &args.advisories)?;
    }
    for path in &found.policies {
        policy::collect(&mut report, path, now)?;
    }
    for host in &args.tls {
        transport::collect(&mut report, host, args.ca.as_deref(), now)?;
    }
    report.seconds = clock.elapsed().as_secs_f64();
    args.output.finish(report, now)
}

/// Reads a file of at most `most` bytes.
///
/// # Errors
/// If it cannot be read or is larger.
pub(crate) fn read_file(path: &Path, most: u64) -> Result<Vec<u8>> {
    files::read(path, most)
        .map_err(|error| Failure::Usage(format!("`{}` cannot be read: {error}", path.display())))
}

/// What the paths lead to, by kind.
#[derive(Debug, Default)]
struct Found {
    contracts: Vec<PathBuf>,
    locks: Vec<PathBuf>,
    policies: Vec<PathBuf>,
}

impl Found {
    fn add(&mut self, path: &Path) -> Result<()> {
        let unreadable =
            |error: std::io::Error| Failure::Usage(format!("`{}` cannot be read: {error}", path.display()));
        let metadata = std::fs::metadata(path).map_err(unreadable)?;
        if metadata.is_dir() {
            let before = self.contracts.len() + self.locks.len() + self.policies.len();
            let mut left = MAX_FILES;
            self.search(path, 0, &mut left);
            if self.contracts.len() + self.locks.len() + self.policies.len() == before {
                return Err(Failure::Usage(format!(
                    "nothing in `{}` can be audited: expected OpenAPI documents, lock files or {DEFAULT_FILE}",
                    path.display()
                )));
            }
            return Ok(());
        }
        if is_policy(path) {
            self.policies.push(path.to_owned());
        } else if dependencies::is_lock(path) {
            self.locks.push(path.to_owned());
        } else {
            self.contracts.push(path.to_owned());
        }
        Ok(())
    }

    /// Takes what is known by its name, and of other YAML and JSON files those that begin as descriptions do.
    fn search(&mut self, folder: &Path, depth: usize, left: &mut usize) {
        let Ok(entries) = std::fs::read_dir(folder) else { return };
        let mut entries: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
        entries.sort();
        for path in entries {
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let skipped =
                name.starts_with('.') || matches!(name, "node_modules" | "target" | "vendor" | "venv");
            if skipped || *left == 0 || path.is_symlink() {
                continue;
            }
            *left -= 1;
            if path.is_dir() {
                if depth < 12 {
                    self.search(&path, depth + 1, left);
                }
            } else if !path.is_file() {
                // A pipe or a device: reading it may never end.
            } else if is_policy(&path) {
                self.policies.push(path);
            } else if dependencies::is_lock(&path) {
                self.locks.push(path);
            } else if is_description(&path) {
                self.contracts.push(path);
            }
        }
    }
}

fn is_policy(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name == DEFAULT_FILE || name == "portcullis.yml"
}

fn is_description(path: &Path) -> bool {
    let known = path.extension().and_then(|end| end.to_str());
    if !matches!(known, Some("yaml" | "yml" | "json")) {
        return false;
    }
    let mut head = Vec::new();
    let read = File::open(path).and_then(|file| file.take(PEEK).read_to_end(&mut head));
    let text = String::from_utf8_lossy(&head);
    read.is_ok()
        && text.lines().any(|line| {
            let line = line.trim_start_matches(['{', ' ', '\u{feff}']).replace('"', "");
            line.starts_with("openapi:") || line.starts_with("swagger:")
        })
}
