//! Cookies (RFC 6265, section 4.2.1): `a=b; c=d`, values in the `form` style.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Reject, Wire, check_text, judge, missing, text};
use crate::model::{In, Operation, Parameter, Style};
use crate::report::{Location, MAX_VIOLATIONS, Violation, ViolationKind, safe_name};
use crate::schema::{Arena, Types};

/// Cookies that a request may have.
const MAX_COOKIES: usize = 200;

/// Checks the cookie parameters of an operation; with `unknown` also that there are no others.
pub(crate) fn check_cookies<'a, H>(
    arena: &Arena,
    operation: &Operation,
    headers: &H,
    unknown: bool,
    out: &mut Vec<Violation>,
) where
    H: Iterator<Item = (&'a str, &'a [u8])> + Clone,
{
    let described = || operation.parameters.iter().filter(|parameter| parameter.location == In::Cookie);
    if !unknown && described().next().is_none() {
        return;
    }
    let mut cookies: SmallVec<[(&str, &str); 16]> = SmallVec::new();
    for (_, value) in headers.clone().filter(|(name, _)| name.eq_ignore_ascii_case("cookie")) {
        let Ok(line) = std::str::from_utf8(value) else {
            out.push(violation(ViolationKind::InvalidParameter, "", "UTF-8"));
            return;
        };
        for pair in line.split(';').map(|pair| pair.trim_matches([' ', '\t'])).filter(|pair| !pair.is_empty())
        {
            if cookies.len() >= MAX_COOKIES {
                out.push(violation(ViolationKind::InvalidParameter, "", "fewer cookies"));
                return;
            }
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = value.strip_prefix('"').and_then(|value| value.strip_suffix('"')).unwrap_or(value);
            cookies.push((name, value));
        }
    }
    for parameter in described() {
        if parameter.style == Style::Cookie && parameter.explode && is_apart(parameter) {
            if let Err(reject) = check_apart(arena, parameter, &cookies) {
                reject.report(parameter, ViolationKind::InvalidParameter, out);
            } else if parameter.required && !cookies.iter().any(|(name, _)| belongs(parameter, name)) {
                out.push(missing(parameter));
            }
            continue;
        }
        let mut own = cookies.iter().filter(|(name, _)| *name == &*parameter.name);
        let checked = match (own.next(), own.next()) {
            (None, _) if parameter.required => {
                out.push(missing(parameter));
                continue;
            }
            (None, _) => continue,
            (Some((_, value)), None) => check(arena, parameter, value),
            (Some(_), Some(_)) => Err(Reject::text("one value, not several")),
        };
        if let Err(reject) = checked {
            reject.report(parameter, ViolationKind::InvalidParameter, out);
        }
    }
    if !unknown {
        return;
    }
    let known = |name: &str| {
        described().any(|parameter| *parameter.name == *name || belongs(parameter, name))
            || operation
                .credential_names
                .iter()
                .any(|(place, known)| *place == In::Cookie && **known == *name)
    };
    for (name, _) in cookies.iter().filter(|(name, _)| !known(name)).take(MAX_VIOLATIONS) {
        out.push(violation(ViolationKind::UnknownParameter, name, "a cookie that the operation describes"));
    }
}

/// Whether each item or member is a cookie of its own.
fn is_apart(parameter: &Parameter) -> bool {
    let types = parameter.decoder.types();
    types.without(Types::NULL) == Types::ARRAY || types.without(Types::NULL) == Types::OBJECT
}

fn belongs(parameter: &Parameter, name: &str) -> bool {
    if parameter.style != Style::Cookie || !parameter.explode {
        return false;
    }
    match parameter.decoder.types().has(Types::OBJECT) {
        true => parameter.decoder.members.iter().any(|member| **member == *name),
        false => *parameter.name == *name,
    }
}

/// `name=a; name=b`, or `member=a; other=b` (OpenAPI 3.2, style `cookie`). Nothing is decoded.
fn check_apart(arena: &Arena, parameter: &Parameter, cookies: &[(&str, &str)]) -> Result<(), Reject> {
    let mut own = cookies.iter().filter(|(name, _)| belongs(parameter, name)).peekable();
    if own.peek().is_none() {
        return Ok(());
    }
    let value = if parameter.decoder.types().has(Types::OBJECT) {
        let mut members = serde_json::Map::new();
        for (name, raw) in own {
            let schema = arena.member_schema(parameter.schema, name).unwrap_or(crate::schema::SchemaId::ANY);
            if members.insert((*name).to_owned(), text::coerce(arena, schema, raw)).is_some() {
                return Err(Reject::text("each member once"));
            }
        }
        serde_json::Value::Object(members)
    } else {
        let item = |(index, (_, raw)): (usize, &(&str, &str))| {
            text::coerce(arena, arena.item_schema(parameter.schema, index), raw)
        };
        serde_json::Value::Array(own.enumerate().map(item).collect())
    };
    judge(arena, parameter.schema, &value)
}

fn check(arena: &Arena, parameter: &Parameter, raw: &str) -> Result<(), Reject> {
    if parameter.style == Style::Cookie {
        return check_text(arena, parameter, raw, Wire::Plain);
    }
    // Servers differ in whether they decode cookies: what is no escape stands for itself.
    let wire = if Wire::Percent.decode(raw).is_ok() { Wire::Percent } else { Wire::Plain };
    if parameter.explode && parameter.decoder.types().has(Types::ARRAY) && raw.contains('&') {
        // `name=a&name=b`, the first `name=` being the cookie's own.
        let mut items = Vec::new();
        for (index, part) in raw.split('&').enumerate() {
            let value = if index == 0 {
                Some(part)
            } else {
                part.strip_prefix(&*parameter.name).and_then(|rest| rest.strip_prefix('='))
            };
            let value: Cow<'_, str> =
                wire.decode(value.ok_or_else(|| Reject::text("`name=` before each item"))?)?;
            items.push(text::coerce(arena, arena.item_schema(parameter.schema, index), &value));
        }
        return judge(arena, parameter.schema, &serde_json::Value::Array(items));
    }
    check_text(arena, parameter, raw, wire)
}

fn violation(kind: ViolationKind, name: &str, expected: &'static str) -> Violation {
    Violation {
        kind,
        location: Location::Cookie,
        name: safe_name(name).into(),
        pointer: "".into(),
        expected: expected.into(),
    }
}
