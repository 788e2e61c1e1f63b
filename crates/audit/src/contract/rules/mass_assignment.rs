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
    let candidate =
        schema.role == Role::Property && !schema.facts.read_only && names::is_privileged(schema.name);
    if !candidate || !in_request(description, schema) {
        return;
    }
    let by_others = description.operations.iter().any(|operation| {
        let reached = description.reach.request(operation.index as usize).has(schema.unit as usize);
        reached && operation.body.is_some() && operation.writes() && !names::is_admin(operation.path)
    });
    if by_others {
        out.schema(schema, true, false);
    }
}
