//! Files that a person names, read within a bound.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

/// The whole file, of at most `most` bytes. Of a larger one, or one without end, nothing is kept.
///
/// # Errors
/// If it cannot be read; [`io::ErrorKind::FileTooLarge`] if it is larger, and then the text says how large it may be.
pub(crate) fn read(path: &Path, most: u64) -> io::Result<Vec<u8>> {
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

/// [`read`], as text.
///
/// # Errors
/// As [`read`], and if it is not UTF-8.
pub(crate) fn read_text(path: &Path, most: u64) -> io::Result<String> {
    let bytes = read(path, most)?;
    String::from_utf8(bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "it is not UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_too_large_is_not_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("f");
        std::fs::write(&path, b"12345").unwrap();
        assert_eq!(read(&path, 5).unwrap(), b"12345");
        let error = read(&path, 4).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::FileTooLarge);
        assert_eq!(error.to_string(), "it has 5 bytes, expected at most 4");
        // Says that it is empty, and never ends.
        let endless = read(Path::new("/dev/zero"), 1 << 16).unwrap_err();
        assert_eq!(endless.to_string(), "it has more than 65536 bytes, expected at most 65536");
        std::fs::write(&path, b"\xff").unwrap();
        assert_eq!(read_text(&path, 5).unwrap_err().to_string(), "it is not UTF-8");
    }
}
