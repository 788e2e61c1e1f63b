//! Numbers in requests without limits.
//!
//! **What it finds.** Integers without a format and without both bounds, and numbers without both bounds. `int32` and
//! `int64` count as bounds: they are enforced.
//!
//! **The attack.** A page size of a billion, a negative amount, an integer that overflows behind the gateway. `--fix`
//! adds `format: int64` to integers; meaningful bounds only you know.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "number-unbounded",
    title: "numbers of any size are accepted",
    fix: "Give it `minimum` and `maximum`, or at least a `format` (`int32`, `int64`).",
    owasp: Owasp::Api4,
    cwe: 1284,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: Some(("validate", "enforces bounds as soon as the contract has them")),
    source: include_str!("number_unbounded.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let facts = &schema.facts;
    let bounded = facts.fixed || (facts.minimum && facts.maximum) || facts.read_only;
    let by_format = matches!(
        facts.format,
        Some("int8" | "int16" | "int32" | "int64" | "uint8" | "uint16" | "uint32" | "uint64")
    );
    if !in_request(description, schema) || bounded {
        return;
    }
    if facts.integer && !by_format {
        out.schema(schema, true, false);
        if facts.format.is_none() && !facts.string && !facts.number {
            out.insert(schema.spot, "format", || "int64".into(), true);
        }
    } else if facts.number && !by_format && !facts.integer {
        out.schema(schema, true, false);
    }
}
