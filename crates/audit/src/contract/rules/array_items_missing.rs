//! Lists of anything.
//!
//! **What it finds.** Arrays in requests without `items` or `prefixItems`.
//!
//! **The attack.** What is not described is not checked: nested structures of any depth get through.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "array-items-missing",
    title: "what stands in a list is not described",
    fix: "Describe the items (`items`).",
    owasp: Owasp::Api8,
    cwe: 20,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("array_items_missing.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    if in_request(description, schema) && facts.array && !facts.items && !facts.fixed && !facts.reference {
        out.schema(schema, true, false);
    }
}
