//! Cookies (RFC 6265, section 4.2.1): `a=b; c=d`, values in the `form` style.

use std::borrow::Cow;

use smallvec::SmallVec;

use super::{Reject, Wire, check_text, judge, missing, text};
use crate::model::{In, Operation, Parameter};
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
        described().any(|parameter| *parameter.name == *name)
            || operation
                .credential_names
                .iter()
                .any(|(place, known)| *place == In::Cookie && **known == *name)
    };
    for (name, _) in cookies.iter().filter(|(name, _)| !known(name)).take(MAX_VIOLATIONS) {
        out.push(violation(ViolationKind::UnknownParameter, name, "a cookie that the operation describes"));
    }
}

fn check(arena: &Arena, parameter: &Parameter, raw: &str) -> Result<(), Reject> {
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
