//! Query strings, forms, paths, headers and cookies.

use std::borrow::Cow;
use std::ops::ControlFlow;

use smallvec::SmallVec;

use super::{Leaf, Name, Visit};
use crate::decode::{form_text, path_text};
use crate::place::Place;
use crate::text::{at, find, from, is_space, is_word, slice, starts, trim};

/// As many parameters are looked through for names that stand twice.
const MOST: usize = 256;

/// Calls `visit` for each name and value of a query string, without its `?`.
pub fn query(raw: &[u8], visit: Visit<'_>) {
    pairs(raw, Place::Query, visit);
}

/// Calls `visit` for each name and value of `name=value&…`; and for what several values of one name say together,
/// since some servers join them.
pub(super) fn pairs(raw: &[u8], place: Place, visit: Visit<'_>) {
    let mut seen: SmallVec<[(&[u8], &[u8]); 16]> = SmallVec::new();
    let mut twice = false;
    for pair in raw.split(|&b| b == b'&').filter(|pair| !pair.is_empty()) {
        let equals = pair.iter().position(|&b| b == b'=');
        let (name, value) = match equals {
            Some(equals) => (slice(pair, 0, equals), from(pair, equals + 1)),
            // A value without a name.
            None => (&b""[..], pair),
        };
        if !name.is_empty() && name.iter().any(|&b| !is_word(b)) || name.starts_with(b"__") {
            let text = form_text(name);
            // `a[b]`, `a.b`, `a-b` and `utm_x` are ordinary.
            let plain = text.iter().all(|&b| is_word(b) || matches!(b, b'-' | b'.' | b'[' | b']' | b':'))
                && !text.starts_with(b"__")
                && find(&text, b"__proto__").is_none()
                && find(&text, b"prototype").is_none()
                && !starts(&text, b"class.");
            if !plain && visit(Leaf { place: Place::Name, name: Name::Plain(name), bytes: text }).is_break() {
                return;
            }
        }
        let text = form_text(value);
        if visit(Leaf { place, name: Name::Plain(name), bytes: text }).is_break() {
            return;
        }
        if seen.len() < MOST && !name.is_empty() {
            twice |= seen.len() < 64 && seen.iter().any(|(known, _)| *known == name);
            seen.push((name, value));
        }
    }
    if twice {
        joined(&seen, place, visit);
    }
}

/// The values of each name that stands more than once, joined as frameworks do: with a comma.
fn joined(seen: &[(&[u8], &[u8])], place: Place, visit: Visit<'_>) {
    let mut sorted: SmallVec<[(&[u8], usize); 16]> =
        seen.iter().enumerate().map(|(index, (name, _))| (*name, index)).collect();
    sorted.sort();
    for group in sorted.chunk_by(|a, b| a.0 == b.0).filter(|group| group.len() > 1) {
        let mut all = Vec::new();
        for (_, index) in group {
            if !all.is_empty() {
                all.push(b',');
            }
            if let Some((_, value)) = seen.get(*index) {
                all.extend_from_slice(&form_text(value));
            }
        }
        let name = group.first().map_or(&b""[..], |(name, _)| name);
        if visit(Leaf { place, name: Name::Plain(name), bytes: Cow::Owned(all) }).is_break() {
            return;
        }
    }
}

/// Calls `visit` for each segment of a path, and for the path as a whole.
pub fn path(raw: &[u8], visit: Visit<'_>) {
    let whole = path_text(raw);
    if (whole
        .iter()
        .any(|&b| !(is_word(b) || matches!(b, b'/' | b'-' | b'.' | b'~' | b'@' | b':' | b',' | b'+')))
        || find(&whole, b"..").is_some()
        || find(&whole, b"/.").is_some()
        || find(&whole, b"-inf").is_some())
        && visit(Leaf { place: Place::Path, name: Name::Plain(b"path"), bytes: Cow::Borrowed(&whole) })
            .is_break()
    {
        return;
    }
    for segment in raw.split(|&b| b == b'/').filter(|segment| !segment.is_empty()) {
        let text = path_text(segment);
        if visit(Leaf { place: Place::Path, name: Name::Plain(b"path"), bytes: text }).is_break() {
            return;
        }
    }
}

/// Calls `visit` for what a client chose in a header. URLs (`Referer`) are taken apart; what is checked elsewhere or
/// says nothing (credentials, lengths, conditions) is left out.
pub fn header(name: &str, value: &[u8], visit: Visit<'_>) {
    const LEFT_OUT: [&str; 12] = [
        "host",
        "content-length",
        "authorization",
        "proxy-authorization",
        "connection",
        "date",
        "te",
        "transfer-encoding",
        "upgrade",
        "if-none-match",
        "if-match",
        "x-api-key",
    ];
    if LEFT_OUT.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return;
    }
    if name.eq_ignore_ascii_case("cookie") {
        return cookies(value, visit);
    }
    let named = Name::Plain(name.as_bytes());
    if name.eq_ignore_ascii_case("referer") || name.eq_ignore_ascii_case("origin") {
        return url(value, named, visit);
    }
    let _ = visit(Leaf { place: Place::Header, name: named, bytes: Cow::Borrowed(value) });
}

/// The path and the parameters of a URL in a header.
fn url(value: &[u8], name: Name<'_>, visit: Visit<'_>) {
    let authority = find(value, b"://").map_or(0, |scheme| scheme + 3);
    let path_start = value
        .iter()
        .skip(authority)
        .position(|&b| b == b'/' || b == b'?')
        .map_or(value.len(), |slash| authority + slash);
    let host = slice(value, 0, path_start);
    if authority == 0
        || host.iter().any(|&b| !(is_word(b) || matches!(b, b':' | b'/' | b'.' | b'-' | b'[' | b']')))
    {
        let _ = visit(Leaf { place: Place::Header, name, bytes: Cow::Borrowed(value) });
        return;
    }
    let rest = from(value, path_start);
    let end = rest.iter().position(|&b| b == b'?' || b == b'#').unwrap_or(rest.len());
    let mut ended = false;
    let mut renamed = |leaf: Leaf<'_>| {
        let flow = visit(Leaf { place: Place::Header, name, bytes: leaf.bytes });
        ended |= flow.is_break();
        flow
    };
    path(slice(rest, 0, end), &mut renamed);
    // What follows `#` is often a query of its own.
    let mut tail = from(rest, end + 1);
    while !ended && !tail.is_empty() {
        let end = tail.iter().position(|&b| b == b'?' || b == b'#').unwrap_or(tail.len());
        pairs(slice(tail, 0, end), Place::Header, &mut |leaf| {
            let flow = visit(Leaf { place: Place::Header, name, bytes: leaf.bytes });
            ended |= flow.is_break();
            flow
        });
        tail = from(tail, end + 1);
    }
}

/// Calls `visit` for each value of a `Cookie` field (RFC 6265 section 4.2.1).
pub fn cookies(value: &[u8], visit: Visit<'_>) {
    for pair in value.split(|&b| b == b';') {
        let pair = trim(pair);
        let equals = pair.iter().position(|&b| b == b'=').unwrap_or(0);
        let name = slice(pair, 0, equals);
        let text = if at(pair, equals) == b'=' { from(pair, equals + 1) } else { pair };
        let text = text.strip_prefix(b"\"").and_then(|text| text.strip_suffix(b"\"")).unwrap_or(text);
        if visit(Leaf { place: Place::Cookie, name: Name::Plain(name), bytes: Cow::Borrowed(text) })
            .is_break()
        {
            return;
        }
        if name.iter().any(|&b| {
            !is_word(b)
                && !is_space(b)
                && !matches!(
                    b,
                    b'-' | b'.'
                        | b'%'
                        | b'['
                        | b']'
                        | b'!'
                        | b'#'
                        | b'$'
                        | b'&'
                        | b'*'
                        | b'+'
                        | b'^'
                        | b'|'
                        | b'~'
                        | b'\''
                        | b'`'
                        | b'@'
                        | b'/'
                        | b':'
                )
        }) && matches!(
            visit(Leaf { place: Place::Name, name: Name::Plain(name), bytes: Cow::Borrowed(name) }),
            ControlFlow::Break(())
        ) {
            return;
        }
    }
}
