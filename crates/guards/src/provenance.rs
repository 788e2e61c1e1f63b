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

use http::header;
use portcullis_engine::memory::{Mark, Memory};
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, MediaType, Period, Role, Stage, Verdict,
};
use portcullis_openapi::{BodyLimits, Edit, Selector};
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, de};

use crate::codes::codes;
use crate::place::{Place, Spot};
use crate::policies::OneOrMany;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::who::{Who, is_session};

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
        if !is_session(config.by.as_ref()) {
            return Err(Fault::new("/by", "expected `header.NAME` or `cookie.NAME`"));
        }
        if cx.public && config.by.is_none() && !(config.needs.is_empty() && config.shows.is_empty()) {
            return Err(Fault::new(
                "",
                "a policy says `public: true` of an operation whose callers must be known",
            ));
        }
        let limits = BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values };
        let mut show = Show {
            kinds: Vec::new(),
            located: Vec::new(),
            shown: Selector::new(),
            ttl_ns: 0,
            by: config.by.clone(),
            limits,
        };
        for (kind, pointers) in &config.shows {
            cx.provides("kind of object", kind);
            let wrong =
                |message: String| Fault::new(format!("/shows/{}", crate::config::escape(kind)), message);
            for pointer in pointers.each() {
                if pointer == "location" {
                    show.located.push(kind.clone());
                } else if pointer.starts_with('/') {
                    show.shown.add(pointer, show.kinds.len()).map_err(|error| wrong(error.to_string()))?;
                } else {
                    return Err(wrong(format!(
                        "`{pointer}` is neither a JSON pointer, such as `/items/*/id`, nor `location`"
                    )));
                }
            }
            show.kinds.push(kind.clone());
        }
        if !config.shows.is_empty() {
            show.ttl_ns = config.remember.map_or(DAY_NS, Period::nanos);
            // It only watches: a response that it cannot read goes its way.
            parts.push(Part { stage: Stage::Authorize, monitor: true, guard: Box::new(show) });
        }
        let mut needed = Vec::new();
        for (kind, places) in &config.needs {
            let pointer = format!("/needs/{}", crate::config::escape(kind));
            cx.asks_for("kind of object", kind, &pointer);
            for place in &places.0 {
                needed.push(Needed { kind: kind.clone(), spot: Spot::of(place.clone(), cx, &pointer)? });
            }
        }
        if !needed.is_empty() {
            parts.push(Part::new(Stage::Authorize, Need { needed, by: config.by.clone(), limits }));
        }
        Ok(parts)
    }
}

fn mark(memory: &Memory, who: &Who<'_>, kind: &str, id: &str) -> Mark {
    memory.mark("object", (who, kind, id))
}

/// Remembers what was shown.
#[derive(Debug)]
struct Show {
    /// Tags of the selector are indexes of these.
    kinds: Vec<Box<str>>,
    /// Kinds whose id is the last part of `Location`.
    located: Vec<Box<str>>,
    shown: Selector,
    ttl_ns: u64,
    by: Option<Place>,
    limits: BodyLimits,
}

impl Show {
    fn remember(&self, cx: &Cx<'_>, kind: &str, id: &str) {
        if let Some(who) = Who::known(self.by.as_ref(), cx).filter(|_| !id.is_empty()) {
            let memory = &cx.state.memory;
            memory.remember(mark(memory, &who, kind, id), self.ttl_ns, cx.now);
        }
    }
}

impl Guard for Show {
    fn role(&self) -> Role {
        Role::Learns
    }

    fn hooks(&self) -> Hooks {
        Hooks { response_head: true, response_body: true, ..Hooks::default() }
    }

    fn response_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let response = cx.response.as_ref().filter(|response| response.status.is_success());
        let location = response.and_then(|response| response.headers.get(header::LOCATION)?.to_str().ok());
        let Some(location) = location.map(str::to_owned) else { return Ok(Verdict::Pass) };
        for kind in &self.located {
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
        if wanted && !self.shown.is_empty() { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let mut left = MOST;
        let read = self.shown.edit(body.bytes(), self.limits, &mut |found| {
            if found.is_container() {
                return Edit::Inside;
            }
            let kind = found.tag.and_then(|tag| self.kinds.get(tag));
            if let Some(kind) = kind.filter(|_| left > 0 && !matches!(found.token, "null" | "true" | "false"))
            {
                left -= 1;
                self.remember(cx, kind, &found.text().unwrap_or(Cow::Borrowed(found.token)));
            }
            Edit::Keep
        });
        // What is no JSON showed nothing.
        drop(read);
        Ok(Verdict::Pass)
    }
}

/// A place whose value must have been shown.
#[derive(Debug)]
struct Needed {
    kind: Box<str>,
    spot: Spot,
}

/// Lets only objects through that were shown.
#[derive(Debug)]
struct Need {
    needed: Vec<Needed>,
    by: Option<Place>,
    limits: BodyLimits,
}

impl Need {
    /// Refuses an id that was not shown to the caller.
    fn check(&self, needed: &Needed, cx: &Cx<'_>, id: &str) -> Option<Denial> {
        let memory = &cx.state.memory;
        let known = Who::known(self.by.as_ref(), cx)
            .is_some_and(|who| memory.age(mark(memory, &who, &needed.kind, id), cx.now).is_some());
        (!known).then(|| refused(needed, "was never shown to the caller"))
    }
}

fn refused(needed: &Needed, why: &str) -> Denial {
    Denial::new(&OBJECT_UNKNOWN, format!("{}: this `{}` {why}", needed.spot, needed.kind))
}

impl Guard for Need {
    fn role(&self) -> Role {
        Role::ComparesObjects
    }

    fn hooks(&self) -> Hooks {
        let body = self.needed.iter().any(|needed| needed.spot.is_in_body());
        Hooks { request_head: true, request_body: body, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        let mut denial = None;
        for needed in &self.needed {
            needed.spot.ids_in_head(cx.request, &mut |id| {
                if denial.is_none() {
                    denial = self.check(needed, cx, id);
                }
            });
        }
        Ok(denial.map_or(Verdict::Pass, Verdict::from))
    }

    fn reads_request_body(&self, _cx: &Cx<'_>) -> BodyNeed {
        BodyNeed::Bytes
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let mut denial = None;
        for needed in self.needed.iter().filter(|needed| needed.spot.is_in_body()) {
            let read = needed.spot.ids_in_body(body, self.limits, &mut |id| {
                if denial.is_none() {
                    denial = self.check(needed, cx, id);
                }
            });
            if read.is_err() && denial.is_none() {
                denial = Some(refused(needed, "could stand in a body that is not read"));
            }
        }
        Ok(denial.map_or(Verdict::Pass, Verdict::from))
    }
}

#[cfg(test)]
#[path = "provenance_tests.rs"]
mod tests;
