//! Character classes of RFC 9110 section 5.6 as tables, and an eight-bytes-at-a-time search over field values.

const TCHAR: u8 = 1;
const TARGET: u8 = 2;
const VALUE: u8 = 4;
const HOST: u8 = 8;

static CLASS: [u8; 256] = classes();

const fn classes() -> [u8; 256] {
    let mut table = [0u8; 256];
    let mut i = 0usize;
    while i < 256 {
        #[expect(clippy::cast_possible_truncation, reason = "i is below 256")]
        let b = i as u8;
        let alphanumeric = b.is_ascii_alphanumeric();
        let mut class = 0;
        if alphanumeric
            || matches!(
                b,
                b'!' | b'#'
                    | b'$'
                    | b'%'
                    | b'&'
                    | b'\''
                    | b'*'
                    | b'+'
                    | b'-'
                    | b'.'
                    | b'^'
                    | b'_'
                    | b'`'
                    | b'|'
                    | b'~'
            )
        {
            class |= TCHAR;
        }
        if b > 0x20 && b < 0x7f && b != b'#' {
            class |= TARGET;
        }
        if b == b'\t' || (b >= 0x20 && b != 0x7f) {
            class |= VALUE;
        }
        if alphanumeric || matches!(b, b'-' | b'.' | b'_' | b'~') {
            class |= HOST;
        }
        #[expect(clippy::indexing_slicing, reason = "i is below 256")]
        {
            table[i] = class;
        }
        i += 1;
    }
    table
}

#[inline]
fn is(b: u8, class: u8) -> bool {
    #[expect(clippy::indexing_slicing, reason = "a byte indexes a table of 256")]
    let found = CLASS[b as usize];
    found & class != 0
}

/// A character of a field name or another token.
#[inline]
pub(super) fn is_tchar(b: u8) -> bool {
    is(b, TCHAR)
}

/// A character that may stand in a request target: visible ASCII without `#`.
#[inline]
pub(super) fn is_target(b: u8) -> bool {
    is(b, TARGET)
}

/// A character of a registered host name or an IPv4 address.
#[inline]
pub(super) fn is_host(b: u8) -> bool {
    is(b, HOST)
}

/// How many bytes from the start may stand in a field value: HTAB, SP, visible ASCII and obs-text.
#[inline]
pub(super) fn value_length(bytes: &[u8]) -> usize {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let (words, rest) = bytes.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        let x = u64::from_le_bytes(*word);
        // The classic "has a byte below 0x20" and "has a byte equal to 0x7f" tests. Both miss nothing, and may suspect
        // a byte above a true hit: each suspect is looked up.
        let below = x.wrapping_sub(ONES * 0x20) & !x & HIGH;
        let del = x ^ (ONES * 0x7f);
        let mut suspects = below | (del.wrapping_sub(ONES) & !del & HIGH);
        while suspects != 0 {
            let at = (suspects.trailing_zeros() / 8) as usize;
            if word.get(at).is_some_and(|b| !is(*b, VALUE)) {
                return index * 8 + at;
            }
            suspects &= suspects - 1;
        }
    }
    let tail = rest.iter().take_while(|b| is(**b, VALUE)).count();
    bytes.len() - rest.len() + tail
}

/// Whether every byte may stand in a field value.
#[inline]
pub(super) fn is_value(bytes: &[u8]) -> bool {
    value_length(bytes) == bytes.len()
}

#[cfg(test)]
mod tests {
    use super::{is_value, value_length};

    #[test]
    fn the_word_search_agrees_with_the_table_for_every_byte_at_every_place() {
        for b in 0..=255u8 {
            let expected = b == b'\t' || (b >= 0x20 && b != 0x7f);
            for len in 1..20 {
                for at in 0..len {
                    let mut value = vec![b'a'; len];
                    value[at] = b;
                    let length = if expected { len } else { at };
                    assert_eq!(value_length(&value), length, "byte {b:#x} at {at} of {len}");
                    assert_eq!(is_value(&value), expected);
                }
            }
        }
    }
}
