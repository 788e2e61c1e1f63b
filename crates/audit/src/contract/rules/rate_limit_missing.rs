//! No word about limits in the answers.
//!
//! **What it finds.** Successful answers without any header for rate limits, in documents of which no operation has
//! such a header and none describes `429`: no sign that calls are limited at all.
//!
//! **The attack.** Everything that lives of many calls: guessing, enumerating, scraping, exhausting.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "rate-limit-missing",
    title: "answers do not say how many calls are left",
    fix: "Limit calls, and describe the headers that say so (`RateLimit`, `RateLimit-Limit` or `X-RateLimit-Limit`).",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Info,
    suspects: false,
    once: true,
    guard: Some(("limit", "sends `RateLimit` and `RateLimit-Policy` fields with every answer")),
    source: include_str!("rate_limit_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let limited = |name: &str| {
        name.starts_with("ratelimit") || name.starts_with("x-ratelimit") || name.starts_with("x-rate-limit")
    };
    let any = description.operations.first().is_some_and(|first| first.index == operation.index)
        && !description
            .operations
            .iter()
            .flat_map(|one| &one.responses)
            .any(|response| response.status == "429" || response.header(limited).is_some());
    if any {
        out.document(operation.spot, "RateLimit");
    }
}
