//! The method TRACE (RFC 9110 section 9.3.8).
//!
//! **What it finds.** Operations with `trace`.
//!
//! **The attack.** It sends the request back, credentials and internal headers included.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "method-trace",
    title: "TRACE is part of the API",
    fix: "Remove it.",
    owasp: Owasp::Api8,
    cwe: 693,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("validate", "TRACE and CONNECT are always refused")),
    source: include_str!("method_trace.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if operation.method == "trace" {
        out.operation(operation, operation.spot.file, operation.key, operation.method);
    }
}
