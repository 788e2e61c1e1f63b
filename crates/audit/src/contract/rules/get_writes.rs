//! Reading that writes.
//!
//! **What it finds.** `get` operations whose path ends in a verb such as `delete`, `create`, `update`, `reset`, `logout`.
//!
//! **The attack.** Any page can make a browser send a GET; crawlers, link previews and caches send them unasked.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "get-writes",
    title: "a GET operation changes something",
    fix: "Use POST, PUT, PATCH or DELETE.",
    owasp: Owasp::Api8,
    cwe: 352,
    severity: Severity::Medium,
    suspects: true,
    once: false,
    guard: None,
    source: include_str!("get_writes.rs"),
    hook: Hook::Operation(check),
};

fn check<'t>(_: &Description<'t>, operation: &Operation<'t>, out: &mut Out<'_, 't>) {
    let last = operation
        .path
        .rsplit('/')
        .find(|part| !part.is_empty() && !part.starts_with('{'))
        .unwrap_or_default();
    let words = names::words(last);
    let verbs = [
        "delete", "create", "update", "remove", "reset", "logout", "disable", "enable", "insert", "destroy",
        "purge", "transfer", "approve", "cancel", "execute", "createdb",
    ];
    if operation.method == "get" && words.first().is_some_and(|word| verbs.contains(&word.as_str())) {
        out.operation(operation, operation.spot.file, operation.key, operation.path);
    }
}
