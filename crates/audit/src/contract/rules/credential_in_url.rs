//! Passwords, tokens and keys in paths and query strings.
//!
//! **What it finds.** `path` and `query` parameters whose names are those of secrets: `password`, `access_token`,
//! `apiKey`, `client_secret`.
//!
//! **The attack.** URLs are kept in logs, histories, proxies and `Referer` headers, all of which leak.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "credential-in-url",
    title: "a parameter puts a credential into the URL",
    fix: "Send it in a header or in the body of a POST.",
    owasp: Owasp::Api2,
    cwe: 598,
    severity: Severity::High,
    suspects: true,
    once: false,
    guard: None,
    source: include_str!("credential_in_url.rs"),
    hook: Hook::Parameter(check),
};

fn check<'t>(_: &Description<'t>, parameter: &Parameter<'t>, out: &mut Out<'_, 't>) {
    in_url(parameter, |name| name.secret, out);
}
