//! Strings in requests that may be anything.
//!
//! **What it finds.** Strings of parameters (not of bodies, where free text is usual) with none of `pattern`, `format`,
//! `enum` and `const`.
//!
//! **The attack.** Injection of any kind begins with a value that may hold quotes, brackets and line breaks.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "string-loose",
    title: "parameters accept text of any form",
    fix: "Give it a `pattern`, `format` or `enum` that says which characters may stand in it.",
    owasp: Owasp::Api8,
    cwe: 20,
    severity: Severity::Low,
    suspects: false,
    once: true,
    guard: Some(("inspect", "looks into every value for attacks, whatever its schema allows")),
    source: include_str!("string_loose.rs"),
    hook: Hook::Parameter(check),
};

fn check<'t>(_: &Description<'t>, parameter: &Parameter<'t>, out: &mut Out<'_, 't>) {
    let facts = &parameter.facts;
    if facts.string && facts.pattern.is_none() && facts.format.is_none() && !facts.fixed {
        out.parameter(parameter);
    }
}
