//! `cargo dev bench contract`: loading documents and validating calls, beside express-openapi-validator and Prism.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::{Failure, Outcome, cache, process};

/// What is installed to compare with: for the comparison only, into the cache.
const PEERS: [&str; 5] = [
    "express@4",
    "express-openapi-validator@5",
    "light-my-request@6",
    "@stoplight/prism-http@5",
    "@stoplight/prism-cli@5",
];

/// Loads `documents` (the demo's and the bench's own if none is given) and validates a call with a body of one
/// kilobyte, with each contender; prints a table.
///
/// # Errors
/// If the peers cannot be installed or do not run.
pub fn run(documents: &[PathBuf]) -> Outcome {
    let root = cache::workspace();
    let folder = root.join("benches/contract");
    let orders = folder.join("orders.yaml");
    let documents: Vec<PathBuf> = match documents {
        [] => vec![root.join("demo/openapi.yaml"), orders.clone()],
        given => given.iter().map(|path| path.canonicalize().unwrap_or_else(|_| path.clone())).collect(),
    };
    let peers = cache::folder().join("contract-peers");
    install(&peers)?;
    let body = peers.join("body.json");
    fs::write(&body, order().to_string())?;
    let arguments = |command: &mut Command| {
        command.arg(&orders).arg(&body).args(&documents);
    };
    let mut ours = Command::new("cargo");
    ours.args([
        "run",
        "--quiet",
        "--profile",
        "bench",
        "-p",
        "portcullis-openapi",
        "--example",
        "peers",
        "--",
    ]);
    ours.current_dir(&root);
    arguments(&mut ours);
    let ours = read(&process::run_quietly(&mut ours)?)?;
    let mut theirs = Command::new(cache::node().join("bin/node"));
    if !cache::node().join("bin/node").is_file() {
        theirs = Command::new("node");
    }
    theirs.arg(folder.join("peers.mjs")).arg(&peers);
    arguments(&mut theirs);
    let theirs = read(&process::run_quietly(&mut theirs)?)?;
    print(&documents, &ours, &theirs);
    Ok(())
}

fn install(peers: &Path) -> Outcome {
    if peers.join("node_modules/express-openapi-validator").is_dir() {
        return Ok(());
    }
    fs::create_dir_all(peers)?;
    eprintln!("installing express-openapi-validator and Prism into {}", peers.display());
    let mut npm = Command::new("npm");
    npm.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(peers).args(PEERS);
    process::run(&mut npm)
}

/// A body of about one kilobyte.
fn order() -> Value {
    let item = json!({"sku": "AB-1234", "quantity": 2, "price": 9.5, "note": "leave it at the door"});
    json!({
        "id": "123e4567-e89b-12d3-a456-426614174000", "created": "2024-02-29T12:00:00Z", "state": "new",
        "customer": {"name": "Ada Lovelace", "email": "ada@example.com"}, "items": vec![item; 11]
    })
}

fn read(text: &str) -> Outcome<Value> {
    let line = text.lines().rev().find(|line| line.starts_with('{')).unwrap_or_default();
    serde_json::from_str(line).map_err(|error| Failure::new(format!("a contender wrote no result: {error}")))
}

#[expect(clippy::print_stdout, reason = "the result of a command")]
fn print(documents: &[PathBuf], ours: &Value, theirs: &Value) {
    let names = ["express-openapi-validator", "prism"];
    let shown = |value: Option<&Value>| match value {
        Some(Value::Number(number)) => format!("{:.1}", number.as_f64().unwrap_or_default()),
        Some(Value::String(why)) => format!("failed: {why}"),
        _ => "-".into(),
    };
    println!("| | Portcullis | express-openapi-validator | Prism |\n|---|---|---|---|");
    for document in documents {
        let key = document.display().to_string();
        let of = |name: &str| shown(theirs.get("load").and_then(|load| load.get(&key)?.get(name)));
        let mine = shown(ours.get("load").and_then(|load| load.get(&key)));
        let file = document.file_name().unwrap_or_default().to_string_lossy();
        println!("| load {file}, ms | {mine} | {} | {} |", of(names[0]), of(names[1]));
    }
    let of = |name: &str| shown(theirs.get("validate").and_then(|load| load.get(name)));
    let mine = shown(ours.get("validate"));
    println!("| a call with a body of 1 KB, µs | {mine} | {} | {} |", of(names[0]), of(names[1]));
}
