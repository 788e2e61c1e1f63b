//! Places in a request that the configuration names: `path.id`, `query.user`, `header.X-Tenant`, `cookie.sid`,
//! `body./owner/id`.

use std::borrow::Cow;
use std::fmt;
use std::ops::ControlFlow;
use std::str::FromStr;

use http::HeaderName;
use http::header::COOKIE;
use portcullis_engine::{Body, MediaType, Request};
use portcullis_inspect::Place as Part;
use portcullis_inspect::leaves::{self, Format, Leaf, Name};
use portcullis_openapi::{BodyLimits, Edit, Found, LenientName, Selector};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use serde_json::Value;

use crate::config::{escape, unknown};
use crate::protection::{CompileCx, Fault};
use crate::rewrite::readings;
use crate::text::decode;

/// A place.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Place {
    /// A parameter in the path, by its name in the contract.
    Path(Box<str>),
    /// A parameter in the query.
    Query(Box<str>),
    /// A field.
    Header(HeaderName),
    /// A cookie.
    Cookie(Box<str>),
    /// A member of the body: a JSON pointer (RFC 6901) in which `*` stands for every element of an array; of a form,
    /// the parameter's name behind the slash.
    Body(Box<[Box<str>]>),
}

impl Place {
    /// Whether `leaf` stood there. Path parameters are no leaves with names of their own: see
    /// [`PathParameter`].
    pub(crate) fn holds(&self, leaf: &Leaf<'_>) -> bool {
        match (self, leaf.place) {
            (Place::Query(name), Part::Query) | (Place::Cookie(name), Part::Cookie) => is(leaf, name),
            (Place::Header(name), Part::Header) => {
                matches!(leaf.name, Name::Plain(raw) if raw.eq_ignore_ascii_case(name.as_str().as_bytes()))
            }
            (Place::Body(members), Part::Form | Part::Body) => match leaf.name {
                Name::Plain(_) => matches!(&**members, [name] if is(leaf, name)),
                Name::Members(raw) => {
                    let named = members.iter().filter(|member| ***member != *"*");
                    named
                        .map(|member| Cow::Borrowed(member.as_bytes()))
                        .eq(raw.iter().map(|name| member_name(name)))
                }
            },
            _ => false,
        }
    }

    /// The value of a field or a cookie that stands there once; `None` for other places, too.
    pub(crate) fn single<'r>(&self, request: &'r Request) -> Option<&'r [u8]> {
        let field = |name: &HeaderName| {
            let mut values = request.headers.get_all(name);
            values.next().filter(|_| values.next().is_none()).map(|value| value.as_bytes())
        };
        match self {
            Place::Header(name) => field(name),
            Place::Cookie(name) => field(&COOKIE).and_then(|cookies| {
                let mut values = cookies
                    .split(|byte| *byte == b';')
                    .filter_map(|pair| pair.trim_ascii().strip_prefix(name.as_bytes())?.strip_prefix(b"="));
                values.next().filter(|_| values.next().is_none())
            }),
            _ => None,
        }
    }
}

/// Calls `visit` for each value at `members`, `*` standing for every element.
pub(crate) fn walk<'a>(value: &'a Value, members: &[Box<str>], visit: &mut dyn FnMut(&'a Value)) {
    let Some((first, rest)) = members.split_first() else { return visit(value) };
    match value {
        Value::Array(items) if **first == *"*" => items.iter().for_each(|item| walk(item, rest, visit)),
        Value::Object(object) => {
            if let Some(value) = object.get(&**first) {
                walk(value, rest, visit);
            }
        }
        Value::Array(items) => {
            if let Some(value) = first.parse::<usize>().ok().and_then(|at| items.get(at)) {
                walk(value, rest, visit);
            }
        }
        _ => {}
    }
}

/// A parameter of an operation's path. It is counted from the end: a base path may have parameters of its own, and the
/// router puts those before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PathParameter {
    from_end: usize,
}

impl PathParameter {
    /// The parameter `name` of the operation that is being compiled; `None` where its path has none of that name.
    pub(crate) fn of(cx: &CompileCx<'_>, name: &str) -> Option<PathParameter> {
        let captures = cx.operation.map_or(&[][..], |(_, operation)| &operation.captures);
        let at = captures.iter().rposition(|capture| **capture == *name)?;
        Some(PathParameter { from_end: captures.len() - at })
    }

    /// Its value as it stands in the path, percent-encoded.
    pub(crate) fn raw(self, request: &Request) -> Option<&str> {
        request.param(self.index(request)?)
    }

    /// Its place among the request's path parameters.
    pub(crate) fn index(self, request: &Request) -> Option<usize> {
        request.params().spans.len().checked_sub(self.from_end)
    }

    /// Its value among those of a path that leads to its operation, percent-encoded.
    pub(crate) fn of_captures<'p>(self, captures: &[&'p str]) -> Option<&'p str> {
        captures.get(captures.len().checked_sub(self.from_end)?).copied()
    }

    /// Its value, decoded; what is missing is empty.
    pub(crate) fn value(self, request: &Request) -> Vec<u8> {
        crate::text::decode_path(self.raw(request).unwrap_or_default()).collect()
    }
}

/// A place that is read in the requests of an operation. Whatever somebody could read as its name counts: names are
/// [lenient](LenientName), and arrays in bodies are looked into.
#[derive(Debug)]
pub(crate) struct Spot {
    place: Place,
    /// Of a place in the path.
    path: Option<PathParameter>,
    /// Of all others with a name.
    name: LenientName,
    /// Of a place in the body.
    body: Selector,
}

/// A value that stands at a place in a body.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Stood<'a> {
    /// Of a JSON document.
    Json(Found<'a>),
    /// Of a form: decoded.
    Text(&'a [u8]),
}

/// A body that was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Unread;

impl Spot {
    /// `place` in the requests of the operation that is being compiled; it stands at `pointer` in a section.
    pub(crate) fn of(place: Place, cx: &CompileCx<'_>, pointer: &str) -> Result<Spot, Fault> {
        let mut path = None;
        let mut name = LenientName::new("");
        let mut body = Selector::new();
        match &place {
            Place::Path(named) => {
                let known = cx.operation.map_or(&[][..], |(_, operation)| &operation.captures);
                let wrong = || unknown("path parameter", named, known.iter().map(|capture| &**capture));
                path = Some(PathParameter::of(cx, named).ok_or_else(|| Fault::new(pointer, wrong()))?);
            }
            Place::Query(named) | Place::Cookie(named) => name = LenientName::new(named),
            Place::Header(named) => cx.protect_header(named),
            Place::Body(members) => {
                let text: String = members.iter().map(|member| format!("/{}", escape(member))).collect();
                body.add(&text, 0).map_err(|error| Fault::new(pointer, error.to_string()))?;
            }
        }
        Ok(Spot { place, path, name, body })
    }

    /// As [`Place::single`]: its name is taken as it is written.
    pub(crate) fn single<'r>(&self, request: &'r Request) -> Option<&'r [u8]> {
        self.place.single(request)
    }

    pub(crate) fn is_in_body(&self) -> bool {
        matches!(self.place, Place::Body(_))
    }

    /// Calls `visit` with each value that stands there, decoded.
    pub(crate) fn in_head(&self, request: &Request, visit: &mut dyn FnMut(&[u8])) {
        match &self.place {
            Place::Path(_) => visit(&self.path.map(|parameter| parameter.value(request)).unwrap_or_default()),
            Place::Query(_) => {
                for pair in request.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty()) {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    if self.is_named(&decode(name).collect::<Vec<u8>>()) {
                        visit(&decode(value).collect::<Vec<u8>>());
                    }
                }
            }
            Place::Header(name) => {
                request.headers.get_all(name).for_each(|value| visit(value.as_bytes().trim_ascii()));
            }
            Place::Cookie(_) => {
                for value in request.headers.get_all(COOKIE) {
                    leaves::cookies(value.as_bytes(), &mut |leaf| {
                        if matches!(leaf.name, Name::Plain(name) if self.is_named(name)) {
                            visit(&leaf.bytes);
                        }
                        ControlFlow::Continue(())
                    });
                }
            }
            Place::Body(_) => {}
        }
    }

    /// Calls `visit` with each identifier that stands there. What is no text is `\u{fffd}`.
    pub(crate) fn ids_in_head(&self, request: &Request, visit: &mut dyn FnMut(&str)) {
        self.in_head(request, &mut |value| visit(std::str::from_utf8(value).unwrap_or("\u{fffd}")));
    }

    /// Calls `visit` with each identifier that stands there in `body`: the items of an array one by one, numbers as they
    /// are written, null and empty texts not at all. What is no identifier is `\u{fffd}`.
    ///
    /// # Errors
    /// If it has a form in which nothing was looked for. An empty body has none.
    pub(crate) fn ids_in_body(
        &self,
        body: &Body,
        limits: BodyLimits,
        visit: &mut dyn FnMut(&str),
    ) -> Result<(), Unread> {
        self.in_body(body, limits, &mut |stood| {
            match stood {
                Stood::Json(found) => match found.text() {
                    _ if found.token.starts_with('[') => return Edit::Inside,
                    _ if found.token.starts_with('{') => visit("\u{fffd}"),
                    Some(text) if !text.is_empty() => visit(&text),
                    None if found.token != "null" => visit(found.token),
                    _ => {}
                },
                Stood::Text([]) => {}
                Stood::Text(bytes) => visit(std::str::from_utf8(bytes).unwrap_or("\u{fffd}")),
            }
            Edit::Keep
        })
    }

    /// Calls `visit` with each value that stands there in `body`; what it says of an array decides whether the items are
    /// shown one by one.
    ///
    /// # Errors
    /// As [`ids_in_body`](Self::ids_in_body).
    pub(crate) fn in_body(
        &self,
        body: &Body,
        limits: BodyLimits,
        visit: &mut dyn FnMut(Stood<'_>) -> Edit,
    ) -> Result<(), Unread> {
        if body.bytes().is_empty() {
            return Ok(());
        }
        let content_type = body.content_type().map_or("", |media| media.text);
        match Format::of(MediaType { text: content_type }.essence(), body.bytes()) {
            Format::Json => {
                let mut edit = |found: Found<'_>| visit(Stood::Json(found));
                self.body.edit(body.bytes(), limits, &mut edit).map(|_| ()).map_err(|_| Unread)
            }
            format @ (Format::Form | Format::Multipart) => {
                let mut seen = |leaf: Leaf<'_>| {
                    if let Name::Plain(name) = leaf.name
                        && matches!(leaf.place, Part::Form | Part::Body)
                        && self.is_field(&name_of(name))
                    {
                        visit(Stood::Text(&leaf.bytes));
                    }
                    ControlFlow::Continue(())
                };
                leaves::body(body.bytes(), format, content_type, &mut seen).map_err(|_| Unread)
            }
            _ => Err(Unread),
        }
    }

    fn is_named(&self, name: &[u8]) -> bool {
        let name = String::from_utf8_lossy(name);
        readings(&name).chain([&*name]).any(|reading| self.name.is(reading))
    }

    fn is_field(&self, name: &str) -> bool {
        readings(name).chain([name]).any(|reading| self.body.member(reading).is_some())
    }
}

impl fmt::Display for Spot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.place.fmt(f)
    }
}

/// The name of a parameter or a form's field, percent-encoded or not.
pub(crate) fn name_of(raw: &[u8]) -> String {
    String::from_utf8_lossy(&decode(&String::from_utf8_lossy(raw)).collect::<Vec<u8>>()).into_owned()
}

/// Calls `check` for every value at `members`, `*` standing for every element of an array.
///
/// # Errors
/// The first that `check` gives, or `missing` where a value has no such member, or there is no value at all. An empty
/// array has none to look at, and that is in order.
pub(crate) fn every<E>(
    value: &Value,
    members: &[Box<str>],
    missing: &dyn Fn() -> E,
    check: &mut dyn FnMut(&Value) -> Result<(), E>,
) -> Result<(), E> {
    let Some((first, rest)) = members.split_first() else { return check(value) };
    match value {
        Value::Array(items) if **first == *"*" => {
            items.iter().try_for_each(|item| every(item, rest, missing, check))
        }
        Value::Array(items) => {
            let item = first.parse::<usize>().ok().and_then(|at| items.get(at)).ok_or_else(missing)?;
            every(item, rest, missing, check)
        }
        Value::Object(object) => every(object.get(&**first).ok_or_else(missing)?, rest, missing, check),
        _ => Err(missing()),
    }
}

/// Reads a JSON pointer into its members; nothing for what is none.
pub(crate) fn members(pointer: &str) -> Option<Box<[Box<str>]>> {
    Some(pointer.strip_prefix('/')?.split('/').map(unescape).collect())
}

/// The name of a member of a JSON document, as it stands between its quotes, without its escapes.
pub(crate) fn member_name(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let quoted = [b"\"", raw, b"\""].concat();
    match serde_json::from_slice::<String>(&quoted) {
        Ok(name) => Cow::Owned(name.into_bytes()),
        Err(_) => Cow::Borrowed(raw),
    }
}

/// Whether the leaf's one name is `name`, percent-encoded or not.
fn is(leaf: &Leaf<'_>, name: &str) -> bool {
    match leaf.name {
        Name::Plain(raw) => {
            raw == name.as_bytes()
                || std::str::from_utf8(raw).is_ok_and(|raw| crate::text::is_parameter(raw, name))
        }
        Name::Members(_) => false,
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Place::Path(name) => write!(f, "path.{name}"),
            Place::Query(name) => write!(f, "query.{name}"),
            Place::Header(name) => write!(f, "header.{name}"),
            Place::Cookie(name) => write!(f, "cookie.{name}"),
            Place::Body(members) => {
                f.write_str("body.")?;
                members.iter().try_for_each(|member| write!(f, "/{}", escape(member)))
            }
        }
    }
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Place, String> {
        const EXPECTED: &str = "expected a place such as `path.id`, `query.user`, `header.X-Tenant`, `cookie.sid` or `body./owner/id`";
        let (part, name) =
            text.split_once('.').ok_or_else(|| format!("`{text}` names no place; {EXPECTED}"))?;
        if name.is_empty() {
            return Err(format!("`{text}` names nothing in `{part}`; {EXPECTED}"));
        }
        Ok(match part {
            "path" => Place::Path(name.into()),
            "query" => Place::Query(name.into()),
            "cookie" => Place::Cookie(name.into()),
            "header" => {
                Place::Header(name.parse().map_err(|_| format!("`{name}` cannot be the name of a header"))?)
            }
            "body" => Place::Body(members(name).ok_or_else(|| {
                format!("`{name}` is no JSON pointer; expected one such as `body./owner/id`")
            })?),
            _ => return Err(format!("a request has no `{part}`; {EXPECTED}")),
        })
    }
}

/// Undoes RFC 6901 section 4.
fn unescape(segment: &str) -> Box<str> {
    match segment.contains('~') {
        true => segment.replace("~1", "/").replace("~0", "~").into(),
        false => segment.into(),
    }
}

impl<'de> Deserialize<'de> for Place {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Place, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Place {
    fn schema_name() -> Cow<'static, str> {
        "RequestPlace".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "type": "string",
            "pattern": "^(path|query|header|cookie)\\..+|^body\\./.*",
            "description": "A place in a request: path.NAME, query.NAME, header.NAME, cookie.NAME, or body. and a \
                            JSON pointer in which * stands for every element.",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_and_written_back() {
        for text in ["path.id", "query.a.b", "header.x-tenant", "cookie.sid", "body./a/*/b", "body./a~1b"] {
            assert_eq!(text.parse::<Place>().map(|place| place.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "id", "query.", "claims.sub", "body.a", "header.a b"] {
            let error = wrong.parse::<Place>().unwrap_err();
            assert!(!error.is_empty(), "{wrong}");
        }
    }
}
