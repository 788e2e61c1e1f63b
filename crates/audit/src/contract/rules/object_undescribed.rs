//! Objects in requests of which nothing is said.
//!
//! **What it finds.** `type: object` in requests without properties, without a schema for further ones, and without
//! parts that have them.
//!
//! **The attack.** Whatever is sent gets through: operators of a database query, prototype properties, any depth.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "object-undescribed",
    title: "an object of any content is accepted",
    fix: "Describe its properties, or the values it may hold.",
    owasp: Owasp::Api8,
    cwe: 20,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("validate", "`unknown_properties: enforce`; inspect looks into every value")),
    source: include_str!("object_undescribed.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    let described =
        facts.properties.is_some_and(|node| node.as_object().is_some_and(|list| !list.is_empty()))
            || facts.additional.is_some_and(|node| node.as_object().is_some_and(|list| !list.is_empty()))
            || schema.spot.node.get("patternProperties").is_some();
    if in_request(description, schema)
        && facts.object
        && !described
        && !facts.closed
        && !facts.combined
        && !facts.fixed
        && schema.role != Role::All
    {
        out.schema(schema, true, false);
    }
}
