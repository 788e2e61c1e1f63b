//! Signatures of what is sent to others.

use aws_lc_rs::hmac;

/// The HMAC-SHA256 (RFC 2104) of `message` under `key`, in base64.
pub fn sign_webhook(key: &[u8], message: &[u8]) -> String {
    let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message);
    data_encoding::BASE64.encode(tag.as_ref())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_that_of_rfc_4231() {
        // Section 4.3, test case 2.
        let tag = data_encoding::BASE64
            .decode(sign_webhook(b"Jefe", b"what do ya want for nothing?").as_bytes())
            .unwrap();
        let expected = "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843";
        assert_eq!(data_encoding::HEXLOWER.encode(&tag), expected);
    }
}
