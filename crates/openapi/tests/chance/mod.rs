//! Schemas and values by chance: every keyword, often. The test of the oracle and the fuzz target share it.

use serde_json::{Map, Value, json};

/// A generator that gives the same numbers on every machine (xorshift, Marsaglia 2003).
#[derive(Debug)]
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    /// A number below `end`.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 >> 33).unwrap_or(0) % end
    }

    fn one<'a>(&mut self, list: &'a [&'a str]) -> &'a str {
        list[self.below(list.len())]
    }
}

const NAMES: &[&str] = &["a", "b", "c", "aa", "é"];
const TYPES: &[&str] = &["null", "boolean", "integer", "number", "string", "array", "object"];

/// A value, nested so deep at most.
pub(crate) fn value(chance: &mut Chance, depth: usize) -> Value {
    match chance.below(if depth == 0 { 7 } else { 10 }) {
        0 => Value::Null,
        1 => json!(chance.below(2) == 0),
        2 => json!(i64::try_from(chance.below(7)).unwrap_or(0) - 2),
        3 => [json!(0.5), json!(1.0), json!(2.5), json!(-1.0)][chance.below(4)].clone(),
        4 | 5 => json!(chance.one(NAMES)),
        6 => json!(["", "abc", "2024-01-01", "éé"][chance.below(4)]),
        7 => (0..chance.below(4)).map(|_| value(chance, depth - 1)).collect(),
        _ => (0..chance.below(4)).map(|_| (chance.one(NAMES).to_owned(), value(chance, depth - 1))).collect(),
    }
}

/// A schema, nested so deep at most.
pub(crate) fn schema(chance: &mut Chance, depth: usize) -> Value {
    if depth == 0 || chance.below(12) == 0 {
        return [json!(true), json!(false), json!({}), json!({"type": chance.one(TYPES)})][chance.below(4)]
            .clone();
    }
    let mut out = Map::new();
    let inner = |chance: &mut Chance| schema(chance, depth - 1);
    for _ in 0..=chance.below(3) {
        let small = chance.below(4);
        let (key, keyword) = match chance.below(30) {
            0 | 1 => ("type", json!(chance.one(TYPES))),
            2 => ("type", json!([chance.one(TYPES), chance.one(TYPES)])),
            3 => ("enum", (0..=small).map(|_| value(chance, 1)).collect()),
            4 => ("const", value(chance, 1)),
            5 => ("minimum", json!(small)),
            6 => ("exclusiveMaximum", json!(small)),
            7 => ("multipleOf", [json!(2), json!(0.5)][small % 2].clone()),
            8 => ("minLength", json!(small)),
            9 => ("maxLength", json!(small)),
            10 => ("pattern", json!(["^a", "b$", "^[a-c]{1,2}$", "."][small])),
            11 => ("items", inner(chance)),
            12 => ("prefixItems", (0..=small).map(|_| inner(chance)).collect()),
            13 => ("contains", inner(chance)),
            14 => ("minContains", json!(small)),
            15 => ("maxItems", json!(small)),
            16 => ("uniqueItems", json!(true)),
            17 | 18 => {
                ("properties", (0..=small).map(|_| (chance.one(NAMES).to_owned(), inner(chance))).collect())
            }
            19 => ("patternProperties", json!({(["^a", "é", "b|c"][small % 3]): inner(chance)})),
            20 => ("additionalProperties", inner(chance)),
            21 => ("required", json!([chance.one(NAMES)])),
            22 => ("propertyNames", inner(chance)),
            23 => ("minProperties", json!(small)),
            24 => ("allOf", (0..=small % 2).map(|_| inner(chance)).collect()),
            25 => ("anyOf", (0..=small % 3).map(|_| inner(chance)).collect()),
            26 => ("oneOf", (0..=small % 3).map(|_| inner(chance)).collect()),
            27 => ("not", inner(chance)),
            28 => ("unevaluatedProperties", inner(chance)),
            _ => ("unevaluatedItems", inner(chance)),
        };
        out.insert(key.to_owned(), keyword);
        match chance.below(12) {
            0 => {
                out.insert("if".into(), inner(chance));
                out.insert("then".into(), inner(chance));
                out.insert("else".into(), inner(chance));
            }
            1 => {
                out.insert("dependentRequired".into(), json!({chance.one(NAMES): [chance.one(NAMES)]}));
                out.insert("dependentSchemas".into(), json!({chance.one(NAMES): inner(chance)}));
            }
            _ => {}
        }
    }
    Value::Object(out)
}
