//! Arrays in requests without a limit.
//!
//! **What it finds.** Arrays that requests may hold, without `maxItems`.
//!
//! **The attack.** A hundred thousand items where ten were meant, each of which costs a query or a call.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "array-unbounded",
    title: "lists of any length are accepted",
    fix: "Give it `maxItems`.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some((
        "validate",
        "enforces `maxItems` as soon as the contract has one; bodies are bounded as a whole",
    )),
    source: include_str!("array_unbounded.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    if in_request(description, schema) && facts.array && !facts.max_items && !facts.fixed && !facts.read_only
    {
        unbounded(schema, "maxItems", 1000, out);
    }
}
