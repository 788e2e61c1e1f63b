//! Roles, owners and balances in request bodies.
//!
//! **What it finds.** Properties of request bodies, not `readOnly`, named like privileges (`role`, `isAdmin`,
//! `permissions`), ownership (`ownerId`, `tenantId`, `createdBy`), state (`verified`, `approved`) or money (`balance`,
//! `creditLimit`). Operations of administrators are left out.
//!
//! **The attack.** A caller registers as an administrator, or gives itself credit.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "mass-assignment",
    title: "a request may set what only the server should decide",
    fix: "Mark it `readOnly`, or use a schema of its own for requests.",
    owasp: Owasp::Api3,
    cwe: 915,
    severity: Severity::High,
    suspects: true,
    once: false,
    guard: Some(("validate", "refuses `readOnly` properties in requests")),
    source: include_str!("mass_assignment.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let candidate = schema.meaning.privileged && !schema.facts.read_only;
    if candidate && description.uses.written.has(schema.unit as usize) {
        out.schema(schema, true, false);
    }
}
