//! Parameters that must name the caller, wherever in the request they stand.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use http::header::{self, HeaderName};
use portcullis_engine::body::parse_json;
use portcullis_engine::{
    Body, BodyNeed, Bounds, Cx, Denial, Guard, GuardError, Hooks, MediaType, Role, Verdict,
};
use portcullis_inspect::Place as Part;
use portcullis_inspect::leaves::{self, Format, Leaf, Name};
use portcullis_openapi::LenientName;
use serde_json::Value;

use super::PARAMETER_NOT_OWN;
use super::caller::{Caller, text};
use crate::config::escape;
use crate::media::is_opaque;
use crate::place::{Place, Spot, every, name_of};
use crate::protection::{CompileCx, Fault};
use crate::rewrite::readings;

/// Bound parameters of one operation.
#[derive(Debug)]
pub(crate) struct Bound {
    bindings: Vec<Binding>,
    /// One of them stands in the body.
    in_body: bool,
}

#[derive(Debug)]
struct Binding {
    /// As the configuration writes it.
    label: String,
    spot: Spot,
    /// Of one in the body: the members that lead to it.
    members: Option<Box<[Box<str>]>>,
    /// The name by which it could stand elsewhere.
    name: LenientName,
    who: Caller,
}

impl Bound {
    pub(crate) fn compile(config: &BTreeMap<String, String>, cx: &CompileCx<'_>) -> Result<Bound, Fault> {
        let mut bindings = Vec::new();
        for (label, who) in config {
            let at = format!("/bind/{}", escape(label));
            let wrong = |message: String| Fault::new(at.clone(), message);
            let who = Caller::parse(who).map_err(wrong)?;
            // `body.owner_id` is short for `body./owner_id`.
            let place = match label.strip_prefix("body.").filter(|name| !name.starts_with('/')) {
                Some(name) if !name.is_empty() => format!("body./{}", escape(name)).parse(),
                _ => label.parse::<Place>(),
            };
            let place = place.map_err(wrong)?;
            let members = match &place {
                Place::Body(members) => Some(members.clone()),
                _ => None,
            };
            let name = match &place {
                Place::Path(name) | Place::Query(name) | Place::Cookie(name) => LenientName::new(name),
                Place::Header(name) => LenientName::new(name.as_str()),
                Place::Body(members) => LenientName::new(members.last().map_or("", |name| name)),
            };
            bindings.push(Binding {
                label: label.clone(),
                spot: Spot::of(place, cx, &at)?,
                members,
                name,
                who,
            });
        }
        let in_body = bindings.iter().any(|binding| binding.members.is_some());
        Ok(Bound { bindings, in_body })
    }
}

/// Fields whose names are the protocol's: they say nothing of a parameter that is called so, too.
fn is_protocol(name: &HeaderName) -> bool {
    [
        header::HOST,
        header::FROM,
        header::ORIGIN,
        header::DATE,
        header::RANGE,
        header::ACCEPT,
        header::EXPECT,
        header::COOKIE,
        header::REFERER,
        header::FORWARDED,
    ]
    .contains(name)
}

impl Binding {
    /// Refuses `value` unless it is the caller's.
    fn check(&self, cx: &Cx<'_>, value: &str, place: &str) -> Result<(), Denial> {
        if self.who.is(cx.facts.principal.as_deref(), value) {
            return Ok(());
        }
        Err(Denial::new(&PARAMETER_NOT_OWN, format!("`{}` in the {place} is not the caller's", self.label)))
    }

    fn missing(&self) -> Denial {
        Denial::new(&PARAMETER_NOT_OWN, format!("`{}` is missing", self.label))
    }

    /// Whether somebody reads `name` as that of the parameter.
    fn is_named(&self, name: &str) -> bool {
        readings(name).chain([name]).any(|reading| self.name.is(reading))
    }

    fn head(&self, cx: &Cx<'_>) -> Result<(), Denial> {
        let mut checked = Ok(());
        let mut found = false;
        self.spot.ids_in_head(cx.request, &mut |value| {
            found = true;
            if checked.is_ok() {
                checked = self.check(cx, value, "head");
            }
        });
        checked?;
        let expected = if self.members.is_some() { cx.request.body.is_some() } else { found };
        if !expected {
            return Err(self.missing());
        }
        // The same name beside it: whichever the API takes, it is the caller's.
        let mut elsewhere = Ok(());
        let mut visit = |leaf: Leaf<'_>| {
            if let Name::Plain(name) = leaf.name
                && matches!(leaf.place, Part::Query | Part::Cookie)
                && self.is_named(&name_of(name))
            {
                elsewhere = self.check(cx, &String::from_utf8_lossy(&leaf.bytes), "query or a cookie");
            }
            if elsewhere.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        leaves::query(cx.request.query().unwrap_or_default().as_bytes(), &mut visit);
        for cookies in cx.request.headers.get_all(header::COOKIE) {
            leaves::cookies(cookies.as_bytes(), &mut visit);
        }
        elsewhere?;
        let fields =
            cx.request.headers.iter().filter(|(name, _)| self.name.is(name.as_str()) && !is_protocol(name));
        for (_, value) in fields {
            self.check(cx, &String::from_utf8_lossy(value.as_bytes()), "header")?;
        }
        Ok(())
    }

    fn body(&self, cx: &Cx<'_>, body: &Body) -> Result<(), Denial> {
        let content_type = body.content_type().map_or("", |media| media.text);
        let format = Format::of(MediaType { text: content_type }.essence(), body.bytes());
        let unread = || Denial::new(&PARAMETER_NOT_OWN, "a body that is malformed could hold anything");
        let guessed = match (body.json(), format) {
            // Frameworks that do not look at the content type read it all the same.
            (None, Format::Json) => Some(parse_json(body.bytes(), &Bounds::default()).map_err(|_| unread())?),
            _ => None,
        };
        if let Some(json) = body.json().or(guessed.as_ref()) {
            if let Some(members) = &self.members {
                // What does not say that it is JSON may be read as anything.
                let json = body.json().ok_or_else(|| self.missing())?;
                every(json, members, &|| self.missing(), &mut |value| {
                    self.check(cx, &text(value).unwrap_or_default(), "body")
                })?;
            }
            return self.beside(cx, json);
        }
        let mut found = false;
        let mut checked = Ok(());
        let mut visit = |leaf: Leaf<'_>| {
            let named = match leaf.name {
                Name::Plain(name) => self.is_named(&name_of(name)),
                Name::Members(names) => names.last().is_some_and(|name| self.is_named(&name_of(name))),
            };
            if named {
                found = true;
                checked = self.check(cx, &String::from_utf8_lossy(&leaf.bytes), "body");
            }
            if checked.is_err() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        if !matches!(format, Format::Text | Format::Binary) && !body.bytes().is_empty() {
            leaves::body(body.bytes(), format, content_type, &mut visit).map_err(|_| unread())?;
        }
        checked?;
        let found = found && matches!(format, Format::Form | Format::Multipart);
        if self.members.is_some() && !found { Err(self.missing()) } else { Ok(()) }
    }

    /// Members of the same name at the top, and in the items of a list there.
    fn beside(&self, cx: &Cx<'_>, json: &Value) -> Result<(), Denial> {
        match json {
            Value::Array(items) => items.iter().try_for_each(|item| self.beside(cx, item)),
            Value::Object(members) => {
                let mut named = members.iter().filter(|(name, _)| self.is_named(name));
                named.try_for_each(|(name, value)| self.one(cx, name, value))
            }
            _ => Ok(()),
        }
    }

    fn one(&self, cx: &Cx<'_>, name: &str, value: &Value) -> Result<(), Denial> {
        match value {
            Value::Array(items) => items.iter().try_for_each(|item| self.one(cx, name, item)),
            // An object by this name may only lead to what is bound itself.
            Value::Object(_)
                if self
                    .members
                    .as_deref()
                    .is_some_and(|path| matches!(path, [first, _, ..] if **first == *name)) =>
            {
                Ok(())
            }
            value => self.check(cx, &text(value).unwrap_or_default(), "body"),
        }
    }
}

fn verdict(result: Result<(), Denial>) -> Verdict {
    result.map_or_else(Verdict::from, |()| Verdict::Pass)
}

impl Guard for Bound {
    fn role(&self) -> Role {
        Role::ComparesObjects
    }

    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(verdict(self.bindings.iter().try_for_each(|binding| binding.head(cx))))
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let json = cx.request_header(header::CONTENT_TYPE).is_some_and(|text| MediaType { text }.is_json());
        match json {
            true => BodyNeed::Parsed,
            false if self.in_body || !is_opaque(cx.request) => BodyNeed::Bytes,
            false => BodyNeed::Nothing,
        }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        Ok(verdict(self.bindings.iter().try_for_each(|binding| binding.body(cx, body))))
    }
}
