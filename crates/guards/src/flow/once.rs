//! What counts once: the values at some places of a call, together.

use std::sync::Arc;

use portcullis_engine::{Body, BodyLength, BodyNeed, Cx, Denial, Guard, GuardError, Hooks, Request, Verdict};
use portcullis_openapi::BodyLimits;

use super::{ALREADY_DONE, Config};
use crate::place::Spot;
use crate::protection::{CompileCx, Fault};
use crate::who::Who;

/// Lets the same through once.
#[derive(Debug)]
pub(super) struct Once {
    places: Vec<Spot>,
    limits: BodyLimits,
    remember_ns: u64,
    operation: Arc<str>,
}

impl Once {
    pub(super) fn new(config: &Config, operation: Arc<str>, cx: &CompileCx<'_>) -> Result<Once, Fault> {
        let places = config.once.iter().enumerate();
        let places = places.map(|(at, place)| Spot::of(place.clone(), cx, &format!("/once/{at}")));
        Ok(Once {
            places: places.collect::<Result<_, _>>()?,
            limits: BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values },
            remember_ns: config.remember.nanos(),
            operation,
        })
    }

    fn in_body(&self) -> bool {
        self.places.iter().any(Spot::is_in_body)
    }

    /// What stands at the places; a refusal where it could be read in two ways.
    fn values(&self, request: &Request, body: Option<&Body>) -> Result<Vec<String>, Denial> {
        let mut values = Vec::with_capacity(self.places.len());
        for spot in &self.places {
            let mut found = Vec::new();
            // Whoever compares codes may do so without regard to their case.
            let mut see = |value: &str| found.push(value.trim().to_lowercase());
            spot.ids_in_head(request, &mut see);
            let read = body.map_or(Ok(()), |body| spot.ids_in_body(body, self.limits, &mut see));
            if read.is_err() || found.len() > 1 {
                let reason = format!("expected one value at {spot} that can be read");
                return Err(Denial::new(&ALREADY_DONE, reason));
            }
            values.push(found.pop().unwrap_or_default());
        }
        Ok(values)
    }

    /// Claims it. Of many at once one gets it. Monitor mode counts too: it would have been used.
    fn claim(&self, cx: &mut Cx<'_>, body: Option<&Body>) -> Verdict {
        let values = match self.values(cx.request, body) {
            Ok(values) => values,
            Err(denial) => return denial.into(),
        };
        let memory = &cx.state.memory;
        let mark = memory.mark("flow once", (Who::of(cx), &*self.operation, values));
        if !memory.claim(mark, self.remember_ns, cx.now) {
            return Denial::new(&ALREADY_DONE, "the same was done before").into();
        }
        cx.facts.claimed.push(mark);
        Verdict::Pass
    }
}

impl Guard for Once {
    fn hooks(&self) -> Hooks {
        let request_body = self.in_body();
        Hooks { request_head: true, request_body, response_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        // A call without a body is never asked for one.
        let bare = matches!(cx.request.body, BodyLength::None | BodyLength::Exact(0));
        match bare || !self.in_body() {
            true => Ok(self.claim(cx, None)),
            false => Ok(Verdict::Pass),
        }
    }

    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Bytes
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        Ok(self.claim(cx, Some(body)))
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let done = cx.response.as_ref().is_some_and(|response| response.status.is_success());
        for mark in std::mem::take(&mut cx.facts.claimed) {
            if !done {
                cx.state.memory.forget(mark, cx.now);
            }
        }
        Ok(Verdict::Pass)
    }
}
