//! Numbers as identifiers.
//!
//! **What it finds.** `id`-like parameters in the path that are integers.
//!
//! **The attack.** Whoever has order 1017 tries 1016 and 1018. Random identifiers do not replace the check of the owner;
//! they take away the list of what to try.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "id-guessable",
    title: "objects are named by numbers that can be counted through",
    fix: "Use random identifiers (UUID version 4), and check on every call whose object it is.",
    owasp: Owasp::Api1,
    cwe: 340,
    severity: Severity::Low,
    suspects: true,
    once: false,
    guard: Some(("authorize", "`bind` and `owner` compare the object's owner with the caller")),
    source: include_str!("id_guessable.rs"),
    hook: Hook::Parameter(check),
};

fn check<'t>(_: &Description<'t>, parameter: &Parameter<'t>, out: &mut Out<'_, 't>) {
    let words = names::words(parameter.name);
    let id = words
        .last()
        .is_some_and(|word| matches!(word.as_str(), "id" | "ids" | "identifier" | "no" | "number"))
        || parameter.name.to_ascii_lowercase().ends_with("id");
    if parameter.place == "path" && id && parameter.facts.integer {
        out.parameter(parameter);
    }
}
