//! What an application documents, and what a tool's findings are worth against it.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::{Failure, Outcome, cache};

/// An application's file in `benches/scan`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sheet {
    pub(super) title: String,
    pub(super) start: Start,
    pub(super) variants: Vec<Variant>,
    documented: Listed,
    #[serde(default)]
    verdicts: Vec<Verdict>,
}

/// How it is started, and in whose names it is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Start {
    /// Its folder under `--apps`; none for the demonstration shop.
    pub(super) folder: Option<String>,
    /// Its document, from that folder.
    pub(super) document: String,
    pub(super) environment: BTreeMap<String, String>,
    /// Whether it wants PostgreSQL.
    pub(super) database: bool,
    /// Calls that make its users.
    pub(super) prepare: Vec<Call>,
    /// What `--identity` is given.
    pub(super) identities: Vec<String>,
    /// The log-in of one user, for tools that want a token.
    pub(super) login: Call,
    /// The member of its answer that is the token.
    pub(super) token: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Call {
    pub(super) method: String,
    pub(super) path: String,
    #[serde(default)]
    pub(super) body: Option<serde_json::Value>,
}

/// One way in which it is started.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Variant {
    pub(super) title: String,
    pub(super) environment: BTreeMap<String, String>,
    /// Whether what can be mended in it is.
    pub(super) mended: bool,
}

/// The list itself, or a file of one.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Listed {
    Here(Vec<Weakness>),
    File(String),
}

/// A documented weakness.
#[derive(Debug, Deserialize)]
pub(super) struct Weakness {
    #[serde(default)]
    id: String,
    weakness: String,
    /// Any of these kinds is it.
    codes: Vec<String>,
    #[serde(default)]
    operations: Vec<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    part: Option<String>,
    /// Whether the sound variant is without it.
    #[serde(default = "yes")]
    mended: bool,
}

fn yes() -> bool {
    true
}

/// What a finding that is not documented is worth, by reading the application.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Verdict {
    code: String,
    /// Without one: at any operation.
    #[serde(default)]
    operation: Option<String>,
    /// Only of this tool.
    #[serde(default)]
    tool: Option<String>,
    holds: bool,
    #[expect(dead_code, reason = "the reason is for the reader of the file")]
    why: String,
}

/// What a tool says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Claim {
    pub(super) tool: &'static str,
    /// What it may be, in our codes; the first is its own name.
    pub(super) codes: Vec<String>,
    /// `METHOD /path`, or empty.
    pub(super) operation: String,
    pub(super) part: String,
}

/// Claims, sorted by what they are worth.
#[derive(Debug, Default)]
pub(super) struct Judged {
    pub(super) documented: usize,
    pub(super) detected: Vec<String>,
    pub(super) missed: Vec<String>,
    /// Not documented, and true.
    pub(super) right: Vec<String>,
    pub(super) wrong: Vec<String>,
    /// Documented as mended in this variant, and reported.
    pub(super) mended: Vec<String>,
    pub(super) open: Vec<String>,
}

impl Sheet {
    /// Reads `benches/scan/NAME.json`.
    pub(super) fn read(name: &str) -> Outcome<Sheet> {
        let folder = cache::workspace().join("benches/scan");
        let path = folder.join(format!("{name}.json"));
        let wrong = |path: &std::path::Path, why: &dyn std::fmt::Display| {
            Failure::new(format!("`{}`: {why}", path.display()))
        };
        let text = fs::read_to_string(&path).map_err(|error| wrong(&path, &error))?;
        let mut sheet: Sheet = serde_json::from_str(&text).map_err(|error| wrong(&path, &error))?;
        if let Listed::File(file) = &sheet.documented {
            let file = folder.join(file);
            let text = fs::read_to_string(&file).map_err(|error| wrong(&file, &error))?;
            let listed: Vec<Weakness> = serde_json::from_str(&text).map_err(|error| wrong(&file, &error))?;
            sheet.documented = Listed::Here(listed);
        }
        Ok(sheet)
    }

    fn documented(&self) -> &[Weakness] {
        match &self.documented {
            Listed::Here(list) => list,
            Listed::File(_) => &[],
        }
    }

    /// Sorts a tool's claims.
    pub(super) fn judge(&self, claims: &[Claim], variant: &Variant) -> Judged {
        let there = |weakness: &&Weakness| !variant.mended || !weakness.mended;
        let mut judged =
            Judged { documented: self.documented().iter().filter(there).count(), ..Judged::default() };
        for weakness in self.documented().iter().filter(there) {
            let name = format!("{} ({})", weakness.id, weakness.weakness);
            match claims.iter().any(|claim| weakness.is(claim)) {
                true => judged.detected.push(name),
                false => judged.missed.push(name),
            }
        }
        for claim in claims {
            let shown = claim.to_string();
            if self.documented().iter().filter(there).any(|weakness| weakness.is(claim)) {
                continue;
            }
            if variant.mended && self.documented().iter().any(|weakness| weakness.is(claim)) {
                judged.mended.push(shown);
                continue;
            }
            match self.verdicts.iter().find(|verdict| verdict.is(claim)) {
                Some(verdict) if verdict.holds => judged.right.push(shown),
                Some(_) => judged.wrong.push(shown),
                None => judged.open.push(shown),
            }
        }
        judged
    }
}

impl Weakness {
    fn is(&self, claim: &Claim) -> bool {
        let mut operations = self.operations.iter().chain(&self.operation).peekable();
        let there = operations.peek().is_none() || operations.any(|known| same(known, &claim.operation));
        let part = self.part.as_ref().is_none_or(|part| claim.part.is_empty() || *part == claim.part);
        there && part && claim.codes.iter().any(|code| self.codes.contains(code))
    }
}

impl Verdict {
    fn is(&self, claim: &Claim) -> bool {
        self.tool.as_ref().is_none_or(|tool| *tool == claim.tool)
            && claim.codes.contains(&self.code)
            && self.operation.as_ref().is_none_or(|known| same(known, &claim.operation))
    }
}

impl std::fmt::Display for Claim {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let code = self.codes.first().map_or("", String::as_str);
        write!(f, "{}", format!("{code} {} {}", self.operation, self.part).trim_end())
    }
}

/// Whether two operations are one: a segment with a parameter in it fits any.
fn same(known: &str, found: &str) -> bool {
    let split = |operation: &str| -> Option<(String, Vec<String>)> {
        let (method, path) = operation.split_once(' ')?;
        Some((method.to_owned(), path.trim_end_matches('/').split('/').map(str::to_owned).collect()))
    };
    let (Some((method, path)), Some((other, found))) = (split(known), split(found)) else {
        return known == found;
    };
    method == other
        && path.len() == found.len()
        && path.iter().zip(&found).all(|(a, b)| a == b || a.contains('{') || b.contains('{'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(code: &str, operation: &str) -> Claim {
        Claim {
            tool: "Portcullis",
            codes: vec![code.into()],
            operation: operation.into(),
            part: String::new(),
        }
    }

    #[test]
    fn claims_are_sorted() {
        let sheet: Sheet = serde_json::from_value(serde_json::json!({
            "title": "Bank",
            "start": {
                "document": "a.json", "environment": {}, "database": false, "prepare": [], "identities": [],
                "login": { "method": "POST", "path": "/login" }, "token": "token",
            },
            "variants": [],
            "documented": [
                { "id": "a", "weakness": "a", "codes": ["bola-read"], "operations": ["GET /users/{id}"] },
                { "id": "b", "weakness": "b", "codes": ["debug-page"], "mended": false },
            ],
            "verdicts": [
                { "code": "verbose-error", "holds": true, "why": "it shows the query" },
                { "code": "ssrf", "operation": "GET /x", "holds": false, "why": "it fetches nothing" },
            ],
        }))
        .unwrap();
        let claims = [
            claim("bola-read", "GET /users/7"),
            claim("verbose-error", "GET /x"),
            claim("ssrf", "GET /x"),
            claim("ssrf", "GET /y"),
        ];
        let variant = |mended| Variant { title: String::new(), environment: BTreeMap::new(), mended };
        let weak = sheet.judge(&claims, &variant(false));
        assert_eq!((weak.documented, weak.detected.len(), weak.missed.len()), (2, 1, 1));
        assert_eq!(weak.right, ["verbose-error GET /x"]);
        assert_eq!((weak.wrong, weak.open), (vec!["ssrf GET /x".into()], vec!["ssrf GET /y".into()]));
        let sound = sheet.judge(&claims, &variant(true));
        assert_eq!((sound.documented, sound.mended.len()), (1, 1));
    }

    #[test]
    fn every_sheet_is_one() {
        for name in ["vampi", "vuln-bank", "demo"] {
            let sheet = Sheet::read(name).unwrap();
            assert!(!sheet.documented().is_empty() && !sheet.variants.is_empty(), "{name}");
        }
    }
}
