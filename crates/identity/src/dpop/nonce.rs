//! Nonces for DPoP proofs (RFC 9449 section 8) that the server need not remember.

use crate::base64url;
use crate::pepper::Pepper;

/// Bytes of the authentication code in a nonce.
const MAC_BYTES: usize = 16;

/// Makes nonces and knows its own again: each is the number of a span of time and a keyed hash of it.
#[derive(Debug)]
pub(crate) struct Nonces {
    key: Pepper,
    span_s: u64,
}

impl Nonces {
    /// A nonce holds for one to two times `span_s` seconds.
    pub(crate) fn new(key: Pepper, span_s: u64) -> Nonces {
        Nonces { key, span_s: span_s.max(1) }
    }

    /// The nonce of this span of time.
    pub(crate) fn issue(&self, now_s: u64) -> String {
        let span = now_s / self.span_s;
        base64url::encode(&[&span.to_be_bytes()[..], &self.mac(span)].concat())
    }

    /// Whether `nonce` was issued in this span of time or the one before.
    pub(crate) fn holds(&self, nonce: &str, now_s: u64) -> bool {
        let Some(bytes) = base64url::decode_array::<{ 8 + MAC_BYTES }>(nonce.as_bytes()) else {
            return false;
        };
        let Some((span, mac)) = bytes.split_first_chunk::<8>() else { return false };
        let span = u64::from_be_bytes(*span);
        let genuine = aws_lc_rs::constant_time::verify_slices_are_equal(mac, &self.mac(span)).is_ok();
        let current = now_s / self.span_s;
        genuine && (span == current || Some(span) == current.checked_sub(1))
    }

    fn mac(&self, span: u64) -> [u8; MAC_BYTES] {
        let digest = self.key.digest([&b"dpop nonce"[..], &span.to_be_bytes()].concat());
        digest.0.first_chunk().copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nonce_holds_for_a_while_and_only_here() {
        let nonces = Nonces::new(Pepper::new([1; 32]), 60);
        let nonce = nonces.issue(6000);
        assert_eq!(nonces.issue(6059), nonce);
        assert_ne!(nonces.issue(6060), nonce);
        for (now, holds) in
            [(6000, true), (6119, true), (6120, false), (5999, false), (0, false), (u64::MAX, false)]
        {
            assert_eq!(nonces.holds(&nonce, now), holds, "{now}");
        }
        assert!(!Nonces::new(Pepper::new([2; 32]), 60).holds(&nonce, 6000), "another gateway's");
        for at in 0..nonce.len() {
            let mut forged = nonce.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert!(!nonces.holds(std::str::from_utf8(&forged).unwrap(), 6000), "{at}");
        }
        assert!(
            !nonces.holds("", 6000)
                && !nonces.holds(&nonce[..31], 6000)
                && !nonces.holds(&format!("{nonce}A"), 6000)
        );
    }
}
