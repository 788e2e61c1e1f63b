//! The ignore file: findings that someone accepted, each with a reason and a day on which that ends.
//!
//! ```yaml
//! ignore:
//!   - code: string-unbounded
//!     where: GET /reports/*        # optional; `*` stands for anything
//!     reason: bounded by the gateway's body limit; see ADR 12
//!     until: 2026-12-31
//!   - fingerprint: 0f3a…           # one finding, exactly
//!     reason: …
//!     until: 2026-09-01
//! ```

use std::path::Path;

use portcullis_openapi::source::{Document, Limits};
use serde::Deserialize;
use time::Date;
use time::macros::format_description;

use super::{Item, Report, State};
use crate::config::{ConfigError, Fault, de};
use crate::exit::{Failure, Result};
use crate::files;

/// The file that is read where none is named.
pub(super) const DEFAULT_FILE: &str = ".portcullis-ignore.yaml";

/// Most bytes of it.
const MAX_BYTES: u64 = 8 << 20;

/// How long an exception may last: longer ones are forgotten, not accepted.
const LONGEST_DAYS: i64 = 366;

/// An ignore file that was read.
#[derive(Debug)]
pub(super) struct Ignore {
    entries: Vec<Entry>,
}

#[derive(Debug)]
struct Entry {
    written: Written,
    until: Date,
    /// `file:line`, for what is said about it.
    place: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    code: Option<String>,
    #[serde(rename = "where")]
    place: Option<String>,
    fingerprint: Option<String>,
    reason: String,
    until: String,
}

impl Ignore {
    /// Reads an ignore file.
    pub(super) fn read(path: &Path, today: Date) -> Result<Ignore> {
        let name = path.display().to_string();
        let bytes = files::read(path, MAX_BYTES)
            .map_err(|error| Failure::Usage(format!("the ignore file `{name}` cannot be read: {error}")))?;
        Ignore::parse(&name, &bytes, today).map_err(Failure::usage)
    }

    fn parse(name: &str, bytes: &[u8], today: Date) -> std::result::Result<Ignore, ConfigError> {
        let limits = Limits { bytes: MAX_BYTES as usize, depth: 16, nodes: 1_000_000, aliased_nodes: 10_000 };
        let document = Document::parse_with(name, bytes, limits).map_err(|error| match error.location {
            Some(at) => ConfigError::whole(format!("{name}:{at}"), error.what),
            None => ConfigError::whole(name, error.what),
        })?;
        let fault = |fault: Fault| ConfigError::new(&document, fault);
        let root = document.root();
        if root.is_null() {
            return Ok(Ignore { entries: Vec::new() });
        }
        let list = root
            .get("ignore")
            .and_then(|node| node.as_array())
            .ok_or_else(|| fault(Fault::at(root.span, "expected `ignore:` with a list of exceptions")))?;
        let mut entries = Vec::new();
        for node in list {
            let at = |what: &str| fault(Fault::at(node.span, what));
            let written: Written = de::from_node(node, &de::Substituted::new()).map_err(fault)?;
            if written.reason.trim().len() < 10 {
                return Err(at("the reason says too little: write why this is accepted, and by whom"));
            }
            if written.code.is_none() && written.fingerprint.is_none() {
                return Err(at("expected a `code` or a `fingerprint`: which finding is accepted?"));
            }
            let until = Date::parse(written.until.trim(), format_description!("[year]-[month]-[day]"))
                .map_err(|_| at("`until` is no day: expected one such as 2026-12-31"))?;
            if (until - today).whole_days() > LONGEST_DAYS {
                return Err(at("`until` is more than a year ahead: accept it again when the year is over"));
            }
            let place = format!("{name}:{}", document.locate(node.span.start).line);
            entries.push(Entry { written, until, place });
        }
        Ok(Ignore { entries })
    }

    /// Marks what is accepted, and notes which exceptions expired or fit nothing any more.
    pub(super) fn apply(&self, report: &mut Report, today: Date) {
        for entry in &self.entries {
            let mut fits = 0;
            let expired = entry.until < today;
            for item in report.items.iter_mut().filter(|item| entry.fits(item)) {
                fits += 1;
                if !expired {
                    item.state = State::Ignored {
                        reason: entry.written.reason.trim().to_owned(),
                        until: entry.until.to_string(),
                    };
                }
            }
            let what = entry.written.code.as_deref().unwrap_or("a fingerprint");
            if expired && fits > 0 {
                let note = "the exception expired, and what it accepted is still there";
                report.notes.push(format!("{}: {note} ({what}, {})", entry.place, entry.until));
            } else if fits == 0 {
                report.notes.push(format!(
                    "{}: nothing found is like this any more; remove it ({what})",
                    entry.place
                ));
            }
        }
    }
}

impl Entry {
    fn fits(&self, item: &Item) -> bool {
        let Written { code, place, fingerprint, .. } = &self.written;
        let by_place = |wanted: &String| {
            item.places.iter().any(|place| {
                let all = [&place.operation, &place.part, &place.file];
                all.into_iter().flatten().any(|text| glob(wanted, text))
            })
        };
        code.as_ref().is_none_or(|code| glob(code, &item.code))
            && fingerprint.as_ref().is_none_or(|one| *one == item.fingerprint)
            && place.as_ref().is_none_or(by_place)
    }
}

/// Whether text fits a pattern in which `*` stands for anything. Linear: the parts between stars are found
/// leftmost first.
pub(super) fn glob(pattern: &str, text: &str) -> bool {
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = rest.get(at + part.len()..).unwrap_or_default(),
            None => return false,
        }
    }
    true
}
