//! The files of a description as written: what a reader needs that is after the text itself, not the contract.

use super::files::{At, Files, Resolver};
use crate::fetch::Fetch;
use crate::model::Version;
use crate::source::{Document, Limits, Node, SourceError};

/// A description with all the files that it refers to, as trees with spans.
#[derive(Debug)]
pub struct Tree {
    files: Files,
}

impl Tree {
    /// Reads a document and, through `fetch`, all files that it refers to. A file that cannot be had is no error
    /// here; [`References::find`] says what was expected.
    ///
    /// # Errors
    /// If the document itself cannot be read: see [`Document::parse_with`].
    pub fn load(name: &str, bytes: &[u8], fetch: &dyn Fetch, limits: Limits) -> Result<Self, SourceError> {
        Ok(Self { files: Files::load(name, bytes, fetch, limits)? })
    }

    /// The files; the document itself is the first.
    pub fn documents(&self) -> &[Document] {
        self.files.documents()
    }

    /// The specification that a file names itself.
    pub fn version_of(&self, file: usize) -> Option<Version> {
        self.files.version_of(file)
    }

    /// Follows references between the files.
    pub fn references(&self) -> References<'_> {
        References { resolver: Resolver::new(&self.files) }
    }
}

/// Finds what references point at, and remembers it.
#[derive(Debug)]
pub struct References<'t> {
    resolver: Resolver<'t>,
}

impl<'t> References<'t> {
    /// The file and the node that a reference names, seen from a file.
    ///
    /// # Errors
    /// What was expected, as a noun phrase.
    pub fn find(&self, file: usize, reference: &'t str) -> Result<(usize, &'t Node), String> {
        self.resolver.find_in((file, 0), reference).map(|at| (at.file, at.node))
    }

    /// Follows `$ref` from a node until one that is none.
    ///
    /// # Errors
    /// What was expected, as a noun phrase; also where references lead in a circle.
    pub fn follow(&self, file: usize, node: &'t Node) -> Result<(usize, &'t Node), String> {
        self.resolver.follow(At { file, node }).map(|at| (at.file, at.node))
    }
}
