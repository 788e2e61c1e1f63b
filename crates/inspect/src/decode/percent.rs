//! Percent-encoding (RFC 3986 section 2.1), and Microsoft's `%uXXXX`.

use crate::screen::Bytes;
use crate::text::{at, from, slice};

/// `bytes` with every `%XX` and `%uXXXX` replaced; nothing where there was none.
pub(crate) fn decode(bytes: &[u8], made: &mut u32) -> Option<Vec<u8>> {
    replace(bytes, true, made)
}

/// As [`decode`], without `%uXXXX`: what every server does.
pub(crate) fn decode_bytes_only(bytes: &[u8]) -> Option<Vec<u8>> {
    replace(bytes, false, &mut 0)
}

fn replace(bytes: &[u8], wide: bool, made: &mut u32) -> Option<Vec<u8>> {
    let hex = |index: usize| hex_pair(at(bytes, index), at(bytes, index + 1));
    let mut out: Option<Vec<u8>> = None;
    // What stands before `copied` is in `out`.
    let (mut index, mut copied) = (0, 0);
    while let Some(found) = from(bytes, index).iter().position(|&b| b == b'%') {
        let start = index + found;
        index = start + 1;
        let (code, end) = if let Some(byte) = hex(start + 1) {
            (u32::from(byte), start + 3)
        } else if wide
            && at(bytes, start + 1) | 0x20 == b'u'
            && let (Some(high), Some(low)) = (hex(start + 2), hex(start + 4))
        {
            (u32::from(high) << 8 | u32::from(low), start + 6)
        } else {
            continue;
        };
        let out = out.get_or_insert_with(|| Vec::with_capacity(bytes.len()));
        out.extend_from_slice(slice(bytes, copied, start));
        match u8::try_from(code) {
            Ok(byte) if end == start + 3 => out.push(byte),
            _ => super::unicode::push(out, code),
        }
        *made |= Bytes::made(code);
        index = end;
        copied = end;
    }
    let mut out = out?;
    out.extend_from_slice(from(bytes, copied));
    Some(out)
}

/// The byte that two hexadecimal digits spell.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let high = (high as char).to_digit(16)?;
    let low = (low as char).to_digit(16)?;
    Some((high << 4 | low) as u8)
}
