//! What cannot be looked at.
//!
//! **What it finds.** References (`$ref`) that name nothing, or a file that cannot be read.
//!
//! **Why it matters.** What is behind them is neither audited nor enforced.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "reference-broken",
    title: "a reference leads nowhere",
    fix: "Correct the reference, or add what it names.",
    owasp: Owasp::Api9,
    cwe: 1068,
    severity: Severity::Medium,
    suspects: false,
    once: true,
    guard: None,
    source: include_str!("reference_broken.rs"),
    hook: Hook::Document(check),
};

fn check<'t>(description: &Description<'t>, out: &mut Out<'_, 't>) {
    for at in description.broken() {
        out.document(at, at.str("$ref").unwrap_or_default());
    }
}
