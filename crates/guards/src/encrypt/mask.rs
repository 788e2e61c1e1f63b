//! What is shown of a value to those who may see a part of it.

use schemars::JsonSchema;
use serde::Deserialize;

/// What is shown of nothing.
pub(super) const ALL: &str = "***";

/// Which part is shown.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(rename = "FieldMask")]
pub(super) enum Mask {
    /// None: `***`.
    #[default]
    All,
    /// The last four letters and digits, of eight at least: `************1111`.
    Last4,
    /// The first six and the last four digits of a card number (PCI DSS 3.4.1), of thirteen at least.
    #[serde(rename = "first6_last4")]
    First6Last4,
    /// The first letter of an e-mail address, and its domain: `j***@example.com`.
    Email,
    /// The first letter: `J***`.
    First,
}

impl Mask {
    /// `text`, masked.
    pub(super) fn of(self, text: &str) -> String {
        match self {
            Mask::All => ALL.into(),
            Mask::Last4 => keep(text, 0, 4, 8),
            Mask::First6Last4 => keep(text, 6, 4, 13),
            Mask::First => first(text),
            Mask::Email => match text.rsplit_once('@') {
                Some((local, domain)) if !local.is_empty() && domain.contains('.') => {
                    format!("{}@{domain}", first(local))
                }
                _ => ALL.into(),
            },
        }
    }
}

fn first(text: &str) -> String {
    match text.chars().next() {
        Some(letter) if text.chars().nth(1).is_some() => format!("{letter}{ALL}"),
        _ => ALL.into(),
    }
}

/// All letters and digits but the first and the last so many become `*`; what separates them stays. Of a text with fewer
/// than `least`, nothing is shown.
fn keep(text: &str, first: usize, last: usize, least: usize) -> String {
    let count = text.chars().filter(|c| c.is_alphanumeric()).count();
    if count < least {
        return ALL.into();
    }
    let mut at = 0;
    text.chars()
        .map(|c| {
            if !c.is_alphanumeric() {
                return c;
            }
            at += 1;
            if at <= first || at > count - last { c } else { '*' }
        })
        .collect()
}

/// Whether `text` looks as if it had been masked.
pub(super) fn is_mask(text: &str) -> bool {
    text.contains(ALL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_shown_and_no_more() {
        for (mask, text, expected) in [
            (Mask::All, "4111111111111111", "***"),
            (Mask::Last4, "4111111111111111", "************1111"),
            (Mask::Last4, "4111 1111 1111 1234", "**** **** **** 1234"),
            (Mask::Last4, "1234567", "***"),
            (Mask::Last4, "", "***"),
            (Mask::First6Last4, "4111111111111111", "411111******1111"),
            (Mask::First6Last4, "123456789012", "***"),
            (Mask::Email, "jane@example.com", "j***@example.com"),
            (Mask::Email, "\"a@b\"@example.com", "\"***@example.com"),
            (Mask::Email, "j@example.com", "***@example.com"),
            (Mask::Email, "jane", "***"),
            (Mask::Email, "@example.com", "***"),
            (Mask::First, "Jane", "J***"),
            (Mask::First, "\u{e9}a", "\u{e9}***"),
            (Mask::First, "J", "***"),
        ] {
            let masked = mask.of(text);
            assert_eq!(masked, expected, "{mask:?} {text}");
            assert!(is_mask(&masked));
        }
    }
}
