//! Dependencies with known vulnerabilities: lock files and bills of materials against advisories in the OSV format.
//!
//! ```
//! use portcullis_audit::dependencies::{Advisories, audit, lock};
//!
//! let lock = br#"{ "lockfileVersion": 3, "packages": {
//!     "": { "dependencies": { "left": "^1.0.0" } },
//!     "node_modules/left": { "version": "1.2.0" } } }"#;
//! let inventory = lock::read("package-lock.json", lock).unwrap();
//! let advisories = Advisories::for_packages([&inventory]);
//! // … advisories.read(folder)
//! assert!(audit(&inventory, &advisories).vulnerable.is_empty());
//! ```

mod advisories;
mod inventory;
pub mod lock;
mod osv;
pub mod sbom;
pub mod version;

#[cfg(test)]
mod tests;

use std::sync::Arc;

pub use advisories::{Advisories, AdvisoryError};
pub use inventory::{Id, Inventory, Package};
pub use osv::{Advisory, Answer};

/// How bad a flaw is, by the bands of CVSS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Band {
    /// Nobody said.
    Unknown,
    /// 0.1 to 3.9.
    Low,
    /// 4.0 to 6.9.
    Medium,
    /// 7.0 to 8.9.
    High,
    /// 9.0 to 10.0.
    Critical,
}

impl Band {
    fn of_score(score: f64) -> Band {
        match score {
            score if score >= 9.0 => Band::Critical,
            score if score >= 7.0 => Band::High,
            score if score >= 4.0 => Band::Medium,
            _ => Band::Low,
        }
    }

    fn of_word(word: &str) -> Band {
        match word.to_ascii_lowercase().as_str() {
            "critical" => Band::Critical,
            "high" | "important" => Band::High,
            "medium" | "moderate" => Band::Medium,
            "low" => Band::Low,
            _ => Band::Unknown,
        }
    }
}

/// A package with a known flaw.
#[derive(Debug, Clone)]
pub struct Vulnerable<'a> {
    /// Which package.
    pub package: &'a Package,
    /// The advisory; of several about one flaw, the one that says most.
    pub advisory: Arc<Advisory>,
    /// All names of the flaw.
    pub names: Vec<String>,
    /// How bad it is.
    pub band: Band,
    /// The score, from 0 to 10, and its vector.
    pub cvss: Option<(f64, String)>,
    /// Whether it is known to be exploited.
    pub exploited: bool,
    /// The lowest version above this one without the flaw.
    pub fixed: Option<String>,
    /// The shortest way from what the project asks for to the package, both ends included.
    pub path: Vec<&'a Package>,
    /// Whether the package is needed only to build and test.
    pub development: bool,
}

/// What became of one file.
#[derive(Debug, Clone, Default)]
pub struct Audit<'a> {
    /// Worst first.
    pub vulnerable: Vec<Vulnerable<'a>>,
    /// Packages whose version its ecosystem does not read, where an advisory speaks of them.
    pub unknown: Vec<(&'a Package, String)>,
}

/// Weighs every package of `inventory` against `advisories`.
pub fn audit<'a>(inventory: &'a Inventory, advisories: &Advisories) -> Audit<'a> {
    let paths = inventory.paths();
    let mut out = Audit::default();
    for ((id, package), path) in inventory.iter().zip(paths) {
        let mut flaws: Vec<Vulnerable<'a>> = Vec::new();
        for advisory in advisories.about(package.ecosystem, &package.name) {
            let fixed = match advisory.affects(package) {
                Answer::No => continue,
                Answer::Unknown(bad) => {
                    out.unknown.push((package, format!("{}: {bad}", advisory.id)));
                    continue;
                }
                Answer::Yes { fixed } => fixed,
            };
            let cvss = advisory.cvss(package);
            let band = match &cvss {
                Some((score, _)) => Band::of_score(*score),
                None if advisory.is_notice(package) => Band::Low,
                None => advisory.severity_word().map_or(Band::Unknown, Band::of_word),
            };
            let names: Vec<String> =
                std::iter::once(&advisory.id).chain(&advisory.aliases).cloned().collect();
            let flaw = Vulnerable {
                package,
                advisory: Arc::clone(advisory),
                names,
                band,
                cvss,
                exploited: advisories.is_exploited(advisory),
                fixed,
                path: path.clone(),
                development: inventory.is_development(id),
            };
            match flaws.iter_mut().find(|known| known.names.iter().any(|name| flaw.names.contains(name))) {
                Some(known) => merge(known, flaw),
                None => flaws.push(flaw),
            }
        }
        out.vulnerable.extend(flaws);
    }
    out.vulnerable.sort_by(|a, b| {
        let rank = |flaw: &Vulnerable<'_>| (flaw.exploited, flaw.band);
        rank(b)
            .cmp(&rank(a))
            .then_with(|| (a.package.name.as_str(), &a.advisory.id).cmp(&(&b.package.name, &b.advisory.id)))
    });
    out
}

/// Two advisories about one flaw: the one with a vector, or with more text, stands for both.
fn merge<'a>(known: &mut Vulnerable<'a>, other: Vulnerable<'a>) {
    let weight =
        |flaw: &Vulnerable<'_>| (flaw.cvss.is_some(), flaw.fixed.is_some(), flaw.advisory.details.len());
    let (mut best, rest) = match weight(&other) > weight(known) {
        true => (other, known.clone()),
        false => (known.clone(), other),
    };
    for name in rest.names {
        if !best.names.contains(&name) {
            best.names.push(name);
        }
    }
    best.band = best.band.max(rest.band);
    best.exploited |= rest.exploited;
    best.fixed = best.fixed.or(rest.fixed);
    *known = best;
}
