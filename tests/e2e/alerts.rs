//! Spikes of refusals: seen, kept, told by a signed webhook, and found by the checklist.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::harness::PATIENCE;
use crate::harness::client::Client;
use crate::harness::gateway::{Options, binary};
use crate::harness::recorder::Recorder;

const SECRET: &str = "0123456789abcdef0123456789abcdef";

/// Takes alerts; the first is refused, as a receiver does that is just being restarted.
fn receiver() -> (String, Receiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/alerts", listener.local_addr().unwrap());
    let (sender, alerts) = channel();
    std::thread::spawn(move || {
        for (at, stream) in listener.incoming().enumerate() {
            let mut stream = stream.unwrap();
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            let (mut text, mut buffer) = (String::new(), [0; 8192]);
            while !text.ends_with("}}") {
                match stream.read(&mut buffer) {
                    Ok(read) if read > 0 => text.push_str(&String::from_utf8_lossy(&buffer[..read])),
                    _ => break,
                }
            }
            let status = if at == 0 { "503 Busy" } else { "204 Taken" };
            let _ = write!(stream, "HTTP/1.1 {status}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            if at > 0 && sender.send(text).is_err() {
                return;
            }
        }
    });
    (url, alerts)
}

#[test]
fn a_spike_of_refusals_is_seen_kept_and_told() {
    let upstream = Recorder::start();
    let (url, alerts) = receiver();
    let config = format!(
        "upstream: http://{}\nauthenticate: {{ api_key: X-Api-Key }}\nlimit: {{ unmatched: off }}\n\
         alerts: {{ webhook: {{ url: \"{url}\", secret: \"{SECRET}\" }}, spike: {{ at_least: 15 }} }}\n",
        upstream.address
    );
    let gateway = Options::config(config).start();
    let refused = |count: usize| {
        for _ in 0..count {
            let fields = [("X-Api-Key", "guess")];
            assert_eq!(
                Client::connect(gateway.address).call("GET", "/orders", &fields, b"").unwrap().status,
                401
            );
        }
    };
    refused(10);
    let admin = |target: &str| {
        let fields = [("Host", "localhost")];
        Client::connect(gateway.admin).call("GET", target, &fields, b"").unwrap().text()
    };
    let incidents = || admin("/incidents");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(incidents(), "[]", "ten are none");
    refused(10);
    let deadline = Instant::now() + PATIENCE;
    let known: Value = loop {
        let known: Value = serde_json::from_str(&incidents()).unwrap();
        if known.as_array().is_some_and(|list| !list.is_empty()) {
            break known;
        }
        assert!(Instant::now() < deadline, "no incident; the gateway said:\n{}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(known[0]["detector"], "refusal-spike", "{known}");
    assert_eq!(known[0]["alerted"], true, "{known}");
    // Told once the receiver takes it; signed over its name, its moment and its body.
    let alert = alerts.recv_timeout(PATIENCE).unwrap();
    let field = |name: &str| {
        let line = alert.lines().find_map(|line| line.strip_prefix(&format!("{name}: ")));
        line.unwrap_or_else(|| panic!("no {name} in {alert}")).trim().to_owned()
    };
    let body = alert.split_once("\r\n\r\n").unwrap().1;
    let script = "import base64, hashlib, hmac, sys\n\
        key, signed = sys.argv[1].encode(), sys.stdin.buffer.read()\n\
        print('v1,' + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode())";
    let mut python = Command::new("python3");
    python
        .args(["-c", script, SECRET])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped());
    let mut python = python.spawn().unwrap();
    let signed = format!("{}.{}.{body}", field("webhook-id"), field("webhook-timestamp"));
    python.stdin.take().unwrap().write_all(signed.as_bytes()).unwrap();
    let expected = String::from_utf8(python.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(field("webhook-signature"), expected.trim());
    let told: Value = serde_json::from_str(body).unwrap();
    assert_eq!(told["type"], "incident.began");
    assert!(told["data"]["refusals"].as_u64().unwrap() >= 15, "{told}");
    let metrics = admin("/metrics");
    assert!(
        metrics.contains("portcullis_incidents_total 1") || metrics.contains("incidents_total 1"),
        "{metrics}"
    );
    let listed = Command::new(binary())
        .current_dir(gateway.folder())
        .args(["log", "--incidents", "--data", "data"])
        .output()
        .unwrap();
    let listed = String::from_utf8_lossy(&listed.stdout).into_owned();
    assert!(listed.contains("client 127.0.0.1") && listed.contains("alerted"), "{listed}");

    // The checklist makes a spike of its own and finds it told.
    let admin = format!("http://{}", gateway.admin);
    let check = Command::new(binary())
        .current_dir(gateway.folder())
        .args(["check", &gateway.url(), "--path", "/orders", "--admin", &admin, "--format", "json"])
        .output()
        .unwrap();
    let report: Value = serde_json::from_slice(&check.stdout).unwrap();
    let rows = report["tables"][0]["rows"].as_array().unwrap();
    let row = rows.iter().find(|row| row[1].as_str().unwrap().contains("spikes")).unwrap();
    assert_eq!(row[0], "yes", "{row}");
}

/// What spiked becomes policy: the operation that was tried, and the client that tried, are limited; ordinary calls pass.
#[test]
fn an_incident_is_closed_by_a_patch() {
    let upstream = Recorder::start();
    let contract = "openapi: 3.0.3\ninfo: { title: Notes, version: '1' }\n\
        components: { securitySchemes: { key: { type: apiKey, in: header, name: X-Api-Key } } }\n\
        paths:\n  /notes/{id}:\n    get:\n      operationId: readNote\n      security: [{ key: [] }]\n      parameters: \
        [{ name: id, in: path, required: true, schema: { type: string } }]\n      responses: { '200': { description: It } }\n";
    let config = format!(
        "upstream: http://{}\ncontract: notes.yaml\nlimit: {{ unmatched: off }}\nalerts: {{ spike: {{ at_least: 15 }} }}\n",
        upstream.address
    );
    let gateway = Options::config(config).file("notes.yaml", contract).start();
    let fix = |arguments: &[&str]| {
        let mut command = Command::new(binary());
        let output = command.current_dir(gateway.folder()).arg("fix").args(arguments).output().unwrap();
        let all = [output.stdout, output.stderr].concat();
        (output.status.code(), String::from_utf8_lossy(&all).into_owned())
    };
    let (code, said) = fix(&["data"]);
    assert!(code == Some(2) && said.contains("`data` holds no incidents"), "{said}");
    for at in 0..30 {
        let fields = [("X-Api-Key", "guess")];
        let target = format!("/notes/{at}");
        assert_eq!(Client::connect(gateway.address).call("GET", &target, &fields, b"").unwrap().status, 401);
    }
    let deadline = Instant::now() + PATIENCE;
    while !fs::read_to_string(gateway.folder().join("data/incidents.jsonl"))
        .is_ok_and(|text| text.contains("readNote") && text.contains("client"))
    {
        assert!(Instant::now() < deadline, "no incident; the gateway said:\n{}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    for path in ["data", "data/incidents.jsonl"] {
        let (code, said) = fix(&[path]);
        assert_eq!(code, Some(0), "{said}");
        for line in [
            "closes: [\"refusal-spike GET /notes/{id}\"]",
            "limit: { burst: 10, per: client, rate: \"10/min\" }",
            "closes: [\"refusal-spike client 127.0.0.1\"]",
            "bots: { scanners: { block: \"10m\", refusals: 40, within: \"1m\" } }",
        ] {
            assert!(said.contains(line), "{line} is missing:\n{said}");
        }
    }
    let (code, said) = fix(&["data", "--apply"]);
    assert_eq!(code, Some(0), "{said}");
    let patched = fs::read_to_string(gateway.folder().join("portcullis.yaml")).unwrap();
    assert!(patched.contains("# Closes refusal-spike."), "{patched}");
}
