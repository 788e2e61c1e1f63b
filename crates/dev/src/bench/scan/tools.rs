//! The tools, and what each says it found, in one vocabulary.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use serde_json::Value;

use super::apps::App;
use super::count::Counter;
use super::judge::{Claim, Variant};
use crate::{Failure, Outcome, cache};

/// A tool, and its program.
#[derive(Debug)]
pub(super) enum Tool {
    Portcullis(PathBuf),
    Schemathesis(PathBuf),
    Offat(PathBuf),
}

/// What one run said, and what it took.
#[derive(Debug)]
pub(super) struct Run {
    pub(super) claims: Vec<Claim>,
    pub(super) requests: u64,
    pub(super) seconds: f64,
}

impl Tool {
    pub(super) fn title(&self) -> &'static str {
        match self {
            Tool::Portcullis(_) => "Portcullis",
            Tool::Schemathesis(_) => "Schemathesis",
            Tool::Offat(_) => "OFFAT",
        }
    }

    /// Starts the application afresh and runs the tool on it.
    pub(super) fn run(&self, app: &App, variant: &Variant, seed: u64, folder: &Path) -> Outcome<Run> {
        let running = app.start(&variant.environment)?;
        let counter = Counter::start(running.address())?;
        let target = format!("http://{}", counter.address);
        let token = || -> Outcome<String> { Ok(format!("Authorization: Bearer {}", running.token()?)) };
        let report = folder.join("report.json");
        let reports = folder.join("reports");
        let _ = fs::remove_file(&report);
        let _ = fs::remove_dir_all(&reports);
        let mut command;
        match self {
            Tool::Portcullis(program) => {
                command = Command::new(program);
                command.arg("scan").arg("--spec").arg(app.document()).args(["--target", &target]);
                command.args(["--seed", &seed.to_string(), "-o"]).arg(&report);
                for identity in app.identities() {
                    command.args(["--identity", identity]);
                }
            }
            Tool::Schemathesis(program) => {
                command = Command::new(program);
                command.arg("run").arg(app.document()).args(["--url", &target, "-H", &token()?]);
                command
                    .args(["--seed", &seed.to_string(), "--report", "ndjson", "--report-dir"])
                    .arg(&reports);
            }
            Tool::Offat(program) => {
                command = Command::new(program);
                command.arg("-f").arg(app.document()).args(["--server", &target, "-H", &token()?]);
                command.args(["-of", "json", "-o"]).arg(&report);
            }
        }
        let began = Instant::now();
        // Findings are none of a tool's failures.
        command
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()?;
        let seconds = began.elapsed().as_secs_f64();
        let claims = match self {
            Tool::Portcullis(_) => ours(&json(&report)?),
            Tool::Schemathesis(_) => schemathesis(&reports)?,
            Tool::Offat(_) => offat(&json(&report)?)?,
        };
        Ok(Run { claims, requests: counter.requests(), seconds })
    }
}

fn json(path: &Path) -> Outcome<Value> {
    let wrong = |why: &dyn std::fmt::Display| Failure::new(format!("`{}`: {why}", path.display()));
    serde_json::from_str(&fs::read_to_string(path).map_err(|error| wrong(&error))?)
        .map_err(|error| wrong(&error))
}

/// What Portcullis says is confirmed.
fn ours(report: &Value) -> Vec<Claim> {
    let items = report.get("items").and_then(Value::as_array).into_iter().flatten();
    let text = |item: &Value, pointer: &str| {
        item.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    items
        .filter(|item| text(item, "/confidence") == "confirmed")
        .map(|item| Claim {
            tool: "Portcullis",
            codes: vec![text(item, "/code")],
            operation: text(item, "/places/0/operation"),
            part: text(item, "/places/0/part"),
        })
        .collect()
}

/// The names of another tool's tests in our codes. What is not in it says nothing of security.
fn vocabulary(tool: &str) -> Outcome<BTreeMap<String, Vec<String>>> {
    let mut all = json(&cache::workspace().join("benches/scan/tools.json"))?;
    serde_json::from_value(all.get_mut(tool).map(Value::take).unwrap_or_default())
        .map_err(|error| Failure::new(format!("`benches/scan/tools.json`: {error}")))
}

fn schemathesis(folder: &Path) -> Outcome<Vec<Claim>> {
    let words = vocabulary("schemathesis")?;
    let mut claims = BTreeSet::new();
    for entry in fs::read_dir(folder)?.flatten() {
        for line in fs::read_to_string(entry.path())?.lines() {
            let Ok(event) = serde_json::from_str::<Value>(line) else { continue };
            let Some(recorder) = event.pointer("/ScenarioFinished/recorder") else { continue };
            let operation = |case: &str| {
                let about = recorder.get("cases")?.get(case)?.get("value")?;
                Some(format!("{} {}", about.get("method")?.as_str()?, about.get("path")?.as_str()?))
            };
            for (case, checks) in recorder.get("checks").and_then(Value::as_object).into_iter().flatten() {
                for check in checks.as_array().into_iter().flatten() {
                    let failed = check.get("status").and_then(Value::as_str) == Some("failure");
                    let name = check.get("name").and_then(Value::as_str).unwrap_or_default();
                    if let (true, Some(codes)) = (failed, words.get(name)) {
                        claims.insert(Claim {
                            tool: "Schemathesis",
                            codes: codes.clone(),
                            operation: operation(case).unwrap_or_default(),
                            part: String::new(),
                        });
                    }
                }
            }
        }
    }
    Ok(claims.into_iter().collect())
}

fn offat(report: &Value) -> Outcome<Vec<Claim>> {
    let words = vocabulary("offat")?;
    let mut claims = BTreeSet::new();
    for result in report.get("results").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| result.get(name).and_then(Value::as_str).unwrap_or_default();
        if result.get("vulnerable") != Some(&Value::Bool(true)) {
            continue;
        }
        let Some(codes) = words.get(text("test_name")) else { continue };
        // One claim for what differs only in what was made up for a parameter.
        let path: Vec<&str> = text("endpoint")
            .split('/')
            .map(|part| {
                let plain =
                    part.bytes().all(|byte| byte.is_ascii_lowercase() || b"0123456789_-.".contains(&byte));
                if plain { part } else { "{}" }
            })
            .collect();
        claims.insert(Claim {
            tool: "OFFAT",
            codes: codes.clone(),
            operation: format!("{} {}", text("method"), path.join("/")),
            part: String::new(),
        });
    }
    Ok(claims.into_iter().collect())
}
