//! Undoing what hides an attack: each decoding is one pass, and answers nothing where there was nothing to undo.

mod base64;
mod entity;
mod escape;
mod percent;
mod unicode;

use std::borrow::Cow;
use std::cell::Cell;

use crate::screen::Bytes;
use crate::text;

/// One way to hide what a value says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Decoding {
    /// `%3C`, `%u003c`.
    Percent,
    /// `+` for a blank.
    Plus,
    /// `&lt;`, `&#60;`.
    Entity,
    /// `\x3c`, `\u003c`, `\74`.
    Escape,
    /// Base64, either alphabet.
    Base64,
    /// Overlong or invalid UTF-8, full-width and look-alike characters.
    Unicode,
    /// UTF-16, or NULs between the letters.
    Utf16,
    /// UTF-7.
    Utf7,
    /// Control characters and zero-width characters between the letters.
    Control,
    /// A document of JSON in a string.
    Json,
    /// Two hexadecimal digits a byte.
    Hex,
    /// Tags inside words, for those who strip tags.
    Tags,
}

impl Decoding {
    /// What a person calls it.
    pub fn title(self) -> &'static str {
        match self {
            Decoding::Percent => "percent-encoding",
            Decoding::Plus => "blanks as plus signs",
            Decoding::Entity => "HTML entities",
            Decoding::Escape => "backslash escapes",
            Decoding::Base64 => "base64",
            Decoding::Unicode => "unusual Unicode",
            Decoding::Utf16 => "UTF-16",
            Decoding::Utf7 => "UTF-7",
            Decoding::Control => "control characters",
            Decoding::Json => "JSON in a string",
            Decoding::Hex => "hexadecimal digits",
            Decoding::Tags => "tags inside words",
        }
    }
}

/// One way to undo: the plainer form, where there was something to undo; and what kinds of bytes that made.
type Undo<'a> = dyn Fn(&[u8], &mut u32) -> Option<Vec<u8>> + 'a;

/// `bytes` with everything undone once that hides single characters, one way after the other, and what kinds of bytes
/// that made; notes in `undone` what it was. Nothing where there was nothing.
pub(crate) fn plainer(bytes: &[u8], kinds: Bytes, undone: &mut Vec<Decoding>) -> Option<(Vec<u8>, u32)> {
    let mut out: Option<Vec<u8>> = None;
    let mut made = 0;
    let spelt = Cell::new(false);
    let mut step = |decoding, undo: &Undo<'_>| {
        if let Some(next) = undo(out.as_deref().unwrap_or(bytes), &mut made) {
            out = Some(next);
            undone.push(decoding);
            return true;
        }
        false
    };
    if kinds.has(Bytes::PERCENT) {
        spelt.set(step(Decoding::Percent, &percent::decode));
    }
    if kinds.has(Bytes::PLUS)
        && !step(Decoding::Utf7, &|bytes, made| unicode::utf7(bytes).inspect(|_| *made = u32::MAX))
        && is_plus_blank(bytes, kinds)
    {
        step(Decoding::Plus, &|bytes, made| {
            *made |= Bytes::SPACE;
            Some(bytes.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect())
        });
    }
    if kinds.has(Bytes::AMPERSAND) {
        step(Decoding::Entity, &|bytes, made| {
            // Read in two ways now that it is spelt out: both are looked at in the next layer.
            let twofold = spelt.get() && entity::closed(bytes).is_some();
            if twofold { None } else { entity::decode(bytes, made) }
        });
    }
    if kinds.has(Bytes::BACKSLASH) {
        step(Decoding::Escape, &|bytes, made| {
            let mut own = 0;
            let out = escape::decode(bytes, &mut own);
            *made |= own;
            out
        });
    }
    if kinds.has(Bytes::HIGH) {
        step(Decoding::Unicode, &unicode::plain);
    }
    if kinds.has(Bytes::CONTROL)
        && !step(Decoding::Utf16, &|bytes, made| unicode::utf16(bytes).inspect(|_| *made = u32::MAX))
    {
        step(Decoding::Control, &|bytes, made| {
            let clean: Vec<u8> =
                bytes.iter().copied().filter(|&b| b >= b' ' && b != 0x7f || text::is_space(b)).collect();
            let torn = clean.len() < bytes.len() && clean.len() * 2 > bytes.len();
            // What stood on either side is one word now.
            torn.then_some(clean).inspect(|_| *made = u32::MAX)
        });
    }
    out.filter(|out| !out.is_empty()).map(|out| (out, made))
}

/// Whether `+` stands for a blank: several, no other blank, and a sign that an attack has.
fn is_plus_blank(bytes: &[u8], kinds: Bytes) -> bool {
    let signs = Bytes::SLASH
        | Bytes::QUOTE
        | Bytes::PAREN
        | Bytes::SEMICOLON
        | Bytes::PIPE
        | Bytes::COLON
        | Bytes::DASH
        | Bytes::LESS;
    // Where references are to be undone, that comes first: what they spell may be base64.
    let references = kinds.has(Bytes::AMPERSAND) && kinds.has(Bytes::HASH);
    !kinds.has(Bytes::SPACE)
        && !kinds.has(Bytes::PERCENT)
        && !references
        && bytes.iter().filter(|&&b| b == b'+').count() > if kinds.0 & signs != 0 { 1 } else { 3 }
}

/// Calls `each` with what `bytes` may be as a whole: base64, hexadecimal digits, text once its tags are stripped.
pub(crate) fn others(bytes: &[u8], kinds: Bytes, mut each: impl FnMut(Decoding, Vec<u8>)) {
    if kinds.has(Bytes::LESS)
        && kinds.has(Bytes::GREATER)
        && let Some(out) = tags(bytes)
    {
        each(Decoding::Tags, out);
    }
    if kinds.has(Bytes::AMPERSAND)
        && kinds.has(Bytes::HASH)
        && let Some(out) = entity::closed(bytes)
    {
        // What it goes on in may be an escape.
        let out = escape::decode(&out, &mut 0).unwrap_or(out);
        if out != bytes {
            each(Decoding::Entity, out);
        }
    }
    for out in base64::decodings(bytes, kinds) {
        each(Decoding::Base64, out);
    }
    if let Some(out) = hex(bytes, kinds) {
        each(Decoding::Hex, out);
    }
}

/// `o<x>nfocus=alert<x></x>(1)` as it is once its tags are stripped: only short ones inside a word, or between a word and
/// what it is called or set with. The first of them opens: what closes behind a word ends it.
fn tags(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    // What stands before `copied` is in `out`.
    let (mut index, mut copied) = (0, 0);
    while let Some(found) = text::from(bytes, index).iter().position(|&b| b == b'<') {
        let start = index + found;
        index = start + 1;
        if start == 0 || !text::is_word(text::at(bytes, start - 1)) || text::at(bytes, index) == b'/' {
            continue;
        }
        let mut end = start;
        while let Some(behind) = short_tag(bytes, end) {
            end = behind;
        }
        let next = text::at(bytes, end);
        if end > start && (text::is_word(next) || matches!(next, b'(' | b'=' | b':')) {
            let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
            out.extend_from_slice(text::slice(bytes, copied, start));
            copied = end;
        }
        index = end.max(index);
    }
    let mut out = out?;
    out.extend_from_slice(text::from(bytes, copied));
    Some(out)
}

/// The index behind the tag that begins at `index`, where it has a short name and nothing else.
fn short_tag(bytes: &[u8], index: usize) -> Option<usize> {
    const MOST: usize = 12;
    let name = text::slice(bytes, 0, index + MOST);
    let end = text::skip_while(name, index + 1, |b| text::is_word(b) || b == b'/');
    (text::at(bytes, index) == b'<' && text::at(bytes, end) == b'>').then_some(end + 1)
}

/// A value of hexadecimal digits alone that spells text with signs in it.
fn hex(bytes: &[u8], kinds: Bytes) -> Option<Vec<u8>> {
    if kinds.0 != 0 || bytes.len() < 12 || bytes.len() > 8192 {
        return None;
    }
    let digits = bytes.strip_prefix(b"0x").unwrap_or(bytes);
    if !digits.len().is_multiple_of(2) {
        return None;
    }
    let mut out = Vec::with_capacity(digits.len() / 2);
    for pair in digits.chunks_exact(2) {
        let byte = percent::hex_pair(text::at(pair, 0), text::at(pair, 1))?;
        if !(b' '..0x7f).contains(&byte) && !text::is_space(byte) {
            return None;
        }
        out.push(byte);
    }
    Some(out)
}

/// A query parameter's or form field's text: `+` is a blank, `%XX` a byte.
pub fn form_text(raw: &[u8]) -> Cow<'_, [u8]> {
    if !raw.iter().any(|&b| matches!(b, b'+' | b'%')) {
        return Cow::Borrowed(raw);
    }
    let plus: Vec<u8> = raw.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect();
    Cow::Owned(percent::decode_bytes_only(&plus).unwrap_or(plus))
}

/// A path segment's text: `%XX` is a byte.
pub fn path_text(raw: &[u8]) -> Cow<'_, [u8]> {
    percent::decode_bytes_only(raw).map_or(Cow::Borrowed(raw), Cow::Owned)
}

/// `bytes` with its character references replaced; nothing where there was none.
pub(crate) fn entities(bytes: &[u8]) -> Option<Vec<u8>> {
    entity::decode(bytes, &mut 0)
}
