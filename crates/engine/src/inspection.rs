//! One exchange under inspection: the state machine that hosts drive.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::header::{self, HeaderName, HeaderValue};
use http::{Method, StatusCode, Version};
use smallvec::SmallVec;

use crate::body::{self, Body, MediaType};
use crate::code;
use crate::denial::{Denial, LocalReply};
use crate::engine::{Destinations, EngineRef};
use crate::facts::Facts;
use crate::fields::Fields;
use crate::guard::{BodyNeed, Finding};
use crate::head::{BodyLength, Connection, ExchangeId, Now, Request, RequestHead, ResponseHead};
use crate::headers;
use crate::lookup::{Answered, Lookup, LookupResult};
use crate::normalise::{escape, normalise, redact};
use crate::plan::Plan;
use crate::record::{Decision, Outcome, Record};
use crate::routes::Routed;
use crate::run::{Carried, Needs, Phase, Ran, ReplyHeaders, Run, Scene, finding, forget_bytes, read};

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
    /// Ask this outside, and hand what came of it to [`Inspection::resolve`].
    Lookup(Box<Lookup>),
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
    /// Ask this outside, and hand what came of it to [`Inspection::resolve_response`].
    Lookup(Box<Lookup>),
    /// Send this instead.
    Reply(LocalReply),
}

/// The right to forward one exchange's request. Only the engine makes one: after all guards passed, or for a read that
/// a guard makes ([`crate::UpstreamRead`]).
#[derive(Debug)]
pub struct Permit {
    pub(crate) id: ExchangeId,
    pub(crate) body: ForwardBody,
    pub(crate) upgrade: bool,
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
    engine: EngineRef,
    plan: Option<usize>,
    /// Apart, since an inspection is moved from hand to hand.
    scene: Box<Scene>,
    began: Now,
    decision: Decision,
    refusal: Option<Box<Denial>>,
    request_needs: Option<Needs>,
    response_needs: Option<Needs>,
    pending: Option<Box<Pending>>,
}

/// A step that waits for a lookup.
#[derive(Debug)]
struct Pending {
    phase: Phase,
    /// The place of the guard that asked among those of the step.
    at: usize,
    key: Box<str>,
    carried: Option<Carried>,
}

/// How far the guards of a step came.
enum Walked {
    Through(Option<Carried>),
    Reply(LocalReply),
    Lookup(Box<Lookup>),
}

/// The guard name under which the engine and hosts refuse.
const PROTOCOL: &str = "protocol";

impl Inspection {
    pub(crate) fn begin(
        engine: EngineRef,
        head: RequestHead,
        connection: &Connection,
        id: ExchangeId,
        now: Now,
        recorded: Option<Box<Recorded>>,
    ) -> Inspection {
        let (request, facts, refusal) = normalise(&engine.settings, head, connection, id);
        let chosen = |destinations: &dyn Destinations| {
            request
                .origin
                .as_deref()
                .and_then(|origin| destinations.engine(origin))
                .cloned()
                .map(EngineRef::new)
        };
        let engine = engine.destinations.as_deref().and_then(chosen).unwrap_or(engine);
        let mut inspection = Inspection {
            plan: None,
            scene: Box::new(Scene {
                request,
                response: None,
                local_reply: false,
                connection: connection.clone(),
                id,
                facts,
                findings: SmallVec::new(),
                held: SmallVec::new(),
                masked: None,
                reply_headers: ReplyHeaders::new(),
                recorded,
                answers: Vec::new(),
                lookups: 0,
                replacement: None,
            }),
            began: now,
            decision: Decision::Permitted,
            refusal: refusal.map(Box::new),
            request_needs: None,
            response_needs: None,
            pending: None,
            engine,
        };
        if inspection.refusal.is_none() {
            inspection.route();
        }
        inspection
    }

    pub(crate) fn refused(
        engine: EngineRef,
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
            headers: Fields::new(),
            body: BodyLength::None,
        };
        let mut inspection = Inspection::begin(engine, head, connection, id, now, None);
        inspection.refusal = None;
        inspection.scene.request.target = escape(target);
        inspection.scene.request.path_len = inspection.scene.request.target.len();
        let reply = inspection.refuse(denial);
        (inspection, reply)
    }

    fn route(&mut self) {
        let request = &mut self.scene.request;
        let routes = &self.engine.routes;
        match routes.route_with(&request.method, request.path(), request.query(), &request.headers) {
            Routed::Operation { index, params } if index < self.engine.plans.len() => {
                self.plan = Some(index);
                request.params = params;
            }
            // A router that names a plan that does not exist is as good as none.
            Routed::Operation { .. } | Routed::Unknown => {}
            Routed::MethodNotAllowed { allow } => self.scene.facts.allow = Some(allow.into()),
        }
    }

    /// The normalised request: what goes upstream once there is a [`Permit`].
    pub fn request(&self) -> &Request {
        &self.scene.request
    }

    /// What is known so far.
    pub fn facts(&self) -> &Facts {
        &self.scene.facts
    }

    /// The exchange's name.
    pub fn id(&self) -> ExchangeId {
        self.scene.id
    }

    /// What was decided so far.
    pub fn decision(&self) -> &Decision {
        &self.decision
    }

    /// What guards saw so far.
    pub fn findings(&self) -> &[Finding] {
        &self.scene.findings
    }

    fn plan(&self) -> &Plan {
        self.engine.plan(self.plan)
    }

    /// Judges the request's head.
    pub fn request_head(&mut self) -> Step {
        if let Some(denial) = self.refusal.take() {
            return Step::Reply(self.refuse(&denial));
        }
        let walked = self.walk(Phase::RequestHead, 0, None, self.began);
        self.after_request_head(walked)
    }

    fn after_request_head(&mut self, walked: Walked) -> Step {
        match walked {
            Walked::Reply(reply) => return Step::Reply(reply),
            Walked::Lookup(lookup) => return Step::Lookup(lookup),
            Walked::Through(_) => {}
        }
        let upgrade = match self.accept_upgrade() {
            Ok(upgrade) => upgrade,
            Err(denial) => return Step::Reply(self.refuse(&denial)),
        };
        self.limit_accept_encoding();
        let limit = self.plan().bounds.request_body;
        match self.scene.request.body {
            BodyLength::None => return self.permit(ForwardBody::None, upgrade),
            BodyLength::Exact(length) if length > limit => {
                let reason = format!("{length} bytes announced, at most {limit} accepted");
                return Step::Reply(self.refuse(&Denial::new(&code::BODY_TOO_LARGE, reason).close()));
            }
            BodyLength::Exact(0) => return self.permit(ForwardBody::Streamed { max: 0 }, upgrade),
            BodyLength::Exact(_) | BodyLength::Unknown => {}
        }
        if self.needs(Phase::RequestBody).0 == BodyNeed::Nothing {
            return self.permit(ForwardBody::Streamed { max: limit }, upgrade);
        }
        Step::NeedBody { limit }
    }

    /// Judges the request's whole body, as it came on the wire.
    pub fn request_body(&mut self, bytes: Bytes) -> Step {
        let (any, enforced) = self.needs(Phase::RequestBody);
        let carried = match self.read_request_body(&bytes, any) {
            Ok(body) => Carried { body, wire: bytes, replaced: false },
            Err(denial) if enforced == BodyNeed::Nothing => {
                self.scene.findings.push(finding(&denial, PROTOCOL, false));
                return self.permit(ForwardBody::Whole(bytes), false);
            }
            Err(denial) => return Step::Reply(self.refuse(&denial)),
        };
        let walked = self.walk(Phase::RequestBody, 0, Some(carried), self.began);
        self.after_request_body(walked)
    }

    fn after_request_body(&mut self, walked: Walked) -> Step {
        let carried = match walked {
            Walked::Reply(reply) => return Step::Reply(reply),
            Walked::Lookup(lookup) => return Step::Lookup(lookup),
            Walked::Through(carried) => carried,
        };
        let Some(carried) = carried else { return Step::Reply(self.refuse(&out_of_turn())) };
        let request = &mut self.scene.request;
        if carried.replaced || request.headers.contains_key(header::CONTENT_ENCODING) {
            forget_bytes(&mut request.headers);
            request.body = BodyLength::Exact(carried.body.bytes().len() as u64);
        }
        self.permit(ForwardBody::Whole(carried.body.bytes().clone()), false)
    }

    fn read_request_body(&self, bytes: &Bytes, need: BodyNeed) -> Result<Body, Denial> {
        let bounds = &self.plan().bounds;
        if bytes.len() as u64 > bounds.request_body {
            let reason = format!("more than {} bytes", bounds.request_body);
            return Err(Denial::new(&code::BODY_TOO_LARGE, reason));
        }
        let headers = &self.scene.request.headers;
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
        read(plain, content_type, need == BodyNeed::Parsed, bounds)
    }

    /// Goes on with a request after [`Step::Lookup`]: `result` is what came of it.
    pub fn resolve(&mut self, result: LookupResult, now: Now) -> Step {
        match self.resume(result, now, true) {
            Some((Phase::RequestHead, walked)) => self.after_request_head(walked),
            Some((_, walked)) => self.after_request_body(walked),
            None => Step::Reply(self.refuse(&out_of_turn())),
        }
    }

    /// Goes on with a response after [`ResponseStep::Lookup`]: `result` is what came of it.
    pub fn resolve_response(&mut self, result: LookupResult, now: Now) -> ResponseStep {
        match self.resume(result, now, false) {
            Some((Phase::ResponseHead, walked)) => self.after_response_head(walked),
            Some((_, walked)) => self.after_response_body(walked),
            None => ResponseStep::Reply(self.withhold(&out_of_turn())),
        }
    }

    fn resume(&mut self, result: LookupResult, now: Now, request: bool) -> Option<(Phase, Walked)> {
        let Pending { phase, at, key, carried } =
            *self.pending.take().filter(|pending| pending.phase.of_request() == request)?;
        self.scene.answers.retain(|answered| answered.key != key);
        self.scene.answers.push(Answered { key, result });
        Some((phase, self.walk(phase, at, carried, now)))
    }

    /// Judges the upstream's response head, `now` being when it came.
    pub fn response_head(&mut self, mut head: ResponseHead, now: Now) -> ResponseStep {
        headers::sanitise_response(&mut head.headers);
        self.scene.response = Some(head);
        let walked = self.walk(Phase::ResponseHead, 0, None, now);
        self.after_response_head(walked)
    }

    fn after_response_head(&mut self, walked: Walked) -> ResponseStep {
        match walked {
            Walked::Reply(reply) => return ResponseStep::Reply(reply),
            Walked::Lookup(lookup) => return ResponseStep::Lookup(lookup),
            Walked::Through(_) => {}
        }
        let bodyless = self.scene.request.method == Method::HEAD
            || self.scene.response.as_ref().is_none_or(|head| {
                head.status.is_informational()
                    || matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED)
                    || matches!(head.body, BodyLength::None | BodyLength::Exact(0))
            });
        if bodyless || self.needs(Phase::ResponseBody).0 == BodyNeed::Nothing {
            return self.deliver();
        }
        let limit = self.plan().bounds.response_body;
        match self.scene.response.as_ref().map(|head| head.body) {
            Some(BodyLength::Exact(length)) if length > limit => self.response_body_overflow(),
            _ => ResponseStep::NeedBody { limit },
        }
    }

    /// Judges the upstream's whole response body, as it came on the wire.
    pub fn response_body(&mut self, bytes: Bytes, now: Now) -> ResponseStep {
        let bounds = self.plan().bounds;
        let (wanted, _) = self.needs(Phase::ResponseBody);
        let headers = self.scene.response.as_ref().map(|head| &head.headers);
        let field =
            |name: HeaderName| headers.and_then(|h| h.get(name)).and_then(|value| value.to_str().ok());
        let content_type = field(header::CONTENT_TYPE);
        let plain = body::decode(&bytes, field(header::CONTENT_ENCODING), bounds.response_body, &bounds);
        let body = match plain {
            Ok(plain) => read(plain.clone(), content_type, wanted == BodyNeed::Parsed, &bounds)
                .unwrap_or_else(|_| Body::new(plain, content_type, None)),
            Err(denial) => {
                self.scene.findings.push(finding(&denial, PROTOCOL, false));
                Body::new(bytes.clone(), content_type, None)
            }
        };
        let carried = Carried { body, wire: bytes, replaced: false };
        let walked = self.walk(Phase::ResponseBody, 0, Some(carried), now);
        self.after_response_body(walked)
    }

    fn after_response_body(&mut self, walked: Walked) -> ResponseStep {
        let carried = match walked {
            Walked::Reply(reply) => return ResponseStep::Reply(reply),
            Walked::Lookup(lookup) => return ResponseStep::Lookup(lookup),
            Walked::Through(carried) => carried,
        };
        let Some(Carried { body, wire, replaced }) = carried else {
            return ResponseStep::Reply(self.withhold(&out_of_turn()));
        };
        match self.deliver() {
            ResponseStep::Deliver(mut head) => {
                let bytes = if replaced { body.bytes().clone() } else { wire };
                if replaced {
                    forget_bytes(&mut head.headers);
                    // What the client got is not the representation that these speak of.
                    for name in [header::ETAG, header::ACCEPT_RANGES, header::CONTENT_RANGE] {
                        head.headers.remove(name);
                    }
                }
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
        if self.needs(Phase::ResponseBody).1 == BodyNeed::Nothing {
            self.scene.findings.push(finding(&denial, PROTOCOL, false));
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
        self.decision =
            Decision::Refused { code: denial.code, guard: PROTOCOL, reason: denial.reason.clone() };
        self.reply(denial)
    }

    fn withhold(&mut self, denial: &Denial) -> LocalReply {
        self.decision =
            Decision::Withheld { code: denial.code, guard: PROTOCOL, reason: denial.reason.clone() };
        self.reply(denial)
    }

    fn reply(&mut self, denial: &Denial) -> LocalReply {
        self.scene.findings.push(finding(denial, PROTOCOL, true));
        self.dress(denial.reply(self.scene.id))
    }

    /// Ends the exchange.
    pub fn finish(self, outcome: Outcome) -> Record {
        let Inspection { engine, plan, scene, began, decision, .. } = self;
        let Scene { request, id, facts, findings, masked, .. } = *scene;
        let query = request.query().map(|query| match redact(query, &engine.settings.secret_parameters) {
            Some(redacted) => ByteString::from(redacted),
            None => request.target.slice_ref(query),
        });
        Record {
            id,
            began,
            duration_ns: outcome.now.mono_ns.saturating_sub(began.mono_ns),
            client: facts.client,
            path_len: request.path_len,
            query,
            authority: request.authority,
            version: request.version,
            engine,
            plan,
            headers: request.headers,
            method: request.method,
            target: request.target,
            principal: facts.principal,
            decision,
            findings,
            status: outcome.status,
            end: outcome.end,
            bytes_in: outcome.bytes_in,
            bytes_out: outcome.bytes_out,
            upstream: outcome.upstream,
            upstream_ns: outcome.upstream_ns,
            trace_id: facts.trace_id,
            masked,
        }
    }

    fn permit(&mut self, body: ForwardBody, upgrade: bool) -> Step {
        Step::Forward(Permit { id: self.scene.id, body, upgrade })
    }

    fn accept_upgrade(&mut self) -> Result<bool, Denial> {
        let Some(protocol) = self.scene.request.upgrade.take() else { return Ok(false) };
        // RFC 9110 section 7.8: a server may ignore an upgrade it does not offer. The field is gone already,
        // so the upstream never sees h2c. In HTTP/1.0 it means nothing.
        let spoken = self.scene.request.version != Version::HTTP_10;
        if !spoken || !protocol.eq_ignore_ascii_case(b"websocket") {
            return Ok(false);
        }
        let allowed = match &self.plan().operation {
            Some(operation) => operation.websocket,
            None => self.engine.settings.websocket_unmatched,
        };
        let denial = Denial::new(&code::UPGRADE_REFUSED, "the operation offers no websocket");
        let handshake = self.scene.request.method == Method::GET && !self.scene.request.body.is_some();
        if !handshake || !(allowed || self.plan().watches_upgrades) {
            return Err(denial);
        }
        if !allowed {
            self.scene.findings.push(finding(&denial, PROTOCOL, false));
        }
        self.scene.request.upgrade = Some(protocol);
        Ok(true)
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
        if !self.scene.request.headers.get_all(header::ACCEPT_ENCODING).all(readable) {
            self.scene.request.headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip, br"));
        }
    }

    fn deliver(&mut self) -> ResponseStep {
        match self.scene.response.take() {
            Some(mut head) => {
                for (name, value) in self.scene.reply_headers.drain(..) {
                    head.headers.insert(name, value);
                }
                ResponseStep::Deliver(head)
            }
            // Only a host that asks twice gets here.
            None => ResponseStep::Reply(self.withhold(&out_of_turn())),
        }
    }

    fn dress(&mut self, reply: LocalReply) -> LocalReply {
        let body = BodyLength::Exact(reply.body.len() as u64);
        let head = ResponseHead { status: reply.status, headers: reply.headers, body };
        let plan = self.engine.plan(self.plan);
        let ResponseHead { status, headers, .. } = self.scene.dress(&self.engine, plan, head, self.began);
        LocalReply { status, headers, ..reply }
    }

    /// Runs the guards of a step from the `next`-th on.
    fn walk(&mut self, phase: Phase, next: usize, mut carried: Option<Carried>, now: Now) -> Walked {
        let needs = match phase {
            Phase::RequestHead | Phase::ResponseHead => None,
            Phase::RequestBody => self.request_needs.as_ref(),
            Phase::ResponseBody => self.response_needs.as_ref(),
        };
        let needs = needs.map_or(&[][..], |needs| &needs.each);
        let plan = self.engine.plan(self.plan);
        let run = Run { engine: &self.engine, plan, phase, now, needs };
        match run.guards(&mut self.scene, next, &mut carried) {
            Ran::Through => Walked::Through(carried),
            Ran::Denied { code, guard, reason, reply } => {
                self.decision = match phase.of_request() {
                    true => Decision::Refused { code, guard, reason },
                    false => Decision::Withheld { code, guard, reason },
                };
                Walked::Reply(self.dress(reply))
            }
            Ran::Answered { guard, reply } => {
                if phase.of_request() {
                    self.decision = Decision::Answered { guard };
                }
                Walked::Reply(self.dress(reply))
            }
            Ran::Asks { lookup, at } => {
                let key = lookup.key.clone();
                self.pending = Some(Box::new(Pending { phase, at, key, carried }));
                Walked::Lookup(lookup)
            }
        }
    }

    /// What all guards together need of a body, and what those in enforce mode do. They are asked once.
    fn needs(&mut self, phase: Phase) -> (BodyNeed, BodyNeed) {
        let plan = self.engine.plan(self.plan);
        let kept = match phase {
            Phase::RequestBody => &mut self.request_needs,
            _ => &mut self.response_needs,
        };
        let needs = kept.get_or_insert_with(|| self.scene.needs(&self.engine, plan, phase, self.began));
        (needs.any, needs.enforced)
    }
}

/// The refusal of a host that calls the steps out of their order.
fn out_of_turn() -> Denial {
    Denial::new(&code::GUARD_FAILED, "the host went on out of turn")
}

fn text(headers: &Fields, name: HeaderName) -> Result<Option<&str>, ()> {
    headers.get(name).map(|value| value.to_str()).transpose().map_err(|_| ())
}

#[cfg(test)]
#[path = "inspection_tests.rs"]
mod tests;
