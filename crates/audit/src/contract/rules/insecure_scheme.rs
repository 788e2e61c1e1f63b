//! Schemes that should not be used for APIs any more.
//!
//! **What it finds.** `http` schemes other than `basic`, `bearer`, `dpop`, `mutual`, `hoba`, `vapid`, `scram-*` and
//! `privatetoken`: `digest` (MD5), `negotiate` and `ntlm` (connection-based), `oauth` (version 1), invented names.
//!
//! **The attack.** Digest is open to offline guessing; connection-based schemes mix up callers behind a proxy; nobody
//! reviewed an invented one.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "insecure-scheme",
    title: "an HTTP authentication scheme that is outdated or not known",
    fix: "Use `bearer` with short-lived tokens, or mutual TLS.",
    owasp: Owasp::Api2,
    cwe: 327,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("insecure_scheme.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    let Some(name) = scheme.spot.str("scheme").filter(|_| scheme.kind == "http") else { return };
    let name = name.to_ascii_lowercase();
    let known = ["basic", "bearer", "dpop", "mutual", "hoba", "vapid", "privatetoken"];
    if !known.contains(&name.as_str()) && !name.starts_with("scram-") {
        out.place(scheme.spot, scheme.name, &users_of(description, scheme.name));
    }
}
