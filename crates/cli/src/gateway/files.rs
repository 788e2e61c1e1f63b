//! Notices that files changed: by modification time, size and identity, looked at once a second.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// What a file looked like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Look {
    modified_ns: i128,
    size: u64,
    inode: u64,
}

impl Look {
    fn at(path: &Path) -> Option<Look> {
        // Followed through links: a mounted secret changes by its link being turned.
        let metadata = std::fs::metadata(path).ok()?;
        let modified_ns = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
        Some(Look { modified_ns, size: metadata.size(), inode: metadata.ino() })
    }
}

/// The files that a configuration was made of, as they were when it was loaded.
#[derive(Debug, Default)]
pub(crate) struct Files {
    looks: BTreeMap<PathBuf, Option<Look>>,
    changing: Option<BTreeMap<PathBuf, Option<Look>>>,
}

impl Files {
    /// Takes note of `paths` as they are now.
    pub(crate) fn new(paths: impl IntoIterator<Item = PathBuf>) -> Files {
        let looks = paths.into_iter().map(|path| (Look::at(&path), path)).map(|(look, path)| (path, look));
        Files { looks: looks.collect(), changing: None }
    }

    /// The same files, as they are now.
    pub(crate) fn again(&self) -> Files {
        Files::new(self.looks.keys().cloned())
    }

    /// Other files, or the same: where one was looked at before, that look counts, since what was loaded may be
    /// older than what is there now.
    pub(crate) fn instead(&self, paths: impl IntoIterator<Item = PathBuf>) -> Files {
        let mut files = Files::new(paths);
        for (path, look) in &mut files.looks {
            if let Some(before) = self.looks.get(path) {
                *look = *before;
            }
        }
        files
    }

    /// Whether a file changed since the last `true`, and has stood still since the call before: whoever writes
    /// it piece by piece is waited for.
    pub(crate) fn changed(&mut self) -> bool {
        let now: BTreeMap<_, _> = self.looks.keys().map(|path| (path.clone(), Look::at(path))).collect();
        if now == self.looks {
            self.changing = None;
            return false;
        }
        if self.changing.as_ref() == Some(&now) {
            self.looks = now;
            self.changing = None;
            return true;
        }
        self.changing = Some(now);
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_seen_once_and_when_they_are_over() {
        let folder = tempfile::tempdir().unwrap();
        let (one, two) = (folder.path().join("one"), folder.path().join("two"));
        std::fs::write(&one, "1").unwrap();
        let mut files = Files::new([one.clone(), two.clone()]);
        assert!(!files.changed());
        std::fs::write(&one, "12").unwrap();
        assert!(!files.changed(), "it may still be written");
        std::fs::write(&one, "123").unwrap();
        assert!(!files.changed(), "it was still written");
        assert!(files.changed());
        assert!(!files.changed());
        std::fs::write(&two, "").unwrap();
        assert!(!files.changed() && files.changed(), "a file that appears is a change");
        let before = files.again();
        std::fs::write(&two, "later").unwrap();
        let mut later = before.instead([two.clone()]);
        assert!(!later.changed() && later.changed(), "what changed while it was loaded is a change");
        assert!(!files.changed() && files.changed());
        std::fs::remove_file(&one).unwrap();
        assert!(!files.changed() && files.changed(), "and so is one that goes");
    }
}
