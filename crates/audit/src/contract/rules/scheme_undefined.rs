//! A requirement that nobody can meet.
//!
//! **What it finds.** Names in `security` that `securitySchemes` does not have.
//!
//! **The attack.** Tools that do not know the scheme skip it: the operation is believed to be protected, and what was
//! generated from the description lets everybody in. Portcullis refuses such an operation.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "scheme-undefined",
    title: "a requirement names a security scheme that is not defined",
    fix: "Define the scheme, or correct its name.",
    owasp: Owasp::Api2,
    cwe: 1068,
    severity: Severity::High,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("scheme_undefined.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let Security::AnyOf(at, any) = &operation.security else { return };
    for (member, _) in any.iter().flatten() {
        if !description.schemes.iter().any(|scheme| *scheme.name == *member.key) {
            out.place(at.with(&member.value), &member.key, &[operation.index]);
        }
    }
}
