//! One form of a request target and of an authority, for guards and upstream alike.
//!
//! RFC 3986 section 6.2.2 (case, percent-encoding and path-segment normalisation), strict where parsers are
//! known to differ: what could be read in two ways is an error, not a guess.

use bytes::Bytes;
use http::HeaderValue;
use smallvec::SmallVec;

/// What may be read in more than one way, and why; the text is for the operator.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Ambiguous(pub &'static str);

/// A request target in its canonical origin-form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Path and query, or `*`.
    pub bytes: Bytes,
    /// Bytes of the path; a query follows after one `?`.
    pub path_len: usize,
    /// The authority of an absolute-form target.
    pub authority: Option<Bytes>,
}

/// Normalises a request target (RFC 9112 section 3.2; CONNECT's authority-form is not among them).
///
/// The path: unreserved characters are decoded, other percent-encodings upper-cased, dot segments resolved.
/// Refused: empty segments, climbing above the root, encoded slashes (unless `encoded_slash`), backslashes,
/// double encoding, malformed or overlong encodings, control characters, raw characters outside RFC 3986,
/// fragments, and dot segments with path parameters (`..;/`). The query keeps its bytes; raw controls,
/// spaces, `#` and non-ASCII are refused in it.
///
/// Borrows `raw` when it is canonical already.
pub fn target(raw: &Bytes, encoded_slash: bool) -> Result<Target, Ambiguous> {
    if raw.as_ref() == b"*" {
        return Ok(Target { bytes: raw.clone(), path_len: 1, authority: None });
    }
    if raw.first() == Some(&b'/') {
        return origin_form(raw, None, encoded_slash);
    }
    let rest =
        strip_scheme(raw).ok_or(Ambiguous("the target is neither a path nor an absolute http(s) URI"))?;
    let authority_len = memchr::memchr2(b'/', b'?', rest).unwrap_or(rest.len());
    let start = raw.len() - rest.len();
    let authority = raw.slice(start..start + authority_len);
    let origin = raw.slice(start + authority_len..);
    if origin.first() == Some(&b'/') {
        return origin_form(&origin, Some(authority), encoded_slash);
    }
    let mut with_root = Vec::with_capacity(origin.len() + 1);
    with_root.push(b'/');
    with_root.extend_from_slice(&origin);
    origin_form(&Bytes::from(with_root), Some(authority), encoded_slash)
}

/// Appends `value` to a path, everything but unreserved characters percent-encoded.
pub fn encode(value: &[u8], out: &mut String) {
    for &byte in value {
        match byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            true => out.push(char::from(byte)),
            false => {
                out.extend(['%', char::from(upper_hex(byte >> 4)), char::from(upper_hex(byte & 15))]);
            }
        }
    }
}

fn strip_scheme(raw: &[u8]) -> Option<&[u8]> {
    let colon = memchr::memchr(b':', raw)?;
    let (scheme, rest) = raw.split_at_checked(colon)?;
    if scheme.eq_ignore_ascii_case(b"http") || scheme.eq_ignore_ascii_case(b"https") {
        rest.strip_prefix(b"://")
    } else {
        None
    }
}

const PLAIN: u8 = 1; // may stand in a canonical path as it is
const SPECIAL: u8 = 2; // path byte that needs a closer look: `/`, `.`, `%`, `;`
const QUERY: u8 = 4; // may stand in a query
const HOST: u8 = 8; // may stand in the name of a host
const UPPER: u8 = 16; // an upper-case letter

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut i = 0x21;
    while i < 0x7f {
        let b = i as u8;
        let unreserved = b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'~');
        let sub_delim = matches!(b, b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b',' | b'=');
        let mut class = 0;
        if unreserved || sub_delim || matches!(b, b':' | b'@') {
            class |= PLAIN;
        }
        if matches!(b, b'/' | b'.' | b'%' | b';') {
            class |= SPECIAL;
        }
        if b != b'#' {
            class |= QUERY;
        }
        if b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_') {
            class |= HOST;
        }
        if b.is_ascii_uppercase() {
            class |= UPPER;
        }
        #[expect(clippy::indexing_slicing, reason = "`i` is below 0x7f; evaluated at compile time")]
        {
            table[i] = class;
        }
        i += 1;
    }
    table
}

static CLASS: [u8; 256] = classes();

fn class(byte: u8) -> u8 {
    CLASS.get(byte as usize).copied().unwrap_or(0)
}

fn origin_form(raw: &Bytes, authority: Option<Bytes>, encoded_slash: bool) -> Result<Target, Ambiguous> {
    let path_len = memchr::memchr(b'?', raw).unwrap_or(raw.len());
    let (path, query) = raw.split_at_checked(path_len).unwrap_or((raw, &[]));
    let clean_query = query.iter().all(|&b| class(b) & QUERY != 0);
    if !clean_query {
        return Err(if query.contains(&b'#') {
            Ambiguous("the target has a fragment")
        } else {
            Ambiguous("the query has a raw control character, space or non-ASCII byte")
        });
    }
    if is_canonical(path) {
        return Ok(Target { bytes: raw.clone(), path_len, authority });
    }
    let mut out = Vec::with_capacity(raw.len());
    normalise_path(path, &mut out, encoded_slash)?;
    let path_len = out.len();
    out.extend_from_slice(query);
    Ok(Target { bytes: out.into(), path_len, authority })
}

/// Whether the path can be taken as it is: plain bytes, no encodings, no empty or dot segments.
fn is_canonical(path: &[u8]) -> bool {
    let mut previous = 0u8;
    for &byte in path {
        let class = class(byte);
        if class & PLAIN == 0 {
            // A `.` inside a segment is plain; one that starts a segment may be a dot segment.
            let fine = match byte {
                b'/' => previous != b'/',
                b'.' => previous != b'/',
                _ => false,
            };
            if !fine {
                return false;
            }
        }
        previous = byte;
    }
    true
}

fn normalise_path(path: &[u8], out: &mut Vec<u8>, encoded_slash: bool) -> Result<(), Ambiguous> {
    // Where each open segment starts in `out`, for `..`.
    let mut starts: SmallVec<[usize; 16]> = SmallVec::new();
    let mut decoded: SmallVec<[u8; 64]> = SmallVec::new();
    let mut segments = path.strip_prefix(b"/").unwrap_or(path).split(|&b| b == b'/').peekable();
    if path == b"/" {
        out.push(b'/');
        return Ok(());
    }
    while let Some(segment) = segments.next() {
        let last = segments.peek().is_none();
        let start = out.len();
        out.push(b'/');
        if segment.is_empty() {
            if last {
                break;
            }
            return Err(Ambiguous("the path has an empty segment"));
        }
        decoded.clear();
        normalise_segment(segment, out, &mut decoded, encoded_slash)?;
        let name = out.get(start + 1..).unwrap_or_default();
        let before_parameters = name.split(|&b| b == b';').next().unwrap_or_default();
        let dots = matches!(before_parameters, b"." | b"..");
        if dots && before_parameters.len() != name.len() {
            return Err(Ambiguous("the path has a dot segment with parameters"));
        }
        if dots {
            let climbs = name.len() == 2;
            out.truncate(start);
            if climbs {
                let parent = starts.pop().ok_or(Ambiguous("the path climbs above the root"))?;
                out.truncate(parent);
            }
            if last {
                out.push(b'/');
            }
        } else {
            starts.push(start);
        }
    }
    if out.is_empty() {
        out.push(b'/');
    }
    Ok(())
}

fn normalise_segment(
    segment: &[u8],
    out: &mut Vec<u8>,
    decoded: &mut SmallVec<[u8; 64]>,
    encoded_slash: bool,
) -> Result<(), Ambiguous> {
    let start = out.len();
    let mut bytes = segment.iter().copied();
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            if class(byte) & (PLAIN | SPECIAL) == 0 {
                return Err(match byte {
                    b'\\' => Ambiguous("the path has a backslash"),
                    b'#' => Ambiguous("the target has a fragment"),
                    _ => Ambiguous("the path has a character that must be percent-encoded"),
                });
            }
            out.push(byte);
            decoded.push(byte);
            continue;
        }
        let (Some(high), Some(low)) = (bytes.next().and_then(hex), bytes.next().and_then(hex)) else {
            return Err(Ambiguous("the path has a malformed percent-encoding"));
        };
        let value = high << 4 | low;
        decoded.push(value);
        match value {
            b'/' if !encoded_slash => return Err(Ambiguous("the path has an encoded slash")),
            b'\\' => return Err(Ambiguous("the path has an encoded backslash")),
            0..=0x1f | 0x7f => return Err(Ambiguous("the path has an encoded control character")),
            b'%' => out.extend_from_slice(b"%25"),
            _ if value.is_ascii_alphanumeric() || matches!(value, b'-' | b'.' | b'_' | b'~') => {
                out.push(value);
            }
            _ => out.extend_from_slice(&[b'%', upper_hex(high), upper_hex(low)]),
        }
    }
    // `%25` before two hex digits would decode a second time further back, however the digits were written.
    let twice = |w: &[u8]| matches!(w, [b'%', b'2', b'5', high, low] if high.is_ascii_hexdigit() && low.is_ascii_hexdigit());
    if out.get(start..).unwrap_or_default().windows(5).any(twice) {
        return Err(Ambiguous("the path is percent-encoded twice"));
    }
    // Overlong forms and lone surrogates are no UTF-8 (RFC 3629 section 3).
    let text = std::str::from_utf8(decoded).map_err(|_| Ambiguous("the path's encoding is not UTF-8"))?;
    if text.chars().any(is_confusable) {
        return Err(Ambiguous("the path has a character that some servers read as a slash or dot"));
    }
    Ok(())
}

/// Full-width and look-alike forms that best-fit mappings turn into `/`, `\` or `.`, and C1 controls.
fn is_confusable(c: char) -> bool {
    matches!(
        c,
        '\u{ff0f}' | '\u{ff3c}' | '\u{ff0e}' | '\u{2215}' | '\u{2044}' | '\u{2216}' | '\u{2024}' | '\u{80}'
            ..='\u{9f}'
    )
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn upper_hex(nibble: u8) -> u8 {
    match nibble {
        0..=9 => b'0' + nibble,
        _ => b'A' + (nibble & 0x0f) - 10,
    }
}

/// Checks an authority (`host` or `host:port`, RFC 3986 section 3.2, without userinfo) and lower-cases it.
/// Shares the value's bytes when it is in lower case already.
pub fn authority(value: &HeaderValue) -> Result<HeaderValue, Ambiguous> {
    const INVALID: Ambiguous = Ambiguous("the host is not a name or address with an optional port");
    let bytes = value.as_bytes();
    let (host, port) = split_port(bytes).ok_or(INVALID)?;
    if let Some(port) = port {
        let number = port.iter().try_fold(0u32, |number, byte| {
            byte.is_ascii_digit()
                .then(|| number * 10 + u32::from(byte - b'0'))
                .filter(|number| *number <= 65_535)
        });
        if port.len() > 5 || number.is_none_or(|number| number == 0) {
            return Err(INVALID);
        }
    }
    let valid = if let Some(literal) = host.strip_prefix(b"[") {
        let inner = literal.strip_suffix(b"]").and_then(|l| std::str::from_utf8(l).ok());
        inner.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
    } else {
        !host.is_empty() && host.len() <= 253 && host.iter().all(|&b| class(b) & HOST != 0)
    };
    if !valid {
        return Err(INVALID);
    }
    if bytes.iter().any(|&b| class(b) & UPPER != 0) {
        return HeaderValue::from_bytes(&bytes.to_ascii_lowercase()).map_err(|_| INVALID);
    }
    Ok(value.clone())
}

/// Host (without brackets or a final dot) and port of an authority that [`authority`] took.
pub(crate) fn host_and_port(authority: &HeaderValue) -> Option<(&str, Option<u16>)> {
    let (host, port) = split_port(authority.as_bytes())?;
    let host = std::str::from_utf8(host).ok()?.trim_start_matches('[').trim_end_matches(']');
    let host = host.strip_suffix('.').unwrap_or(host);
    let port = port.map(|port| std::str::from_utf8(port).ok()?.parse().ok());
    match (host.is_empty(), port) {
        (true, _) | (_, Some(None)) => None,
        (false, port) => Some((host, port.flatten())),
    }
}

fn split_port(authority: &[u8]) -> Option<(&[u8], Option<&[u8]>)> {
    let after_literal = match authority.first()? {
        b'[' => memchr::memchr(b']', authority)? + 1,
        _ => memchr::memchr(b':', authority).unwrap_or(authority.len()),
    };
    let (host, rest) = authority.split_at_checked(after_literal)?;
    match rest {
        [] => Some((host, None)),
        [b':', port @ ..] => Some((host, Some(port))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(raw: &str) -> Result<String, &'static str> {
        target(&Bytes::copy_from_slice(raw.as_bytes()), false)
            .map(|t| String::from_utf8(t.bytes.to_vec()).unwrap())
            .map_err(|e| e.0)
    }

    #[test]
    fn canonical_targets_are_borrowed() {
        for raw in ["/", "/a/b", "/a/b.json?x=1&y=%20", "/a/", "/x:y@z,(1)", "*"] {
            let bytes = Bytes::copy_from_slice(raw.as_bytes());
            let target = target(&bytes, false).unwrap();
            assert_eq!(target.bytes.as_ptr(), bytes.as_ptr(), "{raw}");
        }
    }

    #[test]
    fn normalises_what_is_unambiguous() {
        for (raw, canonical) in [
            ("/%61%2d%7E", "/a-~"),
            ("/a/%2e%2E/b", "/b"),
            ("/a/./b/", "/a/b/"),
            ("/a/b/..", "/a/"),
            ("/a/b/.", "/a/b/"),
            ("/a/..", "/"),
            ("/a/../", "/"),
            ("/a/.b/..c/...", "/a/.b/..c/..."),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/100%25", "/100%25"),
            ("/100%25/", "/100%25/"),
            ("/a%20b?q=%zz", "/a%20b?q=%zz"),
            ("http://h/a/../b?c", "/b?c"),
            ("HTTPS://h", "/"),
            ("http://h?x", "/?x"),
        ] {
            assert_eq!(path(raw).as_deref(), Ok(canonical), "{raw}");
        }
    }

    #[test]
    fn is_idempotent() {
        for raw in ["/%61%2d%7E/../x", "/caf%c3%a9/%2e/y", "/a;v=1/b", "/100%25"] {
            let once = path(raw).unwrap();
            assert_eq!(path(&once).as_deref(), Ok(once.as_str()));
        }
    }

    #[test]
    fn refuses_what_is_ambiguous() {
        for raw in [
            "//a",
            "/a//b",
            "/a//",
            "/..",
            "/a/../..",
            "/%2e%2e/x",
            "/a%2fb",
            "/a%5Cb",
            "/a\\b",
            "/..;/a",
            "/a/.;x/b",
            "/%2e%2e;x=1/a",
            "/%252e",
            "/%25%32%65",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%00",
            "/%0a",
            "/%7f",
            "/%c0%af",
            "/%e0%80%af",
            "/%ed%a0%80",
            "/%ff",
            "/a b",
            "/a\"b",
            "/a<b",
            "/a{b}",
            "/a|b",
            "/a^b",
            "/a`b",
            "/a#b",
            "/a?b#c",
            "/a?b c",
            "/a?\u{e9}",
            "/\u{e9}",
            "/%ef%bc%8f",
            "/%c2%85",
            "",
            "a/b",
            "ftp://h/a",
            "/a\u{0}",
        ] {
            assert!(path(raw).is_err(), "{raw:?} gave {:?}", path(raw));
        }
    }

    #[test]
    fn authorities() {
        let check = |text: &'static str| {
            authority(&HeaderValue::from_static(text)).map(|v| v.to_str().unwrap().to_owned())
        };
        assert_eq!(check("Example.COM:80").unwrap(), "example.com:80");
        assert_eq!(check("[::1]:8080").unwrap(), "[::1]:8080");
        for bad in [
            "", "a b", "a@b", "a:", "a:x", "a:0", "a:65536", "a:80:80", "[::1", "[::1]x", "[zz]", "a/b",
            "a,b", "::1",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
    }
}
