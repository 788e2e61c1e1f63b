//! HTTP/1 requests that two parsers could read in two ways never reach the upstream; all others reach it in
//! one canonical form. The cases are data: `vectors/http1`.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::time::Duration;

use crate::harness::client::{Client, Response};
use crate::harness::gateway::Options;
use crate::harness::peers::{self, Peer};
use crate::harness::recorder::{Recorder, Request};
use crate::harness::vectors::{self, Case, Http1, Seen, Then};
use crate::harness::{data, needs};

fn cases() -> Vec<Case<Http1>> {
    vectors::load(&data("vectors/http1"))
}

#[test]
fn vectors_are_well_formed() {
    let cases = cases();
    assert!(cases.len() >= 600, "{} vectors", cases.len());
    let ids: BTreeSet<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids.len(), cases.len(), "two vectors have one id: {:?}", duplicates(&cases));
    for Case { id, why, vector } in &cases {
        let expect = &vector.expect;
        assert!(!why.is_empty(), "{id}: say why");
        assert!(
            expect.accept.is_some() || !expect.accepts.is_empty() || !expect.reject.is_empty(),
            "{id}: nothing is expected"
        );
        assert!(expect.accept.is_none() || expect.accepts.is_empty(), "{id}: accept and accepts");
        if let Some(Seen { body: Some(body), .. }) = &expect.accept
            && !body.is_empty()
            && expect.reject.is_empty()
        {
            let text = String::from_utf8_lossy(&vector.raw).to_ascii_lowercase();
            let chunked = text.contains("transfer-encoding:");
            assert!(chunked || vector.raw.ends_with(body), "{id}: the request does not end in its body");
            if let Some((_, rest)) = text.split_once("\r\ncontent-length:").filter(|_| !chunked) {
                let length: usize = rest.split('\r').next().unwrap().trim().parse().unwrap();
                assert_eq!(length, body.len(), "{id}: Content-Length");
            }
        }
    }
    println!("{} vectors", cases.len());
    let rejecting = cases.iter().filter(|case| case.vector.expect.accept.is_none()).count();
    assert!(
        rejecting > 200 && cases.len() - rejecting > 200,
        "too one-sided: {rejecting} of {}",
        cases.len()
    );
}

fn duplicates<T>(cases: &[Case<T>]) -> Vec<&str> {
    let mut seen = BTreeSet::new();
    cases.iter().map(|case| case.id.as_str()).filter(|id| !seen.insert(*id)).collect()
}

/// How the bytes of a request are cut into writes.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Cut {
    Whole,
    /// In three writes: after the first byte and in the middle.
    Pieces,
}

#[test]
fn nothing_desynchronises_a_recorder() {
    run_against_recorder(Cut::Whole);
}

#[test]
fn nothing_desynchronises_a_recorder_when_cut_into_pieces() {
    run_against_recorder(Cut::Pieces);
}

fn run_against_recorder(cut: Cut) {
    let recorder = Recorder::start();
    // HTTP alone: what a value means to an interpreter is another matter.
    let mut gateway = Options::open(recorder.address, "inspect: off\nssrf: off\n").start();
    let mut barrier = Barrier::new(gateway.address);
    let mut failures = Vec::new();
    for case in cases() {
        if let Err(error) = run_case(&case, cut, gateway.address, &recorder, &mut barrier) {
            failures.push(format!("{}: {error}\n    ({})", case.id, case.why));
            recorder.take();
            recorder.take_faults();
            barrier = Barrier::new(gateway.address);
        }
        gateway.assert_alive();
    }
    assert!(failures.is_empty(), "{} vectors failed:\n  {}", failures.len(), failures.join("\n  "));
}

fn run_case(
    case: &Case<Http1>,
    cut: Cut,
    gateway: SocketAddr,
    recorder: &Recorder,
    barrier: &mut Barrier,
) -> Result<(), String> {
    let outcome = call(&case.vector, cut, gateway);
    barrier.pass()?;
    let mut requests = recorder.take();
    let last = requests.pop().ok_or("the barrier did not reach the upstream")?;
    if last.target != barrier.target() {
        return Err(format!("the barrier was overtaken by `{} {}`", last.method, last.target));
    }
    if let Some(fault) = recorder.take_faults().first() {
        return Err(format!("the upstream was sent what it cannot read: {fault}"));
    }
    judge(&case.vector, &outcome?, &requests)
}

/// What came back for a vector.
#[derive(Debug, Default)]
struct Outcome {
    responses: Vec<Response>,
    /// The gateway closed the connection.
    closed: bool,
    /// Nothing else came.
    quiet: bool,
}

impl Outcome {
    fn statuses(&self) -> Vec<u16> {
        self.responses.iter().map(|response| response.status).collect()
    }
}

/// Sends a vector and reads as many answers as it may have.
fn call(vector: &Http1, cut: Cut, gateway: SocketAddr) -> Result<Outcome, String> {
    let mut client = Client::connect(gateway);
    let raw = &vector.raw;
    if cut == Cut::Whole || raw.len() < 3 {
        client.send(raw);
    } else {
        let middle = raw.len() / 2;
        for piece in [&raw[..1], &raw[1..middle], &raw[middle..]] {
            client.send(piece);
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    if vector.then == Some(Then::Shut) {
        client.finish();
    }
    let expect = &vector.expect;
    let accepts: Vec<&Seen> = expect.accept.iter().chain(&expect.accepts).collect();
    // `accept` with `reject` is a choice; `accepts` with `reject` is a sequence.
    let sequence = !expect.accepts.is_empty() && !expect.reject.is_empty();
    let most = accepts.len().max(1) + usize::from(sequence);
    let mut outcome = Outcome::default();
    while outcome.responses.len() < most {
        let index = outcome.responses.len();
        let to_head = accepts.get(index).map_or(raw.starts_with(b"HEAD "), |seen| seen.method == "HEAD");
        let Some(response) = client.read_response(to_head)? else {
            outcome.closed = true;
            break;
        };
        let refused = response.status != 200;
        outcome.responses.push(response);
        if refused {
            break;
        }
    }
    let refused = outcome.responses.last().is_none_or(|response| response.status != 200);
    if !outcome.closed && (refused || accepts.iter().any(|seen| seen.closes)) {
        outcome.closed = client.is_closed()?;
    }
    outcome.quiet = outcome.closed || client.is_quiet();
    Ok(outcome)
}

fn judge(vector: &Http1, outcome: &Outcome, requests: &[Request]) -> Result<(), String> {
    let expect = &vector.expect;
    let accepts: Vec<&Seen> = expect.accept.iter().chain(&expect.accepts).collect();
    let (statuses, closed) = (outcome.statuses(), outcome.closed);
    if !outcome.quiet {
        return Err(format!("more answers than requests; so far {statuses:?}"));
    }
    let accepted = statuses.iter().take_while(|status| **status == 200).count();
    let refusal = statuses.get(accepted).copied();
    if accepted != requests.len() {
        return Err(format!("answered {statuses:?}, and the upstream saw {} requests", requests.len()));
    }
    let choice = expect.accept.is_some();
    let wanted = if choice && accepted == 0 && !expect.reject.is_empty() { 0 } else { accepts.len() };
    if accepted != wanted {
        return Err(format!("answered {statuses:?}, closed: {closed}; {wanted} requests should have passed"));
    }
    for (seen, request) in accepts.iter().zip(requests) {
        seen.check(request)?;
        if seen.closes && !closed {
            return Err("the connection stayed open".into());
        }
    }
    let passed = choice && accepted > 0;
    let refuses = !passed && !expect.reject.is_empty();
    match (refuses, refusal) {
        (false, None) => Ok(()),
        (false, Some(status)) => Err(format!("answered {status} after what should have passed")),
        (true, status) => {
            let status = status.unwrap_or(0);
            if !expect.reject.contains(&status) {
                return Err(format!("refused with {status}, expected one of {:?}", expect.reject));
            }
            if closed {
                Ok(())
            } else {
                Err(format!("refused with {status}, and the connection stayed open"))
            }
        }
    }
}

/// An ordinary call after each vector: whatever the gateway had still to send has arrived before it, and an
/// upstream connection that lost its place would give it a wrong answer.
struct Barrier {
    gateway: SocketAddr,
    client: Client,
    number: u32,
}

impl Barrier {
    fn new(gateway: SocketAddr) -> Self {
        Self { gateway, client: Client::connect(gateway), number: 0 }
    }

    fn target(&self) -> String {
        format!("/barrier/{}", self.number)
    }

    fn pass(&mut self) -> Result<(), String> {
        self.number += 1;
        if self.number.is_multiple_of(50) {
            self.client = Client::connect(self.gateway);
        }
        let response = self.client.get(&self.target()).map_err(|e| format!("the next call failed: {e}"))?;
        let expected = format!("GET {}", self.target());
        if response.status == 200 && response.text() == expected {
            return Ok(());
        }
        Err(format!("the next call got somebody else's answer: {} {:?}", response.status, response.text()))
    }
}

#[test]
fn nothing_desynchronises_nginx() {
    if let Some(nginx) = needs("nothing_desynchronises_nginx", "nginx") {
        run_against_peer(&peers::nginx_echo(&nginx));
    }
}

#[test]
fn nothing_desynchronises_haproxy() {
    if let Some(haproxy) = needs("nothing_desynchronises_haproxy", "haproxy") {
        run_against_peer(&peers::haproxy_echo(&haproxy));
    }
}

#[test]
fn nothing_desynchronises_node() {
    if let Some(node) = needs("nothing_desynchronises_node", "node") {
        run_against_peer(&peers::node_echo(&node));
    }
}

/// Real servers echo method and target: every answer must be the answer to its own request.
fn run_against_peer(peer: &Peer) {
    let mut gateway = Options::open(peer.address, "").start();
    let mut barrier = Barrier::new(gateway.address);
    let mut failures = Vec::new();
    for case in cases() {
        let result = run_case_against_peer(&case.vector, gateway.address).and_then(|()| barrier.pass());
        if let Err(error) = result {
            failures.push(format!("{}: {error}", case.id));
            barrier = Barrier::new(gateway.address);
        }
        gateway.assert_alive();
    }
    assert!(failures.is_empty(), "{} vectors failed:\n  {}", failures.len(), failures.join("\n  "));
}

fn run_case_against_peer(vector: &Http1, gateway: SocketAddr) -> Result<(), String> {
    let outcome = call(vector, Cut::Whole, gateway)?;
    let statuses = outcome.statuses();
    if !outcome.quiet {
        return Err(format!("more answers than requests; so far {statuses:?}"));
    }
    let accepts = vector.expect.accept.iter().chain(&vector.expect.accepts);
    let mut accepts = accepts.map(Some).chain(std::iter::repeat(None));
    for response in outcome.responses.iter().filter(|response| response.status == 200) {
        let Some(seen) = accepts.next().flatten() else {
            // A server may answer a head before its body is cut off; then it is that request's own answer.
            let start = String::from_utf8_lossy(&vector.raw).into_owned();
            if vector.then == Some(Then::Shut) && start.starts_with(&response.text()) {
                continue;
            }
            return Err(format!("answered {statuses:?}: more than was asked"));
        };
        let expected = format!("{} {}", seen.method, seen.target);
        if seen.method != "HEAD" && response.text() != expected {
            return Err(format!("expected {expected:?}, got {:?}", response.text()));
        }
    }
    let refusable = vector.expect.accept.is_none() || !vector.expect.reject.is_empty();
    if statuses.contains(&200) || refusable {
        return Ok(());
    }
    // The real server may have limits and rules of its own; a gateway error would be ours.
    if statuses.iter().any(|status| [502, 503, 504].contains(status)) || statuses.is_empty() {
        return Err(format!("answered {statuses:?}"));
    }
    Ok(())
}
