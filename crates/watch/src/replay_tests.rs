use std::sync::Arc;

use http::{HeaderName, Method, StatusCode, Version};
use portcullis_engine::{
    Body, BodyNeed, Bounds, Cx, ExchangeId, FailMode, Fields, Guard, GuardError, Hooks, Mode, OperationInfo,
    PathParams, Plan, Planned, ProblemError, RequestHead, Routed, Routes, Scheme, Stage, State, Verdict,
    state::Rate,
};

use super::*;
use crate::{HarLimits, Skipped, Source};

/// Refuses as its fields say.
#[derive(Debug, Default)]
struct Probe {
    hooks: Hooks,
    header: Option<&'static str>,
    per_second: u32,
    at_once: u32,
    body: Option<&'static str>,
    answer: Option<&'static str>,
}

impl Guard for Probe {
    fn hooks(&self) -> Hooks {
        self.hooks
    }
    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if let Some(name) = self.header
            && !cx.request.headers.contains_key(name)
        {
            let error =
                ProblemError { location: "header", pointer: name.to_owned(), expected: "a value".to_owned() };
            return Ok(Denial::new(&code::BODY_MALFORMED, "no such field").errors([error]).into());
        }
        if self.per_second > 0 {
            let rate = Rate { calls: self.per_second, period_ns: 1_000_000_000, burst: 1 };
            let key = cx.state.key("rate", cx.facts.client);
            if !cx.state.take(key, &rate, cx.now).allowed {
                return Ok(Denial::new(&code::OVERLOADED, "too fast").into());
            }
        }
        if self.at_once > 0 {
            let key = cx.state.key("at once", 0);
            match cx.state.acquire(key, self.at_once) {
                Some(held) => cx.hold(held),
                None => return Ok(Denial::new(&code::OVERLOADED, "too many at once").into()),
            }
        }
        Ok(Verdict::Pass)
    }
    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Bytes
    }
    fn request_body(&self, _: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let bad = self.body.is_some_and(|bad| String::from_utf8_lossy(body.bytes()).contains(bad));
        Ok(if bad { Denial::new(&code::BODY_MALFORMED, "bad").into() } else { Verdict::Pass })
    }
    fn reads_response_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Bytes
    }
    fn response_body(&self, _: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let bad = self.answer.is_some_and(|bad| String::from_utf8_lossy(body.bytes()).contains(bad));
        Ok(if bad { Denial::new(&code::UPSTREAM_INVALID, "leaks").into() } else { Verdict::Pass })
    }
}

#[derive(Debug)]
struct Items;
impl Routes for Items {
    fn route(&self, _: &Method, path: &str, _: Option<&str>) -> Routed<'_> {
        match path {
            "/items" => Routed::Operation { index: 0, params: PathParams::default() },
            _ => Routed::Unknown,
        }
    }
}

fn engine(mode: Mode, probe: Probe) -> Arc<Engine> {
    let planned = Planned {
        name: "probe",
        stage: Stage::Validate,
        mode,
        on_error: FailMode::Closed,
        guard: Box::new(probe),
    };
    let info = OperationInfo {
        id: "items".into(),
        method: Method::GET,
        template: "/items".into(),
        websocket: false,
    };
    let bounds = Bounds { request_body: 100, response_body: 100, ..Bounds::default() };
    Engine::builder(Arc::new(State::new(1_000)))
        .routes(Items, vec![Plan::new(Some(info), bounds, vec![planned])])
        .build()
}

fn enforcing(probe: Probe) -> Arc<Engine> {
    engine(Mode::Enforce, probe)
}

const HEAD: Hooks =
    Hooks { request_head: true, request_body: false, response_head: false, response_body: false };
const BODY: Hooks =
    Hooks { request_head: false, request_body: true, response_head: false, response_body: false };
const ANSWER: Hooks =
    Hooks { request_head: false, request_body: false, response_head: false, response_body: true };

fn exchange(began_ms: u64, body: RecordedBody) -> RecordedExchange {
    let length = match &body {
        RecordedBody::None => BodyLength::None,
        RecordedBody::Missing => BodyLength::Unknown,
        RecordedBody::Whole(bytes) => BodyLength::Exact(bytes.len() as u64),
    };
    let mut headers = Fields::new();
    headers.insert(HeaderName::from_static("host"), "api.example".parse().unwrap());
    RecordedExchange {
        name: Name::Entry(began_ms as usize),
        id: ExchangeId(u128::from(began_ms) + 1),
        began: began_ms * 1_000_000,
        duration: 0,
        head: RequestHead {
            method: Method::POST,
            target: "/items?token=s3cret".into(),
            authority: None,
            version: Version::HTTP_11,
            headers,
            body: length,
        },
        fields: true,
        redacted: false,
        scheme: Scheme::Https,
        client: None,
        credential: None,
        body,
        response: None,
        past: None,
    }
}

fn whole(text: &'static str) -> RecordedBody {
    RecordedBody::Whole(text.into())
}

fn answered(body: RecordedBody) -> RecordedExchange {
    let response = RecordedResponse { status: StatusCode::OK, headers: Fields::new(), body };
    RecordedExchange { response: Some(response), ..exchange(0, RecordedBody::None) }
}

fn run(engine: &Arc<Engine>, exchanges: Vec<RecordedExchange>) -> Report {
    let options = ReplayOptions { details: Details::All, ..ReplayOptions::default() };
    replay(engine, Recording::new(Source::Har, exchanges, Vec::new()), &options)
}

fn decisions(report: &Report) -> Vec<DecisionWord> {
    report.details.iter().map(|detail| detail.now.decision).collect()
}

use DecisionWord::{Answered, Permitted, Refused, Undecided, Withheld};

#[test]
fn rates_follow_the_recorded_time() {
    let engine = enforcing(Probe { hooks: HEAD, per_second: 1, ..Probe::default() });
    let none = || RecordedBody::None;
    let exchanges =
        vec![exchange(2_100, none()), exchange(0, none()), exchange(500, none()), exchange(1_000, none())];
    let report = run(&engine, exchanges);
    assert_eq!(decisions(&report), [Permitted, Refused, Permitted, Permitted], "in order of time");
    assert_eq!((report.now.permitted, report.now.refused, report.changes.newly_stopped), (3, 1, 1));
    assert_eq!(report.span, Some((0, 2_100_000_000)));
    let refused = &report.details[1];
    assert_eq!((refused.now.code, refused.now.guard), (Some("overloaded"), Some("probe")));
    assert_eq!((refused.now.status, refused.now.reason.as_deref()), (Some(503), Some("too fast")));
    assert_eq!((refused.change, refused.query.as_deref()), (Change::NewlyStopped, Some("token=***")));
    assert_eq!(report.operations.len(), 1);
    assert_eq!(report.operations[0].codes, [("overloaded".to_owned(), 1)]);
    assert_eq!((report.codes[0].enforced, report.codes[0].example), (1, Name::Entry(500)));
}

#[test]
fn what_was_under_way_still_is() {
    let engine = enforcing(Probe { hooks: HEAD, at_once: 1, ..Probe::default() });
    let lasting =
        |began, ms: u64| RecordedExchange { duration: ms * 1_000_000, ..exchange(began, RecordedBody::None) };
    let report = run(&engine, vec![lasting(0, 100), lasting(50, 10), lasting(100, 10), lasting(110, 0)]);
    assert_eq!(decisions(&report), [Permitted, Refused, Permitted, Permitted]);
}

#[test]
fn bodies_are_judged_or_the_exchange_is_undecided() {
    let engine = enforcing(Probe { hooks: BODY, body: Some("evil"), ..Probe::default() });
    let big = RecordedBody::Whole(vec![b'x'; 101].into());
    let bodies = [whole("fine"), whole("so evil"), RecordedBody::Missing, RecordedBody::None, whole(""), big];
    let exchanges = bodies.into_iter().zip(0..).map(|(body, at)| exchange(at, body)).collect();
    let report = run(&engine, exchanges);
    assert_eq!(decisions(&report), [Permitted, Refused, Undecided, Permitted, Permitted, Refused]);
    assert_eq!(report.details[2].missing, Some("the request's body"));
    assert_eq!(report.details[2].change, Change::Undecided);
    assert_eq!(report.details[5].now.code, Some("body-too-large"));
    assert_eq!((report.now.undecided, report.changes.undecided), (1, 1));
}

#[test]
fn answers_are_judged_where_they_were_recorded() {
    let engine = enforcing(Probe { hooks: ANSWER, answer: Some("secret"), ..Probe::default() });
    let big = RecordedBody::Whole(vec![b'x'; 101].into());
    let exchanges = vec![
        answered(whole("fine")),
        answered(whole("a secret")),
        answered(RecordedBody::Missing),
        answered(big),
        exchange(0, RecordedBody::None),
    ];
    let report = run(&engine, exchanges);
    assert_eq!(decisions(&report), [Permitted, Withheld, Permitted, Withheld, Permitted]);
    assert_eq!(report.details[2].missing, Some("the answer's body"));
    assert_eq!(report.details[0].now.status, Some(200));
    assert_eq!(report.details[1].now.status, Some(502));
    assert_eq!(report.details[4].now.status, None);
}

#[test]
fn monitored_findings_are_counted_apart() {
    let engine = engine(Mode::Monitor, Probe { hooks: BODY, body: Some("evil"), ..Probe::default() });
    let exchanges = vec![exchange(0, whole("evil")), exchange(1, whole("fine"))];
    let options = ReplayOptions::default();
    let report = replay(&engine, Recording::new(Source::Har, exchanges, Vec::new()), &options);
    assert_eq!((report.now.permitted, report.changes.same), (2, 2));
    assert_eq!((report.codes[0].monitored, report.codes[0].enforced), (1, 0));
    assert_eq!(report.details.len(), 1, "only what is notable");
    assert!(!report.details[0].findings[0].enforced);
}

/// As an event log has it: few fields, no bodies, and a decision.
fn event(began: u64, decision: DecisionWord, guard: Option<&str>, code: Option<&str>) -> RecordedExchange {
    let past = PastDecision {
        decision,
        code: code.map(str::to_owned),
        guard: guard.map(str::to_owned),
        status: 200,
    };
    RecordedExchange { fields: false, past: Some(past), ..exchange(began, RecordedBody::None) }
}

#[test]
fn then_and_now() {
    let engine = enforcing(Probe { hooks: HEAD, per_second: 1, ..Probe::default() });
    let events = vec![
        event(0, Permitted, None, None),
        event(1, Refused, Some("probe"), Some("overloaded")),
        event(2, Permitted, None, None),
        event(3, Refused, Some("other"), Some("x")),
        event(5_000, Refused, Some("other"), Some("x")),
        event(10_000, Refused, Some("protocol"), Some("request-timeout")),
        event(15_000, Withheld, Some("mask"), Some("x")),
        event(20_000, Answered, Some("cors"), None),
    ];
    let changes: Vec<_> = run(&engine, events).details.iter().map(|detail| detail.change).collect();
    use Change::{NewlyPassed, NewlyStopped, Otherwise, Same, Undecided};
    assert_eq!(changes, [Same, Same, NewlyStopped, Otherwise, NewlyPassed, Undecided, Undecided, Undecided]);
}

#[test]
fn nothing_is_refused_for_what_the_recording_lacks() {
    let engine = enforcing(Probe { hooks: HEAD, header: Some("x-tenant"), ..Probe::default() });
    let report = run(&engine, vec![event(0, Permitted, None, None), exchange(1, RecordedBody::None)]);
    assert_eq!(decisions(&report), [Undecided, Refused], "a HAR file has all fields");
    assert_eq!(report.details[0].missing, Some("the request's fields"));
    assert!(report.codes.iter().all(|code| code.enforced == 1));
}

#[test]
fn a_refused_preflight_without_its_fields_is_no_change() {
    let engine = enforcing(Probe { hooks: HEAD, per_second: 1, ..Probe::default() });
    let options = |began, past| {
        let mut exchange = event(began, past, Some("probe"), Some("overloaded"));
        exchange.head.method = Method::OPTIONS;
        exchange
    };
    let report = run(&engine, vec![options(0, Permitted), options(1, Permitted), options(2, Refused)]);
    assert_eq!(decisions(&report), [Permitted, Undecided, Refused]);
    assert_eq!(report.details[2].change, Change::Same);
}

#[test]
fn a_recording_of_our_own_refusals_compares_by_code() {
    let har = br#"{"log": {"entries": [{"request": {"method": "GET", "url": "http://a//b", "headers": []},
        "response": {"status": 400, "headers": [{"name": "content-type", "value": "application/problem+json"}],
        "content": {"text": "{\"type\": \"urn:portcullis:path-ambiguous\", \"code\": \"path-ambiguous\"}"}}}]}}"#;
    let recording = Recording::from_har(har, &HarLimits::default()).unwrap();
    let report = replay(&enforcing(Probe::default()), recording, &ReplayOptions::default());
    assert_eq!((report.changes.same, report.then.refused, report.now.refused), (1, 1, 1));
    assert_eq!(report.details.len(), 1);
}

#[test]
fn the_same_recording_gives_the_same_report() {
    let exchanges = || -> Vec<_> { (0..200).map(|at| exchange(at * 7 % 1_000, whole("evil"))).collect() };
    let report = || {
        let probe = Probe {
            hooks: Hooks { request_body: true, ..HEAD },
            per_second: 20,
            body: Some("x"),
            ..Probe::default()
        };
        let skipped = vec![Skipped { name: Name::Entry(7), reason: "x".into() }];
        let recording = Recording::new(Source::Har, exchanges(), skipped);
        serde_json::to_string(&replay(&enforcing(probe), recording, &ReplayOptions::default())).unwrap()
    };
    assert_eq!(report(), report());
    assert!(report().contains(r#""skipped":[{"name":{"entry":7},"reason":"x"}]"#));
}

#[test]
fn details_are_bounded() {
    let exchanges = (0..50).map(|at| exchange(at, RecordedBody::None)).collect();
    let options = ReplayOptions { details: Details::All, most_details: 10, ..ReplayOptions::default() };
    let recording = Recording::new(Source::Har, exchanges, Vec::new());
    let report = replay(&enforcing(Probe::default()), recording, &options);
    assert_eq!((report.details.len(), report.details_cut, report.exchanges), (10, true, 50));
    let empty = replay(
        &enforcing(Probe::default()),
        Recording::new(Source::Har, Vec::new(), Vec::new()),
        &ReplayOptions { details: Details::None, ..options },
    );
    assert_eq!((empty.exchanges, empty.span), (0, None));
}
