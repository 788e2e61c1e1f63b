//! Texts: percent-decoding, and scalars of a type where the wire has none.

use std::borrow::Cow;

use serde_json::{Number, Value};

use super::Reject;
use crate::schema::{Arena, Direction, SchemaId, Types};

/// How a text is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wire {
    /// Percent-encoded (RFC 3986).
    Percent,
    /// As in a form: a plus sign is a space.
    Form,
    /// As it is.
    Plain,
}

impl Wire {
    /// The text that is meant. A broken escape, bytes that are no UTF-8, and NUL are refused.
    pub(crate) fn decode(self, raw: &str) -> Result<Cow<'_, str>, Reject> {
        if self == Self::Plain {
            // Lists in headers may have white space around their items (RFC 9110, section 5.6.1).
            return Ok(Cow::Borrowed(raw.trim_matches([' ', '\t'])));
        }
        let plus = self == Self::Form;
        let bytes = raw.as_bytes();
        if memchr::memchr2(b'%', if plus { b'+' } else { b'%' }, bytes).is_none() {
            return Ok(Cow::Borrowed(raw));
        }
        let malformed = || Reject::text("percent-encoded UTF-8");
        let mut out = Vec::with_capacity(bytes.len());
        let mut rest = bytes;
        while let Some((byte, after)) = rest.split_first() {
            rest = after;
            match byte {
                b'%' => {
                    let [high, low, after @ ..] = rest else { return Err(malformed()) };
                    let digit =
                        |byte: &u8| char::from(*byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                    let (Some(high), Some(low)) = (digit(high), digit(low)) else { return Err(malformed()) };
                    out.push(high << 4 | low);
                    rest = after;
                }
                b'+' if plus => out.push(b' '),
                byte => out.push(*byte),
            }
        }
        if out.contains(&0) {
            return Err(malformed());
        }
        String::from_utf8(out).map(Cow::Owned).map_err(|_| malformed())
    }
}

/// Checks a text as a scalar: as each type that the schema allows and the text can be.
pub(crate) fn check_scalar(arena: &Arena, schema: SchemaId, types: Types, text: &str) -> Result<(), Reject> {
    let mut failed = None;
    for value in typed(types, text).into_iter().flatten() {
        if arena.accepts(schema, &value, Direction::Request) {
            return Ok(());
        }
        failed.get_or_insert(value);
    }
    if types.has(Types::STRING) {
        if arena.get(schema).is_plain() {
            match arena.validate_text(schema, text) {
                Ok(()) => return Ok(()),
                Err(expected) if failed.is_none() => return Err(Reject::Malformed(expected)),
                Err(_) => {}
            }
        } else {
            let value = Value::String(text.into());
            if arena.accepts(schema, &value, Direction::Request) {
                return Ok(());
            }
            failed.get_or_insert(value);
        }
    }
    let value = failed.unwrap_or_else(|| Value::String(text.into()));
    Err(Reject::Issues(arena.validate(schema, &value, Direction::Request)))
}

/// The value that a text stands for: of the first type that the schema accepts.
pub(crate) fn coerce(arena: &Arena, schema: SchemaId, text: &str) -> Value {
    if schema == SchemaId::ANY {
        return Value::String(text.into());
    }
    let types = arena.types_of(schema);
    let mut first = None;
    for value in typed(types, text).into_iter().flatten() {
        if arena.accepts(schema, &value, Direction::Request) {
            return value;
        }
        first.get_or_insert(value);
    }
    if types.has(Types::STRING) {
        let value = Value::String(text.into());
        if first.is_none() || arena.accepts(schema, &value, Direction::Request) {
            return value;
        }
    }
    first.unwrap_or_else(|| Value::String(text.into()))
}

/// What a text can be besides a string, of the types allowed. None of them allocates.
fn typed(types: Types, text: &str) -> [Option<Value>; 3] {
    let number = types.has(Types::NUMBER).then(|| number(text, types.has(Types::FRACTION))).flatten();
    let boolean = match text {
        "true" if types.has(Types::BOOLEAN) => Some(Value::Bool(true)),
        "false" if types.has(Types::BOOLEAN) => Some(Value::Bool(false)),
        _ => None,
    };
    let null = (types.has(Types::NULL) && text == "null").then_some(Value::Null);
    [number.map(Value::Number), boolean, null]
}

/// A number as JSON writes it; digits only unless fractions are allowed.
fn number(text: &str, fractions: bool) -> Option<Number> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let first = digits.bytes().next()?;
    if !first.is_ascii_digit() || first == b'0' && digits.as_bytes().get(1).is_some_and(u8::is_ascii_digit) {
        return None;
    }
    if digits.bytes().all(|byte| byte.is_ascii_digit()) {
        if let Ok(value) = text.parse::<i64>() {
            return Some(value.into());
        }
        if let Ok(value) = text.parse::<u64>() {
            return Some(value.into());
        }
    } else if !fractions || text.len() > 64 {
        return None;
    }
    serde_json::from_str(text).ok()
}
