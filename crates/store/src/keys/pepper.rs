//! The pepper's file: 32 random bytes as 64 hex digits, apart from the database that it protects.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use super::{from_hex, to_hex};

/// The pepper could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PepperError {
    /// Others may read it.
    #[error(
        "the pepper `{0}` can be read or written by others: `chmod 600` it, and replace all keys if someone may have seen it"
    )]
    Exposed(PathBuf),
    /// It is someone else's.
    #[error("the pepper `{0}` belongs to another user: give it to the gateway's user")]
    Owner(PathBuf),
    /// It is not a pepper.
    #[error(
        "`{0}` is no pepper: expected a file with 64 hex digits; restore it from a backup, for without it no key can be recognised"
    )]
    Malformed(PathBuf),
    /// The system said no.
    #[error("the pepper `{path}` cannot be had: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        error: io::Error,
    },
}

/// Reads the pepper; `None` where there is no file.
///
/// # Errors
/// Where the file is not a regular one of this user (or root's) with no rights for others, or holds no pepper.
pub fn read_pepper(path: &Path) -> Result<Option<[u8; 32]>, PepperError> {
    let failed = |error| PepperError::Io { path: path.to_owned(), error };
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    // Of the opened file: the name could mean another one by now.
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(PepperError::Malformed(path.to_owned()));
    }
    if metadata.mode() & 0o077 != 0 {
        return Err(PepperError::Exposed(path.to_owned()));
    }
    if metadata.uid() != rustix::process::geteuid().as_raw() && metadata.uid() != 0 {
        return Err(PepperError::Owner(path.to_owned()));
    }
    let mut text = String::new();
    match (&mut file).take(128).read_to_string(&mut text) {
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(PepperError::Malformed(path.to_owned()));
        }
        Err(error) => return Err(failed(error)),
    }
    from_hex(text.trim_end()).map(Some).ok_or_else(|| PepperError::Malformed(path.to_owned()))
}

/// Keeps `random` as the pepper, in a file of mode 0600, unless there is one already; gives the one that holds.
/// The folder is made with mode 0700 where it is missing. Whoever comes second gets the first one's.
///
/// Do not call it where keys exist but the pepper is gone: a new one recognises none of them.
///
/// # Errors
/// As [`read_pepper`], and where the file cannot be written.
pub fn create_pepper(path: &Path, random: [u8; 32]) -> Result<[u8; 32], PepperError> {
    if let Some(pepper) = read_pepper(path)? {
        return Ok(pepper);
    }
    let failed = |error| PepperError::Io { path: path.to_owned(), error };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    // Written aside and linked, so that nobody ever sees half a pepper; linking never replaces one.
    let mut aside = path.as_os_str().to_owned();
    // Never a name that one who died left behind; process ids come again, in containers always the same.
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    aside.push(format!(".{}-{}", std::process::id(), now.as_nanos()));
    let aside = PathBuf::from(aside);
    let written = write(&aside, random).and_then(|()| std::fs::hard_link(&aside, path));
    let _ = std::fs::remove_file(&aside);
    match written {
        Ok(()) => File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(failed(error)),
    }
    read_pepper(path)?.ok_or_else(|| failed(io::ErrorKind::NotFound.into()))
}

fn write(path: &Path, pepper: [u8; 32]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{}", to_hex(&pepper))?;
    file.sync_all()
}
