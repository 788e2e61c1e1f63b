//! Deprecated for ever.
//!
//! **What it finds.** `deprecated: true` without `x-sunset` and without a `Sunset` header in the answers.
//!
//! **The attack.** Zombies: nobody maintains them, nobody turns them off.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "sunset-missing",
    title: "deprecated operations have no date on which they end",
    fix: "Give them `x-sunset: 2027-01-31`, and tell clients by the `Sunset` header.",
    owasp: Owasp::Api9,
    cwe: 1059,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: Some(("deprecated", "sends `Deprecation` and `Sunset`, and refuses after the date")),
    source: include_str!("sunset_missing.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let announced =
        operation.responses.iter().any(|response| response.header(|name| name == "sunset").is_some());
    if operation.deprecated && operation.spot.node.get("x-sunset").is_none() && !announced {
        out.operation(operation, operation.spot.file, operation.key, operation.method);
    }
}
