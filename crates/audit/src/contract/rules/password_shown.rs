//! Passwords that tools show.
//!
//! **What it finds.** Properties and parameters of requests named like passwords without `format: password` and without
//! `writeOnly`.
//!
//! **Why it matters.** Documentation, test tools, recorders and logs show what is not marked. `--fix` adds the format.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "password-shown",
    title: "a password is not marked as one",
    fix: "Give it `format: password` and `writeOnly: true`.",
    owasp: Owasp::Api2,
    cwe: 549,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("password_shown.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    if schema.meaning.password
        && facts.string
        && facts.format != Some("password")
        && !facts.write_only
        && in_request(description, schema)
    {
        out.schema(schema, true, false);
        if facts.format.is_none() {
            out.insert(schema.spot, "format", || "password".into(), true);
        }
    }
}
