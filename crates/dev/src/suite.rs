//! `cargo dev test`: sets up, runs every test of the workspace and tells calmly what happened.
//!
//! A test that lacks something outside the project prints a line that begins with `SKIPPED` and passes. All
//! those lines are listed at the end; where `CI=true` they fail the run, except `SKIPPED (extra)`, which marks
//! data that only some machines have.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};

use crate::setup::{self, Purpose};
use crate::{Failure, Outcome, cache};

/// Runs the tests whose names contain one of `filters` (all when there is none).
pub fn run(filters: &[String], set_up: bool) -> Outcome {
    if set_up {
        for line in setup::ensure(&[Purpose::Test], None)? {
            eprintln!("missing: {line}");
        }
    }
    let strict = std::env::var_os("CI").is_some_and(|value| value == "true");
    let report = cargo_test(filters)?;
    println!();
    if !report.skipped.is_empty() {
        println!("skipped:");
        for line in &report.skipped {
            println!("  {line}");
        }
    }
    println!("{} passed, {} failed, {} ignored", report.passed, report.failed, report.ignored);
    let needed = report.skipped.iter().filter(|line| !line.starts_with("SKIPPED (extra)")).count();
    if !report.success {
        return Err(Failure::new(format!("{} tests failed; see above", report.failed)));
    }
    if strict && needed > 0 {
        return Err(Failure::new(format!(
            "{needed} tests were skipped, and CI=true allows none; see the list above"
        )));
    }
    if report.passed == 0 {
        return Err(Failure::new("no test ran: no name contains the given filter"));
    }
    Ok(())
}

#[derive(Debug, Default)]
struct Report {
    passed: u64,
    failed: u64,
    ignored: u64,
    skipped: Vec<String>,
    success: bool,
}

fn cargo_test(filters: &[String]) -> Outcome<Report> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut child = Command::new(cargo)
        .args(["test", "--workspace", "--no-fail-fast", "--"])
        .args(filters)
        .arg("--show-output")
        .current_dir(cache::workspace())
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::new(format!("cannot start `cargo test`: {e}")))?;
    let stdout = child.stdout.take().ok_or_else(|| Failure::new("`cargo test` has no output"))?;
    fs::create_dir_all(cache::folder())?;
    let log = cache::folder().join("test.log");
    let mut file = fs::File::create(&log)?;
    let mut filter = Filter::default();
    let mut reader = BufReader::new(stdout);
    let mut bytes = Vec::new();
    while reader.read_until(b'\n', &mut bytes)? > 0 {
        file.write_all(&bytes)?;
        let line = String::from_utf8_lossy(&bytes);
        if let Some(shown) = filter.feed(line.trim_end_matches(['\n', '\r'])) {
            println!("{shown}");
        }
        drop(line);
        bytes.clear();
    }
    let mut report = filter.report;
    report.success = child.wait()?.success();
    report.skipped.sort();
    report.skipped.dedup();
    println!("everything that the tests printed is in {}", log.display());
    Ok(report)
}

/// Reads what `cargo test -- --show-output` prints and lets through only what a person wants to see.
#[derive(Debug, Default)]
struct Filter {
    report: Report,
    /// Inside the part that repeats the output of tests that passed.
    in_successes: bool,
}

impl Filter {
    fn feed<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if line.starts_with("SKIPPED") {
            self.report.skipped.push(line.to_owned());
        }
        if let Some(counts) = line.strip_prefix("test result: ") {
            self.in_successes = false;
            self.report.passed += count(counts, " passed");
            self.report.failed += count(counts, " failed");
            self.report.ignored += count(counts, " ignored");
            let empty = counts.starts_with("ok. 0 passed; 0 failed; 0 ignored");
            return (!empty).then_some(line);
        }
        match line {
            "successes:" => self.in_successes = true,
            "failures:" => self.in_successes = false,
            _ => {}
        }
        let passed = line.starts_with("test ") && line.ends_with(" ... ok");
        let empty = line.trim().is_empty() || line.starts_with("running ");
        (!self.in_successes && !passed && !empty).then_some(line)
    }
}

/// The number that stands before `what` in a line such as `ok. 3 passed; 0 failed; …`.
fn count(line: &str, what: &str) -> u64 {
    line.split(what)
        .next()
        .filter(|before| before.len() < line.len())
        .and_then(|before| before.rsplit(' ').next())
        .and_then(|number| number.parse().ok())
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_shows_and_collects() {
        let output = "\
running 3 tests
test a ... ok
test b ... FAILED
test c ... ok

successes:

---- a stdout ----
SKIPPED a: no nginx here
noise

successes:
    a

failures:

---- b stdout ----
it broke

test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.00s
";
        let mut filter = Filter::default();
        let shown: Vec<&str> = output.lines().filter_map(|line| filter.feed(line)).collect();
        assert_eq!(shown[0], "test b ... FAILED");
        assert!(shown.contains(&"it broke"));
        assert!(!shown.iter().any(|line| line.contains("noise")));
        assert_eq!((filter.report.passed, filter.report.failed, filter.report.ignored), (2, 1, 4));
        assert_eq!(filter.report.skipped, ["SKIPPED a: no nginx here"]);
    }
}
