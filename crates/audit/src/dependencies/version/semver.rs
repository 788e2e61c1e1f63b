//! Semantic Versioning 2.0.0, section 11. Lenient where lock files and advisories are: a leading `v`, fewer or
//! more than three numbers.

use std::cmp::Ordering;

use super::{BadVersion, is_number, numbers};

pub(super) fn compare(a: &str, b: &str) -> Result<Ordering, BadVersion> {
    let (a, b) = (Parts::read(a)?, Parts::read(b)?);
    Ok(a.core(b.release).then_with(|| prerelease(a.prerelease, b.prerelease)))
}

#[derive(Clone, Copy)]
struct Parts<'a> {
    release: &'a str,
    /// Empty for a release.
    prerelease: &'a str,
}

impl<'a> Parts<'a> {
    fn read(text: &'a str) -> Result<Parts<'a>, BadVersion> {
        let bad = || BadVersion(text.to_owned());
        let rest = text.strip_prefix(['v', 'V', '=']).unwrap_or(text);
        let rest = rest.split('+').next().unwrap_or(rest);
        let (release, prerelease) = match rest.split_once('-') {
            Some((_, "")) => return Err(bad()),
            Some(split) => split,
            None => (rest, ""),
        };
        if !release.split('.').all(is_number) {
            return Err(bad());
        }
        let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        let whole = |part: &str| !part.is_empty() && part.bytes().all(label);
        if !prerelease.is_empty() && !prerelease.split('.').all(whole) {
            return Err(bad());
        }
        Ok(Parts { release, prerelease })
    }

    fn core(self, other: &str) -> Ordering {
        padded(self.release.split('.'), other.split('.'))
    }
}

/// Compares two lists of numbers; what is missing is zero.
pub(super) fn padded<'a>(
    mut a: impl Iterator<Item = &'a str>,
    mut b: impl Iterator<Item = &'a str>,
) -> Ordering {
    loop {
        match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (a, b) => match numbers(a.unwrap_or("0"), b.unwrap_or("0")) {
                Ordering::Equal => {}
                unequal => return unequal,
            },
        }
    }
}

/// Sections 11.3 and 11.4: a pre-release comes before its release; numbers before words; more fields after fewer.
pub(super) fn prerelease(a: &str, b: &str) -> Ordering {
    match (a.is_empty(), b.is_empty()) {
        (true, true) => return Ordering::Equal,
        (true, false) => return Ordering::Greater,
        (false, true) => return Ordering::Less,
        (false, false) => {}
    }
    let (mut a, mut b) = (a.split('.'), b.split('.'));
    loop {
        let order = match (a.next(), b.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(a), Some(b)) => match (is_number(a), is_number(b)) {
                (true, true) => numbers(a, b),
                (true, false) => Ordering::Less,
                (false, true) => Ordering::Greater,
                (false, false) => a.cmp(b),
            },
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}
