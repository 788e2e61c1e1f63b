//! HTTP/2 requests that would be two things as HTTP/1, and frames meant to exhaust. The cases are data:
//! `vectors/http2`; the framing itself is h2spec's.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde::Deserialize;

use crate::harness::client::Client;
use crate::harness::gateway::{Gateway, Options};
use crate::harness::h2::{self, Connection, Frame};
use crate::harness::peers::Certificate;
use crate::harness::recorder::Recorder;
use crate::harness::vectors::{self, Case, Expect};
use crate::harness::{PATIENCE, data, needs};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Http2 {
    frames: Vec<Frame>,
    /// The client does not read while it sends.
    #[serde(default)]
    silent: bool,
    /// A refusal is a status, `rst` for a reset stream, or `goaway` for a connection ended with or without a
    /// GOAWAY frame.
    expect: Expect<String>,
}

fn cases() -> Vec<Case<Http2>> {
    vectors::load(&data("vectors/http2"))
}

#[test]
fn vectors_are_well_formed() {
    let cases = cases();
    assert!(cases.len() >= 60, "{} vectors", cases.len());
    let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids.len(), cases.len(), "two vectors have one id");
    for Case { id, vector, .. } in &cases {
        assert!(
            vector.expect.accept.is_some() || !vector.expect.reject.is_empty(),
            "{id}: nothing is expected"
        );
        assert!(vector.expect.accepts.is_empty(), "{id}: one request a vector");
        for way in &vector.expect.reject {
            assert!(way == "rst" || way == "goaway" || way.parse::<u16>().is_ok(), "{id}: `{way}`");
        }
    }
}

#[test]
fn vectors_hold() {
    let recorder = Recorder::start();
    let mut gateway = Options::open(recorder.address, "").start();
    let mut failures = Vec::new();
    for case in cases() {
        if let Err(error) = run_case(&case.vector, &gateway, &recorder) {
            failures.push(format!("{}: {error}\n    ({})", case.id, case.why));
        }
        gateway.assert_alive();
    }
    assert!(failures.is_empty(), "{} vectors failed:\n  {}", failures.len(), failures.join("\n  "));
}

fn run_case(vector: &Http2, gateway: &Gateway, recorder: &Recorder) -> Result<(), String> {
    recorder.take();
    let (bytes, last) = h2::encode(&vector.frames);
    let mut connection = Connection::open(gateway.address);
    connection.send(&bytes, !vector.silent);
    if vector.expect.or_served {
        // Whatever became of it, a PING tells whether the connection still serves.
        let mut ping = Vec::new();
        h2::frame(6, 0, 0, b"are you?", &mut ping);
        connection.send(&ping, true);
        connection.read_until(PATIENCE, |answers| answers.ping_answered || answers.goaway.is_some());
    } else {
        connection.read_until(PATIENCE, |answers| {
            answers.goaway.is_some()
                || answers.resets.contains_key(&last)
                || answers.ended.contains_key(&last)
        });
    }
    // Another client's call goes through meanwhile, and whatever was to reach the upstream has.
    let barrier = Client::connect(gateway.address).get("/barrier")?;
    if barrier.text() != "GET /barrier" {
        return Err(format!("the next call got {} {:?}", barrier.status, barrier.text()));
    }
    let mut requests = recorder.take();
    requests.retain(|request| request.target != "/barrier");
    if let Some(fault) = recorder.take_faults().first() {
        return Err(format!("the upstream was sent what it cannot read: {fault}"));
    }
    let answers = &connection.answers;
    let expect = &vector.expect;
    let status = answers.status.get(&last).copied();
    if expect.or_served && answers.ping_answered && !answers.closed {
        return Ok(());
    }
    if status == Some(200) {
        let Some(seen) = &expect.accept else {
            return if expect.partial { end_of(answers, expect) } else { Err("it passed".into()) };
        };
        return match &requests[..] {
            [request] => seen.check(request),
            _ => Err(format!("the upstream saw {} requests", requests.len())),
        };
    }
    if !expect.partial && !requests.is_empty() {
        return Err(format!(
            "answered {answers:?}, and the upstream saw `{} {}`",
            requests[0].method, requests[0].target
        ));
    }
    if expect.reject.is_empty() {
        return Err(format!("refused: {answers:?}"));
    }
    match status {
        Some(status) if expect.reject.contains(&status.to_string()) => Ok(()),
        _ if answers.resets.contains_key(&last) && expect.reject.iter().any(|way| way == "rst") => Ok(()),
        _ => end_of(answers, expect),
    }
}

fn end_of(answers: &h2::Answers, expect: &Expect<String>) -> Result<(), String> {
    if (answers.goaway.is_some() || answers.closed) && expect.reject.iter().any(|way| way == "goaway") {
        return Ok(());
    }
    Err(format!("answered {answers:?}, expected one of {:?}", expect.reject))
}

#[test]
fn h2spec_finds_nothing() {
    let (Some(h2spec), Some(_)) =
        (needs("h2spec_finds_nothing", "h2spec"), needs("h2spec_finds_nothing", "openssl"))
    else {
        return;
    };
    let recorder = Recorder::start();
    let certificate = Certificate::make();
    let gateway = Options::open(recorder.address, &certificate.listener()).start_as_written();
    let (ran, failed, report) = h2spec_on(&h2spec, &gateway, &["--tls", "--insecure"]);
    assert!(ran >= 146, "h2spec ran {ran} cases:\n{report}");
    assert!(failed.is_empty(), "h2spec over TLS: {failed:?}\n{report}");
}

#[test]
fn h2spec_finds_nothing_in_cleartext() {
    let Some(h2spec) = needs("h2spec_finds_nothing_in_cleartext", "h2spec") else { return };
    let recorder = Recorder::start();
    let gateway = Options::open(recorder.address, "").start();
    let (ran, failed, report) = h2spec_on(&h2spec, &gateway, &[]);
    assert!(ran >= 146, "h2spec ran {ran} cases:\n{report}");
    assert!(failed.is_empty(), "h2spec in cleartext: {failed:?}\n{report}");
    assert_eq!(Client::connect(gateway.address).get("/after").unwrap().status, 200);
}

/// Runs h2spec with all its cases; answers how many there were, which failed, and all that it said.
fn h2spec_on(program: &Path, gateway: &Gateway, flags: &[&str]) -> (u32, Vec<String>, String) {
    let output = Command::new(program)
        .args([
            "--strict",
            "--timeout",
            "5",
            "--host",
            "127.0.0.1",
            "--port",
            &gateway.address.port().to_string(),
        ])
        .args(flags)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let summary = text.lines().rev().find(|line| line.contains(" tests, ")).unwrap_or_default();
    let count = |what: &str| -> u32 {
        let part = summary.split(", ").find_map(|part| part.strip_suffix(what));
        part.and_then(|number| number.trim().parse().ok()).unwrap_or_default()
    };
    // The part after `Failures:` repeats each failed case under its number: `× 2: Sends …`.
    let mut failed: Vec<String> = text
        .lines()
        .skip_while(|line| !line.starts_with("Failures:"))
        .filter_map(|line| line.trim().strip_prefix("× ")?.split_once(": "))
        .map(|(_, title)| title.to_owned())
        .collect();
    if count(" failed") + count(" skipped") != u32::try_from(failed.len()).unwrap() {
        failed.push(format!("h2spec says: {summary}"));
    }
    (count(" tests"), failed, text)
}
