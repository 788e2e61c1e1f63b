//! An operation that reads, and about whose callers nothing is said.
//!
//! **What it finds.** `get` and `head` operations for which neither they nor the document demand credentials. Health
//! checks, the description itself, and the like are left out; so is what says `security: []`.
//!
//! **The attack.** Reading, page by page, what was meant for customers. Silence is the usual cause: nobody decided.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "read-public",
    title: "operations that read ask for no credentials",
    fix: "Require a security scheme, or write `security: []` where the data is meant for everyone.",
    owasp: Owasp::Api2,
    cwe: 306,
    severity: Severity::Medium,
    suspects: false,
    once: true,
    guard: Some((
        "authenticate",
        "an operation without a requirement is refused until the policy says `public: true`",
    )),
    source: include_str!("read_public.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let silent = matches!(operation.security, Security::Absent);
    let reads = matches!(operation.method, "get" | "head" | "query");
    if reads && silent && !is_plain(operation.path) && !names::is_login(operation.path, None) {
        out.operation(operation, operation.spot.file, operation.key, operation.method);
    }
}

fn is_plain(path: &str) -> bool {
    let last = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_ascii_lowercase();
    let plain = [
        "",
        "health",
        "healthz",
        "healthcheck",
        "ready",
        "readyz",
        "live",
        "livez",
        "ping",
        "status",
        "version",
        "openapi.json",
        "openapi.yaml",
        "swagger.json",
        "swagger.yaml",
        "favicon.ico",
        "robots.txt",
    ];
    plain.contains(&last.as_str()) || path.contains("/.well-known/")
}
