//! The implicit flow (RFC 9700 section 2.1.2).
//!
//! **What it finds.** OAuth 2 schemes that offer `implicit`.
//!
//! **The attack.** The token comes back in a URL fragment: browser history, injected scripts and open redirects get
//! it, and nothing binds it to the client that asked.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "oauth-implicit",
    title: "the OAuth 2 implicit flow hands out tokens in URLs",
    fix: "Use the authorization code flow with PKCE.",
    owasp: Owasp::Api2,
    cwe: 522,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("oauth_implicit.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    offers_flow(description, scheme, "implicit", out);
}
