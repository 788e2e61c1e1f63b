//! Stack traces by contract.
//!
//! **What it finds.** Properties of error answers named like the inside: `stackTrace`, `exception`, `sql`, `query`,
//! `debug`, `innerError`, `file` with `line`.
//!
//! **The attack.** Versions, paths, queries and class names tell an attacker which attack fits.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "error-leak",
    title: "an error describes the inside of the API",
    fix: "Answer with a code, a message for the caller and a reference; keep the rest in the log.",
    owasp: Owasp::Api8,
    cwe: 209,
    severity: Severity::Medium,
    suspects: true,
    once: false,
    guard: Some(("mask", "replaces the body of errors by a clean problem with a reference")),
    source: include_str!("error_leak.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    if schema.meaning.inside && description.uses.errors.has(schema.unit as usize) {
        out.schema(schema, false, true);
    }
}
