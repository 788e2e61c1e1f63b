//! Arrays in answers without a limit.
//!
//! **What it finds.** Arrays that are the whole answer, without `maxItems`.
//!
//! **The attack.** One call that reads the whole table: cost for the API, a copy of the data for the caller.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "response-array-unbounded",
    title: "answers may hold lists of any length",
    fix: "Page the list, and give it `maxItems`.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Info,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("response_array_unbounded.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let unit = description.units.get(schema.unit as usize);
    let answers = unit.is_some_and(|unit| unit.response && !unit.request);
    if answers && schema.role == Role::Root && schema.facts.array && !schema.facts.max_items {
        out.schema(schema, false, true);
    }
}
