//! Advisories in the OSV format (ossf.github.io/osv-schema), and which versions they hold.

use std::cmp::Ordering;

use serde::{Deserialize, Deserializer};
use serde_json::Value;

use super::inventory::Package;
use super::version::{BadVersion, Ecosystem, beside, compare};

/// One advisory. What the schema has beyond this is not read.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Advisory {
    /// Its name, such as `GHSA-…`, `RUSTSEC-…` or `CVE-…`.
    pub id: String,
    /// Other names of the same flaw.
    pub aliases: Vec<String>,
    /// One line.
    pub summary: String,
    /// Text in Markdown.
    pub details: String,
    /// When it was taken back; then it counts for nothing.
    pub withdrawn: Option<String>,
    /// CVSS vectors.
    pub severity: Vec<Severity>,
    /// Which packages, and which versions of them.
    pub affected: Vec<Affected>,
    /// Where to read more.
    pub references: Vec<Reference>,
    /// What the database adds; its `severity` is read where there is no vector.
    pub database_specific: Value,
}

/// A CVSS vector.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Severity {
    /// `CVSS_V2`, `CVSS_V3`, `CVSS_V4` or another measure.
    #[serde(rename = "type")]
    pub kind: String,
    /// The vector; a broken one costs the score, not the advisory.
    #[serde(deserialize_with = "text")]
    pub score: String,
}

/// A text; what is none is empty.
fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    Ok(match Value::deserialize(deserializer)? {
        Value::String(text) => text,
        _ => String::new(),
    })
}

/// One package of an advisory.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Affected {
    /// Which.
    pub package: Named,
    /// Which versions, as ranges.
    pub ranges: Vec<Range>,
    /// Which versions, one by one.
    pub versions: Vec<String>,
    /// CVSS vectors for this package.
    pub severity: Vec<Severity>,
    /// What the database adds; RustSec says here what is no flaw (`informational`).
    pub database_specific: Value,
}

/// A package as an advisory names it.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Named {
    /// The ecosystem, as OSV spells it.
    pub ecosystem: String,
    /// The name.
    pub name: String,
}

/// A line of versions with its events.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Range {
    /// `SEMVER`, `ECOSYSTEM` or `GIT`.
    #[serde(rename = "type")]
    pub kind: String,
    /// What happened at which version.
    pub events: Vec<Event>,
}

/// One event; one of its members is there.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Event {
    /// The flaw came with this version; `0` is before all.
    pub introduced: Option<String>,
    /// The flaw was gone with this version.
    pub fixed: Option<String>,
    /// The flaw was still there in this version, and is not after it.
    pub last_affected: Option<String>,
    /// Versions from here on are not spoken of.
    pub limit: Option<String>,
}

/// A link.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub struct Reference {
    /// `ADVISORY`, `FIX`, `WEB`, …
    #[serde(rename = "type")]
    pub kind: String,
    /// Where.
    pub url: String,
}

/// What an advisory says of one package at one version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    /// It is not affected.
    No,
    /// It is affected. The lowest version above it that is not, where there is one.
    Yes {
        /// Where the flaw is gone.
        fixed: Option<String>,
    },
    /// It could not be told.
    Unknown(BadVersion),
}

impl Advisory {
    /// Whether it speaks of `package` at all.
    pub fn names(&self, ecosystem: Ecosystem, canonical_name: &str) -> bool {
        self.affected.iter().any(|affected| affected.is_about(ecosystem, canonical_name))
    }

    /// Whether `package` is affected, by the evaluation algorithm of the OSV schema.
    pub fn affects(&self, package: &Package) -> Answer {
        if self.withdrawn.is_some() {
            return Answer::No;
        }
        let name = package.ecosystem.canonical_name(&package.name);
        let mut answer = Answer::No;
        for affected in self.affected.iter().filter(|affected| affected.is_about(package.ecosystem, &name)) {
            match affected.affects(package) {
                Ok(None) => {}
                // More than one entry can hold the version; it is out of all of them at the highest fix.
                Ok(Some(fixed)) => {
                    answer = match answer {
                        Answer::Yes { fixed: other } => {
                            Answer::Yes { fixed: later(package.ecosystem, fixed, other) }
                        }
                        _ => Answer::Yes { fixed },
                    }
                }
                Err(bad) if answer == Answer::No => answer = Answer::Unknown(bad),
                Err(_) => {}
            }
        }
        answer
    }

    /// The score from the strongest kind of vector that there is, from 0 to 10; the vector too.
    pub fn cvss(&self, package: &Package) -> Option<(f64, String)> {
        let name = package.ecosystem.canonical_name(&package.name);
        let own = self.affected.iter().filter(|affected| affected.is_about(package.ecosystem, &name));
        let vectors = || own.clone().flat_map(|affected| &affected.severity).chain(&self.severity);
        ["CVSS_V4", "CVSS_V3"].iter().find_map(|kind| {
            let read = |vector: &Severity| {
                let score = vector.score.parse::<cvss::Cvss>().ok()?.score();
                Some((score, vector.score.clone()))
            };
            vectors().filter(|vector| vector.kind == *kind).find_map(read)
        })
    }

    /// Whether it only tells of `package` that nobody looks after it, or something else to know: no flaw.
    pub fn is_notice(&self, package: &Package) -> bool {
        let name = package.ecosystem.canonical_name(&package.name);
        let mut own = self.affected.iter().filter(|affected| affected.is_about(package.ecosystem, &name));
        own.any(|affected| {
            let kind = affected.database_specific.get("informational").and_then(Value::as_str);
            matches!(kind, Some("unmaintained" | "notice"))
        })
    }

    /// The word of the database where there is no vector, such as `HIGH`.
    pub fn severity_word(&self) -> Option<&str> {
        self.database_specific.get("severity").and_then(Value::as_str)
    }
}

/// The higher of two fixes; none where one has none.
fn later(ecosystem: Ecosystem, a: Option<String>, b: Option<String>) -> Option<String> {
    let (a, b) = (a?, b?);
    match compare(ecosystem, &a, &b) {
        Ok(Ordering::Less) => Some(b),
        _ => Some(a),
    }
}

/// Whether a version that is listed one by one is `version`. PyPI has many spellings of one; OSV writes Go's versions
/// without their `v`, and Composer takes both for one.
fn names_same(ecosystem: Ecosystem, listed: &str, version: &str) -> bool {
    let bare = |text| str::strip_prefix(text, 'v').unwrap_or(text);
    listed == version
        || match ecosystem {
            Ecosystem::PyPi => {
                compare(ecosystem, beside(ecosystem, version, listed), listed) == Ok(Ordering::Equal)
            }
            Ecosystem::Go | Ecosystem::Packagist => bare(listed) == bare(version),
            _ => false,
        }
}

impl Affected {
    fn is_about(&self, ecosystem: Ecosystem, canonical_name: &str) -> bool {
        self.package.ecosystem.parse() == Ok(ecosystem)
            && ecosystem.canonical_name(&self.package.name) == canonical_name
    }

    /// `Some` where the version is affected, with its fix.
    fn affects(&self, package: &Package) -> Result<Option<Option<String>>, BadVersion> {
        let ranges: Vec<&Range> = self
            .ranges
            .iter()
            .filter(|range| matches!(range.kind.as_str(), "SEMVER" | "ECOSYSTEM"))
            .collect();
        let version = &package.version;
        let is_listed = |listed: &String| names_same(package.ecosystem, listed, version);
        let listed = self.versions.iter().any(is_listed);
        // Neither versions nor ranges: all of it, as for a malicious package.
        if self.versions.is_empty() && self.ranges.is_empty() {
            return Ok(Some(None));
        }
        let mut within = false;
        let mut bad = None;
        for range in &ranges {
            match range.holds(package.ecosystem, version) {
                Ok(holds) => within |= holds,
                Err(error) => bad = Some(error),
            }
        }
        match bad {
            _ if listed || within => Ok(Some(self.fix(package, &ranges))),
            Some(bad) => Err(bad),
            None => Ok(None),
        }
    }

    /// The lowest fix above the version that no range and no list holds.
    fn fix(&self, package: &Package, ranges: &[&Range]) -> Option<String> {
        let ecosystem = package.ecosystem;
        let mut fixes: Vec<&String> = ranges
            .iter()
            .flat_map(|range| &range.events)
            .filter_map(|event| event.fixed.as_ref())
            .filter(|fix| compare(ecosystem, fix, &package.version) == Ok(Ordering::Greater))
            .collect();
        fixes.sort_by(|a, b| compare(ecosystem, a, b).unwrap_or(Ordering::Equal));
        let free = |fix: &&&String| {
            !self.versions.contains(fix)
                && !ranges.iter().any(|range| range.holds(ecosystem, fix) == Ok(true))
        };
        fixes.iter().find(free).map(|fix| (*fix).clone())
    }
}

impl Range {
    /// Goes through the events in the order of their versions, and at one version as they stand: `fixed` before
    /// `introduced` joins two ranges, the other way round one is empty. The last one at or below `version` decides.
    fn holds(&self, ecosystem: Ecosystem, version: &str) -> Result<bool, BadVersion> {
        let mut inside = false;
        let mut deciding: Option<(&str, bool)> = None;
        let mut limits = self.events.iter().filter_map(|event| event.limit.as_deref()).peekable();
        if limits.peek().is_some() {
            let mut below = false;
            for limit in limits {
                below |= limit == "*" || compare(ecosystem, version, limit)? == Ordering::Less;
            }
            if !below {
                return Ok(false);
            }
        }
        for event in &self.events {
            let (at, opens, last) = match event {
                Event { introduced: Some(at), .. } => (at.as_str(), true, false),
                Event { fixed: Some(at), .. } => (at.as_str(), false, false),
                Event { last_affected: Some(at), .. } => (at.as_str(), false, true),
                _ => continue,
            };
            let order = match opens && at == "0" {
                true => Ordering::Greater,
                false => compare(ecosystem, beside(ecosystem, version, at), at)?,
            };
            let reached = if last { order == Ordering::Greater } else { order != Ordering::Less };
            if !reached {
                continue;
            }
            let later = match deciding {
                None => true,
                Some(_) if opens && at == "0" => false,
                Some(("0", true)) => true,
                Some((known, _)) => compare(ecosystem, at, known)? != Ordering::Less,
            };
            if later {
                deciding = Some((at, opens));
                inside = opens;
            }
        }
        Ok(inside)
    }
}
