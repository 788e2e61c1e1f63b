//! Uploaded files: what they are by their content, against what they say.

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

/// The kind of file that `content` is, where its first bytes say so.
pub fn kind(content: &[u8]) -> Option<&'static str> {
    let start = content.trim_ascii_start();
    MAGIC
        .iter()
        .find(|(magic, _)| content.starts_with(magic) || start.starts_with(magic))
        .map(|(_, kind)| *kind)
}

/// What is wrong with the file in `part`; nothing where it is what it says.
pub fn judge(part: &Part<'_>) -> Option<&'static str> {
    let content = part.content;
    // The test file that every scanner must know (EICAR), at its beginning as its rules say.
    if find(slice(content, 0, 256), b"$eicar-standard-antivirus-test-file!$").is_some() {
        return Some("the EICAR test file");
    }
    let name = part.filename.unwrap_or_default();
    let runs = |extension: &[u8]| RUN.iter().any(|known| extension.eq_ignore_ascii_case(known.as_bytes()));
    let mut extensions =
        name.split(|&b| matches!(b, b'.' | 0 | b';' | b'%' | b':')).skip(1).map(<[u8]>::trim_ascii);
    if extensions.any(runs) {
        return Some("a file that a server would run");
    }
    let kind = kind(content);
    if matches!(kind, Some("program" | "script")) {
        return Some("a program or script");
    }
    let declared = part.content_type.unwrap_or_default();
    let image = declared.len() > 6
        && slice(declared, 0, 6).eq_ignore_ascii_case(b"image/")
        && find(declared, b"svg").is_none();
    if image && kind != Some("image") && !is_other_image(content) && !content.is_empty() {
        return Some("no picture, although it says so");
    }
    // A picture that goes on as a script: what includes it runs it.
    if (image || kind == Some("image"))
        && has_any(slice(content, 0, 1 << 20), &[b"<?php", b"<script language=\"php\"", b"<%eval", b"<jsp:"])
    {
        return Some("a picture with a script in it");
    }
    None
}

/// Pictures that have no fixed first byte: WebP, AVIF, HEIC, icons.
fn is_other_image(content: &[u8]) -> bool {
    slice(content, 8, 12) == b"WEBP"
        || slice(content, 4, 8) == b"ftyp"
        || content.starts_with(b"\0\0\x01\0")
        || content.starts_with(b"\0\0\0\x0cjP")
        || content.starts_with(b"\xff\x0a")
}
