//! Where the files that a document refers to come from.

use std::fmt;
use std::path::{Component, Path, PathBuf};

/// Hands out files by their URI. The crate does no I/O but through this.
pub trait Fetch {
    /// The bytes of a file. `uri` is what [`Contract::load`](crate::Contract::load) was given, or a reference
    /// resolved against it.
    ///
    /// # Errors
    /// If there is no such file or it may not be read.
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError>;
}

/// Why a file could not be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FetchError {
    /// What was wrong, and what to do.
    pub what: String,
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for FetchError {}

/// Nothing but the document itself.
#[derive(Debug, Clone, Copy, Default)]
pub struct Alone;

impl Fetch for Alone {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        Err(FetchError { what: format!("`{uri}` is another file, and none may be read here") })
    }
}

/// The files of one folder and the folders below. URIs are paths relative to it; nothing outside is read,
/// links that lead out included, and no network is used.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    limit: u64,
}

impl Folder {
    /// The files under `root`, each up to 128 MiB.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into(), limit: 128 << 20 }
    }
}

impl Fetch for Folder {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let error = |what: String| FetchError { what };
        if uri.contains("://") {
            return Err(error(format!(
                "`{uri}` is not in the document's folder; save it there and refer to it by a relative path"
            )));
        }
        let relative = Path::new(uri);
        let inside =
            relative.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir));
        if !inside {
            return Err(error(format!("`{uri}` leads out of the document's folder; move the file inside")));
        }
        let unreadable = |cause: std::io::Error| error(format!("`{uri}` cannot be read: {cause}"));
        let root = self.root.canonicalize().map_err(unreadable)?;
        let path = root.join(relative).canonicalize().map_err(unreadable)?;
        if !path.starts_with(&root) {
            return Err(error(format!("`{uri}` is a link that leads out of the document's folder")));
        }
        let size = std::fs::metadata(&path).map_err(unreadable)?.len();
        if size > self.limit {
            return Err(error(format!("`{uri}` has {size} bytes, expected at most {}", self.limit)));
        }
        std::fs::read(&path).map_err(unreadable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_gives_nothing_from_outside() {
        let outer = tempfile::tempdir().unwrap();
        let inner = outer.path().join("api");
        std::fs::create_dir_all(inner.join("parts")).unwrap();
        std::fs::write(outer.path().join("secret.yaml"), "s").unwrap();
        std::fs::write(inner.join("parts/a.yaml"), "a").unwrap();
        let folder = Folder::new(&inner);
        assert_eq!(folder.fetch("parts/a.yaml"), Ok(b"a".to_vec()));
        assert_eq!(folder.fetch("./parts/a.yaml"), Ok(b"a".to_vec()));
        let absolute = inner.join("parts/a.yaml");
        for uri in ["../secret.yaml", "parts/../../secret.yaml", "none.yaml", "", "parts", "https://a/b.yaml"]
        {
            assert!(folder.fetch(uri).is_err(), "{uri}");
        }
        assert!(folder.fetch(&absolute.to_string_lossy()).is_err());
        assert!(folder.fetch("file:///etc/passwd").is_err());
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(outer.path().join("secret.yaml"), inner.join("link.yaml")).unwrap();
            assert!(folder.fetch("link.yaml").unwrap_err().to_string().contains("leads out"));
        }
        assert!(Alone.fetch("parts/a.yaml").is_err());
    }
}
