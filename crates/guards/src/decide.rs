//! Decisions of a server that knows who may touch what: OpenFGA, or any that speaks AuthZEN.
//!
//! **What it does.** Asks a decision point before a call goes on: may this user do this to that object? `object` (one or
//! several) names it with the ids that the call carries; where there are several, all must be allowed, and they are asked
//! about together. No is 404, as if the object were not there; where `object` takes nothing from the call, 403.
//! No answer in `timeout`, or one that is none, is a refusal (503).
//!
//! **The attack.** A user changes the id in a call and reads, changes or deletes what belongs to somebody else.
//! OWASP API1:2023, API5:2023; CWE-639, CWE-862.
//!
//! ```yaml
//! decide:
//!   url: https://fga.example.com
//!   protocol: openfga                      # or authzen
//!   store: 01HVMMBCMGZNT3SED4Z17ECXCA      # OpenFGA's store
//!   token: ${FGA_TOKEN}
//! policies:
//!   - match: { operation: getOrder }
//!     decide: { relation: viewer, object: "order:{path.orderId}" }
//!   - match: { operation: mergeOrders }
//!     decide: { relation: editor, object: ["order:{path.orderId}", "order:{body./from/*}"] }
//! ```
//!
//! `user` and `object` are `type:id`. In braces stand `subject` (the user, else the consumer), `consumer`,
//! `token.CLAIM`, `operation`, and places of the call: `path.NAME`, `query.NAME`, `header.NAME`, `cookie.NAME`,
//! `body./pointer`. A place that is empty refuses the call; one with several values asks about each. `relation` is
//! OpenFGA's relation, or AuthZEN's action. What `context` names goes with each question.
//!
//! Answers are kept for `cache` (5 s) and `negative_cache` (1 s): so long may a withdrawn right still work. OpenFGA is
//! asked with `check` and `batch-check`, AuthZEN 1.0 with `evaluation` and `evaluations`.

mod protocol;
mod template;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderValue, header};
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Destination, Fields, Guard, GuardError, Hooks, Lookup, LookupFailure,
    Period, Role, Stage, Verdict,
};
use portcullis_identity::jose::Thumbprint;
use portcullis_identity::oauth::check_address;
use portcullis_openapi::BodyLimits;
use schemars::JsonSchema;
use serde::Deserialize;

use crate::codes::codes;
use crate::policies::OneOrMany;
use crate::protection::{CompileCx, Fault, Part, Protection};

use protocol::{Point, Protocol, Question};
use template::{Missing, Template};

codes! {
    OBJECT_REFUSED = "object-refused" 404 Api1 639 High
        "there is no such object for this caller"
        attack "Guessing or counting up identifiers to read or change what belongs to others."
        client "Use the identifiers that the API gave you."
        operator "The record's reason says what the decision point was asked. If the caller should have the right, give it there.";
    DECISION_DENIED = "decision-denied" 403 Api5 862 Medium
        "this caller may not do this"
        attack "An ordinary user calls what is meant for others."
        client "Ask the API's operator for the right."
        operator "The record's reason says what the decision point was asked. If the caller should have the right, give it there.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Decide;

/// A decision point, and what it is asked.
#[derive(Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "DecideGuard")]
pub(crate) struct Config {
    /// Where it is: its base URL. Plain http is for loopback alone.
    url: Option<String>,
    /// What it speaks.
    protocol: Protocol,
    /// OpenFGA's store.
    store: Option<String>,
    /// OpenFGA's authorization model. Default: the store's newest.
    model: Option<String>,
    /// What the gateway presents to it as Bearer; better `${FGA_TOKEN}` than the token itself.
    token: Option<String>,
    /// Who asks for it, as `type:id`. Default `user:{subject}`.
    user: Option<String>,
    /// The relation or action that the user must have. Nothing is asked without one.
    relation: Option<String>,
    /// To which object, as `type:id`. Of several, to all.
    object: OneOrMany,
    /// What goes with each question.
    context: BTreeMap<String, String>,
    /// How long an answer may take. Default 2 s.
    timeout: Option<Period>,
    /// How long a yes counts. Default 5 s.
    cache: Option<Period>,
    /// How long a no counts. Default 1 s.
    negative_cache: Option<Period>,
}

impl std::fmt::Debug for Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.url)
            .field("relation", &self.relation)
            .finish_non_exhaustive()
    }
}

/// Questions of one call.
const MOST: usize = 100;
/// Bytes of an answer.
const MOST_ANSWER: u64 = 256 << 10;

impl Protection for Decide {
    const NAME: &'static str = "decide";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        if cx.operation.is_none() || config.relation.is_none() && config.object.each().is_empty() {
            return Ok(Vec::new());
        }
        let Some(relation) = config.relation.as_deref().filter(|relation| !relation.is_empty()) else {
            return Err(Fault::new(
                "/relation",
                "expected what the user must be to the object, such as `viewer`",
            ));
        };
        if config.object.each().is_empty() {
            return Err(Fault::new("/object", "expected the object, such as `order:{path.orderId}`"));
        }
        if cx.public {
            return Err(Fault::new("", "a policy says `public: true` of an operation that asks who calls"));
        }
        let Some(url) = config.url.as_deref() else {
            return Err(Fault::new(
                "/url",
                "expected where the decision point is, such as `https://fga.example.com`",
            ));
        };
        check_address(url).map_err(|error| Fault::new("/url", format!("`{url}`: {error}")))?;
        let point = Point::new(config.protocol, url, config.store.as_deref(), config.model.as_deref())?;
        let template = |text: &str, pointer: &str| {
            Template::of(text, cx, pointer).and_then(|template| match template.has_type() {
                true => Ok(template),
                false => Err(Fault::new(
                    pointer,
                    format!("expected `type:id`, such as `order:{{path.orderId}}`, and not `{text}`"),
                )),
            })
        };
        let user = template(config.user.as_deref().unwrap_or("user:{subject}"), "/user")?;
        let objects = config.object.each().iter().map(|text| template(text, "/object"));
        let objects = objects.collect::<Result<Vec<Template>, Fault>>()?;
        let mut context = Vec::new();
        for (name, text) in &config.context {
            let pointer = format!("/context/{}", crate::config::escape(name));
            context.push((name.clone(), Template::of(text, cx, &pointer)?));
        }
        let mut headers = Fields::new();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
        if let Some(token) = &config.token {
            let mut value = HeaderValue::try_from(format!("Bearer {token}"))
                .map_err(|_| Fault::new("/token", "the token cannot be sent in a header"))?;
            value.set_sensitive(true);
            headers.insert(header::AUTHORIZATION, value);
        }
        let in_body = objects
            .iter()
            .chain([&user])
            .chain(context.iter().map(|(_, template)| template))
            .any(Template::reads_body);
        let guard = Asking {
            in_body,
            hides: objects.iter().any(Template::reads_call),
            point,
            headers,
            user,
            relation: relation.into(),
            objects,
            context,
            timeout: config.timeout.map_or(Duration::from_secs(2), |period| period.0),
            yes_ns: config.cache.unwrap_or(Period::seconds(5)).nanos(),
            no_ns: config.negative_cache.unwrap_or(Period::seconds(1)).nanos(),
            limits: BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values },
        };
        Ok(vec![Part::new(Stage::Authorize, guard)])
    }
}

#[derive(Debug)]
struct Asking {
    point: Point,
    headers: Fields,
    user: Template,
    relation: Box<str>,
    objects: Vec<Template>,
    context: Vec<(String, Template)>,
    timeout: Duration,
    yes_ns: u64,
    no_ns: u64,
    limits: BodyLimits,
    /// Something is taken from the body.
    in_body: bool,
    /// The objects are those of the call: one that is refused is not there.
    hides: bool,
}

impl Asking {
    fn refuse(&self, reason: String) -> Verdict {
        Denial::new(if self.hides { &OBJECT_REFUSED } else { &DECISION_DENIED }, reason).into()
    }

    /// What is to be asked about a call.
    fn questions(&self, cx: &Cx<'_>, body: Option<&Body>) -> Result<Vec<Question>, String> {
        let values = |template: &Template| {
            template
                .values(cx, body, self.limits)
                .map_err(|Missing(what)| format!("{what} is missing, or cannot be asked about"))
        };
        let one = |template: &Template| match values(template)?.as_slice() {
            [one] => Ok(one.clone()),
            _ => Err(format!("{template} has several values; expected one")),
        };
        let user = one(&self.user)?;
        let mut context = serde_json::Map::new();
        for (name, template) in &self.context {
            context.insert(name.clone(), one(template)?.into());
        }
        let context = Arc::new(context);
        let mut questions: Vec<Question> = Vec::new();
        for template in &self.objects {
            for object in values(template)? {
                let question = Question {
                    user: user.clone(),
                    relation: self.relation.clone(),
                    object,
                    context: Arc::clone(&context),
                };
                if !self.point.can_ask(&question) {
                    return Err(format!("{template} has characters that no identifier has"));
                }
                if !questions.contains(&question) {
                    questions.push(question);
                }
            }
        }
        match questions.len() {
            0 => Err("there is no object to ask about".into()),
            1..=MOST => Ok(questions),
            more => Err(format!("{more} objects, expected {MOST} at most")),
        }
    }

    /// What is known of a question; `None` where it has to be asked.
    fn known(&self, cx: &Cx<'_>, question: &Question) -> Option<bool> {
        let memory = &cx.state.memory;
        let fact =
            |answer: bool| memory.age(memory.mark("decision", (&self.point, question, answer)), cx.now);
        // Where both are remembered, the newer one is what was said last.
        match (fact(true), fact(false)) {
            (Some(yes), Some(no)) => Some(yes < no),
            (Some(_), None) => Some(true),
            (None, Some(_)) => Some(false),
            (None, None) => None,
        }
    }

    fn learn(&self, cx: &Cx<'_>, question: &Question, answer: bool) {
        let ttl_ns = if answer { self.yes_ns } else { self.no_ns };
        let memory = &cx.state.memory;
        if ttl_ns > 0 {
            memory.remember(memory.mark("decision", (&self.point, question, answer)), ttl_ns, cx.now);
        }
        memory.forget(memory.mark("decision", (&self.point, question, !answer)), cx.now);
    }

    fn judge(&self, cx: &Cx<'_>, body: Option<&Body>) -> Verdict {
        let questions = match self.questions(cx, body) {
            Ok(questions) => questions,
            Err(reason) => return self.refuse(reason),
        };
        let no = |question: &Question| self.refuse(format!("{question}: the decision point says no"));
        for some in questions.chunks(self.point.at_once()) {
            let mut unknown = Vec::new();
            for question in some {
                match self.known(cx, question) {
                    Some(true) => {}
                    Some(false) => return no(question),
                    None => unknown.push(question),
                }
            }
            if unknown.is_empty() {
                continue;
            }
            let (url, body) = self.point.request(&unknown);
            let key = format!("decision {}", Thumbprint::of(&[url.as_bytes(), b"\n", &*body].concat()));
            let answers = match cx.answer(&key) {
                None => return self.lookup(key, url, body).into(),
                Some(Err(failure)) => return failure.denial("decision").into(),
                Some(Ok(answer)) => match self.point.read(answer, unknown.len()) {
                    Ok(answers) => answers,
                    Err(why) => return LookupFailure::Unreachable(why.into()).denial("decision").into(),
                },
            };
            for (question, answer) in unknown.iter().zip(&answers) {
                self.learn(cx, question, *answer);
            }
            if let Some((question, _)) = unknown.iter().zip(&answers).find(|(_, answer)| !**answer) {
                return no(question);
            }
        }
        Verdict::Pass
    }

    fn lookup(&self, key: String, url: String, body: Vec<u8>) -> Lookup {
        Lookup {
            purpose: "decision",
            key: key.into(),
            share: Some(Duration::ZERO),
            destination: Destination::Url {
                method: http::Method::POST,
                url: url.into(),
                headers: self.headers.clone(),
                body: body.into(),
            },
            timeout: self.timeout,
            max_response: MOST_ANSWER,
        }
    }
}

impl Guard for Asking {
    fn role(&self) -> Role {
        Role::ComparesObjects
    }

    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: self.in_body, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if cx.facts.principal.is_none() {
            return Ok(self.refuse("no credential was proved here".into()));
        }
        if !self.in_body {
            return Ok(self.judge(cx, None));
        }
        // The body is asked for only where one was announced.
        let none = matches!(
            cx.request_body(),
            portcullis_engine::BodyLength::None | portcullis_engine::BodyLength::Exact(0)
        );
        Ok(if none { self.refuse("the body is missing".into()) } else { Verdict::Pass })
    }

    fn reads_request_body(&self, _: &Cx<'_>) -> BodyNeed {
        BodyNeed::Bytes
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        Ok(self.judge(cx, Some(body)))
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
