//! `multipart/form-data` (RFC 7578, RFC 2046 section 5.1), read so strictly that no two parsers can differ about it.

use std::borrow::Cow;

use super::{Leaf, Malformed, Name, Visit};
use crate::decode::path_text;
use crate::place::Place;
use crate::text::{at, find, from, is_space, is_word, skip_while, slice, trim};

/// Parts of a body.
const MOST: usize = 1024;

/// One part.
#[derive(Debug, Clone, Copy)]
pub struct Part<'a> {
    /// The field's name.
    pub name: &'a [u8],
    /// The file's name as sent, where the part is a file.
    pub filename: Option<&'a [u8]>,
    /// Whether that name stands as `filename*` (RFC 5987).
    pub extended: bool,
    /// The part's content type.
    pub content_type: Option<&'a [u8]>,
    /// What the part says of its encoding.
    pub encoding: Option<&'a [u8]>,
    /// Its content.
    pub content: &'a [u8],
}

/// The boundary that a content type names (RFC 2046 section 5.1.1); nothing where it names none, or two.
pub fn boundary(content_type: &str) -> Option<&str> {
    let mut found = None;
    for parameter in content_type.split(';').skip(1) {
        let (name, value) = parameter.split_once('=')?;
        if !name.trim().eq_ignore_ascii_case("boundary") {
            continue;
        }
        let value = value.trim();
        let plain = match value.strip_prefix('"') {
            Some(quoted) => quoted.strip_suffix('"')?,
            None => value,
        };
        let fine = !plain.is_empty()
            && plain.len() <= 70
            && plain.bytes().all(|b| is_word(b) || b"'()+_,-./:=? ".contains(&b))
            && !plain.ends_with(' ');
        if !fine || found.is_some() {
            return None;
        }
        found = Some(plain);
    }
    found
}

/// The parts of `body`.
///
/// # Errors
/// If a delimiter, a header or an end is missing, a header stands twice, or there are too many parts.
pub fn parts<'a>(body: &'a [u8], boundary: &str) -> Result<Vec<Part<'a>>, Malformed> {
    let mut delimiter = b"\r\n--".to_vec();
    delimiter.extend_from_slice(boundary.as_bytes());
    let first = delimiter.get(2..).unwrap_or_default();
    let wrong = |at, expected| Err(Malformed { at, expected });
    let mut index = match body.starts_with(first) {
        true => first.len(),
        // A preamble is allowed, and ignored by everyone.
        false => match position(body, &delimiter) {
            Some(start) => start + delimiter.len(),
            None => return wrong(0, "the boundary"),
        },
    };
    let mut parts = Vec::new();
    loop {
        if from(body, index).starts_with(b"--") {
            return Ok(parts);
        }
        index = skip_while(body, index, |b| b == b' ' || b == b'\t');
        if !from(body, index).starts_with(b"\r\n") {
            return wrong(index, "a line break behind the boundary");
        }
        let rest = from(body, index);
        let Some(head) = position(rest, b"\r\n\r\n") else {
            return wrong(index, "an empty line behind a part's headers");
        };
        let content = from(rest, head + 4);
        let Some(end) = position(content, &delimiter) else { return wrong(index, "the boundary at the end") };
        if parts.len() >= MOST {
            return wrong(index, "fewer parts");
        }
        parts.push(part(slice(rest, 2, head), slice(content, 0, end), index)?);
        index += head + 4 + end + delimiter.len();
    }
}

/// The first place of `needle`, found by its rare bytes.
fn position(bytes: &[u8], needle: &[u8]) -> Option<usize> {
    let first = *needle.first()?;
    let mut index = 0;
    while let Some(found) = from(bytes, index).iter().position(|&b| b == first) {
        let start = index + found;
        if from(bytes, start).starts_with(needle) {
            return Some(start);
        }
        index = start + 1;
    }
    None
}

fn part<'a>(head: &'a [u8], content: &'a [u8], at_: usize) -> Result<Part<'a>, Malformed> {
    let mut part =
        Part { name: b"", filename: None, extended: false, content_type: None, encoding: None, content };
    let mut disposition = false;
    for line in head.split(|&b| b == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if is_space(at(line, 0)) {
            return Err(Malformed { at: at_, expected: "a header on one line" });
        }
        let Some(colon) = line.iter().position(|&b| b == b':') else { continue };
        let (name, value) = (slice(line, 0, colon), trim(from(line, colon + 1)));
        if name.eq_ignore_ascii_case(b"content-disposition") {
            if disposition {
                return Err(Malformed { at: at_, expected: "one content-disposition" });
            }
            disposition = true;
            read_disposition(value, &mut part, at_)?;
        } else if name.eq_ignore_ascii_case(b"content-type") {
            part.content_type = Some(value);
        } else if name.eq_ignore_ascii_case(b"content-transfer-encoding") {
            part.encoding = Some(value);
        }
    }
    if !disposition {
        return Err(Malformed { at: at_, expected: "a content-disposition" });
    }
    Ok(part)
}

/// `form-data; name="…"; filename="…"`; a parameter that stands twice is an error.
fn read_disposition<'a>(value: &'a [u8], part: &mut Part<'a>, at_: usize) -> Result<(), Malformed> {
    let twice = Err(Malformed { at: at_, expected: "each parameter once" });
    let mut index = skip_while(value, 0, |b| b != b';');
    let mut named = false;
    while index < value.len() {
        index = skip_while(value, index + 1, is_space);
        let end = skip_while(value, index, |b| b != b'=' && b != b';');
        let key = trim(slice(value, index, end));
        if at(value, end) != b'=' {
            index = end;
            continue;
        }
        let start = skip_while(value, end + 1, is_space);
        let (text, behind) = if at(value, start) == b'"' {
            let mut close = start + 1;
            while close < value.len() && at(value, close) != b'"' {
                close += if at(value, close) == b'\\' && at(value, close + 1) == b'"' { 2 } else { 1 };
            }
            (slice(value, start + 1, close), skip_while(value, close + 1, |b| b != b';'))
        } else {
            let close = skip_while(value, start, |b| b != b';');
            (trim(slice(value, start, close)), close)
        };
        index = behind;
        if key.eq_ignore_ascii_case(b"name") {
            if named {
                return twice;
            }
            named = true;
            part.name = text;
        } else if key.eq_ignore_ascii_case(b"filename") || key.eq_ignore_ascii_case(b"filename*") {
            // Both at once: servers differ in which they take.
            if part.filename.is_some() {
                return twice;
            }
            part.extended = key.ends_with(b"*");
            part.filename = Some(text);
        }
    }
    Ok(())
}

/// Calls `visit` for names, file names and texts.
pub(super) fn leaves(body: &[u8], content_type: &str, visit: Visit<'_>) -> Result<(), Malformed> {
    let Some(boundary) = boundary(content_type) else {
        return Err(Malformed { at: 0, expected: "a boundary" });
    };
    for part in parts(body, boundary)? {
        if part.name.iter().any(|&b| !is_word(b) && !matches!(b, b'-' | b'.' | b'[' | b']'))
            && visit(Leaf { place: Place::Name, name: Name::Plain(part.name), bytes: path_text(part.name) })
                .is_break()
        {
            return Ok(());
        }
        if let Some(filename) = part.filename
            && visit(Leaf { place: Place::Path, name: Name::Plain(b"filename"), bytes: path_text(filename) })
                .is_break()
        {
            return Ok(());
        }
        let text = part.filename.is_none() || is_text(part.content);
        if text {
            let content = transfer(&part);
            if visit(Leaf { place: Place::Form, name: Name::Plain(part.name), bytes: content }).is_break() {
                return Ok(());
            }
        }
    }
    Ok(())
}

/// Whether a file's beginning is text, or pretends to be a picture and goes on as a script.
fn is_text(content: &[u8]) -> bool {
    let head = slice(content, 0, 1024);
    head.iter().filter(|&&b| b < b' ' && !is_space(b)).count() == 0
        || find(slice(content, 0, 1 << 16), b"<?php").is_some()
        || find(slice(content, 0, 1 << 16), b"<script").is_some()
}

/// The content without its transfer encoding, which RFC 7578 section 4.7 forbids and some servers undo.
fn transfer<'a>(part: &Part<'a>) -> Cow<'a, [u8]> {
    let Some(encoding) = part.encoding else { return Cow::Borrowed(part.content) };
    if encoding.eq_ignore_ascii_case(b"quoted-printable") {
        let text = part.content;
        let mut out = Vec::with_capacity(text.len());
        let mut index = 0;
        while index < text.len() {
            if at(text, index) == b'=' {
                let pair = std::str::from_utf8(slice(text, index + 1, index + 3))
                    .ok()
                    .and_then(|pair| u8::from_str_radix(pair, 16).ok());
                if let Some(byte) = pair {
                    out.push(byte);
                    index += 3;
                    continue;
                }
                if from(text, index + 1).starts_with(b"\r\n") {
                    index += 3;
                    continue;
                }
            }
            out.push(at(text, index));
            index += 1;
        }
        return Cow::Owned(out);
    }
    Cow::Borrowed(part.content)
}
