//! `portcullis advisories`: what is known of vulnerable packages, kept in a folder for `portcullis audit`.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_audit::dependencies::version::Ecosystem;
use portcullis_audit::dependencies::{Advisories, Inventory};

use crate::exit::{Exit, Failure, Result};
use crate::term;

/// Keep advisories about vulnerable packages, for `portcullis audit`
///
/// Advisories are in the OSV format. They are kept in `$PORTCULLIS_ADVISORIES`, else in `portcullis/advisories` in
/// the folder for user data (`$XDG_DATA_HOME`, `~/.local/share`).
#[derive(Debug, clap::Subcommand)]
pub(crate) enum Args {
    /// Copy advisories from files: .json, .jsonl, or .zip as the OSV service offers them
    ///
    /// CISA's catalogue of exploited vulnerabilities (`known_exploited_vulnerabilities.json`) is taken as well.
    Import {
        /// The files
        #[arg(required = true)]
        files: Vec<PathBuf>,
    },
    /// Say what there is
    List,
}

/// The folder in which advisories are kept.
pub(crate) fn folder() -> Option<PathBuf> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    variable("PORTCULLIS_ADVISORIES").or_else(|| {
        let data = variable("XDG_DATA_HOME").filter(|path| path.is_absolute());
        let data = data.or_else(|| variable("HOME").map(|home| home.join(".local/share")));
        data.map(|data| data.join("portcullis/advisories"))
    })
}

/// Runs it.
///
/// # Errors
/// If a file is no advisory, or the folder cannot be written.
pub(crate) fn run(args: &Args) -> Result {
    let folder = folder().ok_or_else(|| {
        Failure::Usage("there is no folder for user data: set `PORTCULLIS_ADVISORIES` to one".into())
    })?;
    match args {
        Args::Import { files } => import(&folder, files),
        Args::List => list(&folder),
    }
}

fn import(folder: &Path, files: &[PathBuf]) -> Result {
    let incomplete =
        |path: &Path, error: std::io::Error| Failure::Incomplete(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| incomplete(folder, error))?;
    for path in files {
        // Nothing is wanted of it yet; what counts is whether it reads.
        let mut advisories = Advisories::for_packages(&[] as &[Inventory]);
        advisories.read(path).map_err(Failure::usage)?;
        if let (0, Some(broken)) = (advisories.seen() + advisories.exploited(), advisories.broken().first()) {
            return Err(Failure::Usage(format!("no advisory in it: {broken}")));
        }
        let name =
            path.file_name().ok_or_else(|| Failure::Usage(format!("`{}` names no file", path.display())))?;
        // Written aside and renamed: a reader sees the old file or the new one, and a full disk loses neither.
        let target = folder.join(name);
        let mut aside = name.to_owned();
        aside.push(".part");
        let aside = folder.join(aside);
        fs::copy(path, &aside).map_err(|error| incomplete(&aside, error))?;
        fs::rename(&aside, &target).map_err(|error| incomplete(&target, error))?;
        term::say(format_args!("{}: {} advisories", path.display(), advisories.seen()));
        if !advisories.broken().is_empty() {
            term::note(format_args!(
                "{} in it could not be read, and are passed over",
                advisories.broken().len()
            ));
        }
    }
    term::say(format_args!("kept in {}", folder.display()));
    Ok(Exit::Ok)
}

fn list(folder: &Path) -> Result {
    let mut names: Vec<_> = match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(_) => Vec::new(),
    };
    names.sort();
    if names.is_empty() {
        let known: Vec<&str> = Ecosystem::all().map(Ecosystem::name).collect();
        term::say(format_args!(
            "no advisories in {}\nbring some with `portcullis advisories import all.zip`; known ecosystems: {}",
            folder.display(),
            known.join(", ")
        ));
        return Ok(Exit::Failed);
    }
    for path in names {
        let mut advisories = Advisories::for_packages(&[] as &[Inventory]);
        match advisories.read(&path) {
            Ok(()) => term::say(format_args!("{}: {} advisories", path.display(), advisories.seen())),
            Err(error) => term::say(error),
        }
    }
    Ok(Exit::Ok)
}
