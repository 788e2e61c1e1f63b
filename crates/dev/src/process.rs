//! Running other programs, with errors that say which one failed and how to see why.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::{Failure, Outcome, cache};

/// Runs a command to its end, its output going where ours goes.
pub fn run(command: &mut Command) -> Outcome {
    let shown = show(command);
    let status = command.status().map_err(|e| Failure::new(format!("cannot start `{shown}`: {e}")))?;
    if status.success() { Ok(()) } else { Err(Failure::new(format!("`{shown}` ended with {status}"))) }
}

/// Runs a command and says nothing unless it fails; then the error carries the end of what it printed.
pub fn run_quietly(command: &mut Command) -> Outcome<String> {
    let shown = show(command);
    let output = command
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::new(format!("cannot start `{shown}`: {e}")))?;
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    if output.status.success() {
        return Ok(stdout);
    }
    let stderr = String::from_utf8_lossy(&output.stderr);
    let all: Vec<&str> = stdout.lines().chain(stderr.lines()).collect();
    let tail = all.get(all.len().saturating_sub(20)..).unwrap_or_default().join("\n  ");
    Err(Failure::new(format!("`{shown}` ended with {}:\n  {tail}", output.status)))
}

/// Builds an executable of the workspace with the `bench` profile and answers its path. `chosen` says which to cargo,
/// whose environment gets what is `set`.
pub fn build(name: &str, chosen: &[&str], set: &[(&str, String)]) -> Outcome<PathBuf> {
    eprintln!("building {name} with the bench profile");
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = run_quietly(
        Command::new(cargo)
            .args(["build", "--profile", "bench", "--message-format=json"])
            .args(chosen)
            .envs(set.iter().map(|(name, value)| (name, value)))
            .current_dir(cache::workspace()),
    )?;
    output
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|message| message.pointer("/target/name").is_some_and(|found| found == name))
        .find_map(|message| message.get("executable").and_then(Value::as_str).map(PathBuf::from))
        .ok_or_else(|| Failure::new("cargo did not name the executable that it built"))
}

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(8) {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}
