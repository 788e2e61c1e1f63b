//! A key in a cookie.
//!
//! **What it finds.** `apiKey` schemes with `in: cookie` on operations that write.
//!
//! **The attack.** Cross-site request forgery: browsers send cookies along with calls that another site makes.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "key-in-cookie",
    title: "a credential in a cookie invites forged calls of other sites",
    fix: "Send credentials in a header, or demand `SameSite` cookies and a token against forged calls.",
    owasp: Owasp::Api2,
    cwe: 352,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("cookies", "`Secure`, `HttpOnly` and `SameSite` on every cookie of the API")),
    source: include_str!("key_in_cookie.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    if scheme.kind != "apiKey" || scheme.spot.str("in") != Some("cookie") {
        return;
    }
    let mut users = users_of(description, scheme.name);
    users.retain(|index| description.operations.get(*index as usize).is_some_and(Operation::writes));
    if !users.is_empty() {
        out.place(scheme.spot, scheme.name, &users);
    }
}
