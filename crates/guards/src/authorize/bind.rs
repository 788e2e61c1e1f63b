//! Parameters that must name the caller, wherever in the request they stand.

use std::borrow::Cow;
use std::collections::BTreeMap;

use http::header::{self, HeaderName};
use portcullis_engine::{Body, BodyNeed, Cx, Denial, Guard, GuardError, Hooks, Verdict};
use serde_json::Value;

use super::PARAMETER_NOT_OWN;
use super::caller::{Caller, text};
use crate::config::{escape, unknown};
use crate::place::PathParameter;
use crate::protection::{CompileCx, Fault};
use crate::text::decode;

/// Bound parameters of one operation.
#[derive(Debug)]
pub(crate) struct Bound(Vec<Binding>);

#[derive(Debug)]
struct Binding {
    /// As the configuration writes it.
    label: String,
    place: Place,
    /// The name by which it could stand elsewhere, made plain.
    name: String,
    who: Caller,
}

#[derive(Debug, PartialEq, Eq)]
enum Place {
    Path(PathParameter),
    Query,
    Header(HeaderName),
    /// A JSON pointer into the body.
    Body(String),
}

impl Bound {
    pub(crate) fn compile(config: &BTreeMap<String, String>, cx: &CompileCx<'_>) -> Result<Bound, Fault> {
        let mut bindings = Vec::new();
        for (label, who) in config {
            let at = format!("/bind/{}", escape(label));
            let wrong = |message: String| Fault::new(at.clone(), message);
            let who = Caller::parse(who).map_err(wrong)?;
            let (place, name) = match label.split_once('.') {
                Some(("path", name)) => {
                    let parameter = PathParameter::of(cx, name).ok_or_else(|| {
                        let captures = cx.operation.map_or(&[][..], |(_, operation)| &operation.captures);
                        let known = captures.iter().map(|capture| &**capture);
                        wrong(format!("{}: {}", cx.label, unknown("path parameter", name, known)))
                    })?;
                    (Place::Path(parameter), name)
                }
                Some(("query", name)) => (Place::Query, name),
                Some(("header", name)) => {
                    let header = HeaderName::try_from(name)
                        .map_err(|_| wrong(format!("`{name}` is no field name")))?;
                    cx.protect_header(&header);
                    (Place::Header(header), name)
                }
                Some(("body", pointer)) if pointer.starts_with('/') => {
                    (Place::Body(pointer.into()), pointer.rsplit('/').next().unwrap_or_default())
                }
                Some(("body", name)) => (Place::Body(format!("/{}", escape(name))), name),
                _ => {
                    return Err(wrong(
                        "expected where it stands and its name: `path.userId`, `query.user`, `header.X-Tenant`, `body.owner_id`".into(),
                    ));
                }
            };
            bindings.push(Binding { label: label.clone(), place, name: plain(name), who });
        }
        Ok(Bound(bindings))
    }
}

/// A name as lenient frameworks read it: `user_id`, `userId`, `user-id` and `userid[]` are one.
fn plain(name: &str) -> String {
    let name = name.split('[').next().unwrap_or_default();
    name.chars().filter(|c| !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

fn lossy(bytes: impl Iterator<Item = u8>) -> String {
    String::from_utf8_lossy(&bytes.collect::<Vec<u8>>()).into_owned()
}

/// The parameters of a query or a form, decoded.
fn pairs(text: &str) -> impl Iterator<Item = (String, String)> + '_ {
    text.split('&').filter(|pair| !pair.is_empty()).map(|pair| {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        (lossy(decode(name)), lossy(decode(value)))
    })
}

impl Binding {
    /// Refuses `value` unless it is the caller's.
    fn check(&self, cx: &Cx<'_>, value: &str, place: &'static str) -> Result<(), Denial> {
        if self.who.is(cx.facts.principal.as_deref(), value) {
            return Ok(());
        }
        Err(Denial::new(&PARAMETER_NOT_OWN, format!("`{}` in the {place} is not the caller's", self.label)))
    }

    fn missing(&self) -> Denial {
        Denial::new(&PARAMETER_NOT_OWN, format!("`{}` is missing", self.label))
    }

    fn head(&self, cx: &Cx<'_>) -> Result<(), Denial> {
        match &self.place {
            Place::Path(parameter) => {
                self.check(cx, &String::from_utf8_lossy(&parameter.value(cx.request)), "path")?;
            }
            Place::Header(name) => {
                let value = cx.request.headers.get(name).ok_or_else(|| self.missing())?;
                let value: Cow<'_, str> = String::from_utf8_lossy(value.as_bytes());
                self.check(cx, &value, "header")?;
            }
            Place::Query | Place::Body(_) => {}
        }
        let mut found = false;
        for (name, value) in pairs(cx.request.query().unwrap_or_default()) {
            if plain(&name) == self.name {
                self.check(cx, &value, "query")?;
                found = true;
            }
        }
        if self.place == Place::Query && !found {
            return Err(self.missing());
        }
        if matches!(self.place, Place::Body(_)) && !cx.request.body.is_some() {
            return Err(self.missing());
        }
        Ok(())
    }

    fn body(&self, cx: &Cx<'_>, body: &Body) -> Result<(), Denial> {
        let form = is_form(body.content_type().map(|media| media.essence()));
        if form {
            let text = String::from_utf8_lossy(body.bytes());
            let mut found = false;
            for (name, value) in pairs(&text) {
                if plain(&name) == self.name {
                    self.check(cx, &value, "body")?;
                    found = true;
                }
            }
            return if found || !matches!(self.place, Place::Body(_)) { Ok(()) } else { Err(self.missing()) };
        }
        if let Place::Body(pointer) = &self.place {
            let value = body.json().and_then(|json| json.pointer(pointer)).ok_or_else(|| self.missing())?;
            self.check(cx, &text(value).unwrap_or_default(), "body")?;
        }
        if is_multipart(body.content_type().map(|media| media.essence())) {
            let mut names = part_names(body.bytes());
            if names.any(|name| plain(&String::from_utf8_lossy(name)) == self.name) {
                let reason = format!("`{}` is in the form as well", self.label);
                return Err(Denial::new(&PARAMETER_NOT_OWN, reason));
            }
        }
        // The same name beside it: whichever the API takes, it is the caller's.
        match body.json() {
            Some(Value::Object(members)) => self.members(cx, members),
            Some(Value::Array(items)) => {
                let mut objects = items.iter().filter_map(Value::as_object);
                objects.try_for_each(|members| self.members(cx, members))
            }
            _ => Ok(()),
        }
    }

    fn members(&self, cx: &Cx<'_>, members: &serde_json::Map<String, Value>) -> Result<(), Denial> {
        // An object by this name may only lead to what is bound itself.
        let leads = |name: &str| match &self.place {
            Place::Body(pointer) => pointer.starts_with(&format!("/{}/", escape(name))),
            _ => false,
        };
        for (name, value) in members.iter().filter(|(name, _)| plain(name) == self.name) {
            match value {
                Value::Array(items) => {
                    for item in items {
                        self.check(cx, &text(item).unwrap_or_default(), "body")?;
                    }
                }
                Value::Object(_) if leads(name) => {}
                value => self.check(cx, &text(value).unwrap_or_default(), "body")?,
            }
        }
        Ok(())
    }
}

fn is_multipart(essence: Option<&str>) -> bool {
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("multipart/form-data"))
}

/// Whatever could be read as the name of a part (RFC 7578 section 4.2), wherever it stands.
fn part_names(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    memchr::memmem::find_iter(body, b"name=").filter_map(move |at| {
        let name = body.get(at + 5..)?;
        let name = name.strip_prefix(b"\"").unwrap_or(name);
        let end =
            name.iter().position(|byte| matches!(byte, b'"' | b';' | b'\r' | b'\n')).unwrap_or(name.len());
        name.get(..end)
    })
}

fn is_form(essence: Option<&str>) -> bool {
    essence.is_some_and(|essence| essence.eq_ignore_ascii_case("application/x-www-form-urlencoded"))
}

fn verdict(result: Result<(), Denial>) -> Verdict {
    result.map_or_else(Verdict::from, |()| Verdict::Pass)
}

impl Guard for Bound {
    fn hooks(&self) -> Hooks {
        Hooks { request_head: true, request_body: true, ..Hooks::default() }
    }

    fn request_head(&self, cx: &mut Cx<'_>) -> Result<Verdict, GuardError> {
        Ok(verdict(self.0.iter().try_for_each(|binding| binding.head(cx))))
    }

    fn reads_request_body(&self, cx: &Cx<'_>) -> BodyNeed {
        let essence = cx.request_header(header::CONTENT_TYPE);
        let essence = essence.map(|text| portcullis_engine::MediaType { text });
        let in_body = self.0.iter().any(|binding| matches!(binding.place, Place::Body(_)));
        match essence {
            Some(media) if media.is_json() => BodyNeed::Parsed,
            Some(media) if is_form(Some(media.essence())) || is_multipart(Some(media.essence())) => {
                BodyNeed::Bytes
            }
            _ if in_body => BodyNeed::Bytes,
            _ => BodyNeed::Nothing,
        }
    }

    fn request_body(&self, cx: &mut Cx<'_>, body: &Body) -> Result<Verdict, GuardError> {
        Ok(verdict(self.0.iter().try_for_each(|binding| binding.body(cx, body))))
    }
}
