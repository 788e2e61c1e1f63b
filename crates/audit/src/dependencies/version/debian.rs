//! Debian: `epoch:upstream-revision` (deb-version(7)).

use std::cmp::Ordering;

use super::{BadVersion, is_number, numbers};

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, BadVersion> {
    let (a, b) = (Parts::read(a)?, Parts::read(b)?);
    Ok(numbers(a.epoch, b.epoch)
        .then_with(|| part(a.upstream, b.upstream))
        .then_with(|| part(a.revision, b.revision)))
}

struct Parts<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Parts<'a>, BadVersion> {
        let bad = || BadVersion(text.to_owned());
        let (epoch, rest) = text.split_once(':').unwrap_or(("0", text));
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        let known = |byte: u8| byte.is_ascii_alphanumeric() || b".+~-:_".contains(&byte);
        if !is_number(epoch) || upstream.is_empty() || !rest.bytes().all(known) {
            return Err(bad());
        }
        Ok(Parts { epoch, upstream, revision })
    }
}

/// Alternately a run without digits, by `weight`, and a run of digits, as a number.
fn part(mut a: &str, mut b: &str) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (text_a, rest_a) = a.split_at(a.find(|c: char| c.is_ascii_digit()).unwrap_or(a.len()));
        let (text_b, rest_b) = b.split_at(b.find(|c: char| c.is_ascii_digit()).unwrap_or(b.len()));
        let order = words(text_a, text_b);
        if order != Ordering::Equal {
            return order;
        }
        let (digits_a, after_a) =
            rest_a.split_at(rest_a.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_a.len()));
        let (digits_b, after_b) =
            rest_b.split_at(rest_b.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest_b.len()));
        let order = numbers(digits_a, digits_b);
        if order != Ordering::Equal {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
    Ordering::Equal
}

fn words(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.bytes(), b.bytes());
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match weight(a).cmp(&weight(b)) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

/// `~` before the end, the end before letters, letters before the rest.
fn weight(byte: Option<u8>) -> (u8, u8) {
    match byte {
        Some(b'~') => (0, 0),
        None => (1, 0),
        Some(letter) if letter.is_ascii_alphabetic() => (2, letter),
        Some(other) => (3, other),
    }
}
