//! HTML character references: decimal, hexadecimal, and the names that spell ASCII.

use crate::text::{at, slice};

/// Names of the signs that an attack is made of; case matters. The semicolon may be missing.
const NAMES: &[(&str, u8)] = &[
    ("lt", b'<'),
    ("LT", b'<'),
    ("gt", b'>'),
    ("GT", b'>'),
    ("quot", b'"'),
    ("QUOT", b'"'),
    ("apos", b'\''),
    ("amp", b'&'),
    ("AMP", b'&'),
    ("lpar", b'('),
    ("rpar", b')'),
    ("lbrack", b'['),
    ("lsqb", b'['),
    ("rbrack", b']'),
    ("rsqb", b']'),
    ("lbrace", b'{'),
    ("lcub", b'{'),
    ("rbrace", b'}'),
    ("rcub", b'}'),
    ("colon", b':'),
    ("semi", b';'),
    ("sol", b'/'),
    ("bsol", b'\\'),
    ("equals", b'='),
    ("excl", b'!'),
    ("num", b'#'),
    ("dollar", b'$'),
    ("percnt", b'%'),
    ("ast", b'*'),
    ("midast", b'*'),
    ("plus", b'+'),
    ("comma", b','),
    ("period", b'.'),
    ("quest", b'?'),
    ("commat", b'@'),
    ("lowbar", b'_'),
    ("grave", b'`'),
    ("DiacriticalGrave", b'`'),
    ("vert", b'|'),
    ("verbar", b'|'),
    ("VerticalLine", b'|'),
    ("Tab", b'\t'),
    ("NewLine", b'\n'),
    ("nbsp", b' '),
    ("hyphen", b'-'),
    ("Hat", b'^'),
];

/// `bytes` with its references replaced; nothing where there was none.
pub(super) fn decode(bytes: &[u8], made: &mut u32) -> Option<Vec<u8>> {
    super::unicode::replace(bytes, b'&', reference, made)
}

/// `bytes` as those read it for whom a reference ends in a semicolon: `&#x2&#55;` goes on in another layer, where browsers see
/// a character and a seven. Nothing where both read alike.
pub(super) fn closed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut open = false;
    let out = super::unicode::replace(
        bytes,
        b'&',
        |bytes, index| {
            let (code, end) = reference(bytes, index)?;
            let closed = at(bytes, end - 1) == b';';
            open |= !closed && matches!(at(bytes, end), b'&' | b'\\' | b'%');
            closed.then_some((code, end))
        },
        &mut 0,
    );
    out.or_else(|| open.then(|| bytes.to_vec())).filter(|_| open)
}

/// The character that the reference at `index` names, and where it ends.
fn reference(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    if at(bytes, index + 1) == b'#' {
        let (value, end) = number(bytes, index)?;
        let end = if at(bytes, end) == b';' { end + 1 } else { end };
        return Some((value, end));
    }
    let start = index + 1;
    let rest = slice(bytes, start, start + 18);
    let length = rest.iter().position(|b| !b.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let closed = at(rest, length) == b';';
    // Without a semicolon only the old names count.
    let name = slice(rest, 0, length);
    if closed {
        let (_, byte) = NAMES.iter().find(|(known, _)| known.as_bytes() == name)?;
        return Some((u32::from(*byte), start + length + 1));
    }
    let (known, byte) = NAMES.iter().take(9).find(|(known, _)| rest.starts_with(known.as_bytes()))?;
    Some((u32::from(*byte), start + known.len()))
}

/// The number of the reference at `index`, and where its digits end.
fn number(bytes: &[u8], index: usize) -> Option<(u32, usize)> {
    if at(bytes, index + 1) != b'#' {
        return None;
    }
    let (start, radix) = if at(bytes, index + 2) | 0x20 == b'x' { (index + 3, 16) } else { (index + 2, 10) };
    let (mut value, mut end) = (0_u32, start);
    // Browsers allow any number of zeros before the digits.
    while let Some(digit) = (at(bytes, end) as char).to_digit(radix) {
        value = value.saturating_mul(radix).saturating_add(digit).min(0x11_0000);
        end += 1;
    }
    (end > start && value <= 0x10_ffff).then_some((value, end))
}
