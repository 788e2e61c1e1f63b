//! Answers of which nothing is said.
//!
//! **What it finds.** Successful JSON, XML or form answers without a schema, or with an empty one.
//!
//! **The attack.** Excessive data exposure goes unseen: nobody can say which properties were meant to be there.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "response-untyped",
    title: "an answer has no schema",
    fix: "Describe the answer with a schema.",
    owasp: Owasp::Api3,
    cwe: 1059,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("validate", "answers are compared with the contract, in monitor or enforce mode")),
    source: include_str!("response_untyped.rs"),
    hook: Hook::Response(check),
};

fn check<'t>(
    description: &Description<'t>,
    operation: &Operation<'t>,
    response: &Response<'t>,
    out: &mut Out<'_, 't>,
) {
    let success = response.status.starts_with('2') && !matches!(response.status, "204" | "205");
    if success {
        untyped(description, operation, &response.media, out);
    }
}
