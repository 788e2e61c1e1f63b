//! The texts and attributes of an XML document. A document type is an attack by itself and judged as text: no entity
//! is ever expanded but the five that XML has.

use std::borrow::Cow;

use super::{Leaf, Malformed, Name, Visit};
use crate::finder::Finder;
use crate::place::Place;
use crate::text::{at, find, from, is_space, skip_space, skip_while, slice, starts, trim};

/// What makes a document one to be judged by its tags as well.
static TELLING: Finder = Finder::new(&[
    b"java.beans",
    b"xi:include",
    b"xinclude",
    b"<java.util.",
    b"<javax.",
    b"<jdk.",
    b"<com.sun.",
    b"<sun.",
    b"<dynamic-proxy",
    b"<objectdataprovider",
    b"<xsl:",
]);

/// Calls `visit` for each text, attribute, CDATA section and declaration of `bytes`.
pub(super) fn leaves(bytes: &[u8], visit: Visit<'_>) -> Result<(), Malformed> {
    let mut index = 0;
    let mut element: &[u8] = b"";
    let mut depth = 0_usize;
    // Some detectors want the tag (`<java class="java.beans.XMLDecoder">`): the head is judged once, whole.
    let head = slice(bytes, 0, bytes.len().min(2048));
    if (TELLING.any(head) || find(bytes, b"java.lang.processbuilder").is_some())
        && visit(Leaf {
            place: Place::Body,
            name: Name::Plain(b"xml"),
            bytes: Cow::Borrowed(slice(bytes, 0, 4096)),
        })
        .is_break()
    {
        return Ok(());
    }
    while index < bytes.len() {
        if at(bytes, index) != b'<' {
            let end = skip_while(bytes, index, |b| b != b'<');
            let text = trim(slice(bytes, index, end));
            if !text.is_empty()
                && visit(Leaf { place: Place::Body, name: Name::Plain(element), bytes: references(text) })
                    .is_break()
            {
                return Ok(());
            }
            index = end;
            continue;
        }
        let rest = from(bytes, index);
        if rest.starts_with(b"<!--") {
            let Some(end) = find(from(rest, 4), b"-->") else {
                return Err(Malformed { at: index, expected: "the end of a comment" });
            };
            index += end + 7;
        } else if starts(rest, b"<![cdata[") {
            let Some(end) = find(from(rest, 9), b"]]>") else {
                return Err(Malformed { at: index, expected: "the end of a CDATA section" });
            };
            if visit(Leaf {
                place: Place::Body,
                name: Name::Plain(element),
                bytes: Cow::Borrowed(slice(rest, 9, 9 + end)),
            })
            .is_break()
            {
                return Ok(());
            }
            index += end + 12;
        } else if rest.starts_with(b"<!") {
            // A document type: what it declares is judged as it stands.
            let subset = skip_while(rest, 0, |b| b != b'>' && b != b'[');
            let end = if at(rest, subset) == b'[' {
                find(rest, b"]").map_or(rest.len(), |end| end + 1)
            } else {
                subset + 1
            };
            if visit(Leaf {
                place: Place::Body,
                name: Name::Plain(b"doctype"),
                bytes: Cow::Borrowed(slice(rest, 0, end)),
            })
            .is_break()
            {
                return Ok(());
            }
            index += end;
        } else if rest.starts_with(b"<?") {
            let Some(end) = find(rest, b"?>") else { return Err(Malformed { at: index, expected: "`?>`" }) };
            if !starts(rest, b"<?xml ")
                && visit(Leaf {
                    place: Place::Body,
                    name: Name::Plain(b"instruction"),
                    bytes: Cow::Borrowed(slice(rest, 0, end + 2)),
                })
                .is_break()
            {
                return Ok(());
            }
            index += end + 2;
        } else {
            let closing = at(rest, 1) == b'/';
            let name_start = if closing { 2 } else { 1 };
            let name_end = skip_while(rest, name_start, |b| !is_space(b) && !matches!(b, b'>' | b'/'));
            if name_end == name_start {
                return Err(Malformed { at: index, expected: "an element's name" });
            }
            element = slice(rest, name_start, name_end);
            let end = attributes(rest, name_end, index, visit)?;
            if end == usize::MAX {
                return Ok(());
            }
            depth = if closing { depth.saturating_sub(1) } else { depth + 1 };
            if depth > 100_000 {
                return Err(Malformed { at: index, expected: "fewer levels" });
            }
            index += end;
        }
    }
    Ok(())
}

/// The attributes of a tag; answers where the tag ends, or `usize::MAX` where the visitor had enough.
fn attributes(tag: &[u8], index: usize, offset: usize, visit: Visit<'_>) -> Result<usize, Malformed> {
    let mut index = index;
    loop {
        index = skip_while(tag, index, |b| is_space(b) || b == b'/');
        if index >= tag.len() {
            return Err(Malformed { at: offset, expected: "`>`" });
        }
        if at(tag, index) == b'>' {
            return Ok(index + 1);
        }
        let name_end = skip_while(tag, index, |b| !is_space(b) && !matches!(b, b'=' | b'>' | b'/'));
        let name = slice(tag, index, name_end);
        let equals = skip_space(tag, name_end);
        let quote_at = skip_space(tag, equals + 1);
        let quote = at(tag, quote_at);
        if at(tag, equals) != b'=' || !matches!(quote, b'"' | b'\'') {
            return Err(Malformed { at: offset + equals, expected: "an attribute with a quoted value" });
        }
        let end = skip_while(tag, quote_at + 1, |b| b != quote);
        if end >= tag.len() {
            return Err(Malformed { at: offset + quote_at, expected: "the end of an attribute" });
        }
        // Names of vocabularies are addresses that nobody calls.
        if !starts(name, b"xmlns")
            && !name.ends_with(b"schemaLocation")
            && visit(Leaf {
                place: Place::Body,
                name: Name::Plain(name),
                bytes: references(slice(tag, quote_at + 1, end)),
            })
            .is_break()
        {
            return Ok(usize::MAX);
        }
        index = end + 1;
    }
}

/// `text` with the references replaced that XML itself defines.
fn references(text: &[u8]) -> Cow<'_, [u8]> {
    if !text.contains(&b'&') {
        return Cow::Borrowed(text);
    }
    crate::decode::entities(text).map_or(Cow::Borrowed(text), Cow::Owned)
}
