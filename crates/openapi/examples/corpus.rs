#![expect(clippy::print_stdout, reason = "it is a command")]
//! Loads every document below a folder and says what became of it.
//!
//! `cargo run --release -p portcullis-openapi --example corpus -- FOLDER [--sample N] [--quiet] [--flaws]`
//!
//! `--sample N` takes the N documents whose names have the smallest hash (FNV-1a, 64 bits, of the
//! path below the folder); `--list FILE` takes those that a file names, one a line.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_openapi::{Contract, Folder, Options, Severity};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let option = |name: &str| {
        let at = arguments.iter().position(|argument| argument == name)?;
        arguments.get(at + 1).cloned()
    };
    let Some(root) = arguments.first().map(PathBuf::from) else {
        eprintln!("expected a folder of documents");
        std::process::exit(2);
    };
    let mut names = Vec::new();
    gather(&root, &root, &mut names);
    names.sort();
    if let Some(list) = option("--list") {
        let wanted = std::fs::read_to_string(list).unwrap_or_default();
        let wanted: Vec<&str> = wanted.lines().collect();
        names.retain(|name| wanted.contains(&name.as_str()));
    }
    if let Some(count) = option("--sample").and_then(|count| count.parse().ok()) {
        names.sort_by_key(|name| fnv(name.as_bytes()));
        names.truncate(count);
        names.sort();
    }
    let (mut loaded, mut failed, mut operations, mut unenforced) = (0, 0, 0, 0);
    let mut slowest: Vec<(Duration, String)> = Vec::new();
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    let started = Instant::now();
    for name in &names {
        let path = root.join(name);
        let folder = path.parent().map_or_else(|| root.clone(), Path::to_path_buf);
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let clock = Instant::now();
        let contract = Contract::load(file, &Folder::new(folder), &Options::default());
        let took = clock.elapsed();
        match contract {
            Ok(contract) => {
                loaded += 1;
                let errors = contract.problems().iter().filter(|p| p.severity == Severity::Error).count();
                let flawed =
                    contract.operations().iter().filter(|operation| !operation.unenforced.is_empty());
                let flawed: Vec<_> = flawed.collect();
                operations += contract.operations().len();
                unenforced += flawed.len();
                for operation in &flawed {
                    let reason = operation.unenforced.first().map(|problem| generic(&problem.what));
                    *reasons.entry(reason.unwrap_or_default()).or_default() += 1;
                    if flag("--flaws") {
                        for problem in &operation.unenforced {
                            println!("    {} {problem}", operation.label());
                        }
                    }
                }
                if !flag("--quiet") {
                    println!(
                        "ok      {:>7.1} ms {:>5} operations {:>5} problems ({errors} errors) {:>4} unenforced  {name}",
                        took.as_secs_f64() * 1e3,
                        contract.operations().len(),
                        contract.problems().len(),
                        flawed.len(),
                    );
                }
            }
            Err(error) => {
                failed += 1;
                println!("failed  {name}: {error}");
            }
        }
        slowest.push((took, name.clone()));
    }
    slowest.sort_by(|left, right| right.cmp(left));
    for (took, name) in slowest.iter().take(8) {
        println!("slow    {:>7.1} ms  {name}", took.as_secs_f64() * 1e3);
    }
    for (reason, count) in &reasons {
        println!("reason  {count:>6}  {reason}");
    }
    println!(
        "{} documents in {:.1} s: {loaded} loaded, {failed} failed; {operations} operations, {unenforced} with \
         something that cannot be enforced",
        names.len(),
        started.elapsed().as_secs_f64()
    );
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
