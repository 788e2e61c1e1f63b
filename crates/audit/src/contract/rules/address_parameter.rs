//! Addresses in requests.
//!
//! **What it finds.** Parameters and properties of requests named like addresses (`url`, `callback`, `webhook`,
//! `redirect`, `endpoint`), and those with `format: uri`, without a pattern or enum that restricts them.
//!
//! **The attack.** Server side request forgery: `http://169.254.169.254/`, the database, the admin port, from the
//! inside. Open redirects, where the address is sent back.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "address-parameter",
    title: "a request names an address that the server may be made to call",
    fix: "Accept only addresses of a list, resolve and check them before each call, and do not follow redirects.",
    owasp: Owasp::Api7,
    cwe: 918,
    severity: Severity::Medium,
    suspects: true,
    once: false,
    guard: Some(("inspect", "refuses addresses of the inside in values")),
    source: include_str!("address_parameter.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    if !in_request(description, schema) || facts.read_only || facts.fixed || facts.pattern.is_some() {
        return;
    }
    let meaning = match (schema.role, description.units.get(schema.unit as usize).map(|unit| unit.label)) {
        (Role::Root, Some(Label::Parameter(name))) => Meaning::of(name),
        _ => schema.meaning,
    };
    if facts.string && meaning.address {
        out.schema(schema, true, false);
    }
}
