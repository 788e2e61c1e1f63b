//! Where the files that a document refers to come from.

use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
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
///
/// A URL is read from a copy in the folder of pinned copies, [`PINNED`] unless [`Folder::pinned`] names another:
/// `https://example.com/a/b.yaml` from `pinned/example.com/a/b.yaml`. So a contract does not change, nor fail to
/// load, by what a server far away answers.
#[derive(Debug, Clone)]
pub struct Folder {
    root: PathBuf,
    pinned: PathBuf,
    limit: u64,
}

/// The folder of pinned copies of URLs, in the document's folder.
pub const PINNED: &str = "pinned";

impl Folder {
    /// The files under `root`, each up to 128 MiB.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        let root = root.into();
        Self { pinned: root.join(PINNED), root, limit: 128 << 20 }
    }

    /// With another folder of pinned copies; it need not be below the root.
    #[must_use]
    pub fn pinned(mut self, folder: impl Into<PathBuf>) -> Self {
        self.pinned = folder.into();
        self
    }

    /// The file that a URI is read from; nothing if it names none that may be read.
    pub fn path_of(&self, uri: &str) -> Option<PathBuf> {
        let (folder, relative) = self.place(uri).ok()?;
        Some(folder.join(relative))
    }

    /// The folder and the path below it that a URI names.
    fn place<'a>(&'a self, uri: &'a str) -> Result<(&'a Path, PathBuf), FetchError> {
        let inside = |path: &Path| {
            path.components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
        };
        let error = |what: String| FetchError { what };
        let Some((scheme, rest)) = uri.split_once("://") else {
            let path = Path::new(uri);
            return if inside(path) {
                Ok((&self.root, path.to_owned()))
            } else {
                Err(error(format!("`{uri}` leads out of the document's folder; move the file inside")))
            };
        };
        if !matches!(scheme.to_ascii_lowercase().as_str(), "http" | "https") {
            return Err(error(format!(
                "`{uri}` is no file in the document's folder; save it there and refer to it by a relative path"
            )));
        }
        // A colon is not allowed in file names everywhere; a query names another file than the path alone.
        let name = rest.replace(':', "_").replace('?', "@");
        let path = PathBuf::from(name);
        let has_path = rest.trim_end_matches('/').contains('/') && !rest.ends_with('/');
        if !has_path || !inside(&path) || rest.contains(['\\', '\0']) {
            return Err(error(format!("`{uri}` names no file")));
        }
        Ok((&self.pinned, path))
    }
}

impl Fetch for Folder {
    fn fetch(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let error = |what: String| FetchError { what };
        let (folder, relative) = self.place(uri)?;
        let unreadable = |cause: io::Error| {
            error(match uri.contains("://") {
                true => format!(
                    "a copy of `{uri}` at `{}` ({cause}); save it there, nothing is fetched",
                    folder.join(&relative).display()
                ),
                false => format!("`{uri}` cannot be read: {cause}"),
            })
        };
        let root = folder.canonicalize().map_err(unreadable)?;
        let path = root.join(&relative).canonicalize().map_err(unreadable)?;
        if !path.starts_with(&root) {
            return Err(error(format!("`{uri}` is a link that leads out of the folder")));
        }
        // A pipe would be waited for.
        if !std::fs::metadata(&path).map_err(unreadable)?.is_file() {
            return Err(error(format!("`{uri}` is no file")));
        }
        read_within(&path, self.limit).map_err(|cause| match cause.kind() {
            io::ErrorKind::FileTooLarge => error(format!("`{uri}` is not read: {cause}")),
            _ => unreadable(cause),
        })
    }
}

/// The whole file at `path`, of at most `most` bytes. Of a larger one, or one without end, nothing is kept.
///
/// # Errors
/// If it cannot be read; [`io::ErrorKind::FileTooLarge`] if it is larger, and then the text says how large it may be.
pub fn read_within(path: &Path, most: u64) -> io::Result<Vec<u8>> {
    let large = |size: String| {
        io::Error::new(io::ErrorKind::FileTooLarge, format!("it has {size} bytes, expected at most {most}"))
    };
    let file = File::open(path)?;
    let size = file.metadata()?.len();
    if size > most {
        return Err(large(size.to_string()));
    }
    let mut bytes = Vec::with_capacity(size as usize);
    file.take(most + 1).read_to_end(&mut bytes)?;
    // What is no regular file, or grows, has another length than it said.
    match bytes.len() as u64 > most {
        true => Err(large(format!("more than {most}"))),
        false => Ok(bytes),
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
        std::fs::write(inner.join("long.yaml"), "12345").unwrap();
        for (limit, is_read) in [(5, true), (4, false)] {
            let folder = Folder { limit, ..Folder::new(&inner) };
            assert_eq!(folder.fetch("long.yaml").is_ok(), is_read, "{limit}");
        }
    }

    #[test]
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read_within(&path, 5).unwrap(), b"12345");
        let error = read_within(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it has 5 bytes, expected at most 4");
        // Says that it is empty, and never ends.
        let endless = read_within(Path::new("/dev/zero"), 1 << 16).unwrap_err();
        assert_eq!(endless.to_string(), "it has more than 65536 bytes, expected at most 65536");
    }

    #[test]
    fn urls_are_read_from_pinned_copies() {
        let folder = tempfile::tempdir().unwrap();
        let host = folder.path().join("pinned/example.com_8080/v1");
        std::fs::create_dir_all(&host).unwrap();
        std::fs::write(host.join("a.yaml"), "a").unwrap();
        std::fs::write(host.join("a.yaml@v=2"), "b").unwrap();
        let here = Folder::new(folder.path());
        assert_eq!(here.fetch("https://example.com:8080/v1/a.yaml"), Ok(b"a".to_vec()));
        assert_eq!(here.fetch("http://example.com:8080/v1/a.yaml?v=2"), Ok(b"b".to_vec()));
        for uri in [
            "https://example.com:8080/v1/none.yaml",
            "https://example.com:8080/v1/../../../etc/passwd",
            "https://../a.yaml",
            "https://example.com/",
            "https://example.com",
            "https://",
            "ftp://example.com:8080/v1/a.yaml",
        ] {
            assert!(here.fetch(uri).is_err(), "{uri}");
        }
        let missing = here.fetch("https://example.com/b.yaml").unwrap_err().what;
        assert!(
            missing.contains("pinned/example.com/b.yaml") && missing.contains("save it there"),
            "{missing}"
        );
        let elsewhere = Folder::new("/nowhere").pinned(folder.path().join("pinned"));
        assert_eq!(elsewhere.fetch("https://example.com:8080/v1/a.yaml"), Ok(b"a".to_vec()));
    }
}
