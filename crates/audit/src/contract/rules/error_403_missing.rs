//! What a caller without the right to this object gets.
//!
//! **What it finds.** Protected operations on a single object (a parameter in the path), and those with scopes, that
//! describe none of `403`, `404`, `4XX` and `default`.
//!
//! **Why it matters.** An operation without an answer for `not yours` is often one that does not ask whose it is.
//! `--fix` adds the answer.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-403-missing",
    title: "protected operations do not say how they refuse callers without the right",
    fix: "Describe `403` (or `404`, or `default`) with the error's schema.",
    owasp: Owasp::Api8,
    cwe: 754,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: None,
    source: include_str!("error_403_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let scoped = match &operation.security {
        Security::AnyOf(_, any) => any.iter().flatten().any(|(_, scopes)| !scopes.is_empty()),
        _ => false,
    };
    let one = operation.path.contains('{');
    if operation.is_protected() && (scoped || one) && operation.response("404").is_none() {
        missing_response(operation, "403", "The caller may not do this", out);
    }
}
