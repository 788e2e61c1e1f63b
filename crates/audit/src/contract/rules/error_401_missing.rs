//! What a caller without valid credentials gets.
//!
//! **What it finds.** Protected operations that describe neither `401` nor `4XX` nor `default`.
//!
//! **Why it matters.** What is not described is not tested: whether strangers are refused, and what the refusal gives
//! away. `--fix` adds the answer.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-401-missing",
    title: "protected operations do not say how they refuse strangers",
    fix: "Describe `401` (or `default`) with the error's schema.",
    owasp: Owasp::Api8,
    cwe: 754,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: Some(("validate", "in monitor mode it shows statuses that the contract does not know")),
    source: include_str!("error_401_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if operation.is_protected() {
        missing_response(operation, "401", "No valid credentials", out);
    }
}
