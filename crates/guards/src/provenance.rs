//! Objects that a caller came by in an ordinary way.
//!
//! **What it does.** Remembers, for each principal, the ids that the API gave them: of objects that they made, or that a
//! list showed them (`shows`). Operations that take such an id (`needs`) let only those through that this principal
//! was shown in the last `remember` (24 h by default); for all others the object is not there (404).
//!
//! **The attack.** A user changes the id in a call and reads, changes or deletes what belongs to somebody else.
//! OWASP API1:2023; CWE-639.
//!
//! ```yaml
//! policies:
//!   - match: { operation: createOrder }
//!     provenance: { shows: { order: [/id, location] } }
//!   - match: { operation: listOrders }
//!     provenance: { shows: { order: /items/*/id } }
//!   - match: { operation: getOrder }
//!     provenance: { needs: { order: path.orderId } }
//! ```
//!
//! Where users are known to the API alone, by a session that the gateway cannot check, `by: header.Authorization` (or
//! `cookie.NAME`) takes the session for the user: who makes up another session was shown nothing.
//!
//! In `shows` stand JSON pointers into the response, `*` for every element of an array, and `location` for the last part
//! of the path in the `Location` field. It suits clients that list before they read. A client that keeps ids for days
//! has to list them anew: what was shown is remembered in this process, and ends with it.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

use http::header;
use portcullis_engine::memory::{Mark, Memory};
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, MediaType, Period, Stage, Verdict,
};
use portcullis_inspect::leaves::{self, Leaf};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::codes::codes;
use crate::place::{PathParameter, Place, walk};
use crate::policies::OneOrMany;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::who::Who;

codes! {
    OBJECT_UNKNOWN = "object-unknown" 404 Api1 639 High
        "there is no such object"
        attack "Somebody counts ids up, or uses one that they saw elsewhere, to reach what is not theirs."
        client "Use ids that the API gave you; ask for the list again if it was long ago."
        operator "If clients come by ids in another way, add that operation to `provenance.shows`, or raise \
                  `provenance.remember`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Provenance;

/// Objects that were shown, and are needed.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "ProvenanceGuard")]
pub(crate) struct Config {
    /// By kind of object: where its ids stand in a response.
    shows: BTreeMap<Box<str>, OneOrMany>,
    /// By kind of object: where its ids stand in a request.
    needs: BTreeMap<Box<str>, Places>,
    /// How long an id counts as shown. Default 24 h.
    remember: Option<Period>,
    /// Where the API's own session stands, where it is what tells users apart: `header.NAME` or `cookie.NAME`.
    /// Default: the principal that was proved here.
    by: Option<Place>,
}

/// One place or several.
#[derive(Debug, Clone, JsonSchema)]
#[schemars(with = "OneOrMany")]
struct Places(Vec<Place>);

impl<'de> Deserialize<'de> for Places {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Places, D::Error> {
        let texts = OneOrMany::deserialize(deserializer)?;
        let places = texts.each().iter().map(|text| text.parse()).collect::<Result<_, String>>();
        places.map(Places).map_err(de::Error::custom)
    }
}

const DAY_NS: u64 = 24 * 3600 * 1_000_000_000;

/// As many ids of one response are remembered.
const MOST: usize = 10_000;

impl Protection for Provenance {
    const NAME: &'static str = "provenance";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        if cx.operation.is_none() {
            return Ok(Vec::new());
        }
        let mut parts = Vec::new();
        if !matches!(config.by, None | Some(Place::Header(_) | Place::Cookie(_))) {
            return Err(Fault::new("/by", "expected `header.NAME` or `cookie.NAME`"));
        }
        if cx.public && config.by.is_none() && !(config.needs.is_empty() && config.shows.is_empty()) {
            return Err(Fault::new(
                "",
                "a policy says `public: true` of an operation whose callers must be known",
            ));
        }
        let mut shown = Vec::new();
        for (kind, pointers) in &config.shows {
            cx.provides("kind of object", kind);
            for pointer in pointers.each() {
                let source = Source::parse(pointer).map_err(|message| {
                    Fault::new(format!("/shows/{}", crate::config::escape(kind)), message)
                })?;
                shown.push((kind.clone(), source));
            }
        }
        if !shown.is_empty() {
            let ttl_ns = config
                .remember
                .map_or(DAY_NS, |period| u64::try_from(period.0.as_nanos()).unwrap_or(u64::MAX));
            // It only watches: a response that it cannot read goes its way.
            let guard = Box::new(Show { shown, ttl_ns, by: config.by.clone() });
            parts.push(Part { stage: Stage::Authorize, monitor: true, guard });
        }
        let mut needed = Vec::new();
        for (kind, places) in &config.needs {
            let pointer = format!("/needs/{}", crate::config::escape(kind));
            cx.asks_for("kind of object", kind, &pointer);
            for place in &places.0 {
                let path = match place {
                    Place::Path(name) => Some(PathParameter::of(cx, name).ok_or_else(|| {
                        Fault::new(pointer.clone(), format!("the path has no parameter `{name}`"))
                    })?),
                    _ => None,
                };
                needed.push(Needed { kind: kind.clone(), place: place.clone(), path });
            }
        }
        if !needed.is_empty() {
            parts.push(Part::new(Stage::Authorize, Need { needed, by: config.by.clone() }));
        }
        Ok(parts)
    }
}

/// Whose ids they are; `None` where nobody is known.
fn whose<'a>(by: Option<&Place>, cx: &'a Cx<'_>) -> Option<Who<'a>> {
    let value = match by {
        None => return cx.facts.principal.is_some().then(|| Who::of(cx)),
        Some(place) => place.single(cx.request),
    };
    value.filter(|value| !value.is_empty()).map(Who::Session)
}

fn mark(memory: &Memory, who: &Who<'_>, kind: &str, id: &str) -> Mark {
    memory.mark("object", (who, kind, id))
}

/// Where an id stands in a response.
#[derive(Debug)]
enum Source {
    Location,
    Pointer(Box<[Box<str>]>),
}

impl Source {
    fn parse(text: &str) -> Result<Source, String> {
        if text == "location" {
            return Ok(Source::Location);
        }
        match format!("body.{text}").parse() {
            Ok(Place::Body(members)) => Ok(Source::Pointer(members)),
            _ => Err(format!("`{text}` is neither a JSON pointer, such as `/items/*/id`, nor `location`")),
        }
    }
}

/// An id as text: a number and a string of the same characters are one.
fn id(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        _ => None,
    }
}

/// Remembers what was shown.
#[derive(Debug)]
struct Show {
    shown: Vec<(Box<str>, Source)>,
    ttl_ns: u64,
    by: Option<Place>,
}

impl Show {
    fn remember(&self, cx: &Cx<'_>, kind: &str, id: &str) {
        if let Some(who) = whose(self.by.as_ref(), cx).filter(|_| !id.is_empty()) {
            let memory = &cx.state.memory;
            memory.remember(mark(memory, &who, kind, id), self.ttl_ns, cx.now);
        }
    }
}

impl Guard for Show {
    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, response_body: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let response = cx.response.as_ref().filter(|response| response.status.is_success());
        let location = response.and_then(|response| response.headers.get(header::LOCATION)?.to_str().ok());
        let Some(location) = location.map(str::to_owned) else { return Ok(Verdict::Pass) };
        for (kind, _) in self.shown.iter().filter(|(_, source)| matches!(source, Source::Location)) {
            let path = location.split(['?', '#']).next().unwrap_or_default();
            let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
            let last: Vec<u8> = crate::text::decode_path(last).collect();
            if let Ok(id) = std::str::from_utf8(&last) {
                self.remember(cx, kind, id);
            }
        }
        Ok(Verdict::Pass)
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let json = |text: &str| MediaType { text }.is_json();
        let wanted = cx.response.as_ref().is_some_and(|response| {
            let content_type =
                response.headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            response.status.is_success() && content_type.is_some_and(json)
        });
        let pointers = self.shown.iter().any(|(_, source)| matches!(source, Source::Pointer(_)));
        if wanted && pointers { BodyNeed::Parsed } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(document) = body.json() else { return Ok(Verdict::Pass) };
        let mut left = MOST;
        for (kind, source) in &self.shown {
            let Source::Pointer(members) = source else { continue };
            walk(document, members, &mut |value| {
                if left > 0
                    && let Some(id) = id(value)
                {
                    left -= 1;
                    self.remember(cx, kind, &id);
                }
            });
        }
        Ok(Verdict::Pass)
    }
}

/// A place whose value must have been shown.
#[derive(Debug)]
struct Needed {
    kind: Box<str>,
    place: Place,
    /// Of a place in the path: the parameter.
    path: Option<PathParameter>,
}

impl Needed {
    fn check(&self, by: Option<&Place>, cx: &Cx<'_>, id: &str) -> Option<Denial> {
        let memory = &cx.state.memory;
        let known =
            whose(by, cx).is_some_and(|who| memory.age(mark(memory, &who, &self.kind, id), cx.now).is_some());
        (!known).then(|| {
            Denial::new(
                &OBJECT_UNKNOWN,
                format!("{}: this `{}` was never shown to the caller", self.place, self.kind),
            )
        })
    }
}

/// Lets only objects through that were shown.
#[derive(Debug)]
struct Need {
    needed: Vec<Needed>,
    by: Option<Place>,
}

impl Need {
    fn head(&self, cx: &Cx<'_>) -> Option<Denial> {
        for needed in &self.needed {
            let mut found = None;
            let mut visit = |leaf: Leaf<'_>| {
                if needed.place.holds(&leaf) {
                    // What is not UTF-8 was never shown.
                    found = needed.check(
                        self.by.as_ref(),
                        cx,
                        std::str::from_utf8(&leaf.bytes).unwrap_or("\u{fffd}"),
                    );
                }
                if found.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            match &needed.place {
                Place::Path(_) => {
                    let text = needed.path.map(|parameter| parameter.value(cx.request)).unwrap_or_default();
                    found =
                        needed.check(self.by.as_ref(), cx, std::str::from_utf8(&text).unwrap_or("\u{fffd}"));
                }
                Place::Query(_) => {
                    leaves::query(cx.request.query().unwrap_or_default().as_bytes(), &mut visit);
                }
                Place::Header(name) => {
                    for value in cx.request.headers.get_all(name) {
                        found = found.or_else(|| {
                            needed.check(self.by.as_ref(), cx, value.to_str().unwrap_or("\u{fffd}").trim())
                        });
                    }
                }
                Place::Cookie(_) => {
                    for value in cx.request.headers.get_all(header::COOKIE) {
                        leaves::cookies(value.as_bytes(), &mut visit);
                    }
                }
                Place::Body(_) => {}
            }
            if found.is_some() {
                return found;
            }
        }
        None
    }
}

impl Guard for Need {
    fn hooks(&self) -> Hooks {
        let body = self.needed.iter().any(|needed| matches!(needed.place, Place::Body(_)));
        Hooks { request_head: true, request_body: body, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(self.head(cx).map_or(Verdict::Pass, Verdict::from))
    }

    fn reads_request_body(&self, _cx: &Cx<'_>) -> BodyNeed {
        BodyNeed::Parsed
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        for needed in &self.needed {
            let Place::Body(members) = &needed.place else { continue };
            let Some(document) = body.json() else {
                // A form, or anything else in which an id could be: not read, so not let through.
                if body.bytes().is_empty() {
                    continue;
                }
                let reason = format!("{}: the body is not JSON", needed.place);
                return Ok(Denial::new(&OBJECT_UNKNOWN, reason).into());
            };
            let mut denial = None;
            walk(document, members, &mut |value| {
                if denial.is_none() && !value.is_null() {
                    let id = id(value).unwrap_or(Cow::Borrowed("\u{fffd}"));
                    denial = needed.check(self.by.as_ref(), cx, &id);
                }
            });
            if let Some(denial) = denial {
                return Ok(denial.into());
            }
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "provenance_tests.rs"]
mod tests;
