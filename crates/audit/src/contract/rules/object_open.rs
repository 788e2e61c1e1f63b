//! Objects in requests that may hold more than they describe.
//!
//! **What it finds.** Objects with properties, in requests, that do not forbid further ones. Parts of `allOf`, `anyOf`
//! and `oneOf` are left out: closing them alone would refuse what the other parts describe.
//!
//! **The attack.** Mass assignment: `"role": "admin"` beside the name, and a framework that binds what it gets.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "object-open",
    title: "a request may hold properties that nobody described",
    fix: "Write `additionalProperties: false` (with `allOf`: `unevaluatedProperties: false`).",
    owasp: Owasp::Api3,
    cwe: 915,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("validate", "`unknown_properties: enforce` refuses them whatever the contract says")),
    source: include_str!("object_open.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    let part = matches!(schema.role, Role::All | Role::Any) || facts.combined;
    let open = facts.additional.is_none_or(|node| node.as_bool() == Some(true));
    if in_request(description, schema)
        && facts.properties.is_some()
        && open
        && !facts.closed
        && !part
        && !facts.read_only
    {
        out.schema(schema, true, false);
        match facts.additional {
            None => out.insert(schema.spot, "additionalProperties", || false.into(), false),
            Some(node) => out.replace(schema.spot.with(node), || false.into(), false),
        }
    }
}
