//! Maven: the version order of the POM reference ("Version Order Specification").

use std::cmp::Ordering;

use super::{is_number, numbers, runs};

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (tokens(a), tokens(b));
    let longest = a.len().max(b.len());
    for at in 0..longest {
        let order = match (a.get(at), b.get(at)) {
            (Some(a), Some(b)) => a.compare(b),
            (Some(a), None) => a.compare(&a.null()),
            (None, Some(b)) => b.null().compare(b),
            (None, None) => Ordering::Equal,
        };
        if order != Ordering::Equal {
            return order;
        }
    }
    Ordering::Equal
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Token {
    /// Whether a hyphen, or a change between digits and letters, stands before it.
    hyphen: bool,
    text: String,
}

impl Token {
    fn is_null(&self) -> bool {
        matches!(self.text.as_str(), "" | "final" | "ga" | "release") || zero(&self.text)
    }

    /// What a missing token counts as beside this one.
    fn null(&self) -> Token {
        let text = if self.hyphen { "" } else { "0" };
        Token { hyphen: self.hyphen, text: text.to_owned() }
    }

    fn compare(&self, other: &Token) -> Ordering {
        match (is_number(&self.text), is_number(&other.text)) {
            (true, true) => other.hyphen.cmp(&self.hyphen).then_with(|| numbers(&self.text, &other.text)),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => rank(&self.text).cmp(&rank(&other.text)),
        }
    }
}

fn zero(text: &str) -> bool {
    is_number(text) && text.bytes().all(|digit| digit == b'0')
}

fn rank(text: &str) -> (u8, &str) {
    let place = match text {
        "alpha" => 0,
        "beta" => 1,
        "milestone" => 2,
        "rc" | "cr" => 3,
        "snapshot" => 4,
        "" | "final" | "ga" | "release" => 5,
        "sp" => 6,
        other => return (7, other),
    };
    (place, "")
}

fn tokens(version: &str) -> Vec<Token> {
    let version = version.to_lowercase();
    let mut tokens: Vec<Token> = Vec::new();
    let mut hyphen = false;
    let mut rest = version.as_str();
    loop {
        let end = rest.find(['.', '-', '_']).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        split(part, hyphen, &mut tokens);
        let Some(separator) = after.chars().next() else { break };
        hyphen = separator != '.';
        rest = after.get(1..).unwrap_or_default();
    }
    trim(&mut tokens);
    tokens
}

/// One part between separators: an empty one is zero; digits and letters are told apart, with a hyphen between.
fn split(part: &str, hyphen: bool, tokens: &mut Vec<Token>) {
    if part.is_empty() {
        tokens.push(Token { hyphen, text: "0".to_owned() });
        return;
    }
    let parts: Vec<&str> = runs(part).collect();
    for (at, text) in parts.iter().enumerate() {
        let number = is_number(text);
        let before_number = parts.get(at + 1).is_some_and(|next| is_number(next));
        let text = match *text {
            "a" if before_number => "alpha",
            "b" if before_number => "beta",
            "m" if before_number => "milestone",
            text => text,
        };
        // `.qualifier` and `-qualifier` are alike.
        tokens.push(Token { hyphen: hyphen || at > 0 || !number, text: text.to_owned() });
    }
}

/// Null values at the end go, and those before each hyphen.
fn trim(tokens: &mut Vec<Token>) {
    let mut at = tokens.len().saturating_sub(1);
    while at > 0 {
        if tokens.get(at).is_some_and(Token::is_null) {
            tokens.remove(at);
            at -= 1;
            continue;
        }
        while at > 0 && tokens.get(at).is_some_and(|token| !token.hyphen) {
            at -= 1;
        }
        at = at.saturating_sub(1);
    }
}
