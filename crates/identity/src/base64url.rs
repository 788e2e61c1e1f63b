//! Base64url as JOSE uses it (RFC 7515 section 2): no padding, no line breaks, and only the canonical spelling.

use data_encoding::BASE64URL_NOPAD;

/// The bytes that `text` spells. `None` for padding, for a foreign character, for an impossible length, and where
/// the unused bits of the last character are not zero: each byte string has exactly one spelling.
pub(crate) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    BASE64URL_NOPAD.decode(text).ok()
}

/// As [`decode`], for exactly `N` bytes.
pub(crate) fn decode_array<const N: usize>(text: &[u8]) -> Option<[u8; N]> {
    decode(text)?.try_into().ok()
}

/// The one spelling of `bytes`.
pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_spelling_each() {
        assert_eq!(decode(b"").unwrap(), b"");
        assert_eq!(decode(b"Zg").unwrap(), b"f");
        assert_eq!(decode(b"-_-_").unwrap(), [0xfb, 0xff, 0xbf]);
        for bad in
            ["Zh", "Zg==", "Zg=", "Z", "Zm9v\n", " Zm9v", "Zm9?", "+/+/", "Zm9vZ", "Zm 9v", "Zm9v\0", "Zm9vé"]
        {
            assert_eq!(decode(bad.as_bytes()), None, "{bad:?}");
        }
        for length in 0..70u8 {
            let bytes: Vec<u8> = (0..length).map(|i| i.wrapping_mul(37)).collect();
            assert_eq!(decode(encode(&bytes).as_bytes()).unwrap(), bytes);
        }
        assert_eq!(decode_array::<3>(b"-_-_"), Some([0xfb, 0xff, 0xbf]));
        assert_eq!(decode_array::<4>(b"-_-_"), None);
    }
}
