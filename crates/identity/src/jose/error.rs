//! Why a token is refused.

/// Why a token, or a proof, is refused. The texts quote nothing of the token: they may be logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It has more bytes than are read.
    #[error("the token is longer than the bound for tokens")]
    TooLarge,
    /// It is no compact JWS whose parts are canonical base64url and strict JSON (RFC 7515 section 7.1).
    #[error("the token is malformed: {0}")]
    Malformed(&'static str),
    /// Its header asks for what is not done: `crit`, `b64`, a key of its own (RFC 7515 section 4.1).
    #[error("the token's header is refused: {0}")]
    Header(&'static str),
    /// Its header names no algorithm, `none`, or one that no key of the issuer is for.
    #[error("the token's algorithm is not accepted")]
    Algorithm,
    /// Its header has a `typ` that this use does not accept (RFC 8725 section 3.11).
    #[error("the token is of another type: {0}")]
    Type(&'static str),
    /// No key of the issuer signed it: the signature does not verify.
    #[error("the token's signature does not verify")]
    Signature,
    /// Its `kid` names no key of the issuer, which was asked lately.
    #[error("the token's key is not among its issuer's keys")]
    UnknownKey,
    /// No configured issuer is called as its `iss` says.
    #[error("the token's issuer is not accepted")]
    Issuer,
    /// Nothing here is named in its `aud`.
    #[error("the token is meant for another audience")]
    Audience,
    /// Its `exp` is over.
    #[error("the token has expired")]
    Expired,
    /// Its `nbf` or `iat` is still to come.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// A claim is missing or is not what it must be.
    #[error("the token's claims are refused: {0}")]
    Claims(&'static str),
}
