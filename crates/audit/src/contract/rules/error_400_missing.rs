//! What a caller with wrong input gets.
//!
//! **What it finds.** Operations with parameters or a body that describe none of `400`, `422`, `4XX` and `default`.
//!
//! **Why it matters.** Where no answer to wrong input is described, wrong input mostly ends as a `500`, with a stack
//! trace in it. `--fix` adds the answer.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-400-missing",
    title: "operations with input do not say how they refuse what is not valid",
    fix: "Describe `400` (or `422`, or `default`) with the error's schema.",
    owasp: Owasp::Api8,
    cwe: 20,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: Some(("validate", "what the contract does not allow is refused with 400 before the API sees it")),
    source: include_str!("error_400_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let takes = operation.body.is_some() || !operation.parameters.is_empty();
    if takes && operation.response("422").is_none() {
        missing_response(operation, "400", "The request is not valid", out);
    }
}
