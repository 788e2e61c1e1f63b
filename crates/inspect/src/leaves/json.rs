//! The strings and names of a JSON document, by their spans: no tree is built.

use std::borrow::Cow;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::{Leaf, Name, Visit, graphql};
use crate::place::Place;
use crate::text::{at, from, skip_space, skip_while, slice};

/// A document that is not what its content type says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed {
    /// The byte at which it is not.
    pub at: usize,
    /// What was expected.
    pub expected: &'static str,
}

/// Levels of nesting.
const DEPTH: usize = 128;

/// Calls `visit` for each string, and for each name, of `bytes`.
pub(crate) fn leaves(bytes: &[u8], visit: Visit<'_>) -> Result<(), Malformed> {
    walk(bytes, false, Some(visit))
}

/// As [`leaves`], of one document or of several in a row, as logs and streams have them.
pub(crate) fn sequence(bytes: &[u8], visit: Visit<'_>) -> Result<(), Malformed> {
    walk(bytes, true, Some(visit))
}

/// Whether `bytes` is one JSON document, or several in a row.
pub(crate) fn is_sequence(bytes: &[u8]) -> bool {
    walk(bytes, true, None).is_ok()
}

/// Whether `bytes` is one JSON document.
pub(crate) fn is_whole(bytes: &[u8]) -> bool {
    walk(bytes, false, None).is_ok()
}

/// What a level of nesting is, and where its current member's name stands.
struct Level {
    object: bool,
    name: (usize, usize),
}

fn walk(bytes: &[u8], several: bool, mut visit: Option<Visit<'_>>) -> Result<(), Malformed> {
    let mut levels: SmallVec<[Level; 16]> = SmallVec::new();
    let mut index = 0;
    let mut value = true;
    let wrong = |at, expected| Err(Malformed { at, expected });
    loop {
        index = skip_space(bytes, index);
        if value {
            // A value, or the end of an empty array.
            match at(bytes, index) {
                open @ (b'{' | b'[') => {
                    if levels.len() >= DEPTH {
                        return wrong(index, "fewer levels");
                    }
                    levels.push(Level { object: open == b'{', name: (0, 0) });
                    index = skip_space(bytes, index + 1);
                    if at(bytes, index) == if open == b'{' { b'}' } else { b']' } {
                        levels.pop();
                        index += 1;
                        value = false;
                    } else if open == b'{' {
                        index = member(bytes, index, &mut levels, &mut visit)?;
                        if index == usize::MAX {
                            return Ok(());
                        }
                    }
                    continue;
                }
                b'"' => {
                    let end = string(bytes, index)?;
                    if let Some(visit) = visit.as_deref_mut() {
                        let text = unescape(slice(bytes, index + 1, end));
                        if leaf(bytes, &levels, text, visit).is_break() {
                            return Ok(());
                        }
                    }
                    index = end + 1;
                }
                b'-' | b'0'..=b'9' => {
                    index = skip_while(bytes, index, |b| {
                        b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e' | b'E')
                    });
                }
                b't' if from(bytes, index).starts_with(b"true") => index += 4,
                b'f' if from(bytes, index).starts_with(b"false") => index += 5,
                b'n' if from(bytes, index).starts_with(b"null") => index += 4,
                _ => return wrong(index, "a value"),
            }
            value = false;
            continue;
        }
        let Some(level) = levels.last() else {
            if index >= bytes.len() {
                return Ok(());
            }
            if several && matches!(at(bytes, index), b'{' | b'[') {
                value = true;
                continue;
            }
            return wrong(index, "the end");
        };
        let object = level.object;
        match at(bytes, index) {
            b',' if object => {
                index = member(bytes, skip_space(bytes, index + 1), &mut levels, &mut visit)?;
                if index == usize::MAX {
                    return Ok(());
                }
                value = true;
            }
            b',' => {
                index += 1;
                value = true;
            }
            b'}' if object => {
                levels.pop();
                index += 1;
            }
            b']' if !object => {
                levels.pop();
                index += 1;
            }
            _ => return wrong(index, "a comma or the end of an object or array"),
        }
    }
}

/// Reads a member's name and its colon; answers the index behind, or `usize::MAX` where the visitor had enough.
fn member(
    bytes: &[u8],
    index: usize,
    levels: &mut SmallVec<[Level; 16]>,
    visit: &mut Option<Visit<'_>>,
) -> Result<usize, Malformed> {
    if at(bytes, index) != b'"' {
        return Err(Malformed { at: index, expected: "a name" });
    }
    let end = string(bytes, index)?;
    let colon = skip_space(bytes, end + 1);
    if at(bytes, colon) != b':' {
        return Err(Malformed { at: colon, expected: "a colon" });
    }
    let raw = slice(bytes, index + 1, end);
    if let Some(level) = levels.last_mut() {
        level.name = (index + 1, end);
    }
    // What `constructor[prototype]` is in a form.
    let parent = levels.iter().rev().nth(1).filter(|level| level.object);
    let parent = parent.map_or(&[][..], |level| slice(bytes, level.name.0, level.name.1));
    if let Some(visit) = visit.as_deref_mut()
        && raw.len() >= b"prototype".len()
        && *unescape(raw) == *b"prototype"
        && *unescape(parent) == *b"constructor"
    {
        let text = Cow::Borrowed(&b"constructor[prototype]"[..]);
        if visit(Leaf { place: Place::Name, name: Name::Plain(raw), bytes: text }).is_break() {
            return Ok(usize::MAX);
        }
    }
    // Names of letters and digits are no news to any detector.
    if let Some(visit) = visit.as_deref_mut()
        && raw.iter().any(|&b| !crate::text::is_word(b) && b != b'-' || b == b'_')
        && !raw.iter().all(|&b| crate::text::is_word(b) && b != b'_')
        && (raw.iter().any(|&b| !crate::text::is_word(b)) || raw.starts_with(b"__"))
    {
        let text = unescape(raw);
        let leaf = Leaf { place: Place::Name, name: Name::Plain(raw), bytes: text };
        if visit(leaf).is_break() {
            return Ok(usize::MAX);
        }
    }
    Ok(colon + 1)
}

fn leaf(bytes: &[u8], levels: &[Level], text: Cow<'_, [u8]>, visit: Visit<'_>) -> ControlFlow<()> {
    let names: SmallVec<[&[u8]; 8]> = levels
        .iter()
        .filter(|level| level.object)
        .map(|level| slice(bytes, level.name.0, level.name.1))
        .collect();
    // What GraphQL clients send: the document as a string, in which only its literals are a client's choice.
    if names.last() == Some(&&b"query"[..]) && graphql::is_document(&text) {
        return graphql::leaves(&text, b"query", visit);
    }
    // What a library makes an object of: the name says as much as the value.
    if let Some(&name) = names.last()
        && matches!(name, b"@type" | b"@class" | b"$type" | b"__type")
    {
        let member = [b"\"", name, b"\":\"", &text, b"\""].concat();
        visit(Leaf { place: Place::Body, name: Name::Members(&names), bytes: Cow::Owned(member) })?;
    }
    visit(Leaf { place: Place::Body, name: Name::Members(&names), bytes: text })
}

/// The index of the quotation mark that closes the string that `index` opens.
fn string(bytes: &[u8], index: usize) -> Result<usize, Malformed> {
    let mut index = index + 1;
    loop {
        index = skip_while(bytes, index, |b| b != b'"' && b != b'\\');
        match at(bytes, index) {
            b'"' => return Ok(index),
            b'\\' if index + 1 < bytes.len() => index += 2,
            _ => return Err(Malformed { at: index, expected: "the end of a string" }),
        }
    }
}

/// The text of a string without its quotation marks.
pub(super) fn unescape(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.contains(&b'\\') {
        return Cow::Borrowed(raw);
    }
    let mut out = Vec::with_capacity(raw.len());
    let mut index = 0;
    while index < raw.len() {
        let byte = at(raw, index);
        if byte != b'\\' {
            out.push(byte);
            index += 1;
            continue;
        }
        index += 2;
        match at(raw, index - 1) {
            b'n' => out.push(b'\n'),
            b't' => out.push(b'\t'),
            b'r' => out.push(b'\r'),
            b'b' => out.push(8),
            b'f' => out.push(12),
            b'u' => {
                let unit = |at: usize| {
                    std::str::from_utf8(slice(raw, at, at + 4))
                        .ok()
                        .and_then(|digits| u32::from_str_radix(digits, 16).ok())
                };
                let Some(high) = unit(index) else { continue };
                index += 4;
                let code = if (0xd800..0xdc00).contains(&high) && slice(raw, index, index + 2) == b"\\u" {
                    let low = unit(index + 2).unwrap_or(0);
                    index += 6;
                    0x1_0000 + ((high & 0x3ff) << 10 | low & 0x3ff)
                } else {
                    high
                };
                let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
                out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
            }
            other => out.push(other),
        }
    }
    Cow::Owned(out)
}
