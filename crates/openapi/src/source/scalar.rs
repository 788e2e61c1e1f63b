//! Plain scalars: the core schema of YAML 1.2 (section 10.3.2), and numbers of both syntaxes.

use super::Kind;
use serde_json::Number;

/// What a plain scalar of YAML stands for.
pub(super) fn resolve(text: &str) -> Kind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Kind::Null,
        "true" | "True" | "TRUE" => return Kind::Bool(true),
        "false" | "False" | "FALSE" => return Kind::Bool(false),
        _ => {}
    }
    match as_number(text) {
        Some(number) => Kind::Number(number),
        None => Kind::String(text.into()),
    }
}

/// The number that a plain scalar of YAML spells, if it spells one. Infinity and NaN are not numbers of JSON.
pub(super) fn as_number(text: &str) -> Option<Number> {
    if let Some(digits) = text.strip_prefix("0o") {
        return digits
            .bytes()
            .all(|byte| matches!(byte, b'0'..=b'7'))
            .then(|| u64::from_str_radix(digits, 8).ok())?
            .map(Number::from);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u64::from_str_radix(digits, 16).ok())?
            .map(Number::from);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    let whole = unsigned.bytes().take_while(u8::is_ascii_digit).count();
    let rest = unsigned.get(whole..)?;
    let (fraction, rest) = match rest.strip_prefix('.') {
        Some(rest) => {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            (Some(digits), rest.get(digits..)?)
        }
        None => (None, rest),
    };
    if whole == 0 && fraction.unwrap_or(0) == 0 {
        return None;
    }
    let exponent = match rest.strip_prefix(['e', 'E']) {
        Some(rest) => {
            let digits = rest.strip_prefix(['-', '+']).unwrap_or(rest);
            if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return None;
            }
            true
        }
        None if rest.is_empty() => false,
        None => return None,
    };
    number(text.strip_prefix('+').unwrap_or(text), fraction.is_none() && !exponent)
}

/// A number from its decimal text. Integers beyond 64 bits become floats; floats beyond 64 bits the largest.
pub(super) fn number(text: &str, integral: bool) -> Option<Number> {
    if integral {
        if let Ok(value) = text.parse::<i64>() {
            return Some(Number::from(value));
        }
        if let Ok(value) = text.parse::<u64>() {
            return Some(Number::from(value));
        }
    }
    let value: f64 = text.parse().ok()?;
    Number::from_f64(value.clamp(f64::MIN, f64::MAX))
}
