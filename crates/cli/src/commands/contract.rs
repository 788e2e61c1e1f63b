//! `portcullis contract`: what an OpenAPI document says, what of it will be enforced, and what a newer one changes.

mod diff;
mod lint;
mod pin;
mod show;

use std::path::{Path, PathBuf};

use clap::ValueEnum;
use portcullis_openapi::{Contract, Folder, Options, Place};

use crate::exit::{Failure, Result};
use crate::term;

/// Read OpenAPI documents: what is wrong with them, what will be enforced, what a newer one breaks or weakens.
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Say what is wrong with documents, where, and what to write instead
    Lint(lint::Args),
    /// Show what will be enforced of each operation, what not, and why
    Show(show::Args),
    /// Say what a newer document breaks for clients, and what it protects less
    Diff(diff::Args),
    /// List the URLs that a document refers to, and save copies of those that are named
    Pin(pin::Args),
}

pub(crate) fn run(args: &Args) -> Result {
    match args {
        Args::Lint(args) => lint::run(args),
        Args::Show(args) => show::run(args),
        Args::Diff(args) => diff::run(args),
        Args::Pin(args) => pin::run(args),
    }
}

/// How a result is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// For people
    Text,
    /// For programs
    Json,
}

/// How a document is read.
#[derive(Debug, clap::Args)]
pub(crate) struct Reading {
    /// The folder of pinned copies of URLs that the document refers to: `https://example.com/a.yaml` is read
    /// from `FOLDER/example.com/a.yaml`. Default: `pinned` beside the document
    #[arg(long, value_name = "FOLDER")]
    pinned: Option<PathBuf>,
    /// How the result is written
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

impl Reading {
    /// What may be read of a document's files.
    fn folder(&self, file: &Path) -> Result<Folder> {
        let (root, _) = root_and_name(file)?;
        let folder = Folder::new(root);
        Ok(match &self.pinned {
            Some(pinned) => folder.pinned(pinned),
            None => folder,
        })
    }
}

/// The folder that a document is in, and its name there.
fn root_and_name(file: &Path) -> Result<(&Path, &str)> {
    let root = file.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
    match file.file_name().and_then(|name| name.to_str()) {
        Some(name) => Ok((root, name)),
        None => Err(Failure::Usage(format!("`{}` is not a file; name an OpenAPI document", file.display()))),
    }
}

/// A document that was loaded, and the folder that the names of its files count from.
struct Loaded {
    contract: Contract,
    folder: PathBuf,
}

impl Loaded {
    fn of(file: &Path, reading: &Reading) -> Result<Loaded> {
        let (_, name) = root_and_name(file)?;
        let contract = Contract::load(name, &reading.folder(file)?, &Options::default())
            .map_err(|error| Failure::Usage(format!("{}: {error}", file.display())))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        Ok(Loaded { contract, folder: folder.to_owned() })
    }

    /// A file of the document as its user names it.
    fn file(&self, source: &str) -> String {
        match source.contains("://") {
            true => source.to_owned(),
            false => self.folder.join(source).display().to_string(),
        }
    }

    fn place(&self, place: &Place) -> String {
        format!("{}:{}:{}", self.file(&place.source), place.line, place.column)
    }
}

fn print_json(value: &impl serde::Serialize) {
    term::say(serde_json::to_string_pretty(value).unwrap_or_default());
}

/// `1 error`, `2 errors`.
fn count(count: usize, one: &str) -> String {
    format!("{count} {one}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests;
