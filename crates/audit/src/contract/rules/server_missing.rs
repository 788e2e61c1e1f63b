//! No server.
//!
//! **What it finds.** Documents without `servers` (in Swagger 2.0 without `host`), or with empty URLs only.
//!
//! **Why it matters.** Nobody can say whether an endpoint that answers is this API, an old copy of it, or another.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "server-missing",
    title: "the description does not say where the API is",
    fix: "Name the servers, with `https`.",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: None,
    source: include_str!("server_missing.rs"),
    hook: Hook::Document(check),
};

fn check<'t>(description: &Description<'t>, out: &mut Out<'_, 't>) {
    let named = description.servers.iter().any(|server| !server.url.trim_matches('/').is_empty());
    if !named && !description.operations.is_empty() {
        let info = description.root.get("info").unwrap_or(description.root);
        out.document(info, "servers");
    }
}
