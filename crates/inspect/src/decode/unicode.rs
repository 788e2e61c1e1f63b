//! Characters that some parser takes for ASCII: overlong UTF-8, full-width forms, look-alikes that code pages map to
//! ASCII ("best fit"); UTF-16 and UTF-7.

use crate::screen::Bytes;
use crate::text::{at, from, is_space, slice};

/// `bytes` with what begins with `mark` replaced by the character that `read` makes of it, where it makes one and says
/// where it ends; nothing where there was none.
pub(super) fn replace(
    bytes: &[u8],
    mark: u8,
    mut read: impl FnMut(&[u8], usize) -> Option<(u32, usize)>,
    made: &mut u32,
) -> Option<Vec<u8>> {
    let mut out: Option<Vec<u8>> = None;
    // What stands before `copied` is in `out`.
    let (mut index, mut copied) = (0, 0);
    while let Some(found) = from(bytes, index).iter().position(|&b| b == mark) {
        let start = index + found;
        index = start + 1;
        let Some((code, end)) = read(bytes, start) else { continue };
        let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
        out.extend_from_slice(slice(bytes, copied, start));
        push(out, code);
        *made |= Bytes::made(code);
        index = end.max(index);
        copied = index;
    }
    let mut out = out?;
    out.extend_from_slice(from(bytes, copied));
    Some(out)
}

/// Appends a character as UTF-8; what is none as U+FFFD.
pub(super) fn push(out: &mut Vec<u8>, code: u32) {
    let character = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    out.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
}

/// `bytes` with everything that some parser reads as ASCII turned into ASCII; nothing where there was none.
pub(super) fn plain(bytes: &[u8], made: &mut u32) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(bytes.len());
    let (mut index, mut changed) = (0, false);
    while index < bytes.len() {
        let byte = at(bytes, index);
        if byte < 0x80 {
            out.push(byte);
            index += 1;
            continue;
        }
        let (code, length) = loose(bytes, index);
        // U+560A and U+560D next to each other: who keeps the low bytes alone sees a line break.
        if let (Some(0x560a | 0x560d), (Some(0x560a | 0x560d), second)) = (code, loose(bytes, index + length))
        {
            out.extend_from_slice(b"\r\n");
            *made |= Bytes::BREAK;
            index += length + second;
            changed = true;
            continue;
        }
        let ascii = match code {
            Some(code) if code < 0x80 => Some(code as u8),
            Some(code) => fit(code),
            None => None,
        };
        match ascii {
            // What stood on either side is one word now.
            Some(0) => {
                changed = true;
                *made = u32::MAX;
            }
            Some(ascii) => {
                out.push(ascii);
                *made |= Bytes::made(u32::from(ascii));
                changed = true;
            }
            None => out.extend_from_slice(slice(bytes, index, index + length)),
        }
        index += length;
    }
    changed.then_some(out)
}

/// The character at `index` as a careless decoder reads it, and its length.
fn loose(bytes: &[u8], index: usize) -> (Option<u32>, usize) {
    let first = at(bytes, index);
    let (length, mut code) = match first {
        0xc0..=0xdf => (2, u32::from(first & 0x1f)),
        0xe0..=0xef => (3, u32::from(first & 0x0f)),
        0xf0..=0xf7 => (4, u32::from(first & 0x07)),
        0xf8..=0xfb => (5, u32::from(first & 0x03)),
        0xfc..=0xfd => (6, u32::from(first & 0x01)),
        // A lone byte: some code pages fit it to ASCII.
        0xa0 => return (Some(0x20), 1),
        _ => return (None, 1),
    };
    for offset in 1..length {
        let next = at(bytes, index + offset);
        if next & 0xc0 != 0x80 {
            // `%c0%27`, `%bf%27`: the first byte swallows nothing.
            let ascii = first == 0xc0 || first == 0xc1;
            return if ascii && offset == 1 && next.is_ascii() && next != 0 {
                (Some(u32::from(next & 0x7f)), 2)
            } else {
                (None, 1)
            };
        }
        code = code << 6 | u32::from(next & 0x3f);
    }
    (Some(code), length)
}

/// The ASCII that code pages fit `code` to; 0 for what vanishes.
fn fit(code: u32) -> Option<u8> {
    Some(match code {
        0xff01..=0xff5e => (code - 0xff01) as u8 + b'!',
        0x3000 | 0xa0 | 0x2000..=0x200a | 0x202f | 0x205f | 0x1680 => b' ',
        0x2028 | 0x2029 | 0x85 => b'\n',
        0xad | 0x200b..=0x200f | 0x2060..=0x2064 | 0xfeff | 0xfe00..=0xfe0f | 0x202a..=0x202e => 0,
        0x2329 | 0x3008 | 0xfe64 | 0x02c2 => b'<',
        0x232a | 0x3009 | 0xfe65 | 0x02c3 => b'>',
        0x02bc | 0x02b9 | 0x2032 | 0x02c8 | 0x055a | 0xa78c => b'\'',
        0x02ba | 0x2033 | 0x3003 => b'"',
        0xfe68 => b'\\',
        0x2044 | 0x2215 => b'/',
        0x2024 | 0xfe52 => b'.',
        0x2025 => return None,
        0x037e | 0xfe14 | 0xfe54 => b';',
        0xfe55 | 0xa789 | 0x2236 => b':',
        0xfe66 => b'=',
        0xfe59 => b'(',
        0xfe5a => b')',
        0xfe5b => b'{',
        0xfe5c => b'}',
        0xfe69 => b'$',
        0xfe6a => b'%',
        0xfe61 => b'*',
        0xfe60 => b'&',
        0x01c0 | 0x2223 => b'|',
        // Letters that upper- or lower-casing turns into ASCII.
        0x017f => b's',
        0x212a => b'k',
        0x0131 => b'i',
        0x1d400..=0x1d6a3 => b'a' + ((code - 0x1d400) % 26) as u8,
        0x24d0..=0x24e9 => b'a' + (code - 0x24d0) as u8,
        0x24b6..=0x24cf => b'a' + (code - 0x24b6) as u8,
        _ => return None,
    })
}

/// UTF-16 of either byte order that spells ASCII.
pub(super) fn utf16(bytes: &[u8]) -> Option<Vec<u8>> {
    let body = match bytes.get(..2) {
        Some(&[0xff, 0xfe] | &[0xfe, 0xff]) => from(bytes, 2),
        _ => bytes,
    };
    if body.len() < 8 {
        return None;
    }
    let nul =
        |odd: usize| body.chunks_exact(2).filter(|pair| at(pair, odd) == 0 && at(pair, 1 - odd) != 0).count();
    let pairs = body.len() / 2;
    let odd = if nul(1) * 10 > pairs * 9 {
        1
    } else if nul(0) * 10 > pairs * 9 {
        0
    } else {
        return None;
    };
    Some(body.chunks_exact(2).map(|pair| at(pair, 1 - odd)).collect())
}

/// UTF-7 (RFC 2152) that spells signs of markup: `+ADw-script+AD4-`.
pub(super) fn utf7(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut index, mut changed) = (0, false);
    let mut out = Vec::with_capacity(bytes.len());
    while index < bytes.len() {
        let byte = at(bytes, index);
        if byte != b'+' {
            out.push(byte);
            index += 1;
            continue;
        }
        let body = from(bytes, index + 1);
        let end = body
            .iter()
            .position(|&b| !(b.is_ascii_alphanumeric() || b == b'+' || b == b'/'))
            .unwrap_or(body.len());
        let run = slice(body, 0, end);
        let decoded = super::base64::raw(run);
        let wide = decoded.as_deref().is_some_and(|d| {
            d.len() >= 2
                && d.chunks_exact(2).all(|pair| {
                    at(pair, 0) == 0 && (b' '..0x7f).contains(&at(pair, 1))
                        || is_space(at(pair, 1)) && at(pair, 0) == 0
                })
        });
        if let (true, Some(decoded)) = (wide, decoded) {
            out.extend(decoded.chunks_exact(2).map(|pair| at(pair, 1)));
            index += 1 + end + usize::from(at(body, end) == b'-');
            changed = true;
        } else {
            out.push(byte);
            out.extend_from_slice(run);
            index += 1 + end;
        }
    }
    changed.then_some(out)
}
