//! The contract audit: what an API's description says, and leaves out, about its security.
//!
//! [`audit`] reads a document with the files that it refers to, runs every rule of [`RULES`] over it, groups what
//! they hit by root cause (a shared schema is one finding, however many operations use it), and scores the whole
//! and each operation. [`fix`] writes the fixes into the text, comments and order kept.

mod edit;
mod findings;
mod model;
mod names;
mod reach;
mod rule;
mod rules;
mod score;
#[cfg(test)]
mod tests;

use std::fmt;

use portcullis_openapi::source::{Limits, SourceError};
use portcullis_openapi::{Fetch, Tree};

pub use edit::{Edit, apply};
pub use findings::{Finding, Hit, MAX_HITS};
pub use rule::{Rule, Severity};
pub use rules::RULES;
pub use score::{OperationScore, Reason};

use findings::Out;
use model::Description;

/// How an audit is done.
#[derive(Debug, Clone, Copy, Default)]
pub struct Options {
    /// Today's date, as year, month and day: sunset dates are compared with it. Without it they are not.
    pub today: Option<(i32, u8, u8)>,
    /// Whether fixes are prepared: [`Finding::edits`] is empty otherwise.
    pub edits: bool,
    /// What the reader of the documents accepts.
    pub limits: Limits,
}

/// What an audit found.
#[derive(Debug)]
pub struct Audit {
    /// `info.title`.
    pub title: String,
    /// `OpenAPI 3.0.3`, as the document says.
    pub version: String,
    /// From 0 to 100: the mean of the operations' scores, less what is wrong with the document as a whole.
    pub score: f64,
    /// Every operation with its score, in the order of the document.
    pub operations: Vec<OperationScore>,
    /// What was found, the most points first.
    pub findings: Vec<Finding>,
    /// References that lead nowhere, with the place of each; what they would have named was not looked at.
    pub unread: Vec<String>,
    /// Schemas, each counted once.
    pub schemas: usize,
}

/// Why a document could not be audited.
#[derive(Debug)]
pub enum AuditError {
    /// It cannot be read.
    Source(SourceError),
    /// It is no description of an API.
    NotOpenApi(String),
}

impl fmt::Display for AuditError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AuditError::Source(error) => error.fmt(f),
            AuditError::NotOpenApi(name) => write!(
                f,
                "{name}: expected a description of an API: a mapping with `openapi: 3.0.x` or `3.1.x`, or \
                 `swagger: \"2.0\"`"
            ),
        }
    }
}

impl std::error::Error for AuditError {}

/// Audits a document. `name` is its file name relative to what `fetch` reads.
///
/// # Errors
/// If the document cannot be read, or is no OpenAPI or Swagger document.
pub fn audit(name: &str, bytes: &[u8], fetch: &dyn Fetch, options: &Options) -> Result<Audit, AuditError> {
    let tree = Tree::load(name, bytes, fetch, options.limits).map_err(AuditError::Source)?;
    let Some(version) = tree.version_of(0) else {
        return Err(AuditError::NotOpenApi(name.to_owned()));
    };
    let description = Description::read(&tree, version, *options);
    let mut out = Out::new(&description);
    for rule in RULES {
        out.begin(rule);
        rule.run(&description, &mut out);
    }
    let mut groups = out.finish();
    let scored = score::score(&description, &mut groups);
    let mut findings: Vec<Finding> = groups
        .into_iter()
        .zip(&scored.points)
        .map(|(group, points)| group.finish(&description, *points))
        .collect();
    findings.sort_by(|a, b| {
        b.points
            .total_cmp(&a.points)
            .then_with(|| b.severity.cmp(&a.severity))
            .then_with(|| a.rule.code.cmp(b.rule.code))
            .then_with(|| a.key.cmp(&b.key))
    });
    let info = description.root.get("info");
    let text = |key: &str| info.and_then(|info| info.str(key)).unwrap_or_default().to_owned();
    Ok(Audit {
        title: text("title"),
        version: description.written_version(),
        score: scored.document,
        operations: scored.operations,
        findings,
        unread: description.unread(),
        schemas: description.schemas.len(),
    })
}
