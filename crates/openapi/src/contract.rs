//! The compiled contract: what a gateway asks while calls pass.

use std::collections::BTreeMap;
use std::fmt;

use crate::fetch::{Alone, Fetch, FetchError};
use crate::model::{Info, Operation, SecurityScheme};
use crate::problem::Problem;
use crate::routes::{CaseOf, Routes, TrailingSlash};
use crate::schema::Arena;
use crate::source::{Limits, SourceError};

/// How a document is compiled.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Base paths that take the place of the document's own (`servers`, `basePath`). `[""]` is the root.
    pub base_paths: Option<Vec<String>>,
    /// Whether `/a/` is `/a`.
    pub trailing_slash: TrailingSlash,
    /// Whether `/A` is `/a`.
    pub case: CaseOf,
    /// Path keys with a parameter that may hold slashes, marked with a star: `/files/{path*}` for the
    /// document's `/files/{path}`. The document may say so itself: by the same mark, or at the parameter by
    /// `x-multi-segment: true` or `x-ms-skip-url-encoding: true`.
    pub multi_segment: Vec<String>,
    /// Count the keywords of the compiled schemas: see [`Contract::keywords`].
    pub count_keywords: bool,
    /// What each file may hold.
    pub limits: Limits,
}

/// Why a document could not be loaded at all. What is wrong with a part of it is a [`Problem`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LoadError {
    /// The file could not be had.
    Fetch(FetchError),
    /// The file is neither JSON nor YAML, or too big.
    Source(SourceError),
    /// The file is something else than Swagger 2.0 or OpenAPI 3.
    NotAContract(Problem),
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fetch(error) => error.fmt(f),
            Self::Source(error) => error.fmt(f),
            Self::NotAContract(problem) => problem.fmt(f),
        }
    }
}

impl std::error::Error for LoadError {}

/// An OpenAPI document, compiled.
#[derive(Debug)]
pub struct Contract {
    pub(crate) info: Info,
    pub(crate) operations: Vec<Operation>,
    pub(crate) security_schemes: Vec<SecurityScheme>,
    pub(crate) problems: Vec<Problem>,
    pub(crate) routes: Routes,
    pub(crate) schemas: Arena,
    pub(crate) keywords: BTreeMap<&'static str, usize>,
    pub(crate) idle_marks: Vec<usize>,
}

impl Contract {
    /// Loads the document `uri` and the files it refers to, all through `fetch`.
    ///
    /// # Errors
    /// If the document itself cannot be had, read, or is no OpenAPI document. A wrong part of it is no error
    /// here but is listed in [`Contract::problems`].
    pub fn load(uri: &str, fetch: &dyn Fetch, options: &Options) -> Result<Self, LoadError> {
        let bytes = fetch.fetch(uri).map_err(LoadError::Fetch)?;
        crate::build::build(uri, &bytes, fetch, options)
    }

    /// Loads one document that refers to no other file. `name` is used in diagnoses.
    ///
    /// # Errors
    /// As [`Contract::load`].
    pub fn parse(name: &str, bytes: &[u8], options: &Options) -> Result<Self, LoadError> {
        crate::build::build(name, bytes, &Alone, options)
    }

    /// What the document says about itself.
    pub fn info(&self) -> &Info {
        &self.info
    }

    /// The operations, in the order of the document. Their indexes are what [`Contract::route`] answers.
    pub fn operations(&self) -> &[Operation] {
        &self.operations
    }

    /// The security schemes that the document defines.
    pub fn security_schemes(&self) -> &[SecurityScheme] {
        &self.security_schemes
    }

    /// How many of the compiled schemas hold each keyword, to compare with the text; empty unless
    /// [`Options::count_keywords`] asks for it. `minimum` and `maximum` are bounds of either kind,
    /// `dependencies` dependencies of any.
    pub fn keywords(&self) -> &BTreeMap<&'static str, usize> {
        &self.keywords
    }

    /// The indexes of those of [`Options::multi_segment`] that let no parameter hold slashes: there is no such path,
    /// no star in it, or the parameter is no segment by itself.
    pub fn idle_marks(&self) -> &[usize] {
        &self.idle_marks
    }

    /// What is wrong with the document: everything that was left out, or read with good will.
    pub fn problems(&self) -> &[Problem] {
        &self.problems
    }
}
