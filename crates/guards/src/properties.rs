//! Which members of an object a caller may see, and which they may write.
//!
//! **What it does.** Cuts members out of JSON responses (2xx) that the caller may not see, and refuses requests with
//! members that they may not write; with `request_excess: strip` those are cut out and the rest passes. `response` and
//! `request` hold for everybody; under `for` stand lists for some: the first entry that fits the caller counts instead,
//! for what it speaks of. What the contract marks as `readOnly` or `writeOnly`, or does not describe, is `validate`'s.
//!
//! **The attack.** The API answers with the whole object and trusts its client to show a part; or takes the whole object
//! and saves what its sender should not decide, such as a role or a price.
//! OWASP API3:2023; CWE-213, CWE-915.
//!
//! ```yaml
//! policies:
//!   - match: { operation: getUser }
//!     properties:
//!       response: { allow: [/id, /name, /orders/*/id] }
//!       for:
//!         - { scopes: [users:read-all], response: { deny: [/passwordHash] } }
//!   - match: { operation: updateUser }
//!     properties:
//!       request: { deny: [/role, /credit] }
//!       for: [{ roles: [admin], request: {} }]
//! ```
//!
//! Paths are JSON pointers in which `*` stands for any member or element; one that names an object speaks for all in it.
//! With `allow` only what is named may stay; what `deny` names goes in any case. A response with such a list that is not
//! JSON is withheld, a request refused: what cannot be read cannot be cut.

use std::borrow::Cow;

use portcullis_engine::{
    Body, BodyNeed, Code, Cx, Denial, Guard, GuardError, Hooks, MediaType, Stage, Verdict,
};
use portcullis_openapi::{BodyLimits, Filtered, PropertyFilter};
use schemars::JsonSchema;
use serde::Deserialize;

use crate::callers::Callers;
use crate::codes::codes;
use crate::protection::{CompileCx, Fault, Part, Protection};

codes! {
    PROPERTY_HIDDEN = "property-hidden" 502 Api3 213 Medium
        "a response has properties that this caller may not see"
        attack "The API gives out whole objects: password hashes, other people's data, what only the office needs."
        client "Nothing: what you may see is there."
        operator "Better to have the API leave it out. If callers need it, add it to `properties`.";
    PROPERTY_REFUSED = "property-refused" 403 Api3 915 High
        "a property may not be set by this caller"
        attack "A client adds `role` or `price` to an object that it may change, and the API saves all of it."
        client "Leave out the properties that you may not set."
        operator "If this caller may set it, say so in `properties.for`.";
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Properties;

/// Members that callers may see and write.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PropertiesGuard")]
pub(crate) struct Config {
    /// Members of responses.
    response: Option<Lists>,
    /// Members of requests.
    request: Option<Lists>,
    /// What happens to members of a request that the caller may not write.
    request_excess: Excess,
    /// Lists for some callers; the first entry that fits counts.
    #[serde(rename = "for")]
    some: Vec<Some_>,
}

/// Members by path.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PropertyLists")]
struct Lists {
    /// Only these may stay; absent: all.
    allow: Option<Vec<String>>,
    /// These go, whatever `allow` says.
    deny: Vec<String>,
}

/// What becomes of excess.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "PropertyExcess")]
enum Excess {
    /// The call is refused.
    #[default]
    Refuse,
    /// It is cut out, and the rest passes.
    Strip,
}

/// Lists for the callers that fit all of what is said of them here.
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "PropertyCallers")]
struct Some_ {
    /// Scopes of which the credential must carry all.
    scopes: Vec<Box<str>>,
    /// Roles of which the user must have one.
    roles: Vec<Box<str>>,
    /// Groups of which the user must be in one.
    groups: Vec<Box<str>>,
    /// Consumers of which it must be one.
    consumers: Vec<Box<str>>,
    /// Members of responses.
    response: Option<Lists>,
    /// Members of requests.
    request: Option<Lists>,
}

impl Some_ {
    fn callers(&self) -> Callers {
        Callers {
            scopes: self.scopes.clone(),
            roles: self.roles.clone(),
            groups: self.groups.clone(),
            consumers: self.consumers.clone(),
            ..Callers::default()
        }
    }
}

impl Protection for Properties {
    const NAME: &'static str = "properties";
    const CODES: &'static [&'static Code] = CODES;
    type Config = Config;

    fn compile(config: &Config, cx: &CompileCx<'_>) -> Result<Vec<Part>, Fault> {
        let filter = |lists: &Option<Lists>, pointer: &str| -> Result<Option<PropertyFilter>, Fault> {
            let Some(lists) = lists else { return Ok(None) };
            let deny: Vec<&str> = lists.deny.iter().map(String::as_str).collect();
            let allow: Option<Vec<&str>> =
                lists.allow.as_ref().map(|allow| allow.iter().map(String::as_str).collect());
            if allow.is_none() && deny.is_empty() {
                return Ok(None);
            }
            let made = PropertyFilter::new(allow.as_deref(), &deny);
            made.map(Some).map_err(|error| Fault::new(pointer, error.to_string()))
        };
        let mut some = Vec::new();
        for (at, entry) in config.some.iter().enumerate() {
            let callers = entry.callers();
            if callers.is_everybody() {
                return Err(Fault::new(
                    format!("/for/{at}"),
                    "says nothing of whom it is for: expected `scopes`, `roles`, `groups` or `consumers`",
                ));
            }
            some.push(Rule {
                callers,
                speaks: (entry.response.is_some(), entry.request.is_some()),
                response: filter(&entry.response, &format!("/for/{at}/response"))?,
                request: filter(&entry.request, &format!("/for/{at}/request"))?,
            });
        }
        let guard = Cut {
            response: filter(&config.response, "/response")?,
            request: filter(&config.request, "/request")?,
            excess: config.request_excess,
            some,
            limits: BodyLimits { depth: cx.bounds.json_depth, values: cx.bounds.json_values },
        };
        let idle = guard.response.is_none()
            && guard.request.is_none()
            && guard.some.iter().all(|rule| rule.response.is_none() && rule.request.is_none());
        if idle {
            return Ok(Vec::new());
        }
        Ok(vec![Part::new(Stage::Authorize, guard)])
    }
}

/// Lists for some callers.
#[derive(Debug)]
struct Rule {
    callers: Callers,
    /// Of responses, and of requests, even if it is that nothing has to go.
    speaks: (bool, bool),
    response: Option<PropertyFilter>,
    request: Option<PropertyFilter>,
}

#[derive(Debug)]
struct Cut {
    response: Option<PropertyFilter>,
    request: Option<PropertyFilter>,
    excess: Excess,
    some: Vec<Rule>,
    limits: BodyLimits,
}

impl Cut {
    /// The filter for this caller's responses, or requests: of the first entry that fits and speaks of them, else the
    /// one for everybody.
    fn filter(&self, cx: &Cx<'_>, response: bool) -> Option<&PropertyFilter> {
        let own = cx.facts.principal.as_deref().and_then(|principal| {
            self.some.iter().find(|rule| {
                let speaks = if response { rule.speaks.0 } else { rule.speaks.1 };
                speaks && rule.callers.fit(principal)
            })
        });
        match own {
            Some(rule) if response => rule.response.as_ref(),
            Some(rule) => rule.request.as_ref(),
            None if response => self.response.as_ref(),
            None => self.request.as_ref(),
        }
    }
}

fn is_json(body: &Body) -> bool {
    body.content_type().is_some_and(MediaType::is_json)
}

impl Guard for Cut {
    fn hooks(&self) -> Hooks {
        let any = |response: bool| {
            self.some
                .iter()
                .any(|rule| if response { rule.response.is_some() } else { rule.request.is_some() })
        };
        Hooks {
            request_body: self.request.is_some() || any(false),
            response_body: self.response.is_some() || any(true),
            ..Hooks::default()
        }
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        if self.filter(cx, false).is_some() { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(filter) = self.filter(cx, false) else { return Ok(Verdict::Pass) };
        if body.bytes().is_empty() {
            return Ok(Verdict::Pass);
        }
        let refuse = |reason: Cow<'static, str>| Ok(Denial::new(&PROPERTY_REFUSED, reason).into());
        if !is_json(body) {
            return refuse("the body is not JSON".into());
        }
        match filter.apply(body.bytes(), self.limits) {
            Ok(Filtered::Unchanged) => Ok(Verdict::Pass),
            Ok(Filtered::Cut { members, .. }) if self.excess == Excess::Refuse => {
                refuse(format!("{} may not be set", members.join(", ")).into())
            }
            Ok(Filtered::Cut { bytes, members }) => {
                cx.correct(&PROPERTY_REFUSED, format!("{} may not be set", members.join(", ")));
                cx.replace_body(bytes.into());
                Ok(Verdict::Pass)
            }
            Err(violation) => refuse(violation.to_string().into()),
        }
    }

    fn reads_response_body(&self, cx: &Cx<'_>) -> BodyNeed {
        // An error says something else than the object; `mask` sees to it.
        let success = cx.response.as_ref().is_some_and(|response| response.status.is_success());
        if success && self.filter(cx, true).is_some() { BodyNeed::Bytes } else { BodyNeed::Nothing }
    }

    fn response_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        let Some(filter) = self.filter(cx, true) else { return Ok(Verdict::Pass) };
        if body.bytes().is_empty() {
            return Ok(Verdict::Pass);
        }
        if !is_json(body) {
            return Ok(Denial::new(&PROPERTY_HIDDEN, "the response is not JSON").into());
        }
        match filter.apply(body.bytes(), self.limits) {
            Ok(Filtered::Unchanged) => Ok(Verdict::Pass),
            Ok(Filtered::Cut { bytes, members }) => {
                cx.correct(&PROPERTY_HIDDEN, format!("{} may not be seen", members.join(", ")));
                cx.replace_body(bytes.into());
                Ok(Verdict::Pass)
            }
            Err(violation) => Ok(Denial::new(&PROPERTY_HIDDEN, violation.to_string()).into()),
        }
    }
}

#[cfg(test)]
#[path = "properties_tests.rs"]
mod tests;
