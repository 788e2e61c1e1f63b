//! `cargo dev bench worst`: what the costliest values that are known cost to inspect.

use std::process::Command;

use crate::{Outcome, cache, process};

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
    if write { super::write_section("inspection-worst-case.md", "measured", &table) } else { Ok(()) }
}
