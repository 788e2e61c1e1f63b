//! Patterns without anchors.
//!
//! **What it finds.** Patterns in requests that begin without `^` or end without `$`. JSON Schema searches: `[a-z]+`
//! accepts `<script>`, because there are letters in it.
//!
//! **The attack.** Whatever the pattern was meant to keep out stands beside what it looks for.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "pattern-unanchored",
    title: "a pattern matches a part of the text and lets the rest through",
    fix: "Put `^` before and `$` behind it.",
    owasp: Owasp::Api8,
    cwe: 777,
    severity: Severity::Low,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("pattern_unanchored.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let Some(pattern) = schema.spot.str("pattern").filter(|_| in_request(description, schema)) else {
        return;
    };
    let (open, close) = (
        pattern.starts_with(['^']) || pattern.starts_with("\\A") || pattern.starts_with("(?"),
        pattern.ends_with('$')
            || pattern.ends_with("\\z")
            || pattern.ends_with("\\Z")
            || pattern.ends_with(')'),
    );
    if !open || !close {
        out.schema(schema, true, false);
    }
}
