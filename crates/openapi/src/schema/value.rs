//! Equality of JSON values as JSON Schema means it: `1` is `1.0`.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hash, Hasher};

use serde_json::Value;

use super::number;

pub(crate) fn equal(left: &Value, right: &Value) -> bool {
    match (left, right) {
        (Value::Number(left), Value::Number(right)) => number::compare(left, right).is_eq(),
        (Value::Array(left), Value::Array(right)) => {
            left.len() == right.len() && left.iter().zip(right).all(|(left, right)| equal(left, right))
        }
        (Value::Object(left), Value::Object(right)) => {
            left.len() == right.len()
                && left.iter().all(|(key, left)| right.get(key).is_some_and(|right| equal(left, right)))
        }
        (left, right) => left == right,
    }
}

/// How many values a value consists of.
pub(crate) fn parts(value: &Value) -> usize {
    match value {
        Value::Array(items) => 1 + items.iter().map(parts).sum::<usize>(),
        Value::Object(members) => 1 + members.values().map(parts).sum::<usize>(),
        _ => 1,
    }
}

/// Whether no two items are equal. Hashes are keyed at random, so that no sender can make them collide.
pub(crate) fn all_unique(items: &[Value]) -> bool {
    if items.len() <= 12 {
        return items
            .iter()
            .enumerate()
            .all(|(index, item)| items.iter().skip(index + 1).all(|other| !equal(item, other)));
    }
    let state = RandomState::new();
    let mut hashes: Vec<(u64, usize)> = items
        .iter()
        .enumerate()
        .map(|(index, item)| {
            let mut hasher = state.build_hasher();
            hash(item, &mut hasher, &state);
            (hasher.finish(), index)
        })
        .collect();
    hashes.sort_unstable();
    hashes.windows(2).all(|pair| match pair {
        [(first, left), (second, right)] if first == second => match (items.get(*left), items.get(*right)) {
            (Some(left), Some(right)) => !equal(left, right),
            _ => true,
        },
        _ => true,
    })
}

fn hash(value: &Value, hasher: &mut impl Hasher, state: &RandomState) {
    match value {
        Value::Null => 0_u8.hash(hasher),
        Value::Bool(value) => (1_u8, value).hash(hasher),
        Value::Number(number) => {
            // Equal numbers are equal as floats, whatever they are stored as; zero has two signs.
            let float = number.as_f64().unwrap_or(0.0);
            (2_u8, if float == 0.0 { 0 } else { float.to_bits() }).hash(hasher);
        }
        Value::String(text) => (3_u8, text).hash(hasher),
        Value::Array(items) => {
            (4_u8, items.len()).hash(hasher);
            items.iter().for_each(|item| hash(item, hasher, state));
        }
        Value::Object(members) => {
            // The order of members does not count.
            let sum = members.iter().fold(0_u64, |sum, (key, value)| {
                let mut inner = state.build_hasher();
                key.hash(&mut inner);
                hash(value, &mut inner, state);
                sum.wrapping_add(inner.finish())
            });
            (5_u8, members.len(), sum).hash(hasher);
        }
    }
}
