//! JSON of credentials: an object, no member named twice at any depth, bounded.

use portcullis_engine::Bounds;
use portcullis_engine::body::parse_json;
use serde_json::{Map, Value};

/// A parsed JSON object.
pub(crate) type Object = Map<String, Value>;

/// The object that `bytes` spell. At most `depth` levels and `values` values.
pub(crate) fn object(bytes: &[u8], depth: u32, values: u32) -> Option<Object> {
    let bounds = Bounds { json_depth: depth, json_values: values, ..Bounds::default() };
    match parse_json(bytes, &bounds) {
        Ok(Value::Object(members)) => Some(members),
        _ => None,
    }
}

/// Member `name`, which must be a string where it is there.
pub(crate) fn text<'a>(object: &'a Object, name: &str) -> Result<Option<&'a str>, NotText> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(NotText),
    }
}

/// A member that must be a string is something else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotText;
