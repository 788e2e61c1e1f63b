//! No way to prove who calls.
//!
//! **What it finds.** Documents with operations and without a single security scheme.
//!
//! **The attack.** Whatever the API checks behind its description, nobody can review, test or enforce: generated
//! clients, gateways and testers all take the API for public.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "scheme-absent",
    title: "the description defines no security scheme",
    fix: "Define how callers prove who they are (`components.securitySchemes`), and require it with `security`.",
    owasp: Owasp::Api2,
    cwe: 306,
    severity: Severity::High,
    suspects: false,
    once: true,
    guard: Some(("authenticate", "keys, tokens or client certificates, whatever the description says")),
    source: include_str!("scheme_absent.rs"),
    hook: Hook::Document(check),
};

fn check<'t>(description: &Description<'t>, out: &mut Out<'_, 't>) {
    if description.schemes.is_empty() && !description.operations.is_empty() {
        let at = description.root.get("paths").unwrap_or(description.root);
        out.document(at.with(at.node), "paths");
    }
}
