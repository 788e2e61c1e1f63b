//! Regular expressions that blow up.
//!
//! **What it finds.** Patterns with an unbounded repetition directly inside an unbounded repetition, such as
//! `^(a+)+$` or `^([a-z]*\s*)*$`.
//!
//! **The attack.** A text of thirty characters keeps a backtracking engine (JavaScript, Java, Python, .NET, PCRE) busy
//! for minutes. Portcullis matches in linear time; what stands behind it may not.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "pattern-backtracking",
    title: "a pattern takes exponential time on texts made for it",
    fix: "Rewrite it without a repetition inside a repetition, and give the text a `maxLength`.",
    owasp: Owasp::Api4,
    cwe: 1333,
    severity: Severity::Medium,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("pattern_backtracking.rs"),
    hook: Hook::Schema(check),
};

fn check<'t>(description: &Description<'t>, schema: &Schema<'t>, out: &mut Out<'_, 't>) {
    let Some(pattern) = schema.spot.str("pattern").filter(|_| in_request(description, schema)) else {
        return;
    };
    if nested_repetition(pattern) {
        out.schema(schema, true, false);
    }
}

/// Whether a group that ends in, or is nothing but, an unbounded repetition is itself repeated without end.
pub(super) fn nested_repetition(pattern: &str) -> bool {
    let letters: Vec<char> = pattern.chars().take(4096).collect();
    // For each open group: whether every alternative so far may match by repetition alone.
    let mut groups: Vec<bool> = Vec::new();
    let (mut at, mut last_group) = (0, None);
    // Whether what came since the group or alternative began needs a fixed text between repetitions.
    let mut fixed: Vec<bool> = vec![false];
    while let Some(letter) = letters.get(at) {
        let mut atom = true;
        match letter {
            '\\' => at += 1,
            '[' => {
                at += 1;
                while letters.get(at).is_some_and(|inner| *inner != ']') {
                    at += if letters.get(at) == Some(&'\\') { 2 } else { 1 };
                }
            }
            '(' => {
                groups.push(false);
                fixed.push(false);
                atom = false;
                if letters.get(at + 1) == Some(&'?') {
                    at += 2;
                }
            }
            ')' => {
                let repeats = groups.pop().unwrap_or(false);
                let has_fixed = fixed.pop().unwrap_or(false);
                last_group = Some(repeats && !has_fixed);
            }
            '|' => {
                atom = false;
            }
            '^' | '$' => atom = false,
            _ => {}
        }
        let closing = *letter == ')';
        at += 1;
        let unbounded = match letters.get(at) {
            Some('*' | '+') if atom => {
                at += 1;
                true
            }
            Some('{') if atom => {
                let end = letters.iter().skip(at).position(|one| *one == '}').unwrap_or(0);
                let bounds: String = letters.iter().skip(at + 1).take(end.saturating_sub(1)).collect();
                at += end + 1;
                bounds.ends_with(',')
            }
            Some('?') if atom => {
                at += 1;
                // An optional atom fixes nothing.
                last_group = if closing { None } else { last_group };
                continue;
            }
            _ => false,
        };
        if unbounded && matches!(letters.get(at), Some('?' | '+')) {
            // Lazy repetitions backtrack as well; possessive ones do not.
            at += 1;
        }
        if unbounded && closing && last_group == Some(true) {
            return true;
        }
        if atom {
            if unbounded {
                if let Some(group) = groups.last_mut() {
                    *group = true;
                }
            } else if let Some(fixed) = fixed.last_mut() {
                *fixed = true;
            }
        }
        if closing {
            last_group = None;
        }
    }
    false
}
