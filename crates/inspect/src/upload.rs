//! Uploaded files: what they are by their content, against what they say.

mod archive;

pub use archive::Limits;

use crate::leaves::Part;
use crate::text::{find, has_any, slice};

/// First bytes, and the kind of file that they are of.
const MAGIC: &[(&[u8], &str)] = &[
    (b"\x89PNG\r\n\x1a\n", "image"),
    (b"\xff\xd8\xff", "image"),
    (b"GIF87a", "image"),
    (b"GIF89a", "image"),
    (b"BM", "image"),
    (b"II*\0", "image"),
    (b"MM\0*", "image"),
    (b"%PDF-", "pdf"),
    (b"PK\x03\x04", "archive"),
    (b"PK\x05\x06", "archive"),
    (b"BZh", "archive"),
    (b"\xfd7zXZ\0", "archive"),
    (b"\x28\xb5\x2f\xfd", "archive"),
    (b"\x1f\x8b", "archive"),
    (b"7z\xbc\xaf\x27\x1c", "archive"),
    (b"Rar!\x1a\x07", "archive"),
    (b"MZ", "program"),
    (b"\x7fELF", "program"),
    (b"\xca\xfe\xba\xbe", "program"),
    (b"\xcf\xfa\xed\xfe", "program"),
    (b"#!/", "script"),
    (b"<?php", "script"),
    (b"<%@", "script"),
    (b"<script", "script"),
];

/// Extensions that servers run.
const RUN: &[&str] = &[
    "php", "php3", "php4", "php5", "php7", "phtml", "phar", "jsp", "jspx", "asp", "aspx", "ashx", "asmx",
    "cer", "cgi", "pl", "py", "rb", "sh", "exe", "dll", "bat", "cmd", "ps1", "vbs", "hta", "scr", "com",
    "msi", "war", "shtml", "htaccess",
];

/// What can be wrong with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Wrong {
    /// The test file that every scanner must know.
    Eicar,
    /// A name that a server runs.
    Runs,
    /// A program or script.
    Program,
    /// Declared as a picture, and none.
    NoPicture,
    /// A picture that goes on as a script.
    ScriptInPicture,
    /// An archive that unpacks to more than its bounds.
    Bomb,
    /// Archives within archives, deeper than the bound.
    Nested,
    /// An archive with a file that would be written outside its folder.
    Leaves,
    /// An archive with a link.
    Link,
    /// An archive that is damaged.
    Unreadable,
    /// An archive that is encrypted.
    Encrypted,
    /// An archive of a kind that is not looked into.
    Opaque,
}

impl Wrong {
    /// What a person calls it.
    pub fn title(self) -> &'static str {
        match self {
            Wrong::Eicar => "the EICAR test file",
            Wrong::Runs => "a file that a server would run",
            Wrong::Program => "a program or script",
            Wrong::NoPicture => "no picture, although it says so",
            Wrong::ScriptInPicture => "a picture with a script in it",
            Wrong::Bomb => "an archive that unpacks to more than its bounds",
            Wrong::Nested => "archives within archives, too deep",
            Wrong::Leaves => "an archive whose files leave its folder",
            Wrong::Link => "an archive with a link in it",
            Wrong::Unreadable => "an archive that cannot be read",
            Wrong::Encrypted => "an archive that is encrypted",
            Wrong::Opaque => "an archive of a kind that is not looked into",
        }
    }
}

/// The kind of file that `content` is, where its bytes say so.
pub fn kind(content: &[u8]) -> Option<&'static str> {
    let start = content.trim_ascii_start();
    MAGIC
        .iter()
        .find(|(magic, _)| content.starts_with(magic) || start.starts_with(magic))
        .map(|(_, kind)| *kind)
        .or_else(|| archive::is_tar(content).then_some("archive"))
}

/// Whether `content` is the test file of EICAR: at its beginning, as its rules say.
fn eicar(content: &[u8]) -> bool {
    find(slice(content, 0, 256), b"$eicar-standard-antivirus-test-file!$").is_some()
}

/// What is wrong with the file in `part`; nothing where it is what it says. Archives are looked into within `limits`.
pub fn judge(part: &Part<'_>, limits: &Limits) -> Option<Wrong> {
    let content = part.content;
    if eicar(content) {
        return Some(Wrong::Eicar);
    }
    let name = part.filename.unwrap_or_default();
    let runs = |extension: &[u8]| RUN.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()));
    let mut extensions =
        name.split(|&b| matches!(b, b'.' | 0 | b';' | b'%' | b':')).skip(1).map(<[u8]>::trim_ascii);
    if extensions.any(runs) {
        return Some(Wrong::Runs);
    }
    let kind = kind(content);
    if matches!(kind, Some("program" | "script")) {
        return Some(Wrong::Program);
    }
    let declared = part.content_type.unwrap_or_default();
    let image = declared.len() > 6
        && slice(declared, 0, 6).eq_ignore_ascii_case(b"image/")
        && find(declared, b"svg").is_none();
    if image && kind != Some("image") && !is_other_image(content) && !content.is_empty() {
        return Some(Wrong::NoPicture);
    }
    // A picture that goes on as a script: what includes it runs it.
    if (image || kind == Some("image"))
        && has_any(slice(content, 0, 1 << 20), &[b"<?php", b"<script language=\"php\"", b"<%eval", b"<jsp:"])
    {
        return Some(Wrong::ScriptInPicture);
    }
    if kind == Some("archive") { archive::judge(content, limits) } else { None }
}

/// Pictures that have no fixed first byte: WebP, AVIF, HEIC, icons.
fn is_other_image(content: &[u8]) -> bool {
    slice(content, 8, 12) == b"WEBP"
        || slice(content, 4, 8) == b"ftyp"
        || content.starts_with(b"\0\0\x01\0")
        || content.starts_with(b"\0\0\0\x0cjP")
        || content.starts_with(b"\xff\x0a")
}
