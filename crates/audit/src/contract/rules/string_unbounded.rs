//! Strings in requests without a limit.
//!
//! **What it finds.** Strings that requests may hold, with none of `maxLength`, `enum`, `const`, a pattern that bounds
//! the length, and a format that does (`date`, `date-time`, `uuid`, `email`, `ipv4` and the like).
//!
//! **The attack.** Megabytes where a name was meant: memory, storage and slow pattern matching, multiplied by the number
//! of calls; overflows in what comes after.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "string-unbounded",
    title: "text of any length is accepted",
    fix: "Give it a `maxLength`, an `enum`, or a `format` that bounds it.",
    owasp: Owasp::Api4,
    cwe: 770,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: Some((
        "validate",
        "enforces `maxLength` as soon as the contract has one; bodies are bounded as a whole",
    )),
    source: include_str!("string_unbounded.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    if in_request(description, schema) && is_unbounded(schema) {
        unbounded(schema, "maxLength", 1024, out);
    }
}

pub(super) fn is_unbounded(schema: &Schema<'_>) -> bool {
    let facts = &schema.facts;
    let bounded_format = matches!(
        facts.format,
        Some(
            "date"
                | "date-time"
                | "time"
                | "duration"
                | "uuid"
                | "guid"
                | "ipv4"
                | "ipv6"
                | "email"
                | "idn-email"
                | "hostname"
                | "idn-hostname"
                | "int32"
                | "int64"
                | "binary"
        )
    );
    let bounded_pattern = facts.pattern.and_then(Node::as_str).is_some_and(bounds_length);
    facts.string
        && !facts.max_length
        && !facts.fixed
        && !bounded_format
        && !bounded_pattern
        && !facts.read_only
}

/// Whether a pattern is anchored at both ends and repeats nothing without end.
fn bounds_length(pattern: &str) -> bool {
    let Some(inner) = pattern.strip_prefix('^').and_then(|rest| rest.strip_suffix('$')) else { return false };
    let mut letters = inner.chars();
    let mut class = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => {
                letters.next();
            }
            '[' => class = true,
            ']' => class = false,
            '*' | '+' | '|' if !class => return false,
            '{' if !class => {
                let bounds: String = letters.by_ref().take_while(|letter| *letter != '}').collect();
                if bounds.ends_with(',') {
                    return false;
                }
            }
            _ => {}
        }
    }
    true
}
