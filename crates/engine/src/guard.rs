//! A protection, compiled for one operation: what every guard implements.

use std::borrow::Cow;
use std::fmt::Debug;
use std::sync::Arc;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::body::Body;
use crate::code::Code;
use crate::denial::{Denial, LocalReply};
use crate::facts::Facts;
use crate::fields::FieldName;
use crate::head::{BodyLength, Connection, ExchangeId, Now, Request, ResponseHead};
use crate::inspection::Recorded;
use crate::lookup::{Answered, Destination, Lookup, LookupResult, UpstreamRead};
use crate::plan::{Mode, OperationInfo, Planned};
use crate::record::Masked;
use crate::state::{Held, State};

/// When a guard runs: cheapest and most likely to refuse first. Guards of one stage keep the registry's order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    /// Is this call possible at all: path, method, block lists.
    Admit,
    /// Limits that need no principal.
    Limit,
    /// Who calls.
    Authenticate,
    /// Limits by principal.
    Quota,
    /// May they.
    Authorize,
    /// Is it what the contract says.
    Validate,
    /// Does it carry an attack.
    Inspect,
    /// What the answer looks like. These guards see gateway-made replies too.
    Shape,
    /// Watches, never refuses.
    Observe,
}

/// Which steps a guard takes part in; a call pays only for those.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Hooks {
    /// [`Guard::request_head`].
    pub request_head: bool,
    /// [`Guard::request_body`], where [`Guard::reads_request_body`] says so.
    pub request_body: bool,
    /// [`Guard::response_head`].
    pub response_head: bool,
    /// [`Guard::response_body`], where [`Guard::reads_response_body`] says so.
    pub response_body: bool,
}

/// What a guard is there for, as far as a report of the policy tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// It refuses, or changes what it sees.
    Refuses,
    /// It refuses callers that an object does not belong to.
    ComparesObjects,
    /// It learns for another guard, and refuses in no mode.
    Learns,
}

/// What a guard needs of a body, asked once its head passed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum BodyNeed {
    /// Nothing: it may stream past.
    Nothing,
    /// The decoded bytes.
    Bytes,
    /// The bytes, parsed as their content type says (JSON).
    Parsed,
}

/// A guard's answer.
#[derive(Debug)]
pub enum Verdict {
    /// Nothing against it.
    Pass,
    /// A refusal.
    Deny(Box<Denial>),
    /// The gateway answers by itself, and this is no refusal: a CORS preflight, a masked error.
    Answer(Box<LocalReply>),
    /// It depends on what somebody outside says. Once the host has asked, this hook runs again from its start, and
    /// [`Cx::answer`] has the result. A lookup that failed is the guard's to judge; [`LookupFailure::denial`](crate::LookupFailure::denial) is
    /// the usual answer.
    Need(Box<Lookup>),
}

impl From<Denial> for Verdict {
    fn from(denial: Denial) -> Verdict {
        Verdict::Deny(Box::new(denial))
    }
}

impl From<Lookup> for Verdict {
    fn from(lookup: Lookup) -> Verdict {
        Verdict::Need(Box::new(lookup))
    }
}

/// A guard could not decide: a fault of the gateway, not of the call.
#[derive(Debug, Clone, thiserror::Error)]
#[error("{0}")]
pub struct GuardError(pub Cow<'static, str>);

/// Something wrong that a guard saw.
#[derive(Debug, Clone)]
pub struct Finding {
    /// Its stable code.
    pub code: &'static Code,
    /// The guard that saw it.
    pub guard: &'static str,
    /// What exactly, for the operator. No secret, no body.
    pub reason: Cow<'static, str>,
    /// Whether the guard acted on it: refused the call, or set right what was wrong. `false` is what monitor mode
    /// only saw.
    pub enforced: bool,
}

/// What a guard sees of an exchange, and where it leaves what it found.
#[derive(Debug)]
pub struct Cx<'a> {
    /// The normalised request; what a guard changes in its fields goes upstream. In the response phase the
    /// request was already sent: changes no longer have an effect.
    pub request: &'a mut Request,
    /// The response head; `None` in the request phase.
    pub response: Option<&'a mut ResponseHead>,
    /// Whether the response was made by the gateway itself.
    pub local_reply: bool,
    /// What is known so far.
    pub facts: &'a mut Facts,
    /// The operation, where the request matched one.
    pub operation: Option<&'a Arc<OperationInfo>>,
    /// The connection it came on.
    pub connection: &'a Connection,
    /// Names the exchange.
    pub id: ExchangeId,
    /// The moment of this step.
    pub now: Now,
    /// Counters, shared by all exchanges.
    pub state: &'a Arc<State>,
    /// In replay: what the recording knows and the head does not show. `None` in live traffic.
    pub recorded: Option<&'a Recorded>,
    /// The guard that runs.
    pub guard: &'static str,
    /// Whether that guard is in enforce mode. A guard changes nothing in monitor mode.
    pub enforcing: bool,
    pub(crate) findings: &'a mut SmallVec<[Finding; 1]>,
    pub(crate) held: &'a mut SmallVec<[Held; 1]>,
    pub(crate) masked: &'a mut Option<Box<Masked>>,
    pub(crate) reply_headers: &'a mut crate::run::ReplyHeaders,
    pub(crate) answers: &'a [Answered],
    pub(crate) replacement: &'a mut Option<Bytes>,
}

impl Cx<'_> {
    /// Whose look the next one is.
    pub(crate) fn speak_as(&mut self, planned: &Planned) {
        self.guard = planned.name;
        self.enforcing = planned.mode == Mode::Enforce;
    }

    /// Notes something wrong that is no reason to refuse by itself.
    pub fn find(&mut self, code: &'static Code, reason: impl Into<Cow<'static, str>>) {
        self.findings.push(Finding { code, guard: self.guard, reason: reason.into(), enforced: false });
    }

    /// Notes something wrong that the guard sets right by itself: a masked error, a hardened cookie. In monitor
    /// mode it was only seen.
    pub fn correct(&mut self, code: &'static Code, reason: impl Into<Cow<'static, str>>) {
        self.find(code, reason);
        if let Some(finding) = self.findings.last_mut() {
            finding.enforced = self.enforcing;
        }
    }

    /// Keeps a concurrency slot until the exchange ends.
    pub fn hold(&mut self, slot: Held) {
        self.held.push(slot);
    }

    /// Adds a field to whatever response the client gets: the upstream's, or a refusal of a later guard.
    pub fn add_response_header(&mut self, name: http::HeaderName, value: http::HeaderValue) {
        self.reply_headers.push((name, value));
    }

    /// What an earlier guard gave to [`Cx::add_response_header`] under this name.
    pub fn added_response_header(&self, name: &http::HeaderName) -> Option<&http::HeaderValue> {
        self.reply_headers.iter().find(|(known, _)| known == name).map(|(_, value)| value)
    }

    /// As [`Cx::add_response_header`], in the place of what an earlier guard added under this name.
    pub fn set_response_header(&mut self, name: http::HeaderName, value: http::HeaderValue) {
        match self.reply_headers.iter_mut().find(|(known, _)| *known == name) {
            Some((_, earlier)) => *earlier = value,
            None => self.reply_headers.push((name, value)),
        }
    }

    /// Notes what an error said before it was masked.
    pub fn mask(&mut self, masked: Masked) {
        *self.masked = Some(Box::new(masked));
    }

    /// What came of the lookup named `key`, of this guard or one before it; `None` where nobody asked yet.
    pub fn answer(&self, key: &str) -> Option<&LookupResult> {
        self.answers.iter().find(|answered| *answered.key == *key).map(|answered| &answered.result)
    }

    /// A lookup that reads `target` (an origin-form, percent-encoded) from the API in the caller's name: a GET with
    /// the fields that the request has by now. Guards that want their own credentials kept from the API must have
    /// run: this belongs into [`Stage::Shape`] or later.
    pub fn read_upstream(
        &self,
        purpose: &'static str,
        key: impl Into<Box<str>>,
        target: &str,
        timeout: std::time::Duration,
        max_response: u64,
    ) -> Lookup {
        let read = UpstreamRead::new(self.request, self.id, target);
        Lookup {
            purpose,
            key: key.into(),
            share: None,
            destination: Destination::Upstream(Box::new(read)),
            timeout,
            max_response,
        }
    }

    /// In a body hook: what goes on instead of the body. Guards after this one and whoever gets the body see `bytes`,
    /// without any content encoding; the content type stays. Fields that told of the old bytes are dropped. In
    /// monitor mode nothing happens. A guard that refuses after it replaced has refused.
    pub fn replace_body(&mut self, bytes: Bytes) {
        if self.enforcing {
            *self.replacement = Some(bytes);
        }
    }

    /// What is known of the request's body.
    pub fn request_body(&self) -> BodyLength {
        self.request.body
    }

    /// The value of a request field, where it stands once and is visible ASCII.
    pub fn request_header(&self, name: impl FieldName) -> Option<&str> {
        self.request.headers.get(name).and_then(|value| value.to_str().ok())
    }
}

/// One protection, compiled for one operation at load.
///
/// Guards are pure: they see plain data, keep no state of their own (counters live in [`State`]) and never
/// wait. Every method has a default that does nothing.
pub trait Guard: Debug + Send + Sync {
    /// Which methods do something.
    fn hooks(&self) -> Hooks;

    /// What it is there for; only reports ask.
    fn role(&self) -> Role {
        Role::Refuses
    }

    /// Judges the request's head.
    fn request_head(&self, _cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(Verdict::Pass)
    }

    /// Whether this request's body is needed. Asked only where a body was announced.
    fn reads_request_body(&self, _cx: &Cx<'_>) -> BodyNeed {
        BodyNeed::Nothing
    }

    /// Judges the request's body.
    fn request_body(&self, _cx: &mut Cx<'_>, _body: &Body) -> Result<Verdict, GuardError> {
        Ok(Verdict::Pass)
    }

    /// Judges, or changes, the response's head.
    fn response_head(&self, _cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(Verdict::Pass)
    }

    /// Whether this response's body is needed.
    fn reads_response_body(&self, _cx: &Cx<'_>) -> BodyNeed {
        BodyNeed::Nothing
    }

    /// Judges the response's body. A body that could not be decoded or parsed arrives as raw bytes.
    fn response_body(&self, _cx: &mut Cx<'_>, _body: &Body) -> Result<Verdict, GuardError> {
        Ok(Verdict::Pass)
    }
}
