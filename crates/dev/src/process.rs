//! Running other programs, with errors that say which one failed and how to see why.

use std::process::{Command, Stdio};

use crate::{Failure, Outcome};

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

fn show(command: &Command) -> String {
    let mut shown = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args().take(8) {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}
