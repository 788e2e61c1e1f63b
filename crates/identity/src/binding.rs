//! Whether a token came with the key that it is bound to (RFC 7800, RFC 8705, RFC 9449).

use crate::jose::Thumbprint;
use crate::oauth::Binding;

/// How a token was presented.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AuthScheme {
    /// `Authorization: Bearer` (RFC 6750).
    Bearer,
    /// `Authorization: DPoP` (RFC 9449 section 7.1).
    Dpop,
}

/// What came with a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Presented {
    /// Under which scheme.
    pub scheme: AuthScheme,
    /// The key of the DPoP proof that was verified for this call and this token.
    pub proof: Option<Thumbprint>,
    /// SHA-256 of the client certificate of this connection, verified or self-signed (RFC 8705 sections 2 and 3).
    pub certificate: Option<Thumbprint>,
}

/// Why a token is refused together with what came, or did not come, with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BindingError {
    /// A token that is bound to a DPoP key was sent as `Bearer`, or without a proof.
    #[error("the token is bound to a DPoP key: send it as `Authorization: DPoP` with a proof of that key")]
    ProofMissing,
    /// The proof is of another key than the token is bound to.
    #[error("the DPoP proof is of another key than the token is bound to")]
    ProofOfOther,
    /// A token that is bound to no DPoP key was sent as `DPoP` (RFC 9449 section 7.1).
    #[error("the token is not bound to a DPoP key: send it as `Authorization: Bearer`")]
    NotDpop,
    /// A token that is bound to a certificate came over a connection without one.
    #[error(
        "the token is bound to a client certificate: send it over a connection that presents that certificate"
    )]
    CertificateMissing,
    /// The certificate is another than the token is bound to.
    #[error("the client certificate is another than the token is bound to")]
    CertificateOfOther,
}

impl Presented {
    /// A plain bearer token: no proof, no certificate.
    pub const BEARER: Presented = Presented { scheme: AuthScheme::Bearer, proof: None, certificate: None };

    /// Whether everything that `binding` asks for is there. An unbound bearer token asks for nothing.
    ///
    /// # Errors
    /// If a key is missing or another, or the scheme does not fit.
    pub fn check(&self, binding: Binding) -> Result<(), BindingError> {
        match (binding.jkt, self.scheme, self.proof) {
            (None, AuthScheme::Bearer, _) => {}
            (None, AuthScheme::Dpop, _) => return Err(BindingError::NotDpop),
            (Some(_), AuthScheme::Bearer, _) | (Some(_), AuthScheme::Dpop, None) => {
                return Err(BindingError::ProofMissing);
            }
            (Some(bound), AuthScheme::Dpop, Some(proved)) if bound == proved => {}
            (Some(_), AuthScheme::Dpop, Some(_)) => return Err(BindingError::ProofOfOther),
        }
        match (binding.certificate, self.certificate) {
            (None, _) => Ok(()),
            (Some(_), None) => Err(BindingError::CertificateMissing),
            (Some(bound), Some(presented)) if bound == presented => Ok(()),
            (Some(_), Some(_)) => Err(BindingError::CertificateOfOther),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_token_is_bound_to_must_come_with_it() {
        let [a, b] = [Thumbprint([1; 32]), Thumbprint([2; 32])];
        let bearer = Presented::BEARER;
        let dpop = |proof| Presented { scheme: AuthScheme::Dpop, proof, certificate: None };
        let over = |certificate| Presented { certificate: Some(certificate), ..Presented::BEARER };
        let free = Binding::default();
        let jkt = Binding { jkt: Some(a), certificate: None };
        let cert = Binding { jkt: None, certificate: Some(a) };
        let both = Binding { jkt: Some(a), certificate: Some(b) };
        for (binding, presented, expected) in [
            (free, bearer, Ok(())),
            (free, over(b), Ok(())),
            (free, dpop(Some(a)), Err(BindingError::NotDpop)),
            (jkt, bearer, Err(BindingError::ProofMissing)),
            (jkt, Presented { proof: Some(a), ..bearer }, Err(BindingError::ProofMissing)),
            (jkt, dpop(None), Err(BindingError::ProofMissing)),
            (jkt, dpop(Some(b)), Err(BindingError::ProofOfOther)),
            (jkt, dpop(Some(a)), Ok(())),
            (cert, bearer, Err(BindingError::CertificateMissing)),
            (cert, over(b), Err(BindingError::CertificateOfOther)),
            (cert, over(a), Ok(())),
            (cert, dpop(Some(a)), Err(BindingError::NotDpop)),
            (both, dpop(Some(a)), Err(BindingError::CertificateMissing)),
            (both, over(b), Err(BindingError::ProofMissing)),
            (both, Presented { certificate: Some(b), ..dpop(Some(a)) }, Ok(())),
        ] {
            assert_eq!(presented.check(binding), expected, "{binding:?} {presented:?}");
        }
    }
}
