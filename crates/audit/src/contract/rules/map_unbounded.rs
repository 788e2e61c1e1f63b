//! Maps in requests without a limit.
//!
//! **What it finds.** Objects in requests with a schema for further properties and without `maxProperties`.
//!
//! **The attack.** Hundreds of thousands of keys in one object: memory, and slow hashing behind the gateway.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "map-unbounded",
    title: "a map of any size is accepted",
    fix: "Give it `maxProperties`.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("map_unbounded.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    let map = facts.additional.is_some_and(|node| node.as_object().is_some());
    if in_request(description, schema) && map && !facts.max_properties {
        unbounded(schema, "maxProperties", 1000, out);
    }
}
