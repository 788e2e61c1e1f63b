//! One exchange under inspection: the state machine that hosts drive.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{HeaderMap, Method, StatusCode, Version};
use smallvec::SmallVec;

use crate::body::{self, Body, MediaType};
use crate::code::{self, Code};
use crate::denial::{Denial, LocalReply};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::guard::{BodyNeed, Cx, Finding, GuardError, Verdict};
use crate::head::{BodyLength, Connection, ExchangeId, Now, Request, RequestHead, ResponseHead};
use crate::headers;
use crate::normalise::{escape, normalise, redact};
use crate::plan::{FailMode, Mode, Plan, Planned};
use crate::record::{Decision, Masked, Outcome, Record};
use crate::routes::Routed;
use crate::state::Held;

/// What the host does next with a request.
#[derive(Debug)]
pub enum Step {
    /// It may go upstream, as [`Inspection::request`] says, with the permit.
    Forward(Permit),
    /// Read the whole body, at most `limit` bytes, and hand it to [`Inspection::request_body`]; over the limit
    /// call [`Inspection::refuse`] with [`code::BODY_TOO_LARGE`].
    NeedBody {
        /// In bytes, as encoded on the wire.
        limit: u64,
    },
    /// Send this instead.
    Reply(LocalReply),
}

/// What the host does next with a response.
#[derive(Debug)]
pub enum ResponseStep {
    /// Pass it on; the body may stream.
    Deliver(ResponseHead),
    /// Pass it on with this whole body.
    DeliverWhole(ResponseHead, Bytes),
    /// Read the whole body, at most `limit` bytes, and hand it to [`Inspection::response_body`]; over the
    /// limit call [`Inspection::response_body_overflow`].
    NeedBody {
        /// In bytes, as encoded on the wire.
        limit: u64,
    },
    /// Send this instead.
    Reply(LocalReply),
}

/// The right to forward one exchange's request. Only the engine makes one, after all guards passed.
#[derive(Debug)]
pub struct Permit {
    id: ExchangeId,
    body: ForwardBody,
    upgrade: bool,
}

impl Permit {
    /// The exchange it is for.
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// Which body goes with it.
    pub fn body(&self) -> &ForwardBody {
        &self.body
    }

    /// Whether the connection may turn into a WebSocket tunnel, when the upstream agrees with a 101.
    pub fn upgrade(&self) -> bool {
        self.upgrade
    }
}

/// The body of a permitted request.
#[derive(Debug, Clone)]
pub enum ForwardBody {
    /// There is none.
    None,
    /// It streams, as announced by [`Request::body`]; over `max` bytes the exchange must be broken off.
    Streamed {
        /// In bytes.
        max: u64,
    },
    /// These bytes, decoded and inspected; their length replaces what was announced.
    Whole(Bytes),
}

/// Why the upstream gave no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UpstreamFailure {
    /// Connecting, TLS or sending failed, or the connection broke before an answer.
    Unreachable(Cow<'static, str>),
    /// No instance is healthy, or the circuit is open. Seconds until a retry makes sense.
    Unavailable(u32),
    /// No answer within the deadline.
    Timeout,
    /// The answer is not HTTP.
    Invalid(Cow<'static, str>),
}

/// What a recording knows that a recorded head does not show.
#[derive(Debug, Clone, Default)]
pub struct Recorded {
    /// The public identifier of the credential that was proved then; the secret is not in a recording.
    pub credential: Option<Arc<str>>,
    /// Whether the recording holds bodies. Without them, guards that need a body cannot answer.
    pub bodies: bool,
}

/// One exchange, from head to record.
#[derive(Debug)]
pub struct Inspection {
    engine: Arc<Engine>,
    plan: Option<usize>,
    request: Request,
    response: Option<ResponseHead>,
    connection: Connection,
    id: ExchangeId,
    began: Now,
    facts: Facts,
    findings: SmallVec<[Finding; 1]>,
    held: SmallVec<[Held; 1]>,
    masked: Option<Box<Masked>>,
    reply_headers: Vec<(HeaderName, HeaderValue)>,
    decision: Decision,
    refusal: Option<Box<Denial>>,
    recorded: Option<Box<Recorded>>,
}

/// The guard name under which the engine and hosts refuse.
const PROTOCOL: &str = "protocol";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    RequestHead,
    RequestBody,
    ResponseHead,
    ResponseBody,
}

enum Stop {
    Denied { code: &'static Code, guard: &'static str, reason: Cow<'static, str>, reply: LocalReply },
    Answered { guard: &'static str, reply: LocalReply },
}

impl Inspection {
    pub(crate) fn begin(
        engine: Arc<Engine>,
        head: RequestHead,
        connection: &Connection,
        id: ExchangeId,
        now: Now,
        recorded: Option<Box<Recorded>>,
    ) -> Inspection {
        let (request, facts, refusal) = normalise(&engine.settings, head, connection, id);
        let mut inspection = Inspection {
            plan: None,
            request,
            response: None,
            connection: connection.clone(),
            id,
            began: now,
            facts,
            findings: SmallVec::new(),
            held: SmallVec::new(),
            masked: None,
            reply_headers: Vec::new(),
            decision: Decision::Permitted,
            refusal: refusal.map(Box::new),
            recorded,
            engine,
        };
        if inspection.refusal.is_none() {
            inspection.route();
        }
        inspection
    }

    pub(crate) fn refused(
        engine: Arc<Engine>,
        denial: &Denial,
        target: &[u8],
        connection: &Connection,
        id: ExchangeId,
        now: Now,
    ) -> (Inspection, LocalReply) {
        let head = RequestHead {
            method: Method::GET,
            target: Bytes::new(),
            authority: None,
            version: Version::HTTP_11,
            headers: HeaderMap::new(),
            body: BodyLength::None,
        };
        let mut inspection = Inspection::begin(engine, head, connection, id, now, None);
        inspection.refusal = None;
        inspection.request.target = escape(target);
        inspection.request.path_len = inspection.request.target.len();
        let reply = inspection.refuse(denial);
        (inspection, reply)
    }

    fn route(&mut self) {
        match self.engine.routes.route(&self.request.method, self.request.path(), self.request.query()) {
            Routed::Operation { index, params } if index < self.engine.plans.len() => {
                self.plan = Some(index);
                self.request.params = params;
            }
            // A router that names a plan that does not exist is as good as none.
            Routed::Operation { .. } | Routed::Unknown => {}
            Routed::MethodNotAllowed { allow } => self.facts.allow = Some(allow.into()),
        }
    }

    /// The normalised request: what goes upstream once there is a [`Permit`].
    pub fn request(&self) -> &Request {
        &self.request
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// The exchange's name.
    pub fn id(&self) -> ExchangeId {
        self.id
    }

    /// What was decided so far.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What guards saw so far.
    pub fn findings(&self) -> &[Finding] {
        &self.findings
    }

    fn plan(&self) -> &Plan {
        plan_of(&self.engine, self.plan)
    }

    /// Judges the request's head.
    pub fn request_head(&mut self) -> Step {
        if let Some(denial) = self.refusal.take() {
            return Step::Reply(self.refuse(&denial));
        }
        if let Some(reply) = self.run(Phase::RequestHead, None, self.began) {
            return Step::Reply(reply);
        }
        let upgrade = match self.accept_upgrade() {
            Ok(upgrade) => upgrade,
            Err(denial) => return Step::Reply(self.refuse(&denial)),
        };
        self.limit_accept_encoding();
        let limit = self.plan().bounds.request_body;
        match self.request.body {
            BodyLength::None => return self.permit(ForwardBody::None, upgrade),
            BodyLength::Exact(length) if length > limit => {
                let reason = format!("{length} bytes announced, at most {limit} accepted");
                return Step::Reply(self.refuse(&Denial::new(&code::BODY_TOO_LARGE, reason).close()));
            }
            BodyLength::Exact(0) => return self.permit(ForwardBody::Streamed { max: 0 }, upgrade),
            BodyLength::Exact(_) | BodyLength::Unknown => {}
        }
        if self.need(Phase::RequestBody).any == BodyNeed::Nothing {
            return self.permit(ForwardBody::Streamed { max: limit }, upgrade);
        }
        Step::NeedBody { limit }
    }

    /// Judges the request's whole body, as it came on the wire.
    pub fn request_body(&mut self, bytes: Bytes) -> Step {
        let need = self.need(Phase::RequestBody);
        let (body, decoded) = match self.read_request_body(&bytes, need) {
            Ok(read) => read,
            Err(denial) if need.enforced == BodyNeed::Nothing => {
                self.findings.push(finding(&denial, PROTOCOL, false));
                return self.permit(ForwardBody::Whole(bytes), false);
            }
            Err(denial) => return Step::Reply(self.refuse(&denial)),
        };
        if let Some(reply) = self.run(Phase::RequestBody, Some(&body), self.began) {
            return Step::Reply(reply);
        }
        if decoded {
            self.request.headers.remove(header::CONTENT_ENCODING);
        }
        self.permit(ForwardBody::Whole(body.bytes().clone()), false)
    }

    fn read_request_body(&self, bytes: &Bytes, need: Need) -> Result<(Body, bool), Denial> {
        let bounds = &self.plan().bounds;
        if bytes.len() as u64 > bounds.request_body {
            let reason = format!("more than {} bytes", bounds.request_body);
            return Err(Denial::new(&code::BODY_TOO_LARGE, reason));
        }
        let headers = &self.request.headers;
        let encoding = text(headers, header::CONTENT_ENCODING)
            .map_err(|()| Denial::new(&code::BODY_ENCODING, "`content-encoding` is not ASCII"))?;
        let content_type = text(headers, header::CONTENT_TYPE)
            .map_err(|()| Denial::new(&code::BODY_MALFORMED, "`content-type` is not ASCII"))?;
        let plain = body::decode(bytes, encoding, bounds.request_body, bounds)?;
        let is_json = content_type.is_some_and(|text| MediaType { text }.is_json());
        if is_json && !content_type.is_some_and(|text| MediaType { text }.reads_as_utf8(&plain)) {
            return Err(Denial::new(
                &code::BODY_ENCODING,
                "the charset of JSON is not UTF-8 (RFC 8259 section 8.1)",
            ));
        }
        let json = match need.any {
            BodyNeed::Parsed if is_json && !plain.is_empty() => Some(body::parse_json(&plain, bounds)?),
            _ => None,
        };
        Ok((Body::new(plain, content_type, json), encoding.is_some()))
    }

    /// Judges the upstream's response head, `now` being when it came.
    pub fn response_head(&mut self, mut head: ResponseHead, now: Now) -> ResponseStep {
        headers::sanitise_response(&mut head.headers);
        self.response = Some(head);
        if let Some(reply) = self.run(Phase::ResponseHead, None, now) {
            return ResponseStep::Reply(reply);
        }
        let bodyless = self.request.method == Method::HEAD
            || self.response.as_ref().is_none_or(|head| {
                head.status.is_informational()
                    || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                    || matches!(head.body, BodyLength::None | BodyLength::Exact(0))
            });
        let need = if bodyless { Need::NOTHING } else { self.need(Phase::ResponseBody) };
        if need.any == BodyNeed::Nothing {
            return self.deliver();
        }
        let limit = self.plan().bounds.response_body;
        match self.response.as_ref().map(|head| head.body) {
            Some(BodyLength::Exact(length)) if length > limit => self.response_body_overflow(),
            _ => ResponseStep::NeedBody { limit },
        }
    }

    /// Judges the upstream's whole response body, as it came on the wire.
    pub fn response_body(&mut self, bytes: Bytes, now: Now) -> ResponseStep {
        let bounds = self.plan().bounds;
        let wanted = self.need(Phase::ResponseBody).any;
        let headers = self.response.as_ref().map(|head| &head.headers);
        let field =
            |name: HeaderName| headers.and_then(|h| h.get(name)).and_then(|value| value.to_str().ok());
        let content_type = field(header::CONTENT_TYPE);
        let plain = body::decode(&bytes, field(header::CONTENT_ENCODING), bounds.response_body, &bounds);
        let body = match plain {
            Ok(plain) => {
                let is_json = content_type.is_some_and(|text| MediaType { text }.is_json());
                let parse = is_json && wanted == BodyNeed::Parsed;
                let json = if parse { body::parse_json(&plain, &bounds).ok() } else { None };
                Body::new(plain, content_type, json)
            }
            Err(denial) => {
                self.findings.push(finding(&denial, PROTOCOL, false));
                Body::new(bytes.clone(), content_type, None)
            }
        };
        if let Some(reply) = self.run(Phase::ResponseBody, Some(&body), now) {
            return ResponseStep::Reply(reply);
        }
        match self.deliver() {
            ResponseStep::Deliver(mut head) => {
                head.body = BodyLength::Exact(bytes.len() as u64);
                head.headers.insert(header::CONTENT_LENGTH, HeaderValue::from(bytes.len()));
                ResponseStep::DeliverWhole(head, bytes)
            }
            other => other,
        }
    }

    /// The response body is larger than [`ResponseStep::NeedBody`] allowed. Where only monitoring guards asked
    /// for it, it may stream on (what was read so far first).
    pub fn response_body_overflow(&mut self) -> ResponseStep {
        let limit = self.plan().bounds.response_body;
        let denial = Denial::new(&code::RESPONSE_TOO_LARGE, format!("more than {limit} bytes"));
        if self.need(Phase::ResponseBody).enforced == BodyNeed::Nothing {
            self.findings.push(finding(&denial, PROTOCOL, false));
            return self.deliver();
        }
        ResponseStep::Reply(self.withhold(&denial))
    }

    /// The upstream gave no answer: what the client gets.
    pub fn upstream_failed(&mut self, failure: &UpstreamFailure) -> LocalReply {
        let denial = match failure {
            UpstreamFailure::Unreachable(reason) => Denial::new(&code::UPSTREAM_UNREACHABLE, reason.clone()),
            UpstreamFailure::Unavailable(seconds) => {
                Denial::new(&code::UPSTREAM_UNAVAILABLE, "no healthy instance")
                    .header(header::RETRY_AFTER, HeaderValue::from(*seconds))
            }
            UpstreamFailure::Timeout => Denial::new(&code::UPSTREAM_TIMEOUT, "no answer in time"),
            UpstreamFailure::Invalid(reason) => Denial::new(&code::UPSTREAM_INVALID, reason.clone()),
        };
        self.withhold(&denial)
    }

    /// The host refuses: a body that is too large, too slow or cut off, or too much load.
    pub fn refuse(&mut self, denial: &Denial) -> LocalReply {
        self.findings.push(finding(denial, PROTOCOL, true));
        self.decision =
            Decision::Refused { code: denial.code, guard: PROTOCOL, reason: denial.reason.clone() };
        let reply = denial.reply(self.id);
        self.dress(reply)
    }

    fn withhold(&mut self, denial: &Denial) -> LocalReply {
        self.findings.push(finding(denial, PROTOCOL, true));
        self.decision =
            Decision::Withheld { code: denial.code, guard: PROTOCOL, reason: denial.reason.clone() };
        let reply = denial.reply(self.id);
        self.dress(reply)
    }

    /// Ends the exchange.
    pub fn finish(self, outcome: Outcome) -> Record {
        let query =
            self.request.query().map(|query| match redact(query, &self.engine.settings.secret_parameters) {
                Some(redacted) => Bytes::from(redacted),
                None => self.request.target.slice(self.request.path_len + 1..),
            });
        let field = |name: HeaderName| self.request.headers.get(name).cloned();
        Record {
            id: self.id,
            began: self.began,
            duration_ns: outcome.now.mono_ns.saturating_sub(self.began.mono_ns),
            client: self.facts.client,
            content_type: field(header::CONTENT_TYPE),
            user_agent: field(header::USER_AGENT),
            path_len: self.request.path_len,
            query,
            authority: self.request.authority,
            version: self.request.version,
            operation: plan_of(&self.engine, self.plan).operation.clone(),
            method: self.request.method,
            target: self.request.target,
            principal: self.facts.principal,
            decision: self.decision,
            findings: self.findings,
            status: outcome.status,
            end: outcome.end,
            bytes_in: outcome.bytes_in,
            bytes_out: outcome.bytes_out,
            upstream: outcome.upstream,
            upstream_ns: outcome.upstream_ns,
            trace_id: self.facts.trace_id,
            masked: self.masked,
        }
    }

    fn permit(&mut self, body: ForwardBody, upgrade: bool) -> Step {
        Step::Forward(Permit { id: self.id, body, upgrade })
    }

    fn accept_upgrade(&mut self) -> Result<bool, Denial> {
        let Some(protocol) = self.request.upgrade.take() else { return Ok(false) };
        // RFC 9110 section 7.8: a server may ignore an upgrade it does not offer. The field is gone already,
        // so the upstream never sees h2c. In HTTP/1.0 it means nothing.
        let spoken = self.request.version != Version::HTTP_10;
        if !spoken || !protocol.eq_ignore_ascii_case(b"websocket") {
            return Ok(false);
        }
        let allowed = match &self.plan().operation {
            Some(operation) => operation.websocket,
            None => self.engine.settings.websocket_unmatched,
        };
        if allowed && self.request.method == Method::GET && !self.request.body.is_some() {
            self.request.upgrade = Some(protocol);
            return Ok(true);
        }
        Err(Denial::new(&code::UPGRADE_REFUSED, "the operation offers no websocket"))
    }

    /// The upstream may use only codings that a guard of the response can undo.
    fn limit_accept_encoding(&mut self) {
        if self.plan().response_body.is_empty() {
            return;
        }
        let readable = |value: &HeaderValue| {
            value.to_str().is_ok_and(|text| {
                text.split(',').all(|coding| {
                    let coding = coding.split(';').next().unwrap_or_default().trim();
                    ["gzip", "deflate", "br", "identity"]
                        .iter()
                        .any(|known| coding.eq_ignore_ascii_case(known))
                })
            })
        };
        if !self.request.headers.get_all(header::ACCEPT_ENCODING).iter().all(readable) {
            self.request.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        }
    }

    fn deliver(&mut self) -> ResponseStep {
        match self.response.take() {
            Some(mut head) => {
                for (name, value) in self.reply_headers.drain(..) {
                    head.headers.insert(name, value);
                }
                ResponseStep::Deliver(head)
            }
            // Only a host that asks twice gets here.
            None => {
                let denial = Denial::new(&code::GUARD_FAILED, "the response was already handed out");
                ResponseStep::Reply(self.withhold(&denial))
            }
        }
    }

    /// Runs the shaping guards over a reply of the gateway's own, so that it looks like any other response.
    fn dress(&mut self, mut reply: LocalReply) -> LocalReply {
        let headers = std::mem::take(&mut reply.headers);
        let body = BodyLength::Exact(reply.body.len() as u64);
        let mut head = ResponseHead { status: reply.status, headers, body };
        let Inspection { engine, plan, request, connection, facts, findings, held, masked, .. } = self;
        let plan = plan_of(engine, *plan);
        let mut added = Vec::new();
        for planned in plan.shape.iter().filter_map(|&index| plan.guards.get(usize::from(index))) {
            let mut cx = Cx {
                request: &mut *request,
                response: Some(&mut head),
                local_reply: true,
                facts: &mut *facts,
                operation: plan.operation.as_ref(),
                connection: &*connection,
                id: self.id,
                now: self.began,
                state: &engine.state,
                recorded: self.recorded.as_deref(),
                guard: planned.name,
                enforcing: planned.mode == Mode::Enforce,
                findings: &mut *findings,
                held: &mut *held,
                masked: &mut *masked,
                reply_headers: &mut added,
            };
            // A shaping guard has nothing to refuse in a refusal; if it fails, the plain reply stands.
            let _ = catch_unwind(AssertUnwindSafe(|| planned.guard.response_head(&mut cx)));
        }
        for (name, value) in self.reply_headers.iter().cloned().chain(added) {
            head.headers.insert(name, value);
        }
        reply.status = head.status;
        reply.headers = head.headers;
        reply
    }

    /// Runs the guards of a step. `Some` is the reply that ends the exchange.
    fn run(&mut self, phase: Phase, body: Option<&Body>, now: Now) -> Option<LocalReply> {
        let stop = self.run_guards(phase, body, now)?;
        match stop {
            Stop::Denied { code, guard, reason, reply } => {
                self.decision = match phase {
                    Phase::RequestHead | Phase::RequestBody => Decision::Refused { code, guard, reason },
                    Phase::ResponseHead | Phase::ResponseBody => Decision::Withheld { code, guard, reason },
                };
                Some(self.dress(reply))
            }
            Stop::Answered { guard, reply } => {
                if matches!(phase, Phase::RequestHead | Phase::RequestBody) {
                    self.decision = Decision::Answered { guard };
                }
                Some(self.dress(reply))
            }
        }
    }

    fn run_guards(&mut self, phase: Phase, body: Option<&Body>, now: Now) -> Option<Stop> {
        let Inspection {
            engine,
            plan,
            request,
            response,
            connection,
            id,
            facts,
            findings,
            held,
            masked,
            reply_headers,
            recorded,
            ..
        } = self;
        let plan = plan_of(engine, *plan);
        let indices = match phase {
            Phase::RequestHead => &plan.request_head,
            Phase::RequestBody => &plan.request_body,
            Phase::ResponseHead => &plan.response_head,
            Phase::ResponseBody => &plan.response_body,
        };
        let mut next = 0;
        // One unwind boundary for all guards of a step; after a panic the loop goes on behind the culprit.
        loop {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                while let Some(planned) =
                    indices.get(next).and_then(|&index| plan.guards.get(usize::from(index)))
                {
                    let mut cx = Cx {
                        request: &mut *request,
                        response: response.as_mut(),
                        local_reply: false,
                        facts: &mut *facts,
                        operation: plan.operation.as_ref(),
                        connection: &*connection,
                        id: *id,
                        now,
                        state: &engine.state,
                        recorded: recorded.as_deref(),
                        guard: planned.name,
                        enforcing: planned.mode == Mode::Enforce,
                        findings: &mut *findings,
                        held: &mut *held,
                        masked: &mut *masked,
                        reply_headers: &mut *reply_headers,
                    };
                    let verdict = ask(planned, phase, &mut cx, body);
                    if let Some(stop) = weigh(planned, verdict, findings, *id) {
                        return Some(stop);
                    }
                    next += 1;
                }
                None
            }));
            match ran {
                Ok(stop) => return stop,
                Err(_) => {
                    let planned = indices.get(next).and_then(|&index| plan.guards.get(usize::from(index)))?;
                    next += 1;
                    let verdict = Err(GuardError("the guard panicked".into()));
                    if let Some(stop) = weigh(planned, verdict, findings, *id) {
                        return Some(stop);
                    }
                }
            }
        }
    }

    fn need(&mut self, phase: Phase) -> Need {
        let Inspection {
            engine,
            plan,
            request,
            response,
            connection,
            id,
            began,
            facts,
            findings,
            held,
            masked,
            reply_headers,
            recorded,
            ..
        } = self;
        let plan = plan_of(engine, *plan);
        let response_phase = phase == Phase::ResponseBody;
        let indices = if response_phase { &plan.response_body } else { &plan.request_body };
        let mut need = Need::NOTHING;
        for planned in indices.iter().filter_map(|&index| plan.guards.get(usize::from(index))) {
            let cx = Cx {
                request: &mut *request,
                response: response.as_mut(),
                local_reply: false,
                facts: &mut *facts,
                operation: plan.operation.as_ref(),
                connection: &*connection,
                id: *id,
                now: *began,
                state: &engine.state,
                recorded: recorded.as_deref(),
                guard: planned.name,
                enforcing: planned.mode == Mode::Enforce,
                findings: &mut *findings,
                held: &mut *held,
                masked: &mut *masked,
                reply_headers: &mut *reply_headers,
            };
            let wants = match response_phase {
                true => catch_unwind(AssertUnwindSafe(|| planned.guard.reads_response_body(&cx))),
                false => catch_unwind(AssertUnwindSafe(|| planned.guard.reads_request_body(&cx))),
            };
            // A guard that cannot say reads everything: it must not be passed by.
            let wants = wants.unwrap_or(BodyNeed::Parsed);
            need.any = need.any.max(wants);
            if planned.mode == Mode::Enforce {
                need.enforced = need.enforced.max(wants);
            }
        }
        need
    }
}

/// What all guards together need of a body, and what those in enforce mode do.
#[derive(Debug, Clone, Copy)]
struct Need {
    any: BodyNeed,
    enforced: BodyNeed,
}

impl Need {
    const NOTHING: Need = Need { any: BodyNeed::Nothing, enforced: BodyNeed::Nothing };
}

fn plan_of(engine: &Engine, index: Option<usize>) -> &Plan {
    index.and_then(|index| engine.plans.get(index)).unwrap_or(&engine.unmatched)
}

fn ask(planned: &Planned, phase: Phase, cx: &mut Cx<'_>, body: Option<&Body>) -> Result<Verdict, GuardError> {
    match (phase, body) {
        (Phase::RequestHead, _) => planned.guard.request_head(cx),
        (Phase::ResponseHead, _) => planned.guard.response_head(cx),
        (Phase::RequestBody, Some(body)) if planned.guard.reads_request_body(cx) != BodyNeed::Nothing => {
            planned.guard.request_body(cx, body)
        }
        (Phase::ResponseBody, Some(body)) if planned.guard.reads_response_body(cx) != BodyNeed::Nothing => {
            planned.guard.response_body(cx, body)
        }
        _ => Ok(Verdict::Pass),
    }
}

/// Turns a verdict into an effect, by the guard's mode.
fn weigh(
    planned: &Planned,
    verdict: Result<Verdict, GuardError>,
    findings: &mut SmallVec<[Finding; 1]>,
    id: ExchangeId,
) -> Option<Stop> {
    let enforce = planned.mode == Mode::Enforce;
    let (denial, enforce) = match verdict {
        Ok(Verdict::Pass) => return None,
        Ok(Verdict::Answer(reply)) => {
            return enforce.then(|| Stop::Answered { guard: planned.name, reply: *reply });
        }
        Ok(Verdict::Deny(denial)) => (denial, enforce),
        Err(GuardError(reason)) => {
            let closed = planned.on_error == FailMode::Closed;
            (Box::new(Denial::new(&code::GUARD_FAILED, reason)), enforce && closed)
        }
    };
    findings.push(finding(&denial, planned.name, enforce));
    enforce.then(|| Stop::Denied {
        code: denial.code,
        guard: planned.name,
        reply: denial.reply(id),
        reason: denial.reason,
    })
}

fn finding(denial: &Denial, guard: &'static str, enforced: bool) -> Finding {
    Finding { code: denial.code, guard, reason: denial.reason.clone(), enforced }
}

fn text(headers: &HeaderMap, name: HeaderName) -> Result<Option<&str>, ()> {
    headers.get(name).map(|value| value.to_str()).transpose().map_err(|_| ())
}

#[cfg(test)]
#[path = "inspection_tests.rs"]
mod tests;
