//! Signature algorithms (RFC 7518 section 3, RFC 8037, RFC 9864).

use std::fmt;

use aws_lc_rs::{hmac, signature};

/// A signature algorithm that tokens may be signed with. `none` is none of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    Rs256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    Rs384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    Rs512,
    /// RSASSA-PSS with SHA-256.
    Ps256,
    /// RSASSA-PSS with SHA-384.
    Ps384,
    /// RSASSA-PSS with SHA-512.
    Ps512,
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// ECDSA on P-384 with SHA-384.
    Es384,
    /// ECDSA on P-521 with SHA-512.
    Es512,
    /// Ed25519, whether a token calls it `EdDSA` or `Ed25519`.
    EdDsa,
    /// HMAC with SHA-256; only with a key that an operator configured.
    Hs256,
    /// HMAC with SHA-384; only with a key that an operator configured.
    Hs384,
    /// HMAC with SHA-512; only with a key that an operator configured.
    Hs512,
}

/// Which keys an algorithm takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Family {
    Rsa,
    Ec,
    Okp,
    Oct,
}

impl Algorithm {
    /// Every algorithm whose verification key may be public.
    pub const ASYMMETRIC: [Algorithm; 10] = [
        Algorithm::Rs256,
        Algorithm::Rs384,
        Algorithm::Rs512,
        Algorithm::Ps256,
        Algorithm::Ps384,
        Algorithm::Ps512,
        Algorithm::Es256,
        Algorithm::Es384,
        Algorithm::Es512,
        Algorithm::EdDsa,
    ];

    /// Every algorithm whose key is a shared secret.
    pub const SYMMETRIC: [Algorithm; 3] = [Algorithm::Hs256, Algorithm::Hs384, Algorithm::Hs512];

    /// The algorithm that is spelled exactly so: names are case-sensitive (RFC 7515 section 4.1.1).
    pub fn from_name(name: &str) -> Option<Algorithm> {
        let all = Algorithm::ASYMMETRIC.into_iter().chain(Algorithm::SYMMETRIC);
        all.into_iter().find(|algorithm| algorithm.name() == name).or(match name {
            "Ed25519" => Some(Algorithm::EdDsa),
            _ => None,
        })
    }

    /// Its name in a token.
    pub fn name(self) -> &'static str {
        match self {
            Algorithm::Rs256 => "RS256",
            Algorithm::Rs384 => "RS384",
            Algorithm::Rs512 => "RS512",
            Algorithm::Ps256 => "PS256",
            Algorithm::Ps384 => "PS384",
            Algorithm::Ps512 => "PS512",
            Algorithm::Es256 => "ES256",
            Algorithm::Es384 => "ES384",
            Algorithm::Es512 => "ES512",
            Algorithm::EdDsa => "EdDSA",
            Algorithm::Hs256 => "HS256",
            Algorithm::Hs384 => "HS384",
            Algorithm::Hs512 => "HS512",
        }
    }

    /// Whether the key is a shared secret.
    pub fn is_symmetric(self) -> bool {
        self.family() == Family::Oct
    }

    /// Whether a public key's signature is over the SHA-256 digest of the message.
    pub(crate) fn hashes_to_sha256(self) -> bool {
        matches!(self, Algorithm::Rs256 | Algorithm::Ps256 | Algorithm::Es256)
    }

    pub(crate) fn family(self) -> Family {
        match self {
            Algorithm::Rs256
            | Algorithm::Rs384
            | Algorithm::Rs512
            | Algorithm::Ps256
            | Algorithm::Ps384
            | Algorithm::Ps512 => Family::Rsa,
            Algorithm::Es256 | Algorithm::Es384 | Algorithm::Es512 => Family::Ec,
            Algorithm::EdDsa => Family::Okp,
            Algorithm::Hs256 | Algorithm::Hs384 | Algorithm::Hs512 => Family::Oct,
        }
    }

    pub(crate) fn rsa(self) -> Option<&'static signature::RsaParameters> {
        match self {
            Algorithm::Rs256 => Some(&signature::RSA_PKCS1_2048_8192_SHA256),
            Algorithm::Rs384 => Some(&signature::RSA_PKCS1_2048_8192_SHA384),
            Algorithm::Rs512 => Some(&signature::RSA_PKCS1_2048_8192_SHA512),
            Algorithm::Ps256 => Some(&signature::RSA_PSS_2048_8192_SHA256),
            Algorithm::Ps384 => Some(&signature::RSA_PSS_2048_8192_SHA384),
            Algorithm::Ps512 => Some(&signature::RSA_PSS_2048_8192_SHA512),
            _ => None,
        }
    }

    pub(crate) fn hmac(self) -> Option<hmac::Algorithm> {
        match self {
            Algorithm::Hs256 => Some(hmac::HMAC_SHA256),
            Algorithm::Hs384 => Some(hmac::HMAC_SHA384),
            Algorithm::Hs512 => Some(hmac::HMAC_SHA512),
            _ => None,
        }
    }
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_exact() {
        for algorithm in Algorithm::ASYMMETRIC.into_iter().chain(Algorithm::SYMMETRIC) {
            assert_eq!(Algorithm::from_name(algorithm.name()), Some(algorithm));
            assert_eq!(algorithm.to_string(), algorithm.name());
            assert_eq!(algorithm.is_symmetric(), algorithm.name().starts_with("HS"));
            assert_eq!(algorithm.hmac().is_some(), algorithm.is_symmetric());
            assert_eq!(algorithm.rsa().is_some(), algorithm.family() == Family::Rsa);
        }
        assert_eq!(Algorithm::from_name("Ed25519"), Some(Algorithm::EdDsa));
        for other in ["none", "None", "", "rs256", "RS256 ", "ES256K", "Ed448", "ES521", "RS1", "RSA-OAEP"] {
            assert_eq!(Algorithm::from_name(other), None, "{other}");
        }
    }
}
