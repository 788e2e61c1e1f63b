//! Backslash escapes: of JavaScript, JSON and C (`\x3c`, `\u003c`, `\u{3c}`, `\74`), and of CSS (`\3c `).

use super::percent::hex_pair;
use crate::screen::Bytes;
use crate::text::{at, slice};

/// Levels of strings in strings that are undone at once.
const DEPTH: usize = 4;

/// `bytes` with its escapes replaced; nothing where there was none.
pub(super) fn decode(bytes: &[u8], made: &mut u32) -> Option<Vec<u8>> {
    let mut out = super::unicode::replace(bytes, b'\\', escape, made)?;
    // Strings in strings in strings: as long as only their quotation marks, slashes and lines come out, what is between
    // says nothing that the end does not.
    for _ in 1..DEPTH {
        if *made & !(Bytes::QUOTE | Bytes::SLASH | Bytes::BREAK) != 0 {
            break;
        }
        let Some(next) = super::unicode::replace(&out, b'\\', escape, made) else { break };
        out = next;
    }
    Some(out)
}

fn escape(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    let next = at(bytes, index + 1);
    match next {
        b'x' | b'X' => Some((u32::from(hex_pair(at(bytes, index + 2), at(bytes, index + 3))?), index + 4)),
        b'u' | b'U' if at(bytes, index + 2) == b'{' => {
            let digits = slice(bytes, index + 3, index + 12);
            let length = digits.iter().position(|&b| b == b'}')?;
            let text = std::str::from_utf8(slice(digits, 0, length)).ok()?;
            Some((u32::from_str_radix(text, 16).ok()?, index + 4 + length))
        }
        b'u' | b'U' => {
            let high = hex_pair(at(bytes, index + 2), at(bytes, index + 3))?;
            let low = hex_pair(at(bytes, index + 4), at(bytes, index + 5))?;
            Some((u32::from(high) << 8 | u32::from(low), index + 6))
        }
        b'0'..=b'7' => {
            // Octal, at least two digits: `\1` is a group of a regular expression, `\0` a NUL.
            let (mut value, mut end) = (0_u32, index + 1);
            while end < index + 4 && matches!(at(bytes, end), b'0'..=b'7') {
                value = value * 8 + u32::from(at(bytes, end) - b'0');
                end += 1;
            }
            (end > index + 2 && value < 256).then_some((value, end))
        }
        b'"' | b'\'' | b'/' => Some((u32::from(next), index + 2)),
        b'n' if !at(bytes, index + 2).is_ascii_alphabetic() => Some((u32::from(b'\n'), index + 2)),
        b'r' if at(bytes, index + 2) == b'\\' => Some((u32::from(b'\r'), index + 2)),
        _ => None,
    }
}
