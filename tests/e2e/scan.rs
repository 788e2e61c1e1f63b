//! `portcullis scan` against the demo shop: what is weak in it is found, and nothing where it is fixed.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use serde_json::{Value, json};

use crate::harness::{data, gateway, peers};

pub(crate) const PEOPLE: [(&str, &str); 3] =
    [("alice", "alder-Lane-12"), ("bob", "birch-Road-7"), ("root", "keeper-Of-The-Harbour")];

/// A scan's exit code and its report, in the names of people who log in with a password.
pub(crate) fn scan(
    spec: &Path,
    target: SocketAddr,
    people: &[(&str, &str)],
    more: &[&str],
) -> (Option<i32>, Value) {
    let folder = tempfile::tempdir().unwrap();
    let report = folder.path().join("report.json");
    let mut command = Command::new(gateway::binary());
    command.current_dir(folder.path()).arg("scan").arg("--spec").arg(spec);
    command.args(["--target", &format!("http://{target}"), "-o"]).arg(&report);
    for (name, password) in people {
        command.arg("--identity").arg(format!("{name}=login:{name}:{password}"));
    }
    let output = command.args(more).output().unwrap();
    let text = std::fs::read_to_string(&report).unwrap_or_else(|error| {
        panic!("no report: {error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    for (name, password) in people {
        assert!(!text.contains(password), "the password of {name} stands in the report");
    }
    (output.status.code(), serde_json::from_str(&text).unwrap())
}

pub(crate) fn contract() -> PathBuf {
    portcullis_dev::cache::workspace().join("demo/openapi.yaml")
}

fn items(report: &Value) -> &[Value] {
    report["items"].as_array().unwrap()
}

fn place(item: &Value) -> (&str, &str) {
    let part = |name: &str| item["places"][0][name].as_str().unwrap_or_default();
    (part("operation"), part("part"))
}

/// A call with cURL: status and body.
pub(crate) fn curl(arguments: &[&str]) -> (u16, String) {
    let output =
        Command::new("curl").args(["-sS", "-g", "-w", "\n%{http_code}"]).args(arguments).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), body.to_owned())
}

/// Whoever was given to the scan still logs in.
fn log_in(shop: SocketAddr, name: &str, password: &str) {
    let body = json!({ "username": name, "password": password }).to_string();
    let url = format!("http://{shop}/v2/login");
    let (status, answer) = curl(&["-H", "content-type: application/json", "-d", &body, &url]);
    assert_eq!(status, 200, "{name} no longer logs in: {answer}");
}

fn key(item: &Value) -> String {
    let (operation, part) = place(item);
    format!("{} {operation} {part}", item["code"].as_str().unwrap())
}

/// The confirmed findings.
pub(crate) fn keys(report: &Value) -> BTreeSet<String> {
    items(report).iter().filter(|item| item["confidence"] == "confirmed").map(key).collect()
}

#[test]
fn every_seeded_weakness_of_the_weak_shop_is_found() {
    let server = peers::shop(false);
    let shop = server.address;
    let before = stock(shop);
    let (code, report) = scan(&contract(), shop, &PEOPLE, &["--destructive"]);
    assert_eq!(code, Some(1));
    let seeded: Vec<Value> =
        serde_json::from_slice(&std::fs::read(data("scan/seeded.json")).unwrap()).unwrap();
    let found = |one: &&Value| {
        items(&report).iter().any(|item| {
            let (operation, part) = place(item);
            one["codes"].as_array().unwrap().contains(&item["code"])
                && one["operation"].as_str().is_none_or(|wanted| wanted == operation)
                && one["part"].as_str().is_none_or(|wanted| wanted == part)
        })
    };
    let missed: Vec<&Value> = seeded.iter().filter(|one| !found(one)).map(|one| &one["weakness"]).collect();
    assert!(missed.is_empty(), "{} of {} were not found: {missed:?}", missed.len(), seeded.len());

    for (name, password) in PEOPLE {
        log_in(shop, name, password);
    }
    // What was made is gone or listed.
    let after = stock(shop);
    let listed = |by: &str| {
        let start = format!("made and not removed: {by} ");
        let notes = report["notes"].as_array().unwrap().iter().filter_map(Value::as_str);
        notes.filter(|note| note.starts_with(&start)).count() as u64
    };
    assert_eq!(after.0 - before.0, listed("POST /v2/register"), "{:?}", report["notes"]);
    assert_eq!(after.1 - before.1, listed("POST /v2/orders"), "{:?}", report["notes"]);

    // A shop that knows nothing of the scan: what was found is there, and in the fixed twin it is not.
    let (weak, fixed) = (peers::shop(false), peers::shop(true));
    assert_eq!(repeated(&report, weak.address, &PEOPLE), keys(&report));
    assert_eq!(repeated(&report, fixed.address, &PEOPLE), BTreeSet::new());
}

/// Runs the scripts of all confirmed findings against a server; the keys of those that say that it is there.
pub(crate) fn repeated(report: &Value, server: SocketAddr, people: &[(&str, &str)]) -> BTreeSet<String> {
    let confirmed: Vec<&Value> =
        items(report).iter().filter(|item| item["confidence"] == "confirmed").collect();
    let there = Mutex::new(BTreeSet::new());
    std::thread::scope(|scope| {
        for turn in 0..3 {
            let (there, confirmed) = (&there, &confirmed);
            scope.spawn(move || {
                for item in confirmed.iter().skip(turn).step_by(3) {
                    let script = item["evidence"]["script"].as_str().unwrap();
                    let mut shell = Command::new("sh");
                    shell.args(["-c", script]).env("TARGET", format!("http://{server}"));
                    for (name, password) in people {
                        shell.env(format!("{}_PASSWORD", name.to_uppercase()), password);
                    }
                    if shell.output().unwrap().status.success() {
                        there.lock().unwrap().insert(key(item));
                    }
                }
            });
        }
    });
    there.into_inner().unwrap()
}

/// How many users and orders the shop has.
fn stock(shop: SocketAddr) -> (u64, u64) {
    let (name, password) = PEOPLE[2];
    let body = json!({ "username": name, "password": password }).to_string();
    let url = format!("http://{shop}/v2/login");
    let (_, answer) = curl(&["-H", "content-type: application/json", "-d", &body, &url]);
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let token = format!("authorization: Bearer {}", answer["token"].as_str().unwrap());
    let (_, stats) = curl(&["-H", &token, &format!("http://{shop}/v2/admin/stats")]);
    let stats: Value = serde_json::from_str(&stats).unwrap();
    (stats["users"].as_u64().unwrap(), stats["orders"].as_u64().unwrap())
}

#[test]
fn nothing_is_confirmed_in_the_fixed_shop() {
    let server = peers::shop(true);
    let shop = server.address;
    let (_, report) = scan(&contract(), shop, &PEOPLE, &["--destructive"]);
    assert_eq!(keys(&report), BTreeSet::new());
    for (name, password) in PEOPLE {
        log_in(shop, name, password);
    }
}

#[test]
fn the_same_seed_finds_the_same() {
    let checks =
        ["--check", "bola-read", "--check", "exposure", "--check", "function-level", "--check", "token"];
    let (one, two) = (peers::shop(false), peers::shop(false));
    let (_, first) = scan(&contract(), one.address, &PEOPLE, &checks);
    let (_, again) = scan(&contract(), two.address, &PEOPLE, &checks);
    assert_eq!(keys(&first), keys(&again));
    assert!(keys(&first).len() > 8, "{:?}", keys(&first));
}
