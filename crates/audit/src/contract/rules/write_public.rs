//! An operation that writes, and that anyone may call.
//!
//! **What it finds.** `post`, `put`, `patch` and `delete` operations for which neither they nor the document demand
//! credentials. Operations by which one logs in, registers or gets a token are left out, and so are those that say
//! `security: []` (see `write-open`).
//!
//! **The attack.** A script that posts, overwrites or deletes everything, without an account to block.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "write-public",
    title: "operations that change something ask for no credentials",
    fix: "Require a security scheme on the operation, or for the document as a whole; write `security: []` where it is meant to be public.",
    owasp: Owasp::Api2,
    cwe: 306,
    severity: Severity::High,
    suspects: false,
    once: true,
    guard: Some((
        "authenticate",
        "`public` is off by default: without a requirement in the contract or `public: true` in the policy the operation is refused",
    )),
    source: include_str!("write_public.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let silent = matches!(operation.security, Security::Absent);
    if operation.writes() && silent && !operation.login {
        out.operation(operation, operation.spot.file, operation.key, operation.method);
    }
}
