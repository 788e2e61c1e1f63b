//! What a schema expects, in words. Values of the contract may appear, those of a message never.

use std::borrow::Cow;

use serde_json::Value;

use super::{Constants, Types};

/// Values of an enumeration that are listed at most.
const LISTED: usize = 8;

/// Bytes of a contract's own text that are shown at most.
const SHOWN: usize = 120;

pub(super) fn types(types: Types, nullable: bool) -> Cow<'static, str> {
    let types = if nullable { types.with(Types::NULL) } else { types };
    let single = match types {
        Types::NULL => "null",
        Types::BOOLEAN => "a boolean",
        Types::INTEGER => "an integer",
        Types::NUMBER => "a number",
        Types::STRING => "a string",
        Types::ARRAY => "an array",
        Types::OBJECT => "an object",
        Types::NONE => "nothing",
        _ => "",
    };
    if !single.is_empty() {
        return single.into();
    }
    let mut names = Vec::new();
    for (one, name) in [
        (Types::STRING, "a string"),
        (Types::NUMBER, "a number"),
        (Types::INTEGER, "an integer"),
        (Types::BOOLEAN, "a boolean"),
        (Types::ARRAY, "an array"),
        (Types::OBJECT, "an object"),
        (Types::NULL, "null"),
    ] {
        let whole = types.and(one) == one;
        if whole && !(one == Types::INTEGER && types.and(Types::NUMBER) == Types::NUMBER) {
            names.push(name);
        }
    }
    names.join(" or ").into()
}

pub(super) fn constants(constants: &Constants) -> Cow<'static, str> {
    let strings = constants.strings.iter().map(|text| format!("`{}`", cut(text)));
    let others = constants.others.iter().map(|value| match value {
        Value::Array(_) => "an array of the contract".to_owned(),
        Value::Object(_) => "an object of the contract".to_owned(),
        value => format!("`{}`", cut(&value.to_string())),
    });
    let mut all: Vec<String> = strings.chain(others).take(LISTED + 1).collect();
    match all.len() {
        0 => "nothing".into(),
        1 => all.pop().unwrap_or_default().into(),
        count if count <= LISTED => format!("one of {}", all.join(", ")).into(),
        _ => {
            all.truncate(LISTED);
            format!("one of {} …", all.join(", ")).into()
        }
    }
}

/// A contract's own text, shortened.
pub(super) fn cut(text: &str) -> String {
    let mut out = String::new();
    crate::report::push_safe(&mut out, text, SHOWN);
    out
}
