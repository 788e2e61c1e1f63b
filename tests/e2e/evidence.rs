//! What was decided is written down, and survives whatever happens to the process.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::Signal;

use crate::harness::client::Client;
use crate::harness::gateway::{self, Gateway, Options};
use crate::harness::recorder::Recorder;

/// The event log as `portcullis log` gives it, one JSON object a line.
fn events(gateway: &Gateway) -> Vec<serde_json::Value> {
    let output = Command::new(gateway::binary())
        .args(["log", "--json", "--since", "1h", "--data"])
        .arg(gateway.folder().join("data"))
        .output()
        .unwrap();
    assert!(output.status.success(), "portcullis log: {}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

/// The targets that the event log has, wherever in an event they stand.
fn targets(events: &[serde_json::Value], prefix: &str) -> BTreeSet<String> {
    fn collect(value: &serde_json::Value, prefix: &str, into: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::String(text) if text.starts_with(prefix) => {
                into.insert(text.clone());
            }
            serde_json::Value::Array(list) => list.iter().for_each(|item| collect(item, prefix, into)),
            serde_json::Value::Object(map) => map.values().for_each(|item| collect(item, prefix, into)),
            _ => {}
        }
    }
    let mut found = BTreeSet::new();
    events.iter().for_each(|event| collect(event, prefix, &mut found));
    found
}

#[test]
fn a_killed_gateway_loses_nothing_that_was_answered() {
    let recorder = Recorder::start();
    let mut gateway = Options::open(recorder.address, "").start();
    let load: Vec<_> = (0..4)
        .map(|number| {
            let address = gateway.address;
            thread::spawn(move || call_until_dead(address, number))
        })
        .collect();
    thread::sleep(Duration::from_secs(2));
    gateway.signal(Signal::KILL);
    gateway.wait(Duration::from_secs(5));
    let answered: BTreeSet<String> = load.into_iter().flat_map(|thread| thread.join().unwrap()).collect();
    assert!(answered.len() > 200, "only {} calls", answered.len());
    let kept = targets(&events(&gateway), "/kill/");
    let lost: Vec<&String> = answered.difference(&kept).collect();
    assert!(
        lost.is_empty(),
        "{} of {} answered calls are not in the event log: {lost:?}",
        lost.len(),
        answered.len()
    );
}

/// Calls until the gateway is gone; the targets whose answers came whole.
fn call_until_dead(address: SocketAddr, number: u32) -> Vec<String> {
    let mut client = Client::connect(address);
    let mut answered = Vec::new();
    loop {
        let target = format!("/kill/{number}/{}", answered.len());
        match client.get(&target) {
            Ok(response) => {
                assert_eq!(response.text(), format!("GET {target}"));
                answered.push(target);
            }
            Err(_) => return answered,
        }
    }
}

#[test]
fn refusals_are_in_the_event_log_with_their_reason() {
    let recorder = Recorder::start();
    let mut gateway = Options::open(recorder.address, "").start();
    let refused = Client::connect(gateway.address).get("/evidence/..;/x").unwrap();
    assert_eq!(refused.status, 400);
    assert_eq!(refused.field("content-type"), Some("application/problem+json"));
    let problem: serde_json::Value = serde_json::from_slice(&refused.body).unwrap();
    let code = problem["code"].as_str().expect("a problem has a code").to_owned();
    assert_eq!(Client::connect(gateway.address).get("/evidence/fine").unwrap().status, 200);
    gateway.signal(Signal::TERM);
    assert!(gateway.wait(Duration::from_secs(15)).success());
    let events = events(&gateway);
    assert_eq!(targets(&events, "/evidence/fine").len(), 1);
    let reason = events.iter().find(|event| event.to_string().contains(&code));
    assert!(reason.is_some(), "no event has the code `{code}`: {events:?}");

    let explained = Command::new(gateway::binary()).args(["explain", &code]).output().unwrap();
    assert!(explained.status.success(), "`portcullis explain {code}` fails");
    assert!(!explained.stdout.is_empty());
    let unknown = Command::new(gateway::binary()).args(["explain", "no-such-code"]).output().unwrap();
    assert!(!unknown.status.success());
}

#[test]
fn metrics_and_health_are_on_the_admin_port_only() {
    let recorder = Recorder::start();
    let gateway = Options::open(recorder.address, "").start();
    assert_eq!(Client::connect(gateway.address).get("/x").unwrap().status, 200);
    // A page in a browser reaches the port by a name of its own (DNS rebinding); people and scrapers by address.
    assert_eq!(Client::connect(gateway.admin).get("/metrics").unwrap().status, 421);
    let metrics =
        Client::connect(gateway.admin).call("GET", "/metrics", &[("Host", "localhost")], b"").unwrap();
    assert_eq!(metrics.status, 200);
    let counted = metrics.text().lines().any(|line| {
        line.starts_with("portcullis")
            && line.split(' ').next_back().and_then(|n| n.parse::<f64>().ok()) >= Some(1.0)
    });
    assert!(counted, "nothing was counted:\n{}", metrics.text());
    // On the public port the same path is the API's.
    assert_eq!(Client::connect(gateway.address).get("/metrics").unwrap().text(), "GET /metrics");
}

#[test]
fn a_gateway_that_keeps_no_events_serves_and_counts_all_the_same() {
    let recorder = Recorder::start();
    let gateway = Options::open(recorder.address, "events: off\n").start();
    assert_eq!(Client::connect(gateway.address).get("/quiet/1").unwrap().status, 200);
    assert_eq!(Client::connect(gateway.address).get("/quiet/%2e%2e/%2e%2e/1").unwrap().status, 400);
    assert!(gateway.log().contains("events are not kept"), "{}", gateway.log());
    assert!(!gateway.folder().join("data/events").exists());
    let output = Command::new(gateway::binary())
        .args(["log", "--data"])
        .arg(gateway.folder().join("data"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("events: off"), "{text}");
}
