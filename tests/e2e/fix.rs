//! The loop: holes are found, closed at the gateway, and proved to be, with nobody looking on.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

use crate::harness::gateway::{binary, built};
use crate::harness::peers::{Peer, free_address};

/// The gateway before the demonstration as somebody writes it who knows nothing of its holes.
const CONFIG: &str = "# The shop, on the internet by Friday.
upstream: http://UPSTREAM   # the shop itself
contract: openapi.yaml
data: data
# Keys of applications are the shop's business.
authenticate: { schemes: { apiKey: upstream, appId: upstream, appKey: upstream } }

policies:
  # Nobody needs a key to see whether it is up.
  - match: { operation: health }
    public: true   # said twice is no harm

limit: { baseline: { rate: 500/s, burst: 1000, per: client } }
";

fn shop(address: SocketAddr) -> Peer {
    let mut command = Command::new(built("portcullis-demo"));
    command.args(["--listen", &address.to_string()]);
    Peer::start(command, tempfile::tempdir().unwrap(), address)
}

fn fix(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(binary());
    command.current_dir(folder).arg("fix");
    command.args([
        "--identity",
        "alice=login:alice:alder-Lane-12",
        "--identity",
        "bob=login:bob:birch-Road-7",
    ]);
    command.args(["--identity", "root:admin=login:root:keeper-Of-The-Harbour"]);
    command.args(["--header", "X-Api-Key: sample-storefront-key", "-o", "certificate.json"]).args(arguments);
    command.output().unwrap()
}

fn certificate(folder: &Path, output: &Output) -> Value {
    let said =
        || String::from_utf8_lossy(&output.stderr).into_owned() + &String::from_utf8_lossy(&output.stdout);
    let text = fs::read_to_string(folder.join("certificate.json"))
        .unwrap_or_else(|error| panic!("{error}: {}", said()));
    serde_json::from_str(&text).unwrap()
}

fn fact(report: &Value, name: &str) -> String {
    let facts = report["facts"].as_array().unwrap();
    let found = facts.iter().find(|fact| fact["name"] == name);
    found.unwrap_or_else(|| panic!("no `{name}` in {facts:?}"))["value"].as_str().unwrap().to_owned()
}

fn table<'r>(report: &'r Value, title: &str) -> &'r Vec<Value> {
    let tables = report["tables"].as_array().unwrap();
    tables.iter().find(|table| table["title"] == title).unwrap()["rows"].as_array().unwrap()
}

#[test]
fn the_demonstration_is_found_wanting_closed_and_proved_to_be() {
    let address = free_address();
    let _weak = shop(address);
    let folder = tempfile::tempdir().unwrap();
    let root = portcullis_dev::cache::workspace().join("demo");
    fs::copy(root.join("openapi.yaml"), folder.path().join("openapi.yaml")).unwrap();
    let config = CONFIG.replace("UPSTREAM", &address.to_string());
    let file = folder.path().join("portcullis.yaml");
    fs::write(&file, &config).unwrap();
    let har = root.join("traffic/ordinary.har");
    let output = fix(folder.path(), &["--traffic", har.to_str().unwrap(), "--prove", "--apply"]);
    let report = certificate(folder.path(), &output);
    let number = |name: &str| fact(&report, name).trim_end_matches(" %").parse::<u64>().unwrap();
    assert!(number("findings") >= 25, "{report:#}");
    let rows = table(&report, "Findings and what closes them");
    let open: Vec<&Value> = rows.iter().filter(|row| row[2] == "open").collect();
    assert!(
        number("closed at the gateway") >= 85,
        "{} of {}, open: {open:#?}",
        number("closed at the gateway"),
        number("findings")
    );
    for row in table(&report, "Ordinary calls") {
        assert!(row[1].as_str().unwrap().parse::<u64>().unwrap() >= 90, "{row}");
        assert_eq!(row[2], "0", "{row}: {}", report["notes"]);
    }
    // What was written stands behind what was there, and says what it closes.
    let patched = fs::read_to_string(&file).unwrap();
    for line in config.lines() {
        assert!(patched.contains(line), "{line} is gone:\n{patched}");
    }
    assert!(patched.contains("patch: { closes: [") && patched.contains("# Closes "), "{patched}");
    assert!(
        !serde_json::to_string(&report).unwrap().contains("alder-Lane-12"),
        "a password is in the report"
    );
}

#[test]
fn what_is_no_report_is_said() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(
        folder.path().join("portcullis.yaml"),
        "upstream: http://127.0.0.1:1\ncontract: openapi.yaml\n",
    )
    .unwrap();
    let document = "openapi: 3.0.3\ninfo: { title: t, version: '1' }\npaths:\n  /a: { get: { security: [], responses: { '200': { description: ok } } } }\n";
    fs::write(folder.path().join("openapi.yaml"), document).unwrap();
    for (name, text, said) in [
        ("a.json", "{}", "is no report"),
        ("b.json", "[1, 2", "is no report"),
        ("c.json", "\0\0", "is no report"),
        ("missing.json", "", "cannot be read"),
    ] {
        if name != "missing.json" {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let output = Command::new(binary()).current_dir(folder.path()).args(["fix", name]).output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.code() == Some(2) && error.contains(said) && error.contains(name),
            "{name}: {error}"
        );
    }
}
