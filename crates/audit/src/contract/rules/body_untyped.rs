//! Bodies of which nothing is said.
//!
//! **What it finds.** Media types of request bodies without a schema, or with an empty one. Text and binary types are
//! left out.
//!
//! **The attack.** Everything gets through to the parser behind the gateway.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "body-untyped",
    title: "a request body has no schema",
    fix: "Describe the body with a schema.",
    owasp: Owasp::Api8,
    cwe: 20,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("validate", "bodies without a schema are refused where `unenforced` is")),
    source: include_str!("body_untyped.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(description: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let Some(body) = &operation.body else { return };
    untyped(description, operation, &body.media, out);
}
