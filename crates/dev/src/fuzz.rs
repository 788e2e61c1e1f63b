//! `cargo dev fuzz`: the cargo-fuzz targets, on the stable compiler.

use std::fs;
use std::process::Command;

use crate::{Failure, Outcome, cache, process};

/// The names of all fuzz targets: the files in `fuzz/fuzz_targets`, sorted.
pub fn targets() -> Outcome<Vec<String>> {
    let folder = cache::workspace().join("fuzz/fuzz_targets");
    let mut names = Vec::new();
    for entry in
        fs::read_dir(&folder).map_err(|e| Failure::new(format!("cannot read {}: {e}", folder.display())))?
    {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "rs")
            && let Some(name) = path.file_stem()
        {
            names.push(name.to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// Runs one target, or all of them in turn, each for `seconds`; a crash or a time-out is a failure, and
/// cargo-fuzz leaves the input that caused it in `fuzz/artifacts`.
pub fn run(target: Option<&str>, seconds: u64) -> Outcome {
    let all = targets()?;
    let chosen: Vec<&String> = match target {
        None => all.iter().collect(),
        Some(name) => {
            let found: Vec<&String> = all.iter().filter(|known| *known == name).collect();
            if found.is_empty() {
                return Err(Failure::new(format!(
                    "there is no fuzz target `{name}`; there are: {}",
                    all.join(", ")
                )));
            }
            found
        }
    };
    install()?;
    for name in chosen {
        eprintln!("== fuzz {name}: {seconds} s");
        process::run(&mut cargo_fuzz(&[
            "run",
            name,
            "--",
            &format!("-max_total_time={seconds}"),
            "-timeout=10",
            "-rss_limit_mb=2048",
            "-print_final_stats=1",
            "-verbosity=0",
        ]))?;
    }
    Ok(())
}

fn install() -> Outcome {
    if cache::cargo_root().join("bin/cargo-fuzz").is_file() {
        return Ok(());
    }
    eprintln!("installing cargo-fuzz into {}", cache::cargo_root().display());
    process::run(
        Command::new("cargo").args(["install", "--quiet", "cargo-fuzz", "--root"]).arg(cache::cargo_root()),
    )
}

/// The stable compiler has what cargo-fuzz needs (sanitizers, coverage) behind its bootstrap switch.
fn cargo_fuzz(arguments: &[&str]) -> Command {
    let mut command = Command::new(cache::cargo_root().join("bin/cargo-fuzz"));
    command
        .args(arguments)
        .current_dir(cache::workspace())
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_TARGET_DIR", cache::folder().join("fuzz-target"));
    command
}
