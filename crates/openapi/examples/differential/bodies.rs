//! Bodies: made to fit a schema, then mutated.

use serde_json::{Map, Value, json};

/// A generator that gives the same numbers on every machine (xorshift, Marsaglia 2003).
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end.max(1)
    }

    fn one<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = self.below(list.len());
        list.get(at)
    }
}

/// A value that mostly fits a schema of the document.
pub(crate) fn fitting(document: &Value, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
    if let Some(reference) = schema["$ref"].as_str() {
        let target = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
        return target.map_or(Value::Null, |target| fitting(document, target, chance, depth + 1));
    }
    if depth > 12 {
        return Value::Null;
    }
    if let Some(constant) = schema.get("const") {
        return constant.clone();
    }
    if let Some(values) = schema["enum"].as_array()
        && let Some(one) = chance.one(values)
    {
        return one.clone();
    }
    let mut out = Value::Null;
    for list in ["oneOf", "anyOf"] {
        if let Some(one) = schema[list].as_array().and_then(|list| chance.one(list).cloned()) {
            merge(&mut out, fitting(document, &one, chance, depth + 1));
        }
    }
    for part in schema["allOf"].as_array().into_iter().flatten() {
        merge(&mut out, fitting(document, part, chance, depth + 1));
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    let own = match kind {
        Some("object") => object(document, schema, chance, depth),
        None if schema.get("properties").is_some() => object(document, schema, chance, depth),
        Some("array") => {
            let least = schema["minItems"].as_u64().unwrap_or(0);
            let count = usize::try_from(least).unwrap_or(0).min(5) + chance.below(3);
            (0..count).map(|_| fitting(document, &schema["items"], chance, depth + 1)).collect()
        }
        Some("string") => text(schema, chance),
        Some("integer") => {
            json!(schema["minimum"].as_i64().unwrap_or(0) + i64::try_from(chance.below(100)).unwrap_or(0))
        }
        Some("number") => {
            json!(schema["minimum"].as_f64().unwrap_or(0.0) + [0.0, 0.5, 7.25][chance.below(3)])
        }
        Some("boolean") => json!(chance.below(2) == 0),
        _ => Value::Null,
    };
    merge(&mut out, own);
    out
}

fn object(document: &Value, schema: &Value, chance: &mut Chance, depth: usize) -> Value {
    let mut out = Map::new();
    let required = schema["required"].as_array();
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let must = required.is_some_and(|required| required.iter().any(|one| one == name));
        if must || depth < 4 && chance.below(3) > 0 {
            out.insert(name.clone(), fitting(document, inner, chance, depth + 1));
        }
    }
    if schema["additionalProperties"].is_object() && chance.below(2) == 0 {
        out.insert("extra".into(), fitting(document, &schema["additionalProperties"], chance, depth + 1));
    }
    Value::Object(out)
}

fn text(schema: &Value, chance: &mut Chance) -> Value {
    json!(match schema["format"].as_str() {
        Some("date-time") => "2024-02-29T12:00:00Z",
        Some("date") => "2024-02-29",
        Some("uuid") => "123e4567-e89b-12d3-a456-426614174000",
        Some("email") => "ada@example.com",
        Some("uri" | "url") => "https://example.com/a?b=c",
        Some("ipv4") => "192.0.2.1",
        Some("byte") => "YWJj",
        _ => ["", "a", "abc", "ABC-1", "an ordinary text", "ünïcödé", "123"][chance.below(7)],
    })
}

fn merge(into: &mut Value, other: Value) {
    match (into, other) {
        (Value::Object(into), Value::Object(other)) => into.extend(other),
        (_, Value::Null) => {}
        (into, other) => *into = other,
    }
}

/// Changes something somewhere in a value.
pub(crate) fn mutate(value: &mut Value, chance: &mut Chance) {
    let odd = |chance: &mut Chance| {
        [
            json!(null),
            json!(true),
            json!(0),
            json!(-1),
            json!(1.0),
            json!(1.5),
            json!(1e300),
            json!(2_147_483_648_u64),
            json!(u64::MAX),
            json!(i64::MIN),
            json!(9007199254740993_u64),
            json!(""),
            json!("x"),
            json!("\u{0}\"\\/\n"),
            json!("2024-02-30"),
            json!("😀"),
            json!([]),
            json!([1, 1.0]),
            json!({}),
            json!({"x": 1}),
            json!([null, null]),
        ][chance.below(21)]
        .clone()
    };
    match value {
        Value::Object(members) if !members.is_empty() && chance.below(5) > 0 => {
            let name = members.keys().nth(chance.below(members.len())).cloned().unwrap_or_default();
            match chance.below(6) {
                0 => drop(members.remove(&name)),
                1 => drop(
                    members.insert(["x", "type", "id", "ü", "kind"][chance.below(5)].into(), odd(chance)),
                ),
                2 => {
                    let moved = members.remove(&name).unwrap_or_default();
                    members.insert(format!("{name}2"), moved);
                }
                _ => {
                    if let Some(member) = members.get_mut(&name) {
                        mutate(member, chance);
                    }
                }
            }
        }
        Value::Array(items) if !items.is_empty() && chance.below(5) > 0 => {
            let at = chance.below(items.len());
            match chance.below(5) {
                0 => drop(items.remove(at)),
                1 => items.push(odd(chance)),
                2 => items.push(items[at].clone()),
                _ => mutate(&mut items[at], chance),
            }
        }
        other => *other = odd(chance),
    }
}

/// Writes a value as JSON, not always in the plainest way.
pub(crate) fn write(value: &Value, chance: &mut Chance) -> Vec<u8> {
    match chance.below(3) {
        0 => serde_json::to_vec_pretty(value).unwrap_or_default(),
        1 => {
            let mut out = String::new();
            for char in value.to_string().chars() {
                // Letters appear in names and texts, but for those of the literals.
                let plain = !char.is_alphabetic() || "truefalsn".contains(char) || char == 'e' || char == 'E';
                if plain || chance.below(8) > 0 {
                    out.push(char);
                } else {
                    let mut units = [0; 2];
                    for unit in char.encode_utf16(&mut units) {
                        out.push_str(&format!("\\u{unit:04x}"));
                    }
                }
            }
            out.into_bytes()
        }
        _ => value.to_string().into_bytes(),
    }
}

/// Changes bytes.
pub(crate) fn scramble(bytes: &mut Vec<u8>, chance: &mut Chance) {
    const PIECES: [&[u8]; 16] = [
        b"{",
        b"}",
        b"[",
        b"]",
        b",",
        b":",
        b"\"",
        b"\\",
        b"0",
        b"-",
        b"e9",
        b" ",
        b"\x01",
        b"\xff",
        b"\"a\":1,",
        b"null",
    ];
    for _ in 0..=chance.below(2) {
        let at = chance.below(bytes.len() + 1);
        match chance.below(4) {
            0 => bytes.truncate(at),
            1 => {
                let piece = PIECES[chance.below(PIECES.len())];
                bytes.splice(at..at, piece.iter().copied());
            }
            2 if at < bytes.len() => drop(bytes.remove(at)),
            _ => {
                let (from, length) = (chance.below(bytes.len() + 1), chance.below(30));
                let piece: Vec<u8> = bytes.iter().skip(from).take(length).copied().collect();
                bytes.splice(at..at, piece);
            }
        }
    }
}
