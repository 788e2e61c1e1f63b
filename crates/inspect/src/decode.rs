//! Undoing what hides an attack: each decoding is one pass, and answers nothing where there was nothing to undo.

mod base64;
mod entity;
mod escape;
mod percent;
mod unicode;

use std::borrow::Cow;

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
        }
    }
}

/// Calls `each` with every decoding of `bytes` that gives something else.
pub(crate) fn decodings(bytes: &[u8], kinds: Bytes, mut each: impl FnMut(Decoding, Vec<u8>)) {
    if kinds.has(Bytes::PERCENT)
        && let Some(out) = percent::decode(bytes)
    {
        each(Decoding::Percent, out);
    }
    if kinds.has(Bytes::PLUS) && !kinds.has(Bytes::SPACE) {
        if let Some(out) = unicode::utf7(bytes) {
            each(Decoding::Utf7, out);
        } else if bytes.iter().filter(|&&b| b == b'+').count() > 1
            && kinds.0
                & (Bytes::SLASH
                    | Bytes::QUOTE
                    | Bytes::PAREN
                    | Bytes::SEMICOLON
                    | Bytes::PIPE
                    | Bytes::COLON
                    | Bytes::DASH
                    | Bytes::LESS)
                != 0
        {
            each(Decoding::Plus, bytes.iter().map(|&b| if b == b'+' { b' ' } else { b }).collect());
        }
    } else if kinds.has(Bytes::PLUS)
        && let Some(out) = unicode::utf7(bytes)
    {
        each(Decoding::Utf7, out);
    }
    if kinds.has(Bytes::AMPERSAND)
        && let Some(out) = entity::decode(bytes)
    {
        each(Decoding::Entity, out);
    }
    if kinds.has(Bytes::BACKSLASH)
        && let Some(out) = escape::decode(bytes)
    {
        each(Decoding::Escape, out);
    }
    if kinds.has(Bytes::HIGH)
        && let Some(out) = unicode::plain(bytes)
    {
        each(Decoding::Unicode, out);
    }
    if kinds.has(Bytes::CONTROL) {
        if let Some(out) = unicode::utf16(bytes) {
            each(Decoding::Utf16, out);
        }
        let clean: Vec<u8> =
            bytes.iter().copied().filter(|&b| b >= b' ' && b != 0x7f || text::is_space(b)).collect();
        if clean.len() < bytes.len() && clean.len() * 2 > bytes.len() {
            each(Decoding::Control, clean);
        }
    }
    for out in base64::decodings(bytes, kinds) {
        each(Decoding::Base64, out);
    }
    if let Some(out) = hex(bytes, kinds) {
        each(Decoding::Hex, out);
    }
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
    entity::decode(bytes)
}
