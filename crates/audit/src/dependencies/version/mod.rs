//! Version order, exactly as each ecosystem defines it: what decides whether an advisory's range holds a version.

mod composer;
mod debian;
mod gems;
mod maven;
mod nuget;
mod semver;

#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::fmt;
use std::str::FromStr;

/// Where packages of one kind come from; named as in the OSV schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ecosystem {
    /// Rust.
    CratesIo,
    /// JavaScript.
    Npm,
    /// Python.
    PyPi,
    /// Go modules.
    Go,
    /// Java.
    Maven,
    /// PHP.
    Packagist,
    /// Ruby.
    RubyGems,
    /// .NET.
    NuGet,
    /// Dart.
    Pub,
    /// Elixir and Erlang.
    Hex,
    /// Debian packages; releases are not told apart by the order of versions.
    Debian,
}

/// How each ecosystem is spelled: in the OSV schema, and in a package URL (its `type`).
const NAMES: &[(Ecosystem, &str, &str)] = &[
    (Ecosystem::CratesIo, "crates.io", "cargo"),
    (Ecosystem::Npm, "npm", "npm"),
    (Ecosystem::PyPi, "PyPI", "pypi"),
    (Ecosystem::Go, "Go", "golang"),
    (Ecosystem::Maven, "Maven", "maven"),
    (Ecosystem::Packagist, "Packagist", "composer"),
    (Ecosystem::RubyGems, "RubyGems", "gem"),
    (Ecosystem::NuGet, "NuGet", "nuget"),
    (Ecosystem::Pub, "Pub", "pub"),
    (Ecosystem::Hex, "Hex", "hex"),
    (Ecosystem::Debian, "Debian", "deb"),
];

impl Ecosystem {
    /// All that are known.
    pub fn all() -> impl Iterator<Item = Ecosystem> {
        NAMES.iter().map(|(ecosystem, ..)| *ecosystem)
    }

    /// The name in the OSV schema.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(known, ..)| *known == self).map_or("", |(_, name, _)| name)
    }

    /// The `type` of its package URLs.
    pub fn purl_type(self) -> &'static str {
        NAMES.iter().find(|(known, ..)| *known == self).map_or("", |(.., kind)| kind)
    }

    /// The ecosystem whose package URLs have this `type`.
    pub fn from_purl_type(kind: &str) -> Option<Ecosystem> {
        NAMES.iter().find(|(.., known)| known.eq_ignore_ascii_case(kind)).map(|(ecosystem, ..)| *ecosystem)
    }

    /// The one spelling under which a package is looked up: PyPI takes case and `-`, `_`, `.` alike (PEP 503);
    /// NuGet and Packagist take case alike.
    pub fn canonical_name(self, name: &str) -> String {
        match self {
            Ecosystem::PyPi => {
                let mut out = String::with_capacity(name.len());
                for c in name.chars() {
                    match c {
                        '-' | '_' | '.' if out.ends_with('-') => {}
                        '-' | '_' | '.' => out.push('-'),
                        c => out.extend(c.to_lowercase()),
                    }
                }
                out
            }
            Ecosystem::NuGet | Ecosystem::Packagist => name.to_lowercase(),
            _ => name.to_owned(),
        }
    }
}

impl fmt::Display for Ecosystem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Ecosystem {
    type Err = ();

    /// Reads an OSV ecosystem; what follows a colon (`Debian:12`) is left out.
    fn from_str(text: &str) -> Result<Ecosystem, ()> {
        let name = text.split(':').next().unwrap_or(text);
        let known = NAMES.iter().find(|(_, known, _)| known.eq_ignore_ascii_case(name));
        known.map(|(ecosystem, ..)| *ecosystem).ok_or(())
    }
}

/// A version that its ecosystem does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no version")]
pub struct BadVersion(pub String);

/// Which of two versions comes first in `ecosystem`.
///
/// # Errors
/// If one of them is no version there. Ecosystems that give every text a place (Maven, RubyGems, Packagist) have
/// no such case but the empty text.
pub fn compare(ecosystem: Ecosystem, a: &str, b: &str) -> Result<Ordering, BadVersion> {
    let (a, b) = (a.trim(), b.trim());
    for text in [a, b] {
        if text.is_empty() || text.len() > 256 {
            return Err(BadVersion(text.chars().take(40).collect()));
        }
    }
    match ecosystem {
        Ecosystem::CratesIo | Ecosystem::Npm | Ecosystem::Go | Ecosystem::Pub | Ecosystem::Hex => {
            semver::compare(a, b)
        }
        Ecosystem::PyPi => {
            let read =
                |text: &str| pep440_rs::Version::from_str(text).map_err(|_| BadVersion(text.to_owned()));
            Ok(read(a)?.cmp(&read(b)?))
        }
        Ecosystem::Maven => Ok(maven::compare(a, b)),
        Ecosystem::Packagist => Ok(composer::compare(a, b)),
        Ecosystem::RubyGems => gems::compare(a, b),
        Ecosystem::NuGet => nuget::compare(a, b),
        Ecosystem::Debian => debian::compare(a, b),
    }
}

/// What of `version` counts beside `bound`: where a bound names no local version (`+x`), that of the candidate is passed
/// over (PEP 440, "Version specifiers").
pub(super) fn beside<'v>(ecosystem: Ecosystem, version: &'v str, bound: &str) -> &'v str {
    match version.split_once('+') {
        Some((public, _)) if ecosystem == Ecosystem::PyPi && !bound.contains('+') => public,
        _ => version,
    }
}

/// Compares two runs of digits as numbers, however long.
fn numbers(a: &str, b: &str) -> Ordering {
    let (a, b) = (a.trim_start_matches('0'), b.trim_start_matches('0'));
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Cuts `text` into runs of digits and runs of others.
fn runs(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let first = rest.chars().next()?;
        let end = rest.find(|c: char| c.is_ascii_digit() != first.is_ascii_digit()).unwrap_or(rest.len());
        let (run, after) = rest.split_at(end);
        rest = after;
        Some(run)
    })
}
