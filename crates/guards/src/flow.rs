//! Business flows: steps in their order, at a human pace, and each of them once.
//!
//! **What it does.** `step` names what a call did once the API answered it with success (2xx). `after` lets a call pass
//! only if the same principal did those steps before, not longer ago than `within` and, with `not_before`, not quicker
//! than a person could; a successful call uses them up (`keep: true` leaves them). Of two calls at once that would use
//! one step, one passes. `idempotency_key: required` lets every value of `Idempotency-Key` through once in
//! `remember` (24 h by default), for each principal and operation; an answer that says to try again (408, 425, 429, 5xx)
//! gives the value back. `once` names what counts once: the values at these places together, for each principal and
//! operation, in `remember`; a call that does not succeed gives them back. Quotas over long times are `limit`'s: `limit: { quota: 3/day, per: claim:sub }`.
//!
//! **The attack.** Nothing is broken: a script buys all the tickets, redeems one voucher twice, or goes to the end of
//! the check-out without the steps in which it would have been asked to pay.
//! OWASP API6:2023; CWE-799, CWE-841.
//!
//! ```yaml
//! policies:
//!   - match: { operation: fillCart }
//!     flow: { step: cart }
//!   - match: { operation: checkout }
//!     flow:
//!       after: [{ step: cart, within: 30m, not_before: 2s }]
//!       idempotency_key: required
//!   - match: { operation: applyVoucher }
//!     flow: { once: [path.orderId, body./code] }
//! ```
//!
//! What was done is remembered in this process and ends with it: after a restart a flow begins anew.

mod once;

use std::sync::Arc;
use std::time::Duration;

use http::{HeaderName, StatusCode};
use portcullis_engine::memory::{Mark, Memory};
use portcullis_engine::{Code, Cx, Denial, Guard, GuardError, Hooks, Period, Stage, Verdict};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::place::Place;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::who::Who;

use once::Once;

codes! {
    STEP_MISSING = "step-missing" 409 Api6 841 Medium
        "a step that comes before this one is missing"
        attack "Scripts go straight to the step that is worth something, past those that cost or check something."
        client "Do the steps in their order, and this one once for each time that they were done."
        operator "If the order is not the one that clients follow, change `flow.after`.";
    STEP_TOO_FAST = "step-too-fast" 429 Api6 799 Medium
        "the steps follow each other faster than a person could do them"
        attack "Scripts buy in the first second what people need a minute for."
        client "Wait a moment before this step."
        operator "If ordinary clients are this quick, lower `flow.after.not_before`.";
    IDEMPOTENCY_KEY_MISSING = "idempotency-key-missing" 400 Api6 837 Low
        "this call needs an `Idempotency-Key`"
        attack "A call that is repeated, by accident or on purpose, is done twice: paid, redeemed, sent."
        client "Send `Idempotency-Key` with a value of your own that is new for every new action, such as a UUID."
        operator "Set `flow.idempotency_key` to `optional` while clients learn to send it.";
    IDEMPOTENCY_KEY_USED = "idempotency-key-used" 409 Api6 837 Medium
        "this `Idempotency-Key` was used already"
        attack "A recorded call is sent again, or the same action many times at once, to have it done twice."
        client "The action was taken up already: ask for its state. For a new action, use a new value."
        operator "Nothing, as long as clients make a new value for every action.";
    ALREADY_DONE = "already-done" 409 Api6 837 Medium
        "this was done already"
        attack "A voucher, a code or a vote counts again each time that it comes, or many times at once."
        client "It counted once already: ask for the state of what it was done to."
        operator "If it may be done again, take the places out of `flow.once`, or shorten `flow.remember`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Flow;

/// Steps and their order.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "FlowGuard")]
pub(crate) struct Config {
    /// What a successful call of this operation did.
    step: Option<Box<str>>,
    /// Steps that the same principal must have done before.
    after: Vec<After>,
    /// Whether a successful call leaves the steps before it standing, so that it may be done again. Default false.
    keep: bool,
    /// Whether calls carry an `Idempotency-Key`.
    idempotency_key: Idempotency,
    /// Places whose values, together, count once: `path.NAME`, `query.NAME`, `header.NAME`, `cookie.NAME`, `body.POINTER`.
    once: Vec<Place>,
    /// How long a value of `Idempotency-Key`, or what stands at `once`, counts as used. Default 24 h.
    remember: Period,
}

/// A step before.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "FlowAfter")]
struct After {
    /// Its name, as a `step` gives it.
    step: Box<str>,
    /// How long ago it may have been done at most. Default 1 h.
    #[serde(default = "hour")]
    within: Period,
    /// How long ago it must have been done at least. Default: no time at all.
    #[serde(default = "nothing")]
    not_before: Period,
}

fn hour() -> Period {
    Period(Duration::from_secs(3600))
}

fn nothing() -> Period {
    Period(Duration::ZERO)
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
enum Idempotency {
    /// It means nothing here.
    #[default]
    Off,
    /// A value that is there counts once.
    Optional,
    /// Every call has one.
    Required,
}

impl Default for Config {
    fn default() -> Self {
        Config {
            step: None,
            after: Vec::new(),
            keep: false,
            idempotency_key: Idempotency::Off,
            once: Vec::new(),
            remember: Period(Duration::from_secs(24 * 3600)),
        }
    }
}

impl Protection for Flow {
    const NAME: &'static str = "flow";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let Some((_, operation)) = cx.operation else { return Ok(Vec::new()) };
        for (at, after) in config.after.iter().enumerate() {
            if after.not_before.0 >= after.within.0 {
                return Err(Fault::new(
                    format!("/after/{at}/not_before"),
                    "expected less than `within`: no call could pass",
                ));
            }
        }
        if let Some(step) = &config.step {
            cx.provides("step", step);
        }
        for (at, after) in config.after.iter().enumerate() {
            cx.asks_for("step", &after.step, &format!("/after/{at}/step"));
        }
        let id = operation.id.as_deref().map_or_else(|| operation.label(), str::to_owned);
        let id: Arc<str> = id.into();
        let mut parts = Vec::new();
        let steps = config.step.is_some() || !config.after.is_empty();
        if steps || config.idempotency_key != Idempotency::Off {
            let steps = Steps { config: config.clone(), operation: Arc::clone(&id) };
            parts.push(Part::new(Stage::Authorize, steps));
        }
        if !config.once.is_empty() {
            // Behind all that may refuse the call for something else.
            parts.push(Part::new(Stage::Inspect, Once::new(config, id, cx)?));
        }
        Ok(parts)
    }
}

#[derive(Debug)]
struct Steps {
    config: Config,
    operation: Arc<str>,
}

/// How long a step is remembered: an upper bound of every `within`.
const LONGEST: Period = Period::seconds(366 * 24 * 3600);

fn step(memory: &Memory, who: &Who<'_>, step: &str) -> Mark {
    memory.mark("flow step", (who, step))
}

impl Steps {
    fn used(&self, memory: &Memory, who: &Who<'_>, value: &[u8]) -> Mark {
        memory.mark("flow key", (who, &*self.operation, value))
    }

    fn order(&self, cx: &mut Cx<'_>) -> Option<Denial> {
        let state = cx.state;
        for after in &self.config.after {
            let who = Who::of(cx);
            // Whoever uses a step up is alone with it until the API has answered, and looks for it only then: else a
            // call could find the step, wait for the one that uses it up to end, and pass as well.
            if !self.config.keep && cx.enforcing {
                match state.acquire(state.key("flow busy", (&who, &after.step)), 1) {
                    Some(slot) => cx.hold(slot),
                    None => {
                        let reason = format!("the step `{}` is being used by another call", after.step);
                        return Some(Denial::new(&STEP_MISSING, reason));
                    }
                }
            }
            let who = Who::of(cx);
            let age = state.memory.age(step(&state.memory, &who, &after.step), cx.now);
            match age.filter(|age| *age <= after.within.nanos()) {
                None => {
                    let reason = format!("the step `{}` was not done, or too long ago", after.step);
                    return Some(Denial::new(&STEP_MISSING, reason));
                }
                Some(age) if age < after.not_before.nanos() => {
                    let reason = format!("the step `{}` was done {} ms ago", after.step, age / 1_000_000);
                    return Some(Denial::new(&STEP_TOO_FAST, reason));
                }
                Some(_) => {}
            }
        }
        None
    }

    fn idempotency(&self, cx: &mut Cx<'_>) -> Option<Denial> {
        let name = HeaderName::from_static("idempotency-key");
        let mut values = cx.request.headers.get_all(&name);
        let value = match (values.next(), values.next()) {
            (None, _) if self.config.idempotency_key == Idempotency::Optional => return None,
            (None, _) => return Some(Denial::new(&IDEMPOTENCY_KEY_MISSING, "no `Idempotency-Key`")),
            (Some(value), None) if (1..=255).contains(&value.len()) => value,
            (Some(_), None) => {
                return Some(Denial::new(&IDEMPOTENCY_KEY_MISSING, "expected 1 to 255 characters"));
            }
            (Some(_), Some(_)) => {
                return Some(Denial::new(
                    &IDEMPOTENCY_KEY_MISSING,
                    "`Idempotency-Key` stands more than once",
                ));
            }
        };
        let mark = self.used(&cx.state.memory, &Who::of(cx), value.as_bytes());
        // Of many at once one claims it. Monitor mode counts too: it would have been used.
        match cx.state.memory.claim(mark, self.config.remember.nanos(), cx.now) {
            true => None,
            false => Some(Denial::new(&IDEMPOTENCY_KEY_USED, "the value was used before")),
        }
    }
}

impl Guard for Steps {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, response_head: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if let Some(denial) = self.order(cx) {
            return Ok(denial.into());
        }
        if self.config.idempotency_key != Idempotency::Off
            && let Some(denial) = self.idempotency(cx)
        {
            return Ok(denial.into());
        }
        Ok(Verdict::Pass)
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let Some(status) = cx.response.as_ref().map(|response| response.status) else {
            return Ok(Verdict::Pass);
        };
        let memory = &cx.state.memory;
        let who = Who::of(cx);
        if status.is_success() {
            if !self.config.keep {
                for after in &self.config.after {
                    memory.forget(step(memory, &who, &after.step), cx.now);
                }
            }
            if let Some(done) = &self.config.step {
                memory.remember(step(memory, &who, done), LONGEST.nanos(), cx.now);
            }
        }
        let again = status.is_server_error()
            || matches!(
                status,
                StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY | StatusCode::TOO_MANY_REQUESTS
            );
        if again
            && self.config.idempotency_key != Idempotency::Off
            && let Some(value) = cx.request.headers.get("idempotency-key")
        {
            memory.forget(self.used(memory, &who, value.as_bytes()), cx.now);
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
