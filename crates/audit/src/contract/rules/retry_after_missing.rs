//! Clients that do not know when to come back come back at once.
//!
//! **What it finds.** Answers `429` without the header `Retry-After` (RFC 9110 section 10.2.3).

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "retry-after-missing",
    title: "429 does not say when to come back",
    fix: "Describe the header `Retry-After` of the answer 429.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Info,
    suspects: false,
    once: true,
    guard: Some(("limit", "sends `Retry-After` and `RateLimit` fields")),
    source: include_str!("retry_after_missing.rs"),
    hook: Hook::Response(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, response: &Response<'t>, out: &mut Out<'_, 't>) {
    if response.status == "429" && response.header(|name| name == "retry-after").is_none() {
        out.operation(operation, response.spot.file, response.key, response.status);
    }
}
