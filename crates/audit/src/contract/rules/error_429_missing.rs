//! What a caller that exceeds the rate gets.
//!
//! **What it finds.** Operations that describe neither `429` nor `4XX` nor `default`.
//!
//! **The attack.** Guessing passwords, reading everything page by page, costing money by the call: an API that knows no
//! `429` mostly has no limit. `--fix` adds the answer to the description; `limit` makes it true.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-429-missing",
    title: "operations do not say what happens to callers that call too often",
    fix: "Limit calls, and describe `429` with `Retry-After`.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: Some(("limit", "a rate per client, consumer or operation, answered with 429 and `Retry-After`")),
    source: include_str!("error_429_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    missing_response(operation, "429", "Too many calls; see Retry-After", out);
}
