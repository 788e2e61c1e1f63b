//! Running the guards of one step over one exchange.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use smallvec::SmallVec;

use crate::body::{self, Body, Bounds, MediaType};
use crate::code::{self, Code};
use crate::denial::{Denial, LocalReply};
use crate::engine::Engine;
use crate::facts::Facts;
use crate::fields::Fields;
use crate::guard::{BodyNeed, Cx, Finding, GuardError, Verdict};
use crate::head::{Connection, ExchangeId, Now, Request, ResponseHead};
use crate::inspection::Recorded;
use crate::lookup::{Answered, Lookup, MOST_LOOKUPS};
use crate::plan::{FailMode, Mode, Plan, Planned};
use crate::record::Masked;
use crate::state::Held;

/// Fields for whatever the client will get.
pub(crate) type ReplyHeaders = SmallVec<[(HeaderName, HeaderValue); 4]>;

/// What guards see and change of one exchange.
#[derive(Debug)]
pub(crate) struct Scene {
    pub(crate) request: Request,
    pub(crate) response: Option<ResponseHead>,
    pub(crate) local_reply: bool,
    pub(crate) connection: Connection,
    pub(crate) id: ExchangeId,
    pub(crate) facts: Facts,
    pub(crate) findings: SmallVec<[Finding; 1]>,
    pub(crate) held: SmallVec<[Held; 1]>,
    pub(crate) masked: Option<Box<Masked>>,
    pub(crate) reply_headers: ReplyHeaders,
    pub(crate) recorded: Option<Box<Recorded>>,
    pub(crate) answers: Vec<Answered>,
    pub(crate) lookups: u8,
    pub(crate) replacement: Option<Bytes>,
}

/// The hooks of a guard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    RequestHead,
    RequestBody,
    ResponseHead,
    ResponseBody,
}

impl Phase {
    pub(crate) fn of_request(self) -> bool {
        matches!(self, Phase::RequestHead | Phase::RequestBody)
    }

    fn guards(self, plan: &Plan) -> &[u16] {
        match self {
            Phase::RequestHead => &plan.request_head,
            Phase::RequestBody => &plan.request_body,
            Phase::ResponseHead => &plan.response_head,
            Phase::ResponseBody => &plan.response_body,
        }
    }
}

/// What the guards of a step need of its body, asked once.
#[derive(Debug)]
pub(crate) struct Needs {
    /// What all of them together need.
    pub(crate) any: BodyNeed,
    /// What those in enforce mode need.
    pub(crate) enforced: BodyNeed,
    /// What each of them needs, in the order in which they run.
    pub(crate) each: SmallVec<[BodyNeed; 6]>,
}

/// A body on its way through the guards.
#[derive(Debug)]
pub(crate) struct Carried {
    pub(crate) body: Body,
    /// As it came.
    pub(crate) wire: Bytes,
    /// A guard put another in its place.
    pub(crate) replaced: bool,
}

/// How a step ended.
#[derive(Debug)]
pub(crate) enum Ran {
    Through,
    Denied {
        code: &'static Code,
        guard: &'static str,
        reason: Cow<'static, str>,
        reply: LocalReply,
    },
    Answered {
        guard: &'static str,
        reply: LocalReply,
    },
    /// The guard at this place among those of the step wants to know something.
    Asks {
        lookup: Box<Lookup>,
        at: usize,
    },
}

/// Where a step stands.
#[derive(Debug)]
pub(crate) struct Run<'a> {
    pub(crate) engine: &'a Engine,
    pub(crate) plan: &'a Plan,
    pub(crate) phase: Phase,
    pub(crate) now: Now,
    /// Kept from the question what the body is needed for; none for heads.
    pub(crate) needs: &'a [BodyNeed],
}

impl Scene {
    /// What the guards of a step see, before [`Cx::speak_as`] says which of them looks.
    fn cx<'a>(&'a mut self, engine: &'a Engine, plan: &'a Plan, now: Now) -> Cx<'a> {
        Cx {
            request: &mut self.request,
            response: self.response.as_mut(),
            local_reply: self.local_reply,
            facts: &mut self.facts,
            operation: plan.operation.as_ref(),
            connection: &self.connection,
            id: self.id,
            now,
            state: &engine.state,
            recorded: self.recorded.as_deref(),
            guard: "",
            enforcing: false,
            findings: &mut self.findings,
            held: &mut self.held,
            masked: &mut self.masked,
            reply_headers: &mut self.reply_headers,
            answers: &self.answers,
            replacement: &mut self.replacement,
        }
    }

    /// Runs the shaping guards over a reply of the gateway's own, so that it looks like any other response.
    pub(crate) fn dress(
        &mut self,
        engine: &Engine,
        plan: &Plan,
        head: ResponseHead,
        now: Now,
    ) -> ResponseHead {
        let upstream = self.response.replace(head);
        let earlier = std::mem::take(&mut self.reply_headers);
        self.local_reply = true;
        for planned in plan.shape.iter().filter_map(|&index| plan.guards.get(usize::from(index))) {
            let mut cx = self.cx(engine, plan, now);
            cx.speak_as(planned);
            // A shaping guard has nothing to refuse in a refusal; if it fails, the plain reply stands.
            let _ = catch_unwind(AssertUnwindSafe(|| planned.guard.response_head(&mut cx)));
        }
        self.local_reply = false;
        let added = std::mem::replace(&mut self.reply_headers, earlier);
        let mut head = std::mem::replace(&mut self.response, upstream).unwrap_or_else(|| ResponseHead {
            status: http::StatusCode::INTERNAL_SERVER_ERROR,
            headers: Fields::new(),
            body: crate::head::BodyLength::None,
        });
        for (name, value) in self.reply_headers.iter().cloned().chain(added) {
            head.headers.insert(name, value);
        }
        head
    }

    /// What the guards need of the request's (the response's) body.
    pub(crate) fn needs(&mut self, engine: &Engine, plan: &Plan, phase: Phase, now: Now) -> Needs {
        let mut needs = Needs { any: BodyNeed::Nothing, enforced: BodyNeed::Nothing, each: SmallVec::new() };
        let mut cx = self.cx(engine, plan, now);
        for planned in phase.guards(plan).iter().filter_map(|&index| plan.guards.get(usize::from(index))) {
            cx.speak_as(planned);
            let wants = catch_unwind(AssertUnwindSafe(|| match phase {
                Phase::ResponseBody => planned.guard.reads_response_body(&cx),
                _ => planned.guard.reads_request_body(&cx),
            }));
            // A guard that cannot say reads everything: it must not be passed by.
            let wants = wants.unwrap_or(BodyNeed::Parsed);
            needs.any = needs.any.max(wants);
            if planned.mode == Mode::Enforce {
                needs.enforced = needs.enforced.max(wants);
            }
            needs.each.push(wants);
        }
        needs
    }
}

impl Run<'_> {
    /// Runs the guards of the step from the `next`-th on.
    pub(crate) fn guards(&self, scene: &mut Scene, mut next: usize, carried: &mut Option<Carried>) -> Ran {
        // One unwind boundary for all guards of a step; after a panic the loop goes on behind the culprit.
        loop {
            let ran = catch_unwind(AssertUnwindSafe(|| {
                while let Some((planned, verdict)) = self.ask(scene, &mut next, carried.as_ref()) {
                    let verdict = self.replace(scene, next, carried, verdict);
                    if let Some(ran) = self.weigh(scene, planned, verdict, next) {
                        return ran;
                    }
                    next += 1;
                }
                Ran::Through
            }));
            if let Ok(ran) = ran {
                return ran;
            }
            let Some(planned) = self.planned(next) else { return Ran::Through };
            scene.replacement = None;
            let verdict = Err(GuardError("the guard panicked".into()));
            if let Some(ran) = self.weigh(scene, planned, verdict, next) {
                return ran;
            }
            next += 1;
        }
    }

    fn planned(&self, place: usize) -> Option<&Planned> {
        self.phase.guards(self.plan).get(place).and_then(|&index| self.plan.guards.get(usize::from(index)))
    }

    /// Asks the guards from the `next`-th on, until one has something to say.
    fn ask(
        &self,
        scene: &mut Scene,
        next: &mut usize,
        carried: Option<&Carried>,
    ) -> Option<(&Planned, Result<Verdict, GuardError>)> {
        let mut cx = scene.cx(self.engine, self.plan, self.now);
        while let Some(planned) = self.planned(*next) {
            cx.speak_as(planned);
            let reads = || self.needs.get(*next).is_some_and(|need| *need != BodyNeed::Nothing);
            let verdict = match (self.phase, carried) {
                (Phase::RequestHead, _) => planned.guard.request_head(&mut cx),
                (Phase::ResponseHead, _) => planned.guard.response_head(&mut cx),
                (Phase::RequestBody, Some(carried)) if reads() => {
                    planned.guard.request_body(&mut cx, &carried.body)
                }
                (Phase::ResponseBody, Some(carried)) if reads() => {
                    planned.guard.response_body(&mut cx, &carried.body)
                }
                _ => Ok(Verdict::Pass),
            };
            if !matches!(verdict, Ok(Verdict::Pass)) || cx.replacement.is_some() {
                return Some((planned, verdict));
            }
            *next += 1;
        }
        None
    }

    /// Puts the body in place that the guard asked for. It is parsed again only if a later guard reads it so.
    fn replace(
        &self,
        scene: &mut Scene,
        place: usize,
        carried: &mut Option<Carried>,
        verdict: Result<Verdict, GuardError>,
    ) -> Result<Verdict, GuardError> {
        let (Some(bytes), Some(carried), Ok(Verdict::Pass)) = (scene.replacement.take(), carried, &verdict)
        else {
            return verdict;
        };
        let parsed = self.needs.iter().skip(place + 1).any(|need| *need == BodyNeed::Parsed);
        let content_type = carried.body.content_type().map(|media| media.text.to_owned());
        match read(bytes, content_type.as_deref(), parsed, &self.plan.bounds) {
            Ok(body) => {
                carried.body = body;
                carried.replaced = true;
                verdict
            }
            Err(denial) => {
                Err(GuardError(format!("what it put in the body's place: {}", denial.reason).into()))
            }
        }
    }

    /// Turns a verdict into an effect, by the guard's mode.
    fn weigh(
        &self,
        scene: &mut Scene,
        planned: &Planned,
        verdict: Result<Verdict, GuardError>,
        at: usize,
    ) -> Option<Ran> {
        let enforce = planned.mode == Mode::Enforce;
        let (denial, enforce) = match verdict {
            Ok(Verdict::Pass) => return None,
            Ok(Verdict::Answer(reply)) => {
                return enforce.then(|| Ran::Answered { guard: planned.name, reply: *reply });
            }
            Ok(Verdict::Need(lookup)) if scene.lookups < MOST_LOOKUPS => {
                scene.lookups += 1;
                return Some(Ran::Asks { lookup, at });
            }
            Ok(Verdict::Deny(denial)) => (denial, enforce),
            Ok(Verdict::Need(lookup)) => {
                let reason = format!("too many lookups for one exchange, the last for {}", lookup.purpose);
                (Box::new(Denial::new(&code::GUARD_FAILED, reason)), enforce)
            }
            Err(GuardError(reason)) => {
                let closed = planned.on_error == FailMode::Closed;
                (Box::new(Denial::new(&code::GUARD_FAILED, reason)), enforce && closed)
            }
        };
        scene.findings.push(finding(&denial, planned.name, enforce));
        enforce.then(|| Ran::Denied {
            code: denial.code,
            guard: planned.name,
            reply: denial.reply(scene.id),
            reason: denial.reason,
        })
    }
}

/// A body of `plain` bytes, parsed where its type has a form that guards read and `parse` says so.
///
/// # Errors
/// What is wrong with the document.
pub(crate) fn read(
    plain: Bytes,
    content_type: Option<&str>,
    parse: bool,
    bounds: &Bounds,
) -> Result<Body, Denial> {
    let is_json = content_type.is_some_and(|text| MediaType { text }.is_json());
    let json =
        if parse && is_json && !plain.is_empty() { Some(body::parse_json(&plain, bounds)?) } else { None };
    Ok(Body::new(plain, content_type, json))
}

pub(crate) fn finding(denial: &Denial, guard: &'static str, enforced: bool) -> Finding {
    Finding { code: denial.code, guard, reason: denial.reason.clone(), enforced }
}

/// Drops the fields that tell of the encoded bytes of a body that is sent otherwise.
pub(crate) fn forget_bytes(headers: &mut Fields) {
    headers.remove(header::CONTENT_ENCODING);
    for name in ["content-md5", "digest", "content-digest", "repr-digest"] {
        headers.remove(name);
    }
}
