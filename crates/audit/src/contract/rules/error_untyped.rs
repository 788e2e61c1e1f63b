//! Errors of any form.
//!
//! **What it finds.** Answers `4xx` and `5xx` without a schema.
//!
//! **Why it matters.** What errors may hold decides what they give away.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-untyped",
    title: "errors have no schema",
    fix: "Describe errors with one schema, such as that of RFC 9457 (`application/problem+json`).",
    owasp: Owasp::Api8,
    cwe: 1059,
    severity: Severity::Info,
    suspects: false,
    once: true,
    guard: Some(("mask", "errors become problems of RFC 9457")),
    source: include_str!("error_untyped.rs"),
    hook: Hook::Response(check),
};

fn check<'t>(
    description: &Description<'t>,
    operation: &Operation<'t>,
    response: &Response<'t>,
    out: &mut Out<'_, 't>,
) {
    let error = response.status.starts_with(['4', '5']) || response.status == "default";
    let typed = response.media.iter().any(|media| !is_untyped(description, media));
    if error && !typed && operation.method != "head" {
        out.operation(operation, response.spot.file, response.key, response.status);
    }
}
