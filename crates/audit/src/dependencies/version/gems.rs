//! RubyGems: `Gem::Version`. Segments of digits or letters; letters make a pre-release and come before numbers.

use std::cmp::Ordering;

use super::{BadVersion, is_number, numbers, runs};

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, BadVersion> {
    let (a, b) = (segments(a)?, segments(b)?);
    for at in 0..a.len().max(b.len()) {
        let (a, b) = (a.get(at).map_or("0", String::as_str), b.get(at).map_or("0", String::as_str));
        let order = match (is_number(a), is_number(b)) {
            (true, true) => numbers(a, b),
            (true, false) => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) => a.cmp(b),
        };
        if order != Ordering::Equal {
            return Ok(order);
        }
    }
    Ok(Ordering::Equal)
}

/// The segments, without the zeros at the end of the release and of the whole.
fn segments(text: &str) -> Result<Vec<String>, BadVersion> {
    let known = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-';
    if !text.bytes().all(known) || !text.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(BadVersion(text.to_owned()));
    }
    let text = text.replace('-', ".pre.");
    let all: Vec<&str> = text.split('.').flat_map(runs).collect();
    let release = all.iter().position(|segment| !is_number(segment)).unwrap_or(all.len());
    let (release, rest) = all.split_at(release);
    let mut out: Vec<String> = Vec::new();
    for part in [release, rest] {
        let end = part.iter().rposition(|segment| !zero(segment)).map_or(0, |at| at + 1);
        out.extend(part.iter().take(end).map(|segment| (*segment).to_owned()));
    }
    Ok(out)
}

fn zero(segment: &str) -> bool {
    segment.bytes().all(|digit| digit == b'0')
}
