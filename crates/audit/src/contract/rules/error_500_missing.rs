//! What a caller gets when the API itself fails.
//!
//! **What it finds.** Operations that describe neither `500` nor `5XX` nor `default`.
//!
//! **Why it matters.** Failures without an agreed form come out as the framework's own: with stack traces and versions.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-500-missing",
    title: "operations do not say what a failure looks like",
    fix: "Describe `default` or `500` with an error schema that gives nothing away.",
    owasp: Owasp::Api8,
    cwe: 755,
    severity: Severity::Info,
    suspects: false,
    once: true,
    guard: Some(("mask", "whatever the API fails with becomes a clean problem with a reference")),
    source: include_str!("error_500_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    missing_response(operation, "500", "The server failed", out);
}
