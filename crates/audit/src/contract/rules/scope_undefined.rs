//! A scope that nobody can be given.
//!
//! **What it finds.** Scopes in an OAuth 2 requirement that none of the scheme's flows lists.
//!
//! **The attack.** What asks for a scope that does not exist is either closed for all, and then opened in a hurry, or
//! not checked at all.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "scope-undefined",
    title: "a requirement names a scope that the scheme does not have",
    fix: "Add the scope to the scheme's flows, or correct its name.",
    owasp: Owasp::Api5,
    cwe: 1068,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("scope_undefined.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let Security::AnyOf(at, any) = &operation.security else { return };
    for (member, scopes) in any.iter().flatten() {
        let Some(scheme) = description.schemes.iter().find(|scheme| *scheme.name == *member.key) else {
            continue;
        };
        if scheme.kind != "oauth2" {
            continue;
        }
        let known: Vec<&str> = flows(scheme)
            .filter_map(|(_, _, flow)| flow.get("scopes"))
            .flat_map(|scopes| scopes.members().iter().map(|member| &*member.key))
            .collect();
        for scope in scopes.iter().filter(|scope| !known.contains(scope)) {
            out.place(at.with(&member.value), scope, &[operation.index]);
        }
    }
}
