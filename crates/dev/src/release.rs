//! `cargo dev release`: the program as it is shipped and measured: whole-program optimisation, guided by a profile of
//! what a gateway does.
//!
//! The program is built twice. The first build counts how often each of its branches is taken; it serves the
//! benchmarks' calls (cleartext, TLS, HTTP/2, keys, contract, inspection) and the demonstration with its attacks. The
//! second is laid out by those counts: what calls pass through stands together and in line, the rest out of the way.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::UNIX_EPOCH;

use crate::bench::contenders::{self, Kind};
use crate::bench::load::{self, Call};
use crate::bench::{inspect, proxy};
use crate::setup::{self, Purpose};
use crate::{Failure, Outcome, cache, process};

/// Which package and program.
const PROGRAM: [&str; 4] = ["--package", "portcullis", "--bin", "portcullis"];

/// Seconds of each kind of call in the first build. Counts matter, not times: it may run beside other work.
const SECONDS: u32 = 3;

/// A built program.
#[derive(Clone, Debug, Default)]
pub struct Built {
    /// Where it is.
    pub program: PathBuf,
    /// Whether a profile guided the compiler, if that is known.
    pub guided: Option<bool>,
}

/// `cargo dev release`: builds, and copies the program to `output` if given.
///
/// # Errors
/// If a build or the calls in between fail, or LLVM's `llvm-profdata` is not there.
pub fn run(output: Option<&Path>) -> Outcome {
    let missing = setup::ensure(&[Purpose::Release], None)?;
    if !missing.is_empty() {
        return Err(Failure::new(format!("still missing:\n  {}", missing.join("\n  "))));
    }
    let Some(profdata) = profdata() else { return Err(Failure::new(NO_PROFDATA)) };
    let program = guided(&profdata)?;
    match output {
        Some(output) => {
            fs::copy(&program, output)
                .map_err(|e| Failure::new(format!("cannot copy it to {}: {e}", output.display())))?;
            eprintln!("built {}", output.display());
        }
        None => eprintln!("built {}", program.display()),
    }
    Ok(())
}

const NO_PROFDATA: &str =
    "`llvm-profdata` of this compiler is not installed; run `rustup component add llvm-tools`";

/// The program to measure: the one that is given in `PORTCULLIS_BIN`, else as it is shipped where this machine can build
/// that, else without a profile.
///
/// # Errors
/// If the one that is given is not there, or a build fails.
pub fn to_measure() -> Outcome<Built> {
    if let Some(given) = std::env::var_os("PORTCULLIS_BIN") {
        let program = fs::canonicalize(&given).map_err(|e| {
            Failure::new(format!(
                "PORTCULLIS_BIN is {}, which cannot be used: {e}",
                Path::new(&given).display()
            ))
        })?;
        return Ok(Built { program, guided: None });
    }
    if let Some(profdata) = profdata() {
        return Ok(Built { program: guided(&profdata)?, guided: Some(true) });
    }
    eprintln!("{NO_PROFDATA}; going on without a profile");
    Ok(Built { program: process::build("portcullis", &PROGRAM, &[])?, guided: Some(false) })
}

fn guided(profdata: &Path) -> Outcome<PathBuf> {
    let folder = cache::folder().join("release");
    fs::create_dir_all(&folder)?;
    let host = host()?;
    // Its own target folder: another build of this program may be running in the usual one.
    let target = folder.join("target");
    let flagged = |flag: String| {
        let flags = match std::env::var("RUSTFLAGS") {
            Ok(given) => format!("{given} {flag}"),
            Err(_) => flag,
        };
        let chosen = [&PROGRAM[..], &["--target", &host]].concat();
        let set = [("RUSTFLAGS", flags), ("CARGO_TARGET_DIR", target.display().to_string())];
        process::build("portcullis", &chosen, &set)
    };
    eprintln!("first build, which counts what it does");
    let raw = folder.join("raw");
    let counting = flagged(format!("-Cprofile-generate={}", raw.display()))?;
    let profile = folder.join(format!("{}.profdata", stamp(&counting)?));
    if !profile.exists() {
        eprintln!("serving calls with it");
        let _ = fs::remove_dir_all(&raw);
        serve(&counting)?;
        let partial = folder.join("partial.profdata");
        process::run_quietly(Command::new(profdata).arg("merge").arg("-o").arg(&partial).arg(&raw))?;
        fs::rename(&partial, &profile)?;
    }
    eprintln!("second build, by what the first one counted");
    flagged(format!("-Cprofile-use={}", profile.display()))
}

/// Tells one build of a program from another.
fn stamp(program: &Path) -> Outcome<String> {
    let about = fs::metadata(program)?;
    let built = about.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
    Ok(format!("{:x}-{:x}", about.len(), built.as_nanos()))
}

/// What is served in between: each kind of call that the benchmarks make, and the demonstration.
fn serve(program: &Path) -> Outcome {
    let scratch = proxy::Scratch::new()?;
    let folder = scratch.folder();
    contenders::certificate(folder)?;
    let body = proxy::body().to_string();
    let upstream = contenders::upstream(&body, folder)?;
    fs::write(folder.join("contract.json"), proxy::contract(20).to_string())?;
    let key = proxy::api_key(program, &folder.join("data"))?;
    let start = |kind| contenders::start(kind, 1, upstream.address, program, folder);
    let get = |path: &str| Call { path: path.into(), ..Call::default() };
    let keyed = |path: &str, body: Option<&str>| Call {
        fields: vec![("X-API-Key".into(), key.clone())],
        body: body.map(str::to_owned),
        ..get(path)
    };
    let item = "/items/7?expand=owner";
    for kind in [Kind::Plain, Kind::Recorded] {
        let running = start(kind)?;
        load::wrk(&running.address.to_string(), &get(item), SECONDS, folder)?;
        if kind == Kind::Plain {
            for http2 in [false, true] {
                load::h2load(&running.tls.to_string(), item, http2, SECONDS)?;
            }
        }
    }
    let guarded = start(Kind::Guarded)?;
    for call in [
        keyed(item, None),
        keyed("/checked/7?expand=owner", None),
        keyed("/open", Some(&body)),
        keyed("/items", Some(&body)),
    ] {
        load::wrk(&guarded.address.to_string(), &call, SECONDS, folder)?;
    }
    drop(guarded);
    let inspecting = start(Kind::Inspecting)?;
    for call in inspect::calls() {
        load::wrk(&inspecting.address.to_string(), &call, SECONDS, folder)?;
    }
    drop(inspecting);
    process::run_quietly(Command::new(program).args(["demo", "--once"]).current_dir(folder))?;
    Ok(())
}

/// `llvm-profdata` of the compiler's own LLVM: another's may not read what the program writes.
fn profdata() -> Option<PathBuf> {
    let sysroot = process::run_quietly(Command::new(rustc()).args(["--print", "sysroot"])).ok()?;
    let host = host().ok()?;
    let path = Path::new(sysroot.trim()).join("lib/rustlib").join(host).join("bin/llvm-profdata");
    if !path.is_file()
        && let Some(rustup) = cache::program("rustup")
    {
        eprintln!("installing the component `llvm-tools`");
        let _ = process::run_quietly(Command::new(rustup).args(["component", "add", "llvm-tools"]));
    }
    path.is_file().then_some(path)
}

fn host() -> Outcome<String> {
    let about = process::run_quietly(Command::new(rustc()).arg("-vV"))?;
    let host = about.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).ok_or_else(|| Failure::new("`rustc -vV` named no host"))
}

fn rustc() -> std::ffi::OsString {
    std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into())
}
