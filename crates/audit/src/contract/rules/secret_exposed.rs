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
    let may_be = schema.role == Role::Property
        && in_response
        && !facts.write_only
        && !facts.object
        && !facts.array
        && (facts.string || facts.integer || !facts.typed)
        && !facts.reference;
    if !may_be || !names::is_secret(schema.name) {
        return;
    }
    let issued_only = !names::is_never_shown(schema.name)
        && description.operations.iter().all(|operation| {
            let reached = description.reach.response(operation.index as usize).has(schema.unit as usize);
            let created = operation.method == "post";
            !reached || created || names::is_login(operation.path, operation.spot.str("operationId"))
        });
    if !issued_only {
        out.schema(schema, false, true);
    }
}
