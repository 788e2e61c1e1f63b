//! `portcullis advisories`: what is known of vulnerable packages, kept in a folder for `portcullis audit`.

use std::fs;
use std::path::{Path, PathBuf};

use portcullis_audit::dependencies::version::Ecosystem;
use portcullis_audit::dependencies::{Advisories, Inventory};

use super::audit::wire::Endpoint;
use super::audit::{transport, wire};
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
    /// Bring the advisories of ecosystems from the OSV service, or from a mirror of it
    ///
    /// What did not change since the last time is not sent again.
    Sync {
        /// Such as `npm`, `PyPI`, `crates.io`, `Go`, `Maven`, `RubyGems`, `Packagist`, `NuGet`; `list` names all
        #[arg(required = true)]
        ecosystems: Vec<String>,
        /// Where: a URL under which `ECOSYSTEM/all.zip` lies
        #[arg(long, value_name = "URL", default_value = OSV)]
        from: String,
        /// Authorities that sign its certificate, PEM [default: those of this machine]
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// Say what there is
    List,
}

/// Where the OSV service keeps its archives (google.github.io/osv.dev/data).
const OSV: &str = "https://osv-vulnerabilities.storage.googleapis.com";

/// Bytes of an archive at most.
const MAX_ARCHIVE: u64 = 2 << 30;

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
        Args::Sync { ecosystems, from, ca } => sync(&folder, ecosystems, from, ca.as_deref()),
        Args::List => list(&folder),
    }
}

fn sync(folder: &Path, ecosystems: &[String], from: &str, ca: Option<&Path>) -> Result {
    let mut wanted = Vec::new();
    for name in ecosystems {
        let known = Ecosystem::all().map(Ecosystem::name).find(|known| known.eq_ignore_ascii_case(name));
        wanted.push(known.ok_or_else(|| {
            let known: Vec<&str> = Ecosystem::all().map(Ecosystem::name).collect();
            Failure::Usage(format!("there is no ecosystem `{name}`; expected one of {}", known.join(", ")))
        })?);
    }
    let endpoint = Endpoint::parse(from.trim_end_matches('/')).map_err(Failure::Usage)?;
    let tls = transport::careful(transport::roots(ca)?).map_err(Failure::incomplete)?;
    let failed =
        |path: &Path, error: std::io::Error| Failure::Incomplete(format!("{}: {error}", path.display()));
    fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    for ecosystem in wanted {
        // The name as part of a path; none of them has a blank or a slash, but who knows the next.
        let place = percent_encoding::utf8_percent_encode(ecosystem, percent_encoding::NON_ALPHANUMERIC);
        let place = place.to_string().replace("%2E", ".");
        let target = folder.join(format!("{}.zip", ecosystem.replace(['/', ' '], "-")));
        let mark = target.with_extension("etag");
        let etag = fs::read_to_string(&mark).ok().filter(|_| target.is_file());
        let aside = tempfile::NamedTempFile::new_in(folder).map_err(|error| failed(folder, error))?;
        let headers: Vec<(String, String)> =
            etag.iter().map(|etag| ("If-None-Match".to_owned(), etag.trim().to_owned())).collect();
        let path = format!("/{place}/all.zip");
        let answer = wire::download(&endpoint, &tls, &path, &headers, aside.as_file(), MAX_ARCHIVE)
            .map_err(|error| Failure::Incomplete(format!("{}: {error}", endpoint.url(&path))))?;
        match answer.status {
            304 => {
                term::say(format_args!("{ecosystem}: nothing new"));
                continue;
            }
            200 => {}
            status => {
                return Err(Failure::Incomplete(format!(
                    "{} answers {status}; --from names a mirror of the service",
                    endpoint.url(&path)
                )));
            }
        }
        // Renamed to what says its form, read, and only then put in the place of what is there.
        let aside = aside.into_temp_path();
        let whole = aside.with_extension("zip");
        fs::rename(&aside, &whole).map_err(|error| failed(&whole, error))?;
        let mut advisories = Advisories::for_packages(&[] as &[Inventory]);
        let read = advisories.read(&whole);
        if read.is_err() || advisories.seen() == 0 {
            let _ = fs::remove_file(&whole);
            let why =
                read.err().map_or_else(|| "there is no advisory in it".to_owned(), |error| error.to_string());
            return Err(Failure::Incomplete(format!("{}: {why}; what there was stays", endpoint.url(&path))));
        }
        fs::rename(&whole, &target).map_err(|error| failed(&target, error))?;
        match answer.header("etag") {
            Some(etag) => fs::write(&mark, etag).map_err(|error| failed(&mark, error))?,
            None => drop(fs::remove_file(&mark)),
        }
        term::say(format_args!("{ecosystem}: {} advisories", advisories.seen()));
    }
    term::say(format_args!("kept in {}", folder.display()));
    Ok(Exit::Ok)
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
        Ok(entries) => {
            let paths = entries.flatten().map(|entry| entry.path());
            paths.filter(|path| path.extension().is_none_or(|end| end != "etag" && end != "part")).collect()
        }
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
