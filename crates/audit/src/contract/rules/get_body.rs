//! Bodies where there is no meaning for them (RFC 9110 section 9.3.1).
//!
//! **What it finds.** `get` and `head` operations with a request body.
//!
//! **The attack.** Servers, caches and proxies disagree about such a body: one forwards it, one takes it for the next
//! request.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "get-body",
    title: "a GET or HEAD operation has a body",
    fix: "Send the input as parameters, or use POST.",
    owasp: Owasp::Api8,
    cwe: 444,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("validate", "refuses a body where the contract describes none")),
    source: include_str!("get_body.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if let ("get" | "head", Some(body)) = (operation.method, &operation.body) {
        out.operation(operation, body.spot.file, head(body.spot.node), "requestBody");
    }
}
