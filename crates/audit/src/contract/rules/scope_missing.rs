//! Any token opens it.
//!
//! **What it finds.** Requirements of an OAuth 2 or OpenID Connect scheme with an empty list of scopes.
//!
//! **The attack.** A token that was issued for something harmless (reading a profile, another application) is good for
//! this operation, too.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "scope-missing",
    title: "an operation behind OAuth 2 asks for no scope",
    fix: "Name the scopes that a token needs for this operation.",
    owasp: Owasp::Api5,
    cwe: 862,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("authorize", "`scopes: [...]` on the operation")),
    source: include_str!("scope_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let Security::AnyOf(at, any) = &operation.security else { return };
    let by_scopes = |name: &str| {
        description
            .schemes
            .iter()
            .any(|scheme| scheme.name == name && matches!(scheme.kind, "oauth2" | "openIdConnect"))
    };
    for (member, scopes) in any.iter().flatten() {
        if scopes.is_empty() && by_scopes(&member.key) {
            out.place(at.with(&member.value), &member.key, &[operation.index]);
        }
    }
}
