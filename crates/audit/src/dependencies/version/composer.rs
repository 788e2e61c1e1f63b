//! Composer: versions are normalised to four numbers and a stability, then compared as PHP's `version_compare`
//! does. Branches (`dev-main`) come before everything.

use std::cmp::Ordering;

use super::{is_number, numbers, runs};

pub(super) fn compare(a: &str, b: &str) -> Ordering {
    let (a, b) = (Normal::read(a), Normal::read(b));
    if a.branch || b.branch {
        return b.branch.cmp(&a.branch).then_with(|| a.words.cmp(&b.words));
    }
    for at in 0..a.numbers.len().max(b.numbers.len()) {
        let part = |normal: &Normal| normal.numbers.get(at).cloned().unwrap_or_else(|| "0".to_owned());
        match numbers(&part(&a), &part(&b)) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
    }
    for at in 0..a.words.len().max(b.words.len()) {
        match word(a.words.get(at)).cmp(&word(b.words.get(at))) {
            Ordering::Equal => {}
            unequal => return unequal,
        }
        if let (Some(a), Some(b)) = (a.words.get(at), b.words.get(at))
            && is_number(a)
            && is_number(b)
        {
            match numbers(a, b) {
                Ordering::Equal => {}
                unequal => return unequal,
            }
        }
    }
    Ordering::Equal
}

struct Normal {
    branch: bool,
    numbers: Vec<String>,
    words: Vec<String>,
}

impl Normal {
    fn read(text: &str) -> Normal {
        let lower = text.to_lowercase();
        let text = lower.split('+').next().unwrap_or(&lower);
        let text = text.strip_prefix('v').unwrap_or(text);
        if text.starts_with("dev-") || !text.starts_with(|c: char| c.is_ascii_digit()) {
            return Normal { branch: true, numbers: Vec::new(), words: vec![text.to_owned()] };
        }
        let parts: Vec<String> = text.split(['.', '-', '_']).flat_map(runs).map(str::to_owned).collect();
        let split = parts.iter().position(|part| !is_number(part)).unwrap_or(parts.len());
        let (numbers, words) = parts.split_at(split);
        let words = words.iter().filter(|word| *word != "stable").cloned().collect();
        Normal { branch: false, numbers: numbers.to_vec(), words }
    }
}

/// PHP's order of the words: an unknown one, `dev`, `alpha`, `beta`, `rc`, the end, a number, `pl`.
fn word(word: Option<&String>) -> u8 {
    match word.map(String::as_str) {
        None => 5,
        Some("dev") => 1,
        Some("alpha" | "a") => 2,
        Some("beta" | "b") => 3,
        Some("rc" | "c") => 4,
        Some("pl" | "p" | "patch") => 7,
        Some(number) if is_number(number) => 6,
        Some(_) => 0,
    }
}
