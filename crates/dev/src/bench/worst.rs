//! `cargo dev bench worst`: what the costliest values that are known cost to inspect.

use std::fs;
use std::process::Command;

use crate::{Failure, Outcome, cache, process};

/// Measures them with an optimised build, prints the table, and writes it into docs/inspection-worst-case.md.
///
/// # Errors
/// If the example does not build or run.
pub fn run(write: bool) -> Outcome {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let table = process::run_quietly(
        Command::new(cargo)
            .args(["run", "--quiet", "--release", "--package", "portcullis-inspect", "--example", "worst"])
            .current_dir(cache::workspace()),
    )?;
    println!("{table}");
    if !write {
        return Ok(());
    }
    let path = cache::workspace().join("docs/inspection-worst-case.md");
    let page = fs::read_to_string(&path)
        .map_err(|e| Failure::new(format!("cannot read {}: {e}", path.display())))?;
    fs::write(&path, super::between(&page, "measured", &table)?)?;
    println!("wrote {}", path.display());
    Ok(())
}
