//! An operation that writes and says `security: []`, or offers `{}` among its requirements.
//!
//! **What it finds.** Writing operations, other than for logging in, whose author took the requirement away. That is a
//! decision, and worth a second look: an empty requirement `{}` in a list makes every other one optional.
//!
//! **The attack.** As `write-public`: no account is needed, so none can be blocked.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "write-open",
    title: "an operation that changes something is declared public",
    fix: "Make sure that anyone on the internet may do this; otherwise require a security scheme.",
    owasp: Owasp::Api2,
    cwe: 306,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some((
        "authenticate",
        "`public: false` on the operation demands a principal in spite of the contract",
    )),
    source: include_str!("write_open.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    if !operation.writes() || operation.login {
        return;
    }
    match &operation.security {
        Security::Open(at) => out.operation(operation, at.file, at.node.span, operation.method),
        Security::AnyOf(at, any) if any.iter().any(Vec::is_empty) => {
            out.operation(operation, at.file, at.node.span, operation.method);
        }
        _ => {}
    }
}
