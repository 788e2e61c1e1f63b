//! Real keys in examples.
//!
//! **What it finds.** Examples, defaults and descriptions with the form of a live credential: AWS, GitHub, Slack, Stripe
//! live and Google keys, private keys. Values that say of themselves that they are examples are left out.
//!
//! **The attack.** Descriptions are published; keys in them are found by machines within minutes.

use super::prelude::*;

pub(super) static RULE: Rule = Rule {
    code: "example-secret",
    title: "an example holds what looks like a real secret",
    fix: "Replace it by one that is plainly invented, and revoke it: whoever read the document has it.",
    owasp: Owasp::Api8,
    cwe: 798,
    severity: Severity::High,
    suspects: false,
    once: false,
    guard: None,
    source: include_str!("example_secret.rs"),
    hook: Hook::Document(check),
};

fn check<'t>(description: &Description<'t>, out: &mut Out<'_, 't>) {
    for (file, document) in description.tree.documents().iter().enumerate() {
        // The text is searched for the few marks first: most documents have none.
        if !MARKS.iter().any(|mark| document.text().contains(mark)) {
            continue;
        }
        let mut open = vec![document.root()];
        while let Some(node) = open.pop() {
            match &node.kind {
                Kind::Object(members) => open.extend(members.iter().rev().map(|member| &member.value)),
                Kind::Array(items) => open.extend(items.iter().rev()),
                Kind::String(text) if text.len() >= 20 && text.len() < 100_000 && holds_secret(text) => {
                    out.place(Spot { file, node }, "", &[]);
                }
                _ => {}
            }
        }
    }
}

const MARKS: &[&str] = &[
    "AKIA",
    "ASIA",
    "ghp_",
    "gho_",
    "ghs_",
    "github_pat_",
    "xoxb-",
    "xoxp-",
    "sk_live_",
    "rk_live_",
    "AIza",
    "glpat-",
    "PRIVATE KEY-----",
];

fn holds_secret(text: &str) -> bool {
    let mut words = text.split(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '-')));
    words.any(is_live) || holds_private_key(text)
}

fn is_live(word: &str) -> bool {
    let upper = |text: &str| text.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let form = match () {
        () if word.starts_with("AKIA") || word.starts_with("ASIA") => word.len() == 20 && upper(word),
        () if ["ghp_", "gho_", "ghs_"].iter().any(|mark| word.starts_with(mark)) => word.len() == 40,
        () if word.starts_with("github_pat_") => word.len() > 60,
        () if word.starts_with("xoxb-") || word.starts_with("xoxp-") => word.len() > 40,
        () if word.starts_with("sk_live_") || word.starts_with("rk_live_") => word.len() >= 32,
        () if word.starts_with("AIza") => word.len() == 39,
        () if word.starts_with("glpat-") => word.len() >= 26,
        () => false,
    };
    let lower = word.to_ascii_lowercase();
    let invented = ["example", "xxxx", "1234567", "abcdef", "0000000", "test", "dummy", "redacted", "your"];
    form && !invented.iter().any(|mark| lower.contains(mark)) && varied(word)
}

/// A secret is random: it has many different characters.
fn varied(word: &str) -> bool {
    let mut seen: Vec<char> = word.chars().collect();
    seen.sort_unstable();
    seen.dedup();
    seen.len() >= 12
}

fn holds_private_key(text: &str) -> bool {
    let Some(at) = text.find("PRIVATE KEY-----") else { return false };
    let body: String = text
        .get(at + 16..)
        .unwrap_or_default()
        .chars()
        .filter(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '/'))
        .take(200)
        .collect();
    body.len() >= 100 && varied(&body)
}
