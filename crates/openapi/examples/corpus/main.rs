#![expect(clippy::print_stdout, reason = "it is a command")]
//! Loads every document below a folder and says what became of it.
//!
//! `cargo run --release -p portcullis-openapi --example corpus -- FOLDER [--quiet] [--flaws] [--keywords]
//! [--sample N] [--list FILE] [--skip PART]`
//!
//! `--keywords` counts the keywords of every document of one file in its text, and fails if the contract has
//! lost more of them than it lists as not enforced. `--sample N` takes the N documents whose names have the
//! smallest hash (FNV-1a, 64 bits, of the path below the folder); `--list FILE` takes those that a file names,
//! one a line; `--skip PART` leaves out those whose path contains it.

mod keywords;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use portcullis_openapi::source::Document;
use portcullis_openapi::{Contract, Folder, LoadError, Options, Severity};

#[derive(Default)]
struct Totals {
    loaded: usize,
    failed: usize,
    /// JSON and YAML files that are something else.
    others: usize,
    operations: usize,
    unenforced: usize,
    /// Of those, the ones of which a file is not there.
    incomplete: usize,
    /// Documents whose keywords were counted, the keywords, and those that are neither kept nor listed.
    counted: usize,
    keywords: usize,
    listed: usize,
    lost: usize,
    slowest: Vec<(Duration, String)>,
    reasons: BTreeMap<String, usize>,
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let Some(root) = arguments.first().map(PathBuf::from) else {
        eprintln!("expected a folder of documents");
        return ExitCode::from(2);
    };
    let mut names = Vec::new();
    gather(&root, &root, &mut names);
    names.sort();
    if let Some(list) = option("--list") {
        let wanted = std::fs::read_to_string(list).unwrap_or_default();
        let wanted: Vec<&str> = wanted.lines().collect();
        names.retain(|name| wanted.contains(&name.as_str()));
    }
    if let Some(part) = option("--skip") {
        names.retain(|name| !name.contains(&part));
    }
    if let Some(count) = option("--sample").and_then(|count| count.parse().ok()) {
        names.sort_by_key(|name| fnv(name.as_bytes()));
        names.truncate(count);
        names.sort();
    }
    let mut totals = Totals::default();
    let started = Instant::now();
    for name in &names {
        one(&root, name, flag("--quiet"), flag("--flaws"), flag("--keywords"), &mut totals);
    }
    report(&mut totals, names.len(), started.elapsed());
    if totals.failed + totals.lost == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one(root: &Path, name: &str, quiet: bool, flaws: bool, keywords: bool, totals: &mut Totals) {
    let path = root.join(name);
    let folder = path.parent().map_or_else(|| root.to_path_buf(), Path::to_path_buf);
    let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let options = Options { count_keywords: keywords, ..Options::default() };
    let clock = Instant::now();
    let contract = match Contract::load(file, &Folder::new(folder), &options) {
        Ok(contract) => contract,
        Err(LoadError::NotAContract(_)) => {
            totals.others += 1;
            return;
        }
        Err(error) => {
            let text = std::fs::read_to_string(&path).unwrap_or_default();
            if text.contains("openapi") || text.contains("swagger") {
                totals.failed += 1;
                println!("failed  {name}: {error}");
            } else {
                totals.others += 1;
            }
            return;
        }
    };
    let took = clock.elapsed();
    totals.loaded += 1;
    totals.slowest.push((took, name.to_owned()));
    let errors = contract.problems().iter().filter(|problem| problem.severity == Severity::Error).count();
    let flawed = contract.operations().iter().filter(|operation| !operation.unenforced.is_empty());
    let flawed: Vec<_> = flawed.collect();
    totals.operations += contract.operations().len();
    totals.unenforced += flawed.len();
    for operation in &flawed {
        let reason = operation.unenforced.first().map(|problem| {
            let absent =
                problem.expected.contains("cannot be read") || problem.expected.starts_with("a copy of");
            totals.incomplete += usize::from(absent);
            if absent { "a file that is not there".into() } else { generic(&problem.what) }
        });
        *totals.reasons.entry(reason.unwrap_or_default()).or_default() += 1;
        if flaws {
            for problem in &operation.unenforced {
                println!("    {} {problem}", operation.label());
            }
        }
    }
    if !quiet {
        println!(
            "ok      {:>7.1} ms {:>5} operations {:>5} problems ({errors} errors) {:>4} unenforced  {name}",
            took.as_secs_f64() * 1e3,
            contract.operations().len(),
            contract.problems().len(),
            flawed.len(),
        );
    }
    if keywords {
        compare(&path, name, &contract, errors, totals);
    }
}

/// Counts the keywords of the text and compares.
fn compare(path: &Path, name: &str, contract: &Contract, errors: usize, totals: &mut Totals) {
    let Ok(bytes) = std::fs::read(path) else { return };
    let Ok(document) = Document::parse(name, &bytes) else { return };
    // Of keys that are there twice, other readers take the last.
    let value = match document.duplicates().is_empty() {
        true => serde_json::from_slice(&bytes).ok().or_else(|| Some(document.root().to_json())),
        false => Some(document.root().to_json()),
    };
    let Some(written) = value.as_ref().and_then(keywords::count) else { return };
    totals.counted += 1;
    let mut missing = 0;
    let mut differences = Vec::new();
    for (keyword, count) in &written {
        totals.keywords += count;
        let kept = contract.keywords().get(keyword).copied().unwrap_or_default();
        if kept != *count {
            differences.push(format!("{keyword} {kept}/{count}"));
        }
        missing += count.saturating_sub(kept);
    }
    totals.listed += missing.min(errors);
    totals.lost += missing.saturating_sub(errors);
    if missing > errors {
        println!("lost    {name}: {} ({errors} listed)", differences.join(", "));
    }
}

fn report(totals: &mut Totals, files: usize, took: Duration) {
    totals.slowest.sort_by(|left, right| right.cmp(left));
    for (took, name) in totals.slowest.iter().take(8) {
        println!("slow    {:>7.1} ms  {name}", took.as_secs_f64() * 1e3);
    }
    for (reason, count) in &totals.reasons {
        println!("reason  {count:>6}  {reason}");
    }
    let Totals { loaded, failed, others, operations, unenforced, incomplete, .. } = totals;
    println!(
        "{files} files in {:.1} s: {loaded} documents loaded, {failed} failed, {others} no documents",
        took.as_secs_f64()
    );
    println!(
        "{operations} operations, {unenforced} with something that cannot be enforced, {incomplete} of them for a \
         file that is not there"
    );
    if totals.counted > 0 {
        let Totals { counted, keywords, listed, lost, .. } = totals;
        println!("{keywords} keywords in {counted} documents: {listed} listed as not enforced, {lost} lost");
    }
}

fn gather(root: &Path, folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(root, &path, names);
        } else if path
            .extension()
            .is_some_and(|end| ["json", "yaml", "yml"].iter().any(|known| end == *known))
        {
            let name = path.strip_prefix(root).unwrap_or(&path);
            names.push(name.to_string_lossy().into_owned());
        }
    }
}

/// A reason without the names of one document.
fn generic(what: &str) -> String {
    what.split('`').step_by(2).collect::<Vec<_>>().join("…")
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
