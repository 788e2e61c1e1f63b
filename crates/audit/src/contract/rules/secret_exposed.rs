//! Passwords, hashes and card codes in answers.
//!
//! **What it finds.** Properties of answers, not `writeOnly`, named like secrets that nobody needs to read back:
//! passwords and their hashes, PINs, card codes, private keys. Tokens and keys count as well, other than in answers of
//! operations that issue them.
//!
//! **The attack.** One answer too many, an injected script or a logged body, and the secret is somebody else's.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "secret-exposed",
    title: "an answer holds a secret",
    fix: "Leave it out of the answer; mark it `writeOnly` where one schema serves both.",
    owasp: Owasp::Api3,
    cwe: 200,
    severity: Severity::High,
    suspects: true,
    once: false,
    guard: Some(("validate", "withholds `writeOnly` properties of answers")),
    source: include_str!("secret_exposed.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    let in_response = description.units.get(schema.unit as usize).is_some_and(|unit| unit.response);
    let may_be = schema.meaning.secret
        && in_response
        && !facts.write_only
        && !facts.object
        && !facts.array
        && (facts.string || facts.integer || !facts.typed)
        && !facts.reference;
    // What issues a secret has to show it, once.
    if may_be && (schema.meaning.never_shown || description.uses.shown.has(schema.unit as usize)) {
        out.schema(schema, false, true);
    }
}
