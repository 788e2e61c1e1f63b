//! Administrators and everybody else with one and the same key.
//!
//! **What it finds.** Operations below a path such as `/admin` whose security requirement is the same as that of
//! operations that are not.
//!
//! **The attack.** Broken function level authorization: an ordinary user calls the administrator's operation, and
//! nothing but code that may have been forgotten stands in the way.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "admin-unguarded",
    title: "an administrative operation asks for no more than the others",
    fix: "Require a scheme or a scope for administrative operations that ordinary callers do not have.",
    owasp: Owasp::Api5,
    cwe: 285,
    severity: Severity::Medium,
    suspects: true,
    once: false,
    guard: Some(("authorize", "`roles: [admin]` or `scopes: [...]` on the path")),
    source: include_str!("admin_unguarded.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if !operation.admin || !operation.is_protected() {
        return;
    }
    let own = demands(operation);
    let shared = description.operations.iter().any(|other| !other.admin && demands(other) == own);
    if shared {
        out.operation(operation, operation.spot.file, operation.key, operation.method);
    }
}

fn demands<'o>(operation: &'o Operation<'_>) -> Vec<Vec<(&'o str, &'o [&'o str])>> {
    let Security::AnyOf(_, any) = &operation.security else { return Vec::new() };
    any.iter()
        .map(|all| all.iter().map(|(member, scopes)| (&*member.key, scopes.as_slice())).collect())
        .collect()
}
