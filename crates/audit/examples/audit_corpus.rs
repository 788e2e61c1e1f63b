#![expect(clippy::print_stdout, reason = "it is a command")]
//! Audits every document below a folder and says what became of it.
//!
//! `cargo run --release -p portcullis-audit --example audit_corpus -- FOLDER [--list FILE] [--fix] [--quiet]`
//!
//! `--list FILE` takes the documents that a file names, one a line, by their path below the folder. `--fix` applies
//! the safe edits (with `--unsafe-fixes` all), reads the result again, and says where the score did not rise, where something
//! that was there is gone or stands in another order, and where a comment is. A single file may stand for FOLDER.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use portcullis_audit::contract::{Audit, Edit, Options, apply, audit};
use portcullis_openapi::source::{Kind, Limits, Node};
use portcullis_openapi::{Folder, Tree};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let flag = |name: &str| arguments.iter().any(|argument| argument == name);
    let Some(root) = arguments.first().map(PathBuf::from) else {
        eprintln!("expected a folder of documents");
        std::process::exit(2);
    };
    let mut names = Vec::new();
    let root = if root.is_file() {
        names.extend(root.file_name().map(|name| name.to_string_lossy().into_owned()));
        root.parent().map(Path::to_path_buf).unwrap_or_default()
    } else {
        gather(&root, &root, &mut names);
        root
    };
    names.sort();
    if let Some(at) = arguments.iter().position(|argument| argument == "--list") {
        let list =
            arguments.get(at + 1).and_then(|file| std::fs::read_to_string(file).ok()).unwrap_or_default();
        let wanted: Vec<&str> = list.lines().collect();
        names.retain(|name| wanted.contains(&name.as_str()));
    }
    let mut totals = Totals::default();
    let mut slowest: Vec<(Duration, String)> = Vec::new();
    let started = Instant::now();
    for name in &names {
        let path = root.join(name);
        let folder = path.parent().map_or_else(|| root.clone(), Path::to_path_buf);
        let file = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let clock = Instant::now();
        let bytes = std::fs::read(&path).unwrap_or_default();
        let options = Options { edits: flag("--fix"), ..Options::default() };
        match audit(file, &bytes, &Folder::new(&folder), &options) {
            Ok(found) => {
                let took = clock.elapsed();
                slowest.push((took, name.clone()));
                totals.add(&found);
                if !flag("--quiet") {
                    println!(
                        "{:>5.1} {:>8.1} ms {:>5} operations {:>6} schemas {:>5} findings  {name}",
                        found.score,
                        took.as_secs_f64() * 1e3,
                        found.operations.len(),
                        found.schemas,
                        found.findings.len(),
                    );
                }
                if flag("--fix") {
                    totals.fix(name, file, &bytes, &folder, &found, flag("--unsafe-fixes"));
                }
            }
            Err(error) => {
                totals.failed += 1;
                println!("failed  {name}: {error}");
            }
        }
    }
    slowest.sort_by(|left, right| right.cmp(left));
    for (took, name) in slowest.iter().take(5) {
        println!("slow    {:>7.1} ms  {name}", took.as_secs_f64() * 1e3);
    }
    for (code, (findings, hits, documents)) in &totals.rules {
        println!("rule    {findings:>7} findings {hits:>8} hits {documents:>5} documents  {code}");
    }
    println!(
        "{} documents in {:.1} s: {} operations, {} failed; edits: {} in {} documents, {} better, {} same, {} worse, {} broken, \
         {} with something lost; {} values replaced",
        names.len(),
        started.elapsed().as_secs_f64(),
        totals.operations,
        totals.failed,
        totals.edits,
        totals.edited,
        totals.better,
        totals.same,
        totals.worse,
        totals.broken,
        totals.lost,
        totals.replaced,
    );
}

#[derive(Default)]
struct Totals {
    rules: BTreeMap<&'static str, (usize, usize, usize)>,
    operations: usize,
    failed: usize,
    better: usize,
    same: usize,
    worse: usize,
    broken: usize,
    edits: usize,
    edited: usize,
    lost: usize,
    replaced: usize,
}

impl Totals {
    fn add(&mut self, found: &Audit) {
        self.operations += found.operations.len();
        let mut seen = Vec::new();
        for finding in &found.findings {
            let entry = self.rules.entry(finding.rule.code).or_default();
            entry.0 += 1;
            entry.1 += finding.count;
            if !seen.contains(&finding.rule.code) {
                seen.push(finding.rule.code);
                entry.2 += 1;
            }
        }
    }

    fn fix(&mut self, name: &str, file: &str, bytes: &[u8], folder: &Path, before: &Audit, all: bool) {
        let edits = before.findings.iter().flat_map(|finding| &finding.edits);
        let edits: Vec<&Edit> = edits.filter(|edit| (edit.safe || all) && edit.source == file).collect();
        if edits.is_empty() {
            self.same += 1;
            return;
        }
        let text = String::from_utf8_lossy(bytes);
        let text = text.trim_start_matches('\u{feff}');
        let fixed = apply(text, &edits);
        self.edits += edits.len();
        self.edited += 1;
        if !self.kept(file, text, &fixed, folder) {
            self.lost += 1;
            println!("lost    {name}");
        }
        match audit(file, fixed.as_bytes(), &Folder::new(folder), &Options::default()) {
            Ok(after) if after.score > before.score + 1e-9 => self.better += 1,
            Ok(after) if after.score > before.score - 1e-9 => {
                self.same += 1;
                println!("same    {name}: {} edits, {:.2}", edits.len(), before.score);
            }
            Ok(after) => {
                self.worse += 1;
                println!("worse   {name}: {:.2} -> {:.2}", before.score, after.score);
            }
            Err(error) => {
                self.broken += 1;
                println!("broken  {name}: {error}");
            }
        }
    }
}

impl Totals {
    /// Whether all that was in a document is still there, in its order, with its comments.
    fn kept(&mut self, file: &str, before: &str, after: &str, folder: &Path) -> bool {
        let read = |text: &str| Tree::load(file, text.as_bytes(), &Folder::new(folder), Limits::default());
        let (Ok(old), Ok(new)) = (read(before), read(after)) else { return false };
        let (Some(old), Some(new)) = (old.documents().first(), new.documents().first()) else { return false };
        let is_yaml = !file.ends_with("json");
        let comments =
            |text: &str| text.lines().filter(|line| is_yaml && line.trim_start().starts_with('#')).count();
        comments(before) == comments(after) && self.holds(old.root(), new.root())
    }

    fn holds(&mut self, old: &Node, new: &Node) -> bool {
        match (&old.kind, &new.kind) {
            (Kind::Object(old), Kind::Object(new)) => {
                let mut rest = new.iter();
                old.iter().all(|member| {
                    let found = rest.find(|other| other.key == member.key);
                    found.is_some_and(|found| self.holds(&member.value, &found.value))
                })
            }
            (Kind::Array(old), Kind::Array(new)) => {
                old.len() == new.len() && old.iter().zip(new).all(|(old, new)| self.holds(old, new))
            }
            (old, new) => {
                self.replaced += usize::from(old != new);
                true
            }
        }
    }
}

fn gather(root: &Path, folder: &Path, names: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let known = |end: &std::ffi::OsStr| ["json", "yaml", "yml"].iter().any(|known| end == *known);
        if path.is_dir() {
            gather(root, &path, names);
        } else if path.extension().is_some_and(known) {
            names.push(path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned());
        }
    }
}
