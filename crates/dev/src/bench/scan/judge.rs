//! What an application documents, and what a tool's findings are worth against it.

use std::collections::BTreeMap;
use std::fs;

use serde::Deserialize;

use crate::{Failure, Outcome, cache};

/// An application's file in `benches/scan`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bench) struct Sheet {
    pub(in crate::bench) title: String,
    pub(in crate::bench) start: Start,
    pub(in crate::bench) variants: Vec<Variant>,
    /// What `cargo dev bench fix` needs besides.
    #[serde(rename = "loop")]
    pub(in crate::bench) repair: Loop,
    documented: Listed,
    #[serde(default)]
    verdicts: Vec<Verdict>,
}

/// How it is started, and in whose names it is called.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bench) struct Start {
    /// Its folder under `--apps`; none for the demonstration shop.
    pub(in crate::bench) folder: Option<String>,
    /// Its document, from that folder.
    pub(in crate::bench) document: String,
    pub(in crate::bench) environment: BTreeMap<String, String>,
    /// Whether it wants PostgreSQL.
    pub(in crate::bench) database: bool,
    /// Calls that make its users.
    pub(in crate::bench) prepare: Vec<Call>,
    /// What `--identity` is given.
    pub(in crate::bench) identities: Vec<String>,
    /// The log-in of one user, for tools that want a token.
    pub(in crate::bench) login: Call,
    /// The member of its answer that is the token.
    pub(in crate::bench) token: String,
}

#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bench) struct Call {
    pub(in crate::bench) method: String,
    pub(in crate::bench) path: String,
    #[serde(default)]
    pub(in crate::bench) body: Option<serde_json::Value>,
}

/// How holes of it are closed.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bench) struct Loop {
    /// Lines of the gateway's configuration besides upstream, contract and data.
    pub(in crate::bench) config: Vec<String>,
    /// Arguments of `portcullis fix` besides what every application needs.
    pub(in crate::bench) options: Vec<String>,
    /// How it is ordinarily used.
    pub(in crate::bench) ordinary: Ordinary,
}

/// A recording in the tree, or calls of which one is made.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(in crate::bench) enum Ordinary {
    Recorded(String),
    Calls(Vec<Use>),
}

/// An ordinary call. `{NAME}` in its path and body is what an earlier answer had.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bench) struct Use {
    /// The name under which its token was kept; none for calls without one.
    #[serde(rename = "as")]
    pub(in crate::bench) who: Option<String>,
    pub(in crate::bench) method: String,
    pub(in crate::bench) path: String,
    #[serde(default)]
    pub(in crate::bench) body: Option<serde_json::Value>,
    /// What to keep of its answer: names, and JSON pointers.
    #[serde(default)]
    pub(in crate::bench) keep: BTreeMap<String, String>,
}

/// One way in which it is started.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::bench) struct Variant {
    pub(in crate::bench) title: String,
    pub(in crate::bench) environment: BTreeMap<String, String>,
    /// Whether what can be mended in it is.
    pub(in crate::bench) mended: bool,
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
pub(in crate::bench) struct Weakness {
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
pub(in crate::bench) struct Claim {
    pub(in crate::bench) tool: &'static str,
    /// What it may be, in our codes; the first is its own name.
    pub(in crate::bench) codes: Vec<String>,
    /// `METHOD /path`, or empty.
    pub(in crate::bench) operation: String,
    pub(in crate::bench) part: String,
}

/// Claims, sorted by what they are worth.
#[derive(Debug, Default)]
pub(in crate::bench) struct Judged {
    pub(in crate::bench) documented: usize,
    pub(in crate::bench) detected: Vec<String>,
    pub(in crate::bench) missed: Vec<String>,
    /// Not documented, and true.
    pub(in crate::bench) right: Vec<String>,
    pub(in crate::bench) wrong: Vec<String>,
    /// Documented as mended in this variant, and reported.
    pub(in crate::bench) mended: Vec<String>,
    pub(in crate::bench) open: Vec<String>,
}

impl Sheet {
    /// Reads `benches/scan/NAME.json`.
    pub(in crate::bench) fn read(name: &str) -> Outcome<Sheet> {
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
    pub(in crate::bench) fn judge(&self, claims: &[Claim], variant: &Variant) -> Judged {
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
            "loop": { "config": [], "options": [], "ordinary": [{ "method": "GET", "path": "/a" }] },
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
