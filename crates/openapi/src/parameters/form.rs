//! `application/x-www-form-urlencoded` bodies.

use std::borrow::Cow;

use serde_json::{Map, Value};

use super::{Reject, Wire, query, text};
use crate::model::Media;
use crate::schema::{Arena, Issue, SchemaId};

/// `name=value` pairs that a form may have.
const MAX_PAIRS: usize = 10_000;

/// Reads a form as the object that its schema describes.
///
/// # Errors
/// If the bytes are no form, or a field cannot be read by its encoding.
pub(crate) fn form_value(arena: &Arena, media: &Media, body: &[u8]) -> Result<Value, Vec<Issue>> {
    let whole =
        |expected: &'static str| vec![Issue { pointer: String::new(), expected: Cow::from(expected) }];
    let text = std::str::from_utf8(body).map_err(|_| whole("UTF-8"))?;
    let text = text.trim_end_matches(['\r', '\n']);
    let pairs = query::scan(text, &media.fields, MAX_PAIRS).map_err(whole)?;
    let mut members = Map::new();
    let mut issues = Vec::new();
    for (index, field) in media.fields.iter().enumerate() {
        let mut own = pairs.iter().filter(|pair| pair.is_of(index));
        let Some(first) = own.next() else { continue };
        let json = || {
            let decoded = Wire::Form.decode(first.value).ok()?;
            let looks = field.decoder.json || decoded.starts_with(['{', '[']) && !field.decoder.is_scalar();
            looks.then(|| serde_json::from_str::<Value>(&decoded).ok()).flatten()
        };
        let only = own.next().is_none();
        let value = match only.then(json).flatten() {
            Some(value) => Ok(value),
            None => query::read(arena, field, &pairs, index, Wire::Form),
        };
        match value {
            Ok(value) => {
                members.insert(field.name.to_string(), value);
            }
            Err(Reject::Malformed(expected)) => {
                issues.push(Issue { pointer: pointer(&field.name), expected });
            }
            Err(Reject::Issues(inner)) => issues.extend(inner),
        }
    }
    let schema = media.schema.unwrap_or(SchemaId::ANY);
    for pair in pairs.iter().filter(|pair| pair.is_nobodys()) {
        let decoded = Wire::Form.decode(pair.value).map_err(|_| whole("percent-encoded UTF-8"))?;
        let inner = arena.member_schema(schema, &pair.name).unwrap_or(SchemaId::ANY);
        members.insert(pair.name.to_string(), text::coerce(arena, inner, &decoded));
    }
    if issues.is_empty() { Ok(Value::Object(members)) } else { Err(issues) }
}

pub(super) fn pointer(name: &str) -> String {
    let mut pointer = String::from("/");
    crate::report::push_safe(
        &mut pointer,
        &name.replace('~', "~0").replace('/', "~1"),
        crate::report::MAX_NAME,
    );
    pointer
}
