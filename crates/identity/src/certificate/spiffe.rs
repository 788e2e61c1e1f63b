//! SPIFFE IDs (SPIFFE-ID and X.509-SVID specifications).

use std::fmt;

/// A SPIFFE ID: `spiffe://trust.domain/path/of/workload`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SpiffeId {
    text: Box<str>,
    domain_len: usize,
}

/// Why a text is no SPIFFE ID, or certificates' URIs hold none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SpiffeIdError {
    /// It is longer than 2048 bytes.
    #[error("it is longer than 2048 bytes")]
    TooLong,
    /// It does not begin with `spiffe://` in lower case.
    #[error("it does not begin with `spiffe://`")]
    Scheme,
    /// Its trust domain is empty, longer than 255 bytes, or has other characters than a-z, 0-9, `.`, `-` and `_`.
    #[error("its trust domain is empty, too long, or has other characters than a-z, 0-9, `.`, `-` and `_`")]
    TrustDomain,
    /// Its path is empty or has an empty, `.` or `..` segment, or other characters than letters, digits, `.`, `-`
    /// and `_`.
    #[error("its path is missing, or has an empty or dot segment or a foreign character")]
    Path,
    /// There are other URIs beside it in the certificate.
    #[error("the certificate has another URI beside it")]
    NotAlone,
}

const SCHEME: &str = "spiffe://";

impl SpiffeId {
    /// The SPIFFE ID of a workload that `text` spells. There is one spelling for each.
    ///
    /// # Errors
    /// If it is none.
    pub fn parse(text: &str) -> Result<SpiffeId, SpiffeIdError> {
        if text.len() > 2048 {
            return Err(SpiffeIdError::TooLong);
        }
        let rest = text.strip_prefix(SCHEME).ok_or(SpiffeIdError::Scheme)?;
        let (domain, path) = rest.split_once('/').ok_or(SpiffeIdError::Path)?;
        let in_domain =
            |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'-' | b'_');
        if domain.is_empty() || domain.len() > 255 || !domain.bytes().all(in_domain) {
            return Err(SpiffeIdError::TrustDomain);
        }
        let in_segment = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        let is_segment = |s: &str| !matches!(s, "" | "." | "..") && s.bytes().all(in_segment);
        if !path.split('/').all(is_segment) {
            return Err(SpiffeIdError::Path);
        }
        Ok(SpiffeId { domain_len: domain.len(), text: text.into() })
    }

    /// The whole ID.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Its trust domain.
    pub fn trust_domain(&self) -> &str {
        self.text.get(SCHEME.len()..SCHEME.len() + self.domain_len).unwrap_or_default()
    }

    /// Its path, with the slash at its beginning.
    pub fn path(&self) -> &str {
        self.text.get(SCHEME.len() + self.domain_len..).unwrap_or_default()
    }
}

impl fmt::Display for SpiffeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// The SPIFFE ID among the URIs of a certificate: if one of them claims to be one, it must be the only URI.
pub(crate) fn of_uris(uris: &[Box<str>]) -> Result<Option<SpiffeId>, SpiffeIdError> {
    let claims = |uri: &str| uri.get(..7).is_some_and(|scheme| scheme.eq_ignore_ascii_case("spiffe:"));
    if !uris.iter().any(|uri| claims(uri)) {
        return Ok(None);
    }
    match uris {
        [one] => SpiffeId::parse(one).map(Some),
        _ => Err(SpiffeIdError::NotAlone),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_one_spelling() {
        let id = SpiffeId::parse("spiffe://example.org/ns/shop/sa/orders").unwrap();
        assert_eq!((id.trust_domain(), id.path()), ("example.org", "/ns/shop/sa/orders"));
        assert_eq!(id.to_string(), "spiffe://example.org/ns/shop/sa/orders");
        assert!(SpiffeId::parse("spiffe://a_b-c.1/A.b_c-9").is_ok());
        for (bad, why) in [
            ("SPIFFE://example.org/a", SpiffeIdError::Scheme),
            ("https://example.org/a", SpiffeIdError::Scheme),
            ("", SpiffeIdError::Scheme),
            ("spiffe://example.org", SpiffeIdError::Path),
            ("spiffe://example.org/", SpiffeIdError::Path),
            ("spiffe://example.org/a/", SpiffeIdError::Path),
            ("spiffe://example.org//a", SpiffeIdError::Path),
            ("spiffe://example.org/a/../b", SpiffeIdError::Path),
            ("spiffe://example.org/./b", SpiffeIdError::Path),
            ("spiffe://example.org/a%2fb", SpiffeIdError::Path),
            ("spiffe://example.org/a?b", SpiffeIdError::Path),
            ("spiffe://example.org/a#b", SpiffeIdError::Path),
            ("spiffe://example.org/é", SpiffeIdError::Path),
            ("spiffe:///a", SpiffeIdError::TrustDomain),
            ("spiffe://Example.org/a", SpiffeIdError::TrustDomain),
            ("spiffe://u@example.org/a", SpiffeIdError::TrustDomain),
            ("spiffe://example.org:443/a", SpiffeIdError::TrustDomain),
        ] {
            assert_eq!(SpiffeId::parse(bad), Err(why), "{bad}");
        }
        // "spiffe://a/" has eleven bytes.
        assert!(SpiffeId::parse(&format!("spiffe://a/{}", "x".repeat(2037))).is_ok());
        assert_eq!(SpiffeId::parse(&format!("spiffe://a/{}", "x".repeat(2038))), Err(SpiffeIdError::TooLong));
        assert!(SpiffeId::parse(&format!("spiffe://{}/x", "a".repeat(255))).is_ok());
        assert_eq!(
            SpiffeId::parse(&format!("spiffe://{}/x", "a".repeat(256))),
            Err(SpiffeIdError::TrustDomain)
        );
    }

    #[test]
    fn an_id_stands_alone() {
        let of = |uris: &[&str]| of_uris(&uris.iter().map(|&uri| uri.into()).collect::<Vec<_>>());
        assert_eq!(of(&[]), Ok(None));
        assert_eq!(of(&["https://a", "urn:x"]), Ok(None));
        assert!(of(&["spiffe://a/b"]).unwrap().is_some());
        assert_eq!(of(&["spiffe://a/b", "spiffe://a/c"]), Err(SpiffeIdError::NotAlone));
        assert_eq!(of(&["https://a", "spiffe://a/b"]), Err(SpiffeIdError::NotAlone));
        assert_eq!(of(&["Spiffe://a/b"]), Err(SpiffeIdError::Scheme));
    }
}
