//! Which members of a body a caller may see, and which they may set.
//!
//! **What it does.** `read` and `write` are lists of rules; the first that is about the caller counts, and where none is,
//! nothing may be seen or set. A rule without conditions is about everyone; `roles`, `scopes` and `consumers` narrow it
//! (one of each list suffices). `allow` names what alone may stay, `deny` what must not; without either, everything may.
//! Paths are JSON pointers in which `*` stands for any member or element.
//!
//! What may not be seen is cut out of the API's answers (2xx); an answer that is no JSON is withheld. A request that
//! sets what its sender may not is refused, in JSON and in forms. What the contract marks `readOnly` and `writeOnly`
//! `validate` enforces by itself.
//!
//! **The attack.** An API that answers with the whole record and trusts the page to show half of it; a user who adds
//! `"role": "admin"` to what they may write (mass assignment). OWASP API3:2023; CWE-213, CWE-915.
//!
//! ```yaml
//! policies:
//!   - match: { path: "/users/{id}" }
//!     properties:
//!       read:
//!         - { roles: [admin] }                            # everything
//!         - { roles: [support], deny: [/card, /notes/*/internal] }
//!         - { allow: [/id, /name, /address/city] }        # everyone else
//!       write:
//!         - { roles: [admin] }
//!         - { allow: [/name, /address] }
//! ```
//!
//! Without configuration nothing is cut and nothing is refused.

use bytes::Bytes;
use http::header;
use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, MediaType, Principal, Stage, Verdict,
};
use portcullis_openapi::{BodyLimits, Filtered, PropertyFilter};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};
use crate::text::decode;

codes! {
    PROPERTY_REFUSED = "property-refused" 403 Api3 915 High
        "the request sets what its sender may not set"
        attack "Mass assignment: adding members that the API binds to its record without asking, such as a role or a price."
        client "Send only the members that you may set."
        operator "The record's reason names the members. Add them to a rule under `properties.write`, if this caller may set them.";
    PROPERTY_HIDDEN = "property-hidden" 502 Api3 213 Medium
        "the answer has members that the caller may not see"
        attack "Reading in the answer what the page does not show: other people's data, internal notes, hashes."
        client "Report the reference to the API's operator."
        operator "In monitor mode these members would have been cut out. As a refusal: the answer is no JSON, so that they could not be.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Properties;

/// Who may see and set what.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PropertiesGuard")]
pub(crate) struct Config {
    /// What of an answer may be seen; the first rule about the caller counts.
    read: Option<Vec<Rule>>,
    /// What of a request may be set; the first rule about the caller counts.
    write: Option<Vec<Rule>>,
}

/// One rule.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PropertyRule")]
struct Rule {
    /// Callers with one of these roles.
    roles: Vec<Box<str>>,
    /// Callers with one of these scopes.
    scopes: Vec<Box<str>>,
    /// These consumers.
    consumers: Vec<Box<str>>,
    /// What alone may stay, by paths such as `/items/*/price`.
    allow: Option<Vec<String>>,
    /// What must go, whatever `allow` says.
    deny: Vec<String>,
}

impl Protection for Properties {
    const NAME: &'static str = "properties";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, _: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let mut parts = Vec::new();
        if let Some(rules) = &config.write {
            parts.push(Part::new(Stage::Authorize, Write(compile(rules, "/write")?)));
        }
        if let Some(rules) = &config.read {
            // Behind those that look at the whole answer.
            parts.push(Part::new(Stage::Shape, Read(compile(rules, "/read")?)));
        }
        Ok(parts)
    }
}

/// A rule with its paths compiled; no filter where everything may stay.
#[derive(Debug)]
struct Compiled {
    rule: Rule,
    filter: Option<PropertyFilter>,
}

/// The rules of one direction, and what holds for those about whom none is.
#[derive(Debug)]
struct Rules {
    rules: Vec<Compiled>,
    nothing: PropertyFilter,
}

fn compile(rules: &[Rule], at: &str) -> Result<Rules, Fault> {
    let filter = |rule: &Rule, at: &str| {
        if rule.allow.is_none() && rule.deny.is_empty() {
            return Ok(None);
        }
        let allow: Option<Vec<&str>> =
            rule.allow.as_ref().map(|paths| paths.iter().map(String::as_str).collect());
        let deny: Vec<&str> = rule.deny.iter().map(String::as_str).collect();
        PropertyFilter::new(allow.as_deref(), &deny)
            .map(Some)
            .map_err(|error| Fault::new(at, error.to_string()))
    };
    let compiled = rules.iter().enumerate().map(|(index, rule)| {
        let filter = filter(rule, &format!("{at}/{index}"))?;
        Ok(Compiled { rule: rule.clone(), filter })
    });
    let nothing = PropertyFilter::new(Some(&[]), &[]).map_err(|error| Fault::new(at, error.to_string()))?;
    Ok(Rules { rules: compiled.collect::<Result<_, Fault>>()?, nothing })
}

impl Rule {
    fn is_about(&self, principal: Option<&Principal>) -> bool {
        let claims = principal.and_then(|principal| principal.claims.as_deref());
        let roles = claims.map_or(&[][..], |claims| claims.roles());
        let one = |wanted: &[Box<str>], has: &dyn Fn(&str) -> bool| {
            wanted.is_empty() || wanted.iter().any(|name| has(name))
        };
        one(&self.roles, &|role| roles.iter().any(|held| **held == *role))
            && one(&self.scopes, &|scope| principal.is_some_and(|principal| principal.has_scope(scope)))
            && one(&self.consumers, &|name| principal.is_some_and(|principal| *principal.consumer == *name))
    }
}

impl Rules {
    /// What has to be filtered for the caller; `None` where nothing has.
    fn filter(&self, cx: &Cx<'_>) -> Option<&PropertyFilter> {
        let principal = cx.facts.principal.as_deref();
        match self.rules.iter().find(|compiled| compiled.rule.is_about(principal)) {
            Some(compiled) => compiled.filter.as_ref(),
            None => Some(&self.nothing),
        }
    }
}

/// Refuses requests that set too much.
#[derive(Debug)]
struct Write(Rules);

impl Guard for Write {
    fn hooks(&self) -> Hooks {
        Hooks { request_body: true, ..Hooks::default() }
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if self.0.filter(cx).is_some() { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(filter) = self.0.filter(cx) else { return Ok(Verdict::Pass) };
        let refuse = |reason: String| Ok(Denial::new(&PROPERTY_REFUSED, reason).into());
        if body.bytes().is_empty() {
            return Ok(Verdict::Pass);
        }
        let media = body.content_type();
        let json = match media {
            Some(media) if media.is_json() => body.bytes().clone(),
            Some(media) if media.essence().eq_ignore_ascii_case("application/x-www-form-urlencoded") => {
                members_of(body.bytes()).into()
            }
            _ => return refuse("what the body sets cannot be seen: it is neither JSON nor a form".into()),
        };
        match filter.apply(&json, BodyLimits::default()) {
            Ok(Filtered::Unchanged) => Ok(Verdict::Pass),
            Ok(Filtered::Cut { members, .. }) => refuse(format!("sets `{}`", members.join("`, `"))),
            Err(_) => refuse("what the body sets cannot be seen: it is not well-formed".into()),
        }
    }
}

/// The names in a form, as the members of an object.
fn members_of(form: &[u8]) -> Vec<u8> {
    let form = String::from_utf8_lossy(form);
    let names = form.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let name: Vec<u8> = decode(pair.split('=').next().unwrap_or_default()).collect();
        (String::from_utf8_lossy(&name).into_owned(), Value::Bool(true))
    });
    // An object of flags always serialises.
    serde_json::to_vec(&names.collect::<Map<_, _>>()).unwrap_or_default()
}

/// Cuts answers.
#[derive(Debug)]
struct Read(Rules);

impl Guard for Read {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, response_body: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        if cx.enforcing && self.0.filter(cx).is_some() {
            // A part of a document cannot be read.
            cx.request.headers.remove(header::RANGE);
        }
        Ok(Verdict::Pass)
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let good = cx.response.as_ref().is_some_and(|response| response.status.is_success());
        if good && self.0.filter(cx).is_some() { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(filter) = self.0.filter(cx) else { return Ok(Verdict::Pass) };
        if body.bytes().is_empty() {
            return Ok(Verdict::Pass);
        }
        if !body.content_type().is_some_and(MediaType::is_json) {
            return Ok(Denial::new(&PROPERTY_HIDDEN, "the answer is no JSON").into());
        }
        match filter.apply(body.bytes(), BodyLimits::default()) {
            Ok(Filtered::Unchanged) => {}
            Ok(Filtered::Cut { bytes, .. }) if cx.enforcing => cx.replace_body(Bytes::from(bytes)),
            Ok(Filtered::Cut { members, .. }) => {
                cx.find(&PROPERTY_HIDDEN, format!("would hide `{}`", members.join("`, `")));
            }
            Err(_) => return Ok(Denial::new(&PROPERTY_HIDDEN, "the answer is no well-formed JSON").into()),
        }
        Ok(Verdict::Pass)
    }
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
