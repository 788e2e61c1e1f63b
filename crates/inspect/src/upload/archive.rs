//! Archives: what is in them, without ever unpacking more than a bound.
//!
//! ZIP (and what is built on it: office documents, Java archives), gzip and tar are looked into, archives within
//! archives too. What an archive says of its own size is not believed: it is unpacked, up to the bound, and what comes out
//! is counted.

use std::io::{Cursor, Read};

use super::{Wrong, eicar, kind};
use crate::text::{at, slice};

/// How much of an archive is looked into.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Files in it, those of archives within it among them.
    pub files: usize,
    /// Bytes that all files together may have.
    pub unpacked: u64,
    /// How many times its own size it may unpack to. Up to a mebibyte it always may.
    pub ratio: u64,
    /// Archives within archives.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { files: 2_000, unpacked: 64 << 20, ratio: 100, depth: 2 }
    }
}

/// Unpacked bytes that no ratio forbids.
const ALWAYS: u64 = 1 << 20;

/// What is wrong with the archive `content`; nothing where it is within `limits` and carries nothing harmful.
pub(super) fn judge(content: &[u8], limits: &Limits) -> Option<Wrong> {
    let most = limits.unpacked.min(ALWAYS.max(limits.ratio.saturating_mul(content.len() as u64)));
    Room { files: limits.files, bytes: most, depth: limits.depth }.archive(content, 0).err()
}

/// Whether `content` is a tape archive (POSIX.1-1988 and later): its magic stands in the middle of its first header.
pub(super) fn is_tar(content: &[u8]) -> bool {
    slice(content, 257, 262) == b"ustar"
}

/// What may still be unpacked.
struct Room {
    files: usize,
    bytes: u64,
    depth: u32,
}

impl Room {
    fn archive(&mut self, content: &[u8], depth: u32) -> Result<(), Wrong> {
        match content {
            [b'P', b'K', 3, 4, ..] | [b'P', b'K', 5, 6, ..] => self.zip(content, depth),
            [0x1f, 0x8b, ..] => {
                let inner = self.unpack(flate2::read::MultiGzDecoder::new(content))?;
                self.file(&inner, depth)
            }
            _ if is_tar(content) => self.tar(content, depth),
            _ => Err(Wrong::Opaque),
        }
    }

    fn zip(&mut self, content: &[u8], depth: u32) -> Result<(), Wrong> {
        let mut archive = zip::ZipArchive::new(Cursor::new(content)).map_err(|_| Wrong::Unreadable)?;
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(|_| Wrong::Unreadable)?;
            self.enter(entry.name_raw())?;
            if entry.is_symlink() {
                return Err(Wrong::Link);
            }
            if entry.encrypted() {
                return Err(Wrong::Encrypted);
            }
            if entry.is_dir() {
                continue;
            }
            drop(entry);
            let entry = archive.by_index(index).map_err(|_| Wrong::Unreadable)?;
            let inner = self.unpack(entry)?;
            self.file(&inner, depth)?;
        }
        Ok(())
    }

    fn tar(&mut self, content: &[u8], depth: u32) -> Result<(), Wrong> {
        let mut archive = tar::Archive::new(content);
        for entry in archive.entries().map_err(|_| Wrong::Unreadable)? {
            let entry = entry.map_err(|_| Wrong::Unreadable)?;
            self.enter(&entry.path_bytes())?;
            let kind = entry.header().entry_type();
            if kind.is_symlink() || kind.is_hard_link() {
                return Err(Wrong::Link);
            }
            if kind.is_file() || kind.is_contiguous() {
                let inner = self.unpack(entry)?;
                self.file(&inner, depth)?;
            }
        }
        Ok(())
    }

    /// Counts a file and judges its name.
    fn enter(&mut self, name: &[u8]) -> Result<(), Wrong> {
        self.files = self.files.checked_sub(1).ok_or(Wrong::Bomb)?;
        if leaves_folder(name) { Err(Wrong::Leaves) } else { Ok(()) }
    }

    fn unpack(&mut self, reader: impl Read) -> Result<Vec<u8>, Wrong> {
        let mut out = Vec::new();
        reader.take(self.bytes + 1).read_to_end(&mut out).map_err(|_| Wrong::Unreadable)?;
        self.bytes = self.bytes.checked_sub(out.len() as u64).ok_or(Wrong::Bomb)?;
        Ok(out)
    }

    fn file(&mut self, content: &[u8], depth: u32) -> Result<(), Wrong> {
        if eicar(content) {
            return Err(Wrong::Eicar);
        }
        match kind(content) {
            Some("program") => Err(Wrong::Program),
            Some("archive") if depth >= self.depth => Err(Wrong::Nested),
            Some("archive") => self.archive(content, depth + 1),
            _ => Ok(()),
        }
    }
}

/// Whether who unpacks `name` writes outside the folder that they unpack into.
fn leaves_folder(name: &[u8]) -> bool {
    let absolute = matches!(at(name, 0), b'/' | b'\\') || at(name, 1) == b':';
    absolute || name.contains(&0) || name.split(|&b| matches!(b, b'/' | b'\\')).any(|step| step == b"..")
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
        for (name, content) in files {
            archive.start_file(*name, SimpleFileOptions::default()).unwrap();
            archive.write_all(content).unwrap();
        }
        archive.finish().unwrap().into_inner()
    }

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(content).unwrap();
        encoder.finish().unwrap()
    }

    fn tar(name: &str, kind: tar::EntryType, content: &[u8]) -> Vec<u8> {
        let mut header = tar::Header::new_ustar();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(content.len() as u64);
        header.set_cksum();
        let mut builder = tar::Builder::new(Vec::new());
        builder.append(&header, content).unwrap();
        builder.into_inner().unwrap()
    }

    fn wrong(content: &[u8]) -> Option<Wrong> {
        judge(content, &Limits::default())
    }

    #[test]
    fn ordinary_archives_pass() {
        assert_eq!(wrong(&zip(&[("a.txt", b"hello"), ("b/c.csv", b"1,2")])), None);
        assert_eq!(wrong(&zip(&[("inner.zip", &zip(&[("a..b.txt", b"x")]))])), None);
        assert_eq!(wrong(&gzip(b"one file")), None);
        assert_eq!(wrong(&gzip(&tar("a/b.txt", tar::EntryType::Regular, b"x"))), None);
        assert_eq!(wrong(&tar("a.txt", tar::EntryType::Regular, b"x")), None);
    }

    #[test]
    fn bombs_are_stopped_at_the_bound() {
        let zeros = vec![0; 8 << 20];
        assert_eq!(wrong(&gzip(&zeros)), Some(Wrong::Bomb));
        assert_eq!(wrong(&zip(&[("zeros", &zeros)])), Some(Wrong::Bomb));
        // Hidden one level down, each level small.
        assert_eq!(wrong(&zip(&[("z.gz", &gzip(&zeros))])), Some(Wrong::Bomb));
        let many: Vec<String> = (0..2_001).map(|n| n.to_string()).collect();
        let many: Vec<(&str, &[u8])> = many.iter().map(|name| (name.as_str(), &b""[..])).collect();
        assert_eq!(wrong(&zip(&many)), Some(Wrong::Bomb));
        let deep = (0..4).fold(b"x".to_vec(), |inner, _| zip(&[("a.zip", &inner)]));
        assert_eq!(wrong(&deep), Some(Wrong::Nested));
    }

    #[test]
    fn names_links_and_contents() {
        for name in ["../a", "a/../../b", "/etc/a", "C:\\a", "a\\..\\b", "\\\\server\\a"] {
            assert_eq!(wrong(&zip(&[(name, b"x")])), Some(Wrong::Leaves), "{name}");
        }
        assert_eq!(wrong(&tar("../a", tar::EntryType::Regular, b"x")), Some(Wrong::Leaves));
        assert_eq!(wrong(&tar("a", tar::EntryType::Symlink, b"")), Some(Wrong::Link));
        let eicar = ["X5O!P%@AP[4\\PZX54(P^)7CC)7}$EICAR-", "STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"].concat();
        assert_eq!(wrong(&zip(&[("a.txt", eicar.as_bytes())])), Some(Wrong::Eicar));
        assert_eq!(wrong(&gzip(eicar.as_bytes())), Some(Wrong::Eicar));
        assert_eq!(wrong(&zip(&[("a.txt", b"\x7fELF\x02\x01\x01\0")])), Some(Wrong::Program));
    }

    #[test]
    fn what_is_broken_or_sealed_is_named() {
        let whole = zip(&[("a.txt", b"hello hello hello")]);
        assert_eq!(wrong(&whole[..whole.len() - 30]), Some(Wrong::Unreadable));
        let mut sealed = whole.clone();
        // The flag of encryption, in the file's own header and in the directory.
        sealed[6] |= 1;
        let directory = sealed.windows(4).position(|four| four == b"PK\x01\x02").unwrap();
        sealed[directory + 8] |= 1;
        assert_eq!(wrong(&sealed), Some(Wrong::Encrypted));
        assert_eq!(wrong(b"7z\xbc\xaf\x27\x1c\0\0"), Some(Wrong::Opaque));
        let mut torn = gzip(b"hello hello hello");
        let end = torn.len() - 6;
        torn.truncate(end);
        assert_eq!(wrong(&torn), Some(Wrong::Unreadable));
        for cut in 0..whole.len() {
            let _ = wrong(&whole[..cut]);
        }
    }
}
