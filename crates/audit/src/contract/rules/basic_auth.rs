//! HTTP Basic (RFC 7617).
//!
//! **What it finds.** Schemes of type `http` with `basic` (in Swagger 2.0 of type `basic`).
//!
//! **The attack.** The password itself goes over the wire with each call, is kept by clients and proxies, does not
//! expire, and is the same one that opens everything else of the user.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "basic-auth",
    title: "HTTP Basic sends the password with every call",
    fix: "Use OAuth 2, OpenID Connect or signed tokens instead.",
    owasp: Owasp::Api2,
    cwe: 522,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some(("authenticate", "tokens or keys in place of passwords")),
    source: include_str!("basic_auth.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    let basic = scheme.spot.str("scheme").is_some_and(|name| name.eq_ignore_ascii_case("basic"));
    if scheme.kind == "basic" || (scheme.kind == "http" && basic) {
        out.place(scheme.spot, scheme.name, &users_of(description, scheme.name));
    }
}
