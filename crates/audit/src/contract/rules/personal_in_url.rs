//! Personal and financial data in paths and query strings.
//!
//! **What it finds.** `path` and `query` parameters named like personal data: e-mail addresses, phone, card, account
//! and social security numbers, dates of birth.
//!
//! **The attack.** Access logs, analytics and proxies collect what nobody meant to give them.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "personal-in-url",
    title: "a parameter puts personal data into the URL",
    fix: "Send it in the body, or use an opaque identifier.",
    owasp: Owasp::Api8,
    cwe: 598,
    severity: Severity::Medium,
    suspects: true,
    once: false,
    guard: None,
    source: include_str!("personal_in_url.rs"),
    hook: Hook::Parameter(check),
};

fn check<'t>(_: &Description<'t>, parameter: &Parameter<'t>, out: &mut Out<'_, 't>) {
    in_url(parameter, |name| name.personal, out);
}
