//! No answer described.
//!
//! **What it finds.** Operations without `responses`, or with an empty one.
//!
//! **Why it matters.** Nothing can be said, tested or enforced about what such an operation gives away.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "response-missing",
    title: "an operation describes no answer at all",
    fix: "Describe its answers, with schemas.",
    owasp: Owasp::Api8,
    cwe: 1059,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("validate", "undocumented answers show up in monitor mode")),
    source: include_str!("response_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if operation.responses.is_empty() {
        out.operation(operation, operation.spot.file, operation.key, operation.method);
    }
}
