//! Arrays and objects by the style that a parameter is written in (OpenAPI 3.1, "Style Examples").

use serde_json::{Map, Value};
use smallvec::SmallVec;

use super::{Reject, Wire, text};
use crate::model::{Parameter, Style};
use crate::schema::Arena;

/// Items or members that one parameter may have.
pub(super) const MAX_ITEMS: usize = 10_000;

type Parts<'a> = SmallVec<[&'a str; 16]>;

/// A text without what its style puts around it: `.` of a label, `;name=` of a matrix.
pub(super) fn undressed<'a>(parameter: &Parameter, raw: &'a str) -> Result<&'a str, Reject> {
    match parameter.style {
        Style::Label => raw.strip_prefix('.').ok_or_else(|| Reject::text("a dot before the value")),
        Style::Matrix => {
            let named = raw.strip_prefix(';').and_then(|rest| rest.strip_prefix(&*parameter.name));
            match named {
                Some("") => Ok(""),
                Some(rest) => rest.strip_prefix('=').ok_or_else(|| Reject::text("`;name=` before the value")),
                None => Err(Reject::text("`;name=` before the value")),
            }
        }
        _ => Ok(raw),
    }
}

pub(super) fn array(arena: &Arena, parameter: &Parameter, raw: &str, wire: Wire) -> Result<Value, Reject> {
    let mut parts = Parts::new();
    match parameter.style {
        Style::Matrix if parameter.explode => {
            for part in
                raw.strip_prefix(';').ok_or_else(|| Reject::text("`;name=` before each item"))?.split(';')
            {
                let item = part.strip_prefix(&*parameter.name).and_then(|rest| rest.strip_prefix('='));
                parts.push(item.ok_or_else(|| Reject::text("`;name=` before each item"))?);
            }
        }
        _ => parts = split(parameter, undressed(parameter, raw)?),
    }
    if parts.len() > MAX_ITEMS {
        return Err(too_many());
    }
    let read = |(index, part): (usize, &&str)| {
        let decoded = wire.decode(part)?;
        Ok(text::coerce(arena, arena.item_schema(parameter.schema, index), &decoded))
    };
    let value = parts.iter().enumerate().map(read).collect::<Result<Vec<_>, Reject>>().map(Value::Array)?;
    if parts.len() == 1
        && wire != Wire::Plain
        && let Some(wider) = encoded_commas(arena, parameter, raw, wire)
        && !arena.accepts(parameter.schema, &value, crate::schema::Direction::Request)
    {
        return Ok(wider);
    }
    Ok(value)
}

/// Many senders percent-encode the comma that separates as well as those inside items.
fn encoded_commas(arena: &Arena, parameter: &Parameter, raw: &str, wire: Wire) -> Option<Value> {
    if parameter.style != Style::Form && parameter.style != Style::Simple {
        return None;
    }
    let text = wire.decode(raw).ok()?;
    if !text.contains(',') || text.matches(',').count() > MAX_ITEMS {
        return None;
    }
    let item =
        |(index, part): (usize, &str)| text::coerce(arena, arena.item_schema(parameter.schema, index), part);
    Some(Value::Array(text.split(',').enumerate().map(item).collect()))
}

pub(super) fn object(arena: &Arena, parameter: &Parameter, raw: &str, wire: Wire) -> Result<Value, Reject> {
    let mut members = Map::new();
    let mut add = |key: &str, value: &str| {
        let key = wire.decode(key)?;
        let value = wire.decode(value)?;
        let schema = arena.member_schema(parameter.schema, &key).unwrap_or(crate::schema::SchemaId::ANY);
        let value = text::coerce(arena, schema, &value);
        match members.insert(key.into_owned(), value) {
            Some(_) => Err(Reject::text("each member once")),
            None => Ok(()),
        }
    };
    let pairs = || Reject::text("members as `name=value`");
    match (parameter.style, parameter.explode) {
        (Style::Simple, true) => {
            for part in raw.split(',').filter(|part| !part.is_empty()).take(MAX_ITEMS) {
                let (key, value) = part.split_once('=').ok_or_else(pairs)?;
                add(key, value)?;
            }
        }
        (Style::Label, true) => {
            for part in undressed(parameter, raw)?.split('.').take(MAX_ITEMS) {
                let (key, value) = part.split_once('=').ok_or_else(pairs)?;
                add(key, value)?;
            }
        }
        (Style::Matrix, true) => {
            for part in raw.strip_prefix(';').ok_or_else(pairs)?.split(';').take(MAX_ITEMS) {
                let (key, value) = part.split_once('=').ok_or_else(pairs)?;
                add(key, value)?;
            }
        }
        _ => {
            let parts = split(parameter, undressed(parameter, raw)?);
            if parts.len() > MAX_ITEMS {
                return Err(too_many());
            }
            for pair in parts.chunks(2) {
                let [key, value] = pair else {
                    return Err(Reject::text("names and values in turn"));
                };
                add(key, value)?;
            }
        }
    }
    Ok(Value::Object(members))
}

/// Splits a text at what separates items in its style. An empty text has no items.
fn split<'a>(parameter: &Parameter, raw: &'a str) -> Parts<'a> {
    if raw.is_empty() {
        return Parts::new();
    }
    let separators: &[&str] = match parameter.style {
        Style::SpaceDelimited => &["%20", "+", " "],
        Style::PipeDelimited => &["|", "%7C", "%7c"],
        Style::TabDelimited => &["%09", "\t"],
        // 3.0 wrote the items of a label with dots, 3.1 with commas unless exploded.
        Style::Label if parameter.explode || !raw.contains(',') => &["."],
        _ => &[","],
    };
    let mut parts = Parts::new();
    let mut rest = raw;
    while parts.len() <= MAX_ITEMS {
        let next =
            separators.iter().filter_map(|separator| Some((rest.find(separator)?, separator.len()))).min();
        let Some((at, width)) = next else { break };
        parts.push(rest.get(..at).unwrap_or_default());
        rest = rest.get(at + width..).unwrap_or_default();
    }
    parts.push(rest);
    parts
}

pub(super) fn too_many() -> Reject {
    Reject::text(format!("at most {MAX_ITEMS} items"))
}
