//! A key in the query string.
//!
//! **What it finds.** `apiKey` schemes with `in: query`.
//!
//! **The attack.** URLs are kept in access logs, browser histories, proxies, error reports and `Referer` headers. A
//! key in one of them is a key in all of them.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "key-in-query",
    title: "an API key travels in the URL",
    fix: "Send the key in a header.",
    owasp: Owasp::Api2,
    cwe: 598,
    severity: Severity::High,
    suspects: false,
    once: false,
    guard: Some(("authenticate", "takes the key from a header, and strips it before the call goes on")),
    source: include_str!("key_in_query.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    if scheme.kind == "apiKey" && scheme.spot.str("in") == Some("query") {
        out.place(scheme.spot, scheme.name, &users_of(description, scheme.name));
    }
}
