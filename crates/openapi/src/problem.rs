//! What is wrong with a document, said at the node where it is wrong.

use std::fmt;

use crate::source::Location;

/// How much a [`Problem`] matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// Tolerated: read in the way most tools read it.
    Warning,
    /// The node is left out, or what it says cannot be enforced.
    Error,
}

/// Something wrong with one node of a document. The rest of the document is not affected.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Problem {
    /// The file, as it was named at loading.
    pub source: Box<str>,
    /// The JSON pointer of the node in its file.
    pub pointer: Box<str>,
    /// Line, from 1.
    pub line: u32,
    /// Column in characters, from 1.
    pub column: u32,
    /// How much it matters.
    pub severity: Severity,
    /// What was found.
    pub what: Box<str>,
    /// What was expected.
    pub expected: Box<str>,
}

impl Problem {
    /// The place of the node.
    pub fn location(&self) -> Location {
        Location { line: self.line, column: self.column, offset: 0 }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { source, line, column, pointer, what, expected, .. } = self;
        write!(f, "{source}:{line}:{column}: {what}; expected {expected} (at `{pointer}`)")
    }
}
