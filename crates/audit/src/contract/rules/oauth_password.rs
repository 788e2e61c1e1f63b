//! The resource owner password credentials flow (RFC 9700 section 2.4).
//!
//! **What it finds.** OAuth 2 schemes that offer `password`.
//!
//! **The attack.** Every application sees the user's password; second factors do not work; users learn to type their
//! password anywhere.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "oauth-password",
    title: "the OAuth 2 password flow gives the password to the application",
    fix: "Use the authorization code flow with PKCE.",
    owasp: Owasp::Api2,
    cwe: 522,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("oauth_password.rs"),
    hook: Hook::Scheme(check),
};

fn check<'t>(description: &Description<'t>, scheme: &Scheme<'t>, out: &mut Out<'_, 't>) {
    offers_flow(description, scheme, "password", out);
}
