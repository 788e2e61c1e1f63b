use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::fields::Fields;
use crate::guard::{Cx, Guard, GuardError, Hooks, Stage, Verdict};
use crate::plan::{FailMode, Mode, OperationInfo, Planned};
use crate::record::{End, Masked};
use crate::routes::Routes;
use crate::state::State;
use crate::{Bounds, OperationInfo as Info};
use crate::{Engine, EngineRef};
use crate::{PathParams, Scheme};

#[derive(Debug, Default)]
struct Probe {
    hooks: Hooks,
    deny_head: bool,
    deny_body: bool,
    deny_response: bool,
    fail: bool,
    panic: bool,
    need: Option<BodyNeed>,
    ran: Arc<AtomicU32>,
}

impl Guard for Probe {
    fn hooks(&self) -> Hooks {
        self.hooks
    }
    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        self.ran.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panic, "as told");
        if self.fail {
            return Err(GuardError("as told".into()));
        }
        cx.add_response_header(HeaderName::from_static("x-added"), HeaderValue::from_static("1"));
        Ok(if self.deny_head { Denial::new(&code::GUARD_FAILED, "told so").into() } else { Verdict::Pass })
    }
    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        self.need.unwrap_or(BodyNeed::Nothing)
    }
    fn request_body(&self, _: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        assert!(body.json().is_some() || self.need != Some(BodyNeed::Parsed));
        Ok(if self.deny_body { Denial::new(&code::BODY_MALFORMED, "told so").into() } else { Verdict::Pass })
    }
    fn reads_response_body(&self, _: &Cx<'_>) -> BodyNeed {
        self.need.unwrap_or(BodyNeed::Nothing)
    }
    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        if body.json().is_none() {
            return Ok(Denial::new(&code::UPSTREAM_INVALID, "not JSON").into());
        }
        cx.mask(Masked { status: StatusCode::OK, excerpt: "seen".into() });
        let reply = LocalReply::empty(StatusCode::IM_A_TEAPOT);
        Ok(if self.deny_response { Verdict::Answer(Box::new(reply)) } else { Verdict::Pass })
    }
    fn response_head(&self, _: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(if self.deny_response {
            Denial::new(&code::UPSTREAM_INVALID, "told so").into()
        } else {
            Verdict::Pass
        })
    }
}

const HEAD: Hooks =
    Hooks { request_head: true, request_body: false, response_head: false, response_body: false };
const BODY: Hooks =
    Hooks { request_head: false, request_body: true, response_head: false, response_body: false };
const RESPONSE: Hooks =
    Hooks { request_head: false, request_body: false, response_head: true, response_body: false };

#[derive(Debug)]
struct OneRoute;
impl Routes for OneRoute {
    fn route(&self, method: &Method, path: &str, _: Option<&str>) -> Routed<'_> {
        match (method, path) {
            (&Method::POST | &Method::GET, "/orders/7") => {
                Routed::Operation { index: 0, params: PathParams { spans: SmallVec::from_slice(&[(8, 9)]) } }
            }
            (_, "/orders/7") => Routed::MethodNotAllowed { allow: "GET, POST" },
            _ => Routed::Unknown,
        }
    }
}

fn engine(guards: Vec<(Mode, FailMode, Probe)>) -> Arc<Engine> {
    let guards = guards
        .into_iter()
        .map(|(mode, on_error, probe)| Planned {
            name: "probe",
            stage: Stage::Validate,
            mode,
            on_error,
            guard: Box::new(probe),
        })
        .collect();
    let info = Info {
        id: "getOrder".into(),
        method: Method::GET,
        template: "/orders/{id}".into(),
        websocket: false,
    };
    let bounds = Bounds { request_body: 1000, ..Bounds::default() };
    Engine::builder(Arc::new(State::new(1000)))
        .routes(OneRoute, vec![Plan::new(Some(info), bounds, guards)])
        .build()
}

fn head(
    method: Method,
    target: &str,
    fields: &[(&'static str, &'static str)],
    body: BodyLength,
) -> RequestHead {
    let mut headers = Fields::new();
    headers.insert(header::HOST, HeaderValue::from_static("api.example.com"));
    for (name, value) in fields {
        headers.append(HeaderName::from_static(name), HeaderValue::from_static(value));
    }
    let target = Bytes::copy_from_slice(target.as_bytes());
    RequestHead { method, target, authority: None, version: Version::HTTP_11, headers, body }
}

fn connection() -> Connection {
    Connection {
        peer: "192.0.2.7:4711".parse().unwrap(),
        local: "192.0.2.1:80".parse().unwrap(),
        scheme: Scheme::Http,
        sni: None,
        certificate: None,
    }
}

fn begin(engine: &Arc<Engine>, head: RequestHead) -> Inspection {
    Arc::clone(engine).begin(head, &connection(), ExchangeId(7), Now::default())
}

fn outcome(status: u16) -> Outcome {
    Outcome {
        status: StatusCode::from_u16(status).unwrap(),
        end: End::Complete,
        bytes_in: 0,
        bytes_out: 0,
        upstream: None,
        upstream_ns: None,
        now: Now { unix_ns: 5, mono_ns: 5 },
    }
}

fn get(engine: &Arc<Engine>) -> Inspection {
    begin(engine, head(Method::GET, "/orders/7", &[], BodyLength::None))
}

#[test]
fn a_permitted_exchange() {
    let engine = engine(vec![(Mode::Enforce, FailMode::Closed, Probe { hooks: HEAD, ..Probe::default() })]);
    let fields = [("x-forwarded-for", "10.0.0.1"), ("connection", "close"), ("accept", "a/b")];
    let mut inspection =
        begin(&engine, head(Method::GET, "/orders/%37?a=1&api_key=s3", &fields, BodyLength::None));
    let Step::Forward(permit) = inspection.request_head() else { panic!("refused") };
    assert_eq!(permit.id(), ExchangeId(7));
    let request = inspection.request();
    assert_eq!((request.target(), request.param(0)), ("/orders/7?a=1&api_key=s3", Some("7")));
    assert_eq!(request.headers["x-forwarded-for"], "192.0.2.7");
    assert!(!request.headers.contains_key("connection") && request.headers.contains_key("accept"));
    let response = ResponseHead { status: StatusCode::OK, headers: Fields::new(), body: BodyLength::Unknown };
    let ResponseStep::Deliver(head) = inspection.response_head(response, Now::default()) else {
        panic!("withheld")
    };
    assert_eq!(head.headers["x-added"], "1");
    let record = inspection.finish(outcome(200));
    assert_eq!((record.path(), record.query()), ("/orders/7", Some("a=1&api_key=***")));
    assert_eq!(record.decision, Decision::Permitted);
    assert_eq!(record.operation().unwrap().id.as_ref(), "getOrder");
    assert_eq!(record.duration_ns, 5);
}

#[test]
fn a_refusal_is_a_problem_and_keeps_added_fields() {
    let deny = Probe { hooks: HEAD, deny_head: true, ..Probe::default() };
    let engine = engine(vec![(Mode::Enforce, FailMode::Closed, deny)]);
    let mut inspection = get(&engine);
    let Step::Reply(reply) = inspection.request_head() else { panic!("permitted") };
    assert_eq!(reply.status, 500);
    assert_eq!(reply.headers["content-type"], "application/problem+json");
    assert_eq!(reply.headers["x-added"], "1");
    let problem: serde_json::Value = serde_json::from_slice(&reply.body).unwrap();
    assert_eq!(problem["code"], "guard-failed");
    assert_eq!(problem["reference"], "00000000000000000000000000000007");
    assert!(!String::from_utf8_lossy(&reply.body).contains("told so"), "the reason is for the operator");
    let record = inspection.finish(outcome(500));
    assert_eq!(
        record.decision.refusal().map(|(_, guard, reason)| (guard, reason)),
        Some(("probe", "told so"))
    );
}

#[test]
fn monitor_counts_and_lets_pass() {
    let ran = Arc::new(AtomicU32::new(0));
    let probe = |deny_head| Probe { hooks: HEAD, deny_head, ran: Arc::clone(&ran), ..Probe::default() };
    let engine = engine(vec![
        (Mode::Monitor, FailMode::Closed, probe(true)),
        (Mode::Enforce, FailMode::Closed, probe(false)),
    ]);
    let mut inspection = get(&engine);
    assert!(matches!(inspection.request_head(), Step::Forward(_)));
    assert_eq!(ran.load(Ordering::Relaxed), 2);
    assert_eq!(inspection.findings().len(), 1);
    assert!(!inspection.findings()[0].enforced);
}

#[test]
fn failures_and_panics_refuse_unless_told_otherwise() {
    for panic in [false, true] {
        let probe = || Probe { hooks: HEAD, fail: !panic, panic, ..Probe::default() };
        for (mode, on_error, passes) in [
            (Mode::Enforce, FailMode::Closed, false),
            (Mode::Enforce, FailMode::Open, true),
            (Mode::Monitor, FailMode::Closed, true),
        ] {
            let ran = Arc::new(AtomicU32::new(0));
            let next = Probe { hooks: HEAD, ran: Arc::clone(&ran), ..Probe::default() };
            let engine = engine(vec![(mode, on_error, probe()), (Mode::Enforce, FailMode::Closed, next)]);
            let mut inspection = get(&engine);
            let step = inspection.request_head();
            assert_eq!(matches!(step, Step::Forward(_)), passes);
            assert_eq!(
                ran.load(Ordering::Relaxed),
                u32::from(passes),
                "guards behind a failed one run as well"
            );
            assert_eq!(inspection.findings().len(), 1);
        }
    }
}

#[test]
fn bodies_are_read_only_when_needed_and_within_bounds() {
    let json = [("content-type", "application/json")];
    let idle = engine(vec![]);
    let mut inspection = begin(&idle, head(Method::POST, "/orders/7", &json, BodyLength::Exact(10)));
    let Step::Forward(permit) = inspection.request_head() else { panic!() };
    assert!(matches!(permit.body(), ForwardBody::Streamed { max: 1000 }));
    let mut inspection = begin(&idle, head(Method::POST, "/orders/7", &json, BodyLength::Exact(1001)));
    let Step::Reply(reply) = inspection.request_head() else { panic!() };
    assert_eq!((reply.status.as_u16(), reply.close), (413, true));

    let reader =
        |deny_body| Probe { hooks: BODY, need: Some(BodyNeed::Parsed), deny_body, ..Probe::default() };
    let parsing = engine(vec![(Mode::Enforce, FailMode::Closed, reader(false))]);
    let mut inspection = begin(&parsing, head(Method::POST, "/orders/7", &json, BodyLength::Unknown));
    assert!(matches!(inspection.request_head(), Step::NeedBody { limit: 1000 }));
    assert!(matches!(inspection.request_body(Bytes::from_static(b"{}")), Step::Forward(_)));
    for (body, status) in [(&b"{"[..], 400), (br#"{"a":1,"a":2}"#, 400), (&[b'['; 1001], 413)] {
        let mut inspection = begin(&parsing, head(Method::POST, "/orders/7", &json, BodyLength::Unknown));
        assert!(matches!(inspection.request_head(), Step::NeedBody { .. }));
        let Step::Reply(reply) = inspection.request_body(Bytes::copy_from_slice(body)) else { panic!() };
        assert_eq!(reply.status.as_u16(), status);
    }
    let watching = engine(vec![(Mode::Monitor, FailMode::Closed, reader(true))]);
    let mut inspection = begin(&watching, head(Method::POST, "/orders/7", &json, BodyLength::Unknown));
    assert!(matches!(inspection.request_head(), Step::NeedBody { .. }));
    assert!(matches!(inspection.request_body(Bytes::from_static(b"{")), Step::Forward(_)));
    assert_eq!(inspection.findings()[0].code.name, "body-malformed");
}

#[test]
fn answers_can_be_withheld() {
    let probe = Probe { hooks: RESPONSE, deny_response: true, ..Probe::default() };
    let engine = engine(vec![(Mode::Enforce, FailMode::Closed, probe)]);
    let mut inspection = get(&engine);
    assert!(matches!(inspection.request_head(), Step::Forward(_)));
    let response = ResponseHead { status: StatusCode::OK, headers: Fields::new(), body: BodyLength::Unknown };
    let ResponseStep::Reply(reply) = inspection.response_head(response, Now::default()) else { panic!() };
    assert_eq!(reply.status, 502);
    assert_eq!(inspection.finish(outcome(502)).decision.word(), "withheld");
}

#[test]
fn ambiguous_heads_are_refused_before_any_guard() {
    let ran = Arc::new(AtomicU32::new(0));
    let engine = engine(vec![(
        Mode::Enforce,
        FailMode::Closed,
        Probe { hooks: HEAD, ran: Arc::clone(&ran), ..Probe::default() },
    )]);
    let none = BodyLength::None;
    for (bad, status) in [
        (head(Method::TRACE, "/orders/7", &[], none), 405),
        (head(Method::CONNECT, "h:1", &[], none), 405),
        (head(Method::GET, "/orders//7", &[], none), 400),
        (head(Method::GET, "*", &[], none), 400),
        (head(Method::GET, "http://other/orders/7", &[], none), 400),
        (head(Method::GET, "/orders/7", &[("host", "b")], none), 400),
        (head(Method::GET, "/orders/7", &[("authorization", "a"), ("authorization", "b")], none), 400),
    ] {
        let mut inspection = begin(&engine, bad);
        let Step::Reply(reply) = inspection.request_head() else { panic!("permitted") };
        assert_eq!((reply.status.as_u16(), reply.close), (status, true));
    }
    assert_eq!(ran.load(Ordering::Relaxed), 0);
    let mut hostless = head(Method::GET, "/orders/7", &[], none);
    hostless.headers.remove(header::HOST);
    assert!(matches!(begin(&engine, hostless).request_head(), Step::Reply(_)));
}

#[test]
fn upgrades_pass_only_where_offered() {
    let upgrade = [("upgrade", "websocket"), ("connection", "Upgrade")];
    let engine = engine(vec![]);
    let mut inspection = begin(&engine, head(Method::GET, "/orders/7", &upgrade, BodyLength::None));
    assert!(matches!(inspection.request_head(), Step::Reply(reply) if reply.status == 400));
    let mut old = head(Method::GET, "/orders/7", &upgrade, BodyLength::None);
    old.version = Version::HTTP_10;
    let mut inspection = begin(&engine, old);
    assert!(matches!(inspection.request_head(), Step::Forward(permit) if !permit.upgrade()));
    let h2c = [("upgrade", "h2c"), ("connection", "Upgrade, HTTP2-Settings"), ("http2-settings", "AAMAAABk")];
    let mut inspection = begin(&engine, head(Method::GET, "/orders/7", &h2c, BodyLength::None));
    let Step::Forward(permit) = inspection.request_head() else { panic!() };
    assert!(
        !permit.upgrade() && inspection.request().headers.keys().all(|n| n.as_str().starts_with(['x', 't']))
    );
}

#[test]
fn unparsable_heads_have_a_record() {
    let engine = engine(vec![]);
    let denial = Denial::new(&code::REQUEST_MALFORMED, "bare LF").close();
    let (inspection, reply) = EngineRef::new(engine).refuse(
        &denial,
        b"/\x00<x>?token=1",
        &connection(),
        ExchangeId(1),
        Now::default(),
    );
    assert_eq!(reply.status, 400);
    let record = inspection.finish(outcome(400));
    assert_eq!(record.path(), r"/\x00<x>");
    let _: Option<&OperationInfo> = record.operation();
}

const RESPONSE_BODY: Hooks =
    Hooks { request_head: false, request_body: false, response_head: false, response_body: true };

fn response(content_type: &'static str, body: BodyLength) -> ResponseHead {
    let mut headers = Fields::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CONNECTION, HeaderValue::from_static("x-hop"));
    headers.insert(HeaderName::from_static("x-hop"), HeaderValue::from_static("1"));
    ResponseHead { status: StatusCode::OK, headers, body }
}

#[test]
fn response_bodies_are_judged_replaced_or_bounded() {
    let reader = |deny_response| Probe {
        hooks: RESPONSE_BODY,
        need: Some(BodyNeed::Parsed),
        deny_response,
        ..Probe::default()
    };
    let now = Now::default();
    let forward = |engine: &Arc<Engine>| {
        let mut inspection = get(engine);
        assert!(matches!(inspection.request_head(), Step::Forward(_)));
        inspection
    };
    let passing = engine(vec![(Mode::Enforce, FailMode::Closed, reader(false))]);
    let mut inspection = forward(&passing);
    let step = inspection.response_head(response("application/json", BodyLength::Unknown), now);
    assert!(matches!(step, ResponseStep::NeedBody { .. }));
    let ResponseStep::DeliverWhole(head, body) = inspection.response_body(Bytes::from_static(b"[1]"), now)
    else {
        panic!("withheld")
    };
    assert_eq!((head.headers["content-length"].as_bytes(), body.as_ref()), (&b"3"[..], &b"[1]"[..]));
    assert!(!head.headers.contains_key("x-hop"));
    assert!(inspection.finish(outcome(200)).masked.is_some());

    let mut inspection = forward(&passing);
    inspection.response_head(response("application/json", BodyLength::Unknown), now);
    let ResponseStep::Reply(reply) = inspection.response_body(Bytes::from_static(b"{"), now) else {
        panic!()
    };
    assert_eq!(reply.status, 502);

    let mut inspection = forward(&passing);
    let huge = response("application/json", BodyLength::Exact(1 << 40));
    let ResponseStep::Reply(reply) = inspection.response_head(huge, now) else { panic!() };
    assert_eq!((reply.status.as_u16(), inspection.decision().word()), (502, "withheld"));

    let mut inspection = forward(&passing);
    let bodyless = response("application/json", BodyLength::None);
    assert!(matches!(inspection.response_head(bodyless, now), ResponseStep::Deliver(_)));

    let replacing = engine(vec![(Mode::Enforce, FailMode::Closed, reader(true))]);
    let mut inspection = forward(&replacing);
    inspection.response_head(response("application/json", BodyLength::Unknown), now);
    let ResponseStep::Reply(reply) = inspection.response_body(Bytes::from_static(b"{}"), now) else {
        panic!()
    };
    assert_eq!((reply.status.as_u16(), inspection.decision()), (418, &Decision::Permitted));

    let watching = engine(vec![(Mode::Monitor, FailMode::Closed, reader(true))]);
    let mut inspection = forward(&watching);
    let huge = response("application/json", BodyLength::Exact(1 << 40));
    assert!(matches!(inspection.response_head(huge, now), ResponseStep::Deliver(_)));
    assert_eq!(inspection.findings().len(), 1);
}

#[test]
fn upstreams_that_fail_tell_nothing_of_the_network() {
    let engine = engine(vec![]);
    for (failure, status) in [
        (UpstreamFailure::Unreachable("10.9.8.7:80 refused".into()), 502),
        (UpstreamFailure::Unavailable(3), 503),
        (UpstreamFailure::Timeout, 504),
        (UpstreamFailure::Invalid("10.9.8.7 said nonsense".into()), 502),
    ] {
        let mut inspection = get(&engine);
        assert!(matches!(inspection.request_head(), Step::Forward(_)));
        let reply = inspection.upstream_failed(&failure);
        assert_eq!(reply.status.as_u16(), status);
        assert!(!String::from_utf8_lossy(&reply.body).contains("10.9"));
    }
}

/// Asks outside before it decides, in the phases that `hooks` names.
#[derive(Debug)]
struct Asker {
    hooks: Hooks,
    /// How many answers it wants.
    wants: u8,
    key: &'static str,
}

impl Asker {
    fn ask(&self, cx: &Cx<'_>) -> Verdict {
        for number in 0..self.wants {
            let key = format!("{}-{number}", self.key);
            match cx.answer(&key) {
                Some(Ok(answer)) if answer.status == StatusCode::OK => {}
                Some(Ok(_)) => return Denial::new(&code::HOST_INVALID, "they said no").into(),
                Some(Err(failure)) => return failure.denial("test").into(),
                None => {
                    return Lookup {
                        purpose: "test",
                        key: key.into(),
                        share: None,
                        destination: crate::Destination::Url {
                            method: Method::GET,
                            url: "https://idp.example/".into(),
                            headers: Fields::new(),
                            body: Bytes::new(),
                        },
                        timeout: std::time::Duration::from_secs(1),
                        max_response: 100,
                    }
                    .into();
                }
            }
        }
        Verdict::Pass
    }
}

impl Guard for Asker {
    fn hooks(&self) -> Hooks {
        self.hooks
    }
    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(self.ask(cx))
    }
    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Parsed
    }
    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        assert!(body.json().is_some());
        Ok(self.ask(cx))
    }
    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(self.ask(cx))
    }
    fn reads_response_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Parsed
    }
    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        assert!(body.json().is_some());
        Ok(self.ask(cx))
    }
}

/// Puts another body in the place of the one it sees.
#[derive(Debug)]
struct Writer {
    to: &'static str,
    seen: Arc<parking_lot::Mutex<Vec<String>>>,
}

impl Guard for Writer {
    fn hooks(&self) -> Hooks {
        Hooks { request_body: true, response_body: true, ..Hooks::default() }
    }
    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Parsed
    }
    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        self.seen.lock().push(body.json().map(ToString::to_string).unwrap_or_default());
        cx.replace_body(Bytes::from_static(self.to.as_bytes()));
        Ok(Verdict::Pass)
    }
    fn reads_response_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Parsed
    }
    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        self.request_body(cx, body)
    }
}

fn engine_of(guards: Vec<(Mode, Box<dyn Guard>)>) -> Arc<Engine> {
    let planned = |(mode, guard): (Mode, Box<dyn Guard>)| Planned {
        name: "probe",
        stage: Stage::Validate,
        mode,
        on_error: FailMode::Closed,
        guard,
    };
    let plan = Plan::new(None, Bounds::default(), guards.into_iter().map(planned).collect());
    Engine::builder(Arc::new(State::new(1000))).routes(OneRoute, vec![plan]).build()
}

fn answer(status: u16) -> crate::LookupResult {
    let status = StatusCode::from_u16(status).unwrap();
    Ok(Arc::new(crate::Answer { status, headers: Fields::new(), body: Bytes::new() }))
}

const ALL: Hooks = Hooks { request_head: true, request_body: true, response_head: true, response_body: true };

#[test]
fn a_step_goes_on_at_the_guard_that_asked() {
    let ran = Arc::new(AtomicU32::new(0));
    let counter = || Box::new(Probe { hooks: HEAD, ran: Arc::clone(&ran), ..Probe::default() });
    let asker = Box::new(Asker { hooks: HEAD, wants: 2, key: "a" });
    let engine =
        engine_of(vec![(Mode::Enforce, counter()), (Mode::Enforce, asker), (Mode::Enforce, counter())]);
    let now = Now::default();
    for (second, permitted) in [(200, true), (404, false)] {
        ran.store(0, Ordering::Relaxed);
        let mut inspection = get(&engine);
        let Step::Lookup(first) = inspection.request_head() else { panic!() };
        assert_eq!((&*first.key, ran.load(Ordering::Relaxed)), ("a-0", 1));
        let Step::Lookup(next) = inspection.resolve(answer(200), now) else { panic!() };
        assert_eq!(&*next.key, "a-1");
        let step = inspection.resolve(answer(second), now);
        assert_eq!(matches!(step, Step::Forward(_)), permitted);
        assert_eq!(ran.load(Ordering::Relaxed), if permitted { 2 } else { 1 });
        // A host that goes on out of turn gets a refusal, never a permit.
        assert!(matches!(inspection.resolve(answer(200), now), Step::Reply(_)));
        assert!(matches!(inspection.resolve_response(answer(200), now), ResponseStep::Reply(_)));
    }
}

#[test]
fn every_hook_may_ask() {
    let engine = engine_of(vec![(Mode::Enforce, Box::new(Asker { hooks: ALL, wants: 1, key: "a" }) as _)]);
    let json = [("content-type", "application/json")];
    let now = Now::default();
    let begin = || begin(&engine, head(Method::POST, "/orders/7", &json, BodyLength::Exact(2)));
    let mut inspection = begin();
    // One answer serves all hooks of an exchange.
    assert!(matches!(inspection.request_head(), Step::Lookup(_)));
    assert!(matches!(inspection.resolve(answer(200), now), Step::NeedBody { .. }));
    assert!(matches!(inspection.request_body(Bytes::from_static(b"{}")), Step::Forward(_)));
    let bodies = Hooks { request_head: false, response_head: false, ..ALL };
    for (hooks, in_response) in [(BODY, false), (RESPONSE, true), (bodies, false), (RESPONSE_BODY, true)] {
        let engine = engine_of(vec![(Mode::Enforce, Box::new(Asker { hooks, wants: 1, key: "b" }) as _)]);
        let head = head(Method::POST, "/orders/7", &json, BodyLength::Exact(2));
        let mut inspection = Arc::clone(&engine).begin(head, &connection(), ExchangeId(7), now);
        let mut step = inspection.request_head();
        loop {
            step = match step {
                Step::NeedBody { .. } => inspection.request_body(Bytes::from_static(b"{}")),
                Step::Lookup(_) if !in_response => inspection.resolve(answer(200), now),
                Step::Forward(_) => break,
                other => panic!("{other:?}"),
            };
        }
        let mut asked = 0;
        let mut step = inspection.response_head(response("application/json", BodyLength::Exact(2)), now);
        loop {
            step = match step {
                ResponseStep::NeedBody { .. } => inspection.response_body(Bytes::from_static(b"{}"), now),
                ResponseStep::Lookup(_) => {
                    asked += 1;
                    inspection.resolve_response(answer(200), now)
                }
                ResponseStep::Deliver(_) | ResponseStep::DeliverWhole(..) => break,
                other => panic!("{other:?}"),
            };
        }
        assert_eq!(asked, usize::from(in_response));
    }
}

#[test]
fn lookups_fail_closed_and_are_bounded() {
    let engine = engine_of(vec![(Mode::Enforce, Box::new(Asker { hooks: HEAD, wants: 1, key: "a" }) as _)]);
    let mut inspection = get(&engine);
    assert!(matches!(inspection.request_head(), Step::Lookup(_)));
    let Step::Reply(reply) = inspection.resolve(Err(crate::LookupFailure::Timeout), Now::default()) else {
        panic!()
    };
    assert_eq!((reply.status.as_u16(), reply.headers["retry-after"].as_bytes()), (503, &b"5"[..]));
    for (mode, status) in [(Mode::Enforce, Some(500)), (Mode::Monitor, None)] {
        let greedy = engine_of(vec![(mode, Box::new(Asker { hooks: HEAD, wants: 99, key: "a" }) as _)]);
        let mut inspection = get(&greedy);
        let mut asked = 0;
        let mut step = inspection.request_head();
        while let Step::Lookup(_) = step {
            asked += 1;
            step = inspection.resolve(answer(200), Now::default());
        }
        assert_eq!(asked, crate::MOST_LOOKUPS);
        match step {
            Step::Reply(reply) => assert_eq!(Some(reply.status.as_u16()), status),
            _ => assert_eq!(status, None),
        }
    }
}

#[test]
fn a_read_of_the_upstream_is_a_get_in_the_callers_name() {
    #[derive(Debug)]
    struct Reader;
    impl Guard for Reader {
        fn hooks(&self) -> Hooks {
            HEAD
        }
        fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
            let second = std::time::Duration::from_secs(1);
            Ok(cx.read_upstream("owner", "owner", "/orders/7?full=1", second, 100).into())
        }
    }
    let engine = engine_of(vec![(Mode::Enforce, Box::new(Reader) as _)]);
    let fields = [("content-type", "a/b"), ("if-match", "x"), ("accept", "a/b"), ("range", "bytes=0-1")];
    let mut inspection = begin(&engine, head(Method::POST, "/orders/7", &fields, BodyLength::Exact(5)));
    let Step::Lookup(lookup) = inspection.request_head() else { panic!() };
    let crate::Destination::Upstream(read) = lookup.destination else { panic!() };
    let crate::UpstreamRead { permit, request } = *read;
    assert!(matches!(permit.body(), ForwardBody::None) && permit.id() == ExchangeId(7));
    assert_eq!(
        (&request.method, request.path(), request.query()),
        (&Method::GET, "/orders/7", Some("full=1"))
    );
    assert!(request.headers.contains_key("accept") && request.headers.contains_key("x-forwarded-for"));
    assert!(["content-type", "if-match", "range"].iter().all(|name| !request.headers.contains_key(*name)));
    assert_eq!(request.body, BodyLength::None);
}

#[test]
fn bodies_can_be_rewritten() {
    let seen = Arc::new(parking_lot::Mutex::new(Vec::new()));
    let writer = |to, mode| (mode, Box::new(Writer { to, seen: Arc::clone(&seen) }) as Box<dyn Guard>);
    let engine = engine_of(vec![
        writer(r#"{"b":22}"#, Mode::Enforce),
        writer("[]", Mode::Monitor),
        writer(r#"{"c":333}"#, Mode::Enforce),
    ]);
    let fields = [
        ("content-type", "application/json"),
        ("content-encoding", "identity"),
        ("digest", "sha-256=x"),
        ("content-md5", "x"),
    ];
    let now = Now::default();
    let mut inspection = begin(&engine, head(Method::POST, "/orders/7", &fields, BodyLength::Exact(7)));
    assert!(matches!(inspection.request_head(), Step::NeedBody { .. }));
    let Step::Forward(permit) = inspection.request_body(Bytes::from_static(br#"{"a":1}"#)) else { panic!() };
    let ForwardBody::Whole(sent) = permit.body() else { panic!() };
    assert_eq!(sent, r#"{"c":333}"#);
    assert_eq!(*seen.lock(), [r#"{"a":1}"#, r#"{"b":22}"#, r#"{"b":22}"#]);
    let request = inspection.request();
    assert_eq!(request.body, BodyLength::Exact(9));
    for gone in ["content-encoding", "digest", "content-md5"] {
        assert!(!request.headers.contains_key(gone), "{gone}");
    }
    let mut head = response("application/json", BodyLength::Exact(7));
    for name in ["etag", "content-digest", "content-encoding"] {
        head.headers.insert(HeaderName::from_static(name), HeaderValue::from_static("identity"));
    }
    assert!(matches!(inspection.response_head(head, now), ResponseStep::NeedBody { .. }));
    let step = inspection.response_body(Bytes::from_static(br#"{"a":1}"#), now);
    let ResponseStep::DeliverWhole(head, body) = step else { panic!() };
    assert_eq!((head.headers["content-length"].as_bytes(), body.as_ref()), (&b"9"[..], &br#"{"c":333}"#[..]));
    for gone in ["etag", "content-digest", "content-encoding"] {
        assert!(!head.headers.contains_key(gone), "{gone}");
    }

    // What is no JSON is a failure of the guard that wrote it, where somebody reads it.
    let broken = engine_of(vec![writer("{", Mode::Enforce), writer("{}", Mode::Monitor)]);
    let json = [("content-type", "application/json")];
    let mut inspection = begin(&broken, self::head(Method::POST, "/orders/7", &json, BodyLength::Exact(2)));
    assert!(matches!(inspection.request_head(), Step::NeedBody { .. }));
    let Step::Reply(reply) = inspection.request_body(Bytes::from_static(b"{}")) else { panic!() };
    assert_eq!(reply.status, 500);
}
