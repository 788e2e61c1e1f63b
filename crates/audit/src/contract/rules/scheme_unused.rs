//! A scheme that protects nothing.
//!
//! **What it finds.** Security schemes that no requirement names.
//!
//! **Why it matters.** Often an operation was meant to require it. Readers of the description take it for protected.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "scheme-unused",
    title: "a security scheme is defined and required nowhere",
    fix: "Remove it, or require it where it is meant.",
    owasp: Owasp::Api9,
    cwe: 1164,
    severity: Severity::Info,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("scheme_unused.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(_: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    if !scheme.used {
        out.place(scheme.spot, scheme.name, &[]);
    }
}
