//! Percent-encoding (RFC 3986 section 2.1), and Microsoft's `%uXXXX`.

use crate::text::at;

/// `bytes` with every `%XX` and `%uXXXX` replaced; nothing where there was none.
pub(crate) fn decode(bytes: &[u8]) -> Option<Vec<u8>> {
    replace(bytes, true)
}

/// As [`decode`], without `%uXXXX`: what every server does.
pub(crate) fn decode_bytes_only(bytes: &[u8]) -> Option<Vec<u8>> {
    replace(bytes, false)
}

fn replace(bytes: &[u8], wide: bool) -> Option<Vec<u8>> {
    let first = bytes.iter().position(|&b| b == b'%')?;
    let mut out = Vec::with_capacity(bytes.len());
    out.extend_from_slice(bytes.get(..first)?);
    let (mut index, mut changed) = (first, false);
    while index < bytes.len() {
        let byte = at(bytes, index);
        if byte == b'%' {
            if let Some(decoded) = hex_pair(at(bytes, index + 1), at(bytes, index + 2)) {
                out.push(decoded);
                index += 3;
                changed = true;
                continue;
            }
            if wide
                && at(bytes, index + 1) | 0x20 == b'u'
                && let Some(high) = hex_pair(at(bytes, index + 2), at(bytes, index + 3))
                && let Some(low) = hex_pair(at(bytes, index + 4), at(bytes, index + 5))
            {
                super::unicode::push(&mut out, u32::from(high) << 8 | u32::from(low));
                index += 6;
                changed = true;
                continue;
            }
        }
        out.push(byte);
        index += 1;
    }
    changed.then_some(out)
}

/// The byte that two hexadecimal digits spell.
pub(crate) fn hex_pair(high: u8, low: u8) -> Option<u8> {
    let high = (high as char).to_digit(16)?;
    let low = (low as char).to_digit(16)?;
    Some((high << 4 | low) as u8)
}
