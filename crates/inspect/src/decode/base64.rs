//! Base64 (RFC 4648), either alphabet, with or without padding: only where what comes out is text with signs in it, or
//! begins as a serialised object does.

use crate::screen::Bytes;
use crate::text::{at, find, from, skip_while, slice, trim};

/// As much of a long run is decoded first, to see whether it could be text.
const HEAD: usize = 4096;

/// As many runs inside a value are decoded.
const RUNS: usize = 8;

/// What the base64 in `bytes` says: the value as a whole, and what follows `base64,`.
pub(super) fn decodings(bytes: &[u8], kinds: Bytes) -> Vec<Vec<u8>> {
    let mut found = Vec::new();
    let body = trim(bytes);
    let allowed = Bytes::PLUS | Bytes::SLASH | Bytes::DASH | Bytes::EQUALS | Bytes::BREAK | Bytes::SPACE;
    if kinds.0 & !allowed == 0 {
        if let Some(out) = text_of(body) {
            found.push(out);
        }
    } else if body.len() > 16
        && kinds.has(Bytes::COLON)
        && let Some(start) = find(body, b"base64,")
        && let Some(out) = text_of(run(from(body, start + 7)))
    {
        found.push(out);
    }
    if found.is_empty()
        && kinds.0
            & (Bytes::QUOTE
                | Bytes::PAREN
                | Bytes::BRACE
                | Bytes::EQUALS
                | Bytes::COLON
                | Bytes::DOT
                | Bytes::PERCENT)
            != 0
    {
        // A long run in between: an argument of `atob(`, a cookie's part.
        let mut index = 0;
        while index < body.len() && found.len() < RUNS {
            let end = skip_while(body, index, |b| {
                b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'-' | b'_')
            });
            if end - index >= 20
                && let Some(out) = text_of(slice(body, index, end))
            {
                found.push(out);
            }
            index = end + 1;
        }
    }
    found
}

fn run(bytes: &[u8]) -> &[u8] {
    let end =
        skip_while(bytes, 0, |b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/' | b'=' | b'-' | b'_'));
    slice(bytes, 0, end)
}

/// What `bytes` says, where it says something.
fn text_of(bytes: &[u8]) -> Option<Vec<u8>> {
    if bytes.len() < 8 {
        return None;
    }
    if bytes.len() > HEAD * 2 {
        // What is no text at its beginning, as pictures are, is none as a whole.
        text_of(slice(bytes, 0, HEAD))?;
    }
    let out = raw(bytes)?;
    let object = matches!(out.get(..4), Some(&[0xac, 0xed, 0, 5]) | Some(&[0x80, 1..=5, _, _]))
        || out.starts_with(&[4, 8])
        || out.starts_with(&[0, 1, 0, 0, 0, 0xff]);
    if object {
        return Some(out);
    }
    let odd = out.iter().filter(|&&b| b < b' ' && !crate::text::is_space(b) && b != 0 || b == 0x7f).count();
    let high = out.iter().filter(|&&b| b >= 0x80).count();
    // Text has no control characters, and other letters only as UTF-8.
    let text = odd == 0 && (high == 0 || std::str::from_utf8(&out).is_ok() && high * 2 < out.len());
    let wide = out.len() >= 8 && out.iter().filter(|&&b| b == 0).count() * 5 > out.len() * 2;
    // A NUL or two hide in what is text otherwise.
    let nuls = out.iter().filter(|&&b| b == 0).count();
    let torn = nuls < 3
        && high == 0
        && out.len() > 8
        && out.iter().any(|&b| matches!(b, b'<' | b'\'' | b'/' | b'('));
    (text && out.len() > 3 && (nuls == 0 || torn) || wide).then_some(out)
}

/// The bytes that `bytes` spells, whatever the alphabet; padding and blanks are ignored. Nothing if another
/// character stands in it.
pub(super) fn raw(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len() * 3 / 4 + 3);
    let (mut bits, mut count) = (0_u32, 0);
    for &byte in bytes {
        let value = match byte {
            b'A'..=b'Z' => byte - b'A',
            b'a'..=b'z' => byte - b'a' + 26,
            b'0'..=b'9' => byte - b'0' + 52,
            b'+' | b'-' => 62,
            b'/' | b'_' => 63,
            b'=' | b'\n' | b'\r' | b' ' => continue,
            _ => return None,
        };
        bits = bits << 6 | u32::from(value);
        count += 1;
        if count == 4 {
            out.extend_from_slice(bits.to_be_bytes().get(1..)?);
            (bits, count) = (0, 0);
        }
    }
    match count {
        2 => out.push((bits >> 4) as u8),
        3 => out.extend_from_slice(&[(bits >> 10) as u8, (bits >> 2) as u8]),
        // One character left over: cut off, or no base64.
        1 if out.len() < 12 => return None,
        _ => {}
    }
    let _ = at(&out, 0);
    Some(out)
}
