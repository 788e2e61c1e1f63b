//! JSON Web Signatures in compact form (RFC 7515), read strictly.

use std::sync::Arc;

use aws_lc_rs::digest::Digest;
use serde_json::Value;

use crate::base64url;
use crate::jose::key::Message;
use crate::jose::{Algorithm, TokenError, VerificationKey};
use crate::json::{self, Members};

/// Levels of nesting and number of values in a header: more than any that is in use.
const HEADER_BOUNDS: (u32, u32) = (6, 100);

/// What a header may hold besides `alg`, `kid` and `typ`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeaderKeys {
    /// A key, or the address of one, makes the token refused. So for access tokens: only the issuer's published
    /// keys count, and a token that brings one is an attack or a misunderstanding.
    Refuse,
    /// `jku`, `x5u`, `x5c` and `jwk` are passed over. For issuers that put them there by habit.
    Ignore,
    /// `jwk` must be there: the token proves possession of that key (RFC 9449 section 4.2).
    Proof,
}

/// How a token is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JwsRules {
    /// Most bytes of a token.
    pub max_bytes: usize,
    /// Keys in the header.
    pub keys: HeaderKeys,
}

impl Default for JwsRules {
    fn default() -> JwsRules {
        JwsRules { max_bytes: 16 << 10, keys: HeaderKeys::Refuse }
    }
}

/// A compact JWS that was read but not verified. Only [`Jws::verify`] gives its payload away as true.
#[derive(Clone)]
pub struct Jws<'a> {
    signed: Message<'a>,
    header_text: &'a str,
    header: Arc<Header>,
    payload: Vec<u8>,
    signature: Vec<u8>,
}

/// What was read of a JWS's header.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Option<String>,
    pub(crate) typ: Option<String>,
    pub(crate) jwk: Option<Members>,
    brings_key: bool,
}

impl<'a> Jws<'a> {
    /// Reads `token`.
    ///
    /// # Errors
    /// If it is too long, is not three canonical base64url parts of which the first is a strict JSON object, if
    /// its header has `crit`, `b64`, `enc` or what `rules` refuse, or an algorithm that is not known here.
    pub fn parse(token: &'a str, rules: &JwsRules) -> Result<Jws<'a>, TokenError> {
        Jws::parse_knowing(token, rules, None, |_| None)
    }

    /// As [`Jws::parse`]. `sha256` is the digest of what [`split_signature`] says is signed, and `known` says what the
    /// header of that text says if it was read before under the same `rules`.
    pub(crate) fn parse_knowing(
        token: &'a str,
        rules: &JwsRules,
        sha256: Option<Digest>,
        known: impl FnOnce(&str) -> Option<Arc<Header>>,
    ) -> Result<Jws<'a>, TokenError> {
        if token.len() > rules.max_bytes {
            return Err(TokenError::TooLarge);
        }
        let (signing_input, signature) = split_signature(token).ok_or(NOT_COMPACT)?;
        let (header_text, payload) = signing_input.split_once('.').ok_or(NOT_COMPACT)?;
        // A fourth part would leave a `.` in the payload, which base64url refuses.
        let header = match known(header_text) {
            Some(header) => header,
            None => {
                let header = base64url::decode(header_text.as_bytes()).ok_or(NOT_BASE64URL)?;
                Arc::new(Header::parse(&header, rules.keys)?)
            }
        };
        let payload = base64url::decode(payload.as_bytes()).ok_or(NOT_BASE64URL)?;
        let signature = base64url::decode(signature.as_bytes()).ok_or(NOT_BASE64URL)?;
        if signature.is_empty() {
            return Err(TokenError::Signature);
        }
        let signed = Message { bytes: signing_input.as_bytes(), sha256 };
        Ok(Jws { signed, header_text, header, payload, signature })
    }

    /// The algorithm that the header names.
    pub fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// The key that the header names.
    pub fn kid(&self) -> Option<&str> {
        self.header.kid.as_deref()
    }

    /// The type that the header names, as it stands there.
    pub fn typ(&self) -> Option<&str> {
        self.header.typ.as_deref()
    }

    /// Whether the header says that it is of `media_type` (in lower case, without `application/`). Media types are
    /// compared without regard to case, and `application/` may be left out (RFC 7515 section 4.1.9).
    pub fn is_type(&self, media_type: &str) -> bool {
        self.typ().is_some_and(|typ| {
            let bare =
                typ.split_at_checked(12).filter(|(prefix, _)| prefix.eq_ignore_ascii_case("application/"));
            bare.map_or(typ, |(_, bare)| bare).eq_ignore_ascii_case(media_type)
        })
    }

    /// The header as it stands in the token, and what it says.
    pub(crate) fn header(&self) -> (&'a str, &Arc<Header>) {
        (self.header_text, &self.header)
    }

    /// The header's own key; only read with [`HeaderKeys::Proof`].
    pub(crate) fn jwk(&self) -> Option<&Members> {
        self.header.jwk.as_ref()
    }

    /// Whether the header has a key of its own or says where one is.
    pub(crate) fn brings_key(&self) -> bool {
        self.header.brings_key
    }

    /// The payload as nobody vouched for it: to find out whom to ask for a key, and for nothing else.
    pub(crate) fn unverified_payload(&self) -> &[u8] {
        &self.payload
    }

    /// The payload, if `key` signed it.
    ///
    /// # Errors
    /// If the header names another algorithm than the key is for, or the signature is not by that key.
    pub fn verify(&self, key: &VerificationKey) -> Result<&[u8], TokenError> {
        if self.header.algorithm != key.algorithm() {
            return Err(TokenError::Algorithm);
        }
        if !key.verifies(&self.signed, &self.signature) {
            return Err(TokenError::Signature);
        }
        Ok(&self.payload)
    }
}

/// What is signed of `token` (RFC 7515 section 5.1), and the signature's text.
pub(crate) fn split_signature(token: &str) -> Option<(&str, &str)> {
    token.rsplit_once('.')
}

// What a token says is not for logs.
impl std::fmt::Debug for Jws<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Jws").field("algorithm", &self.header.algorithm).finish_non_exhaustive()
    }
}

impl Header {
    pub(crate) fn parse(json: &[u8], keys: HeaderKeys) -> Result<Header, TokenError> {
        let (depth, values) = HEADER_BOUNDS;
        let mut members = json::object(json, depth, values).ok_or(TokenError::Malformed(
            "the header is no JSON object, names a member twice, or is too complex",
        ))?;
        let (mut own_key, mut key_elsewhere) = (false, false);
        for name in members.names() {
            if let Some((_, why)) = REFUSED.iter().find(|(refused, _)| *refused == name) {
                return Err(TokenError::Header(why));
            }
            own_key |= name == "jwk";
            key_elsewhere |= ["jku", "x5u", "x5c"].contains(&name);
        }
        let brings_key = own_key || key_elsewhere;
        let jwk = match keys {
            HeaderKeys::Refuse if brings_key => return Err(OWN_KEY),
            HeaderKeys::Proof if key_elsewhere => return Err(OWN_KEY),
            HeaderKeys::Refuse | HeaderKeys::Ignore => None,
            HeaderKeys::Proof => match members.remove("jwk") {
                Some(Value::Object(jwk)) => Some(jwk.into()),
                _ => return Err(TokenError::Header("a proof must bring its public key as `jwk`")),
            },
        };
        let mut text = |name: &str| match members.remove(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(TokenError::Malformed("a header member is no string")),
        };
        let algorithm =
            text("alg")?.as_deref().and_then(Algorithm::from_name).ok_or(TokenError::Algorithm)?;
        let (kid, typ) = (text("kid")?, text("typ")?);
        Ok(Header { algorithm, kid, typ, jwk, brings_key })
    }
}

const NOT_COMPACT: TokenError = TokenError::Malformed("it is not three parts with dots between them");
const NOT_BASE64URL: TokenError = TokenError::Malformed("a part is not canonical base64url");
const OWN_KEY: TokenError = TokenError::Header(
    "it brings a key of its own (`jwk`, `jku`, `x5u` or `x5c`); only the issuer's published keys count",
);

/// Header members whose presence alone refuses a token. No extension is known here, so every `crit` names an
/// unknown one or is empty, and both must be refused (RFC 7515 section 4.1.11); `b64` needs `crit` (RFC 7797
/// section 6); `enc` makes it no JWS (RFC 7516 section 9).
const REFUSED: [(&str, &str); 3] = [
    ("crit", "it has `crit`, and no extension is known here"),
    ("b64", "it has `b64`: an unencoded payload is not read"),
    ("enc", "it has `enc`: an encrypted token is not read"),
];

#[cfg(test)]
mod tests {
    use super::*;

    const CLAIMS_AND_SIGNATURE: &str = ".e30.AA";

    fn with(header: &str) -> String {
        base64url::encode(header.as_bytes()) + CLAIMS_AND_SIGNATURE
    }

    #[test]
    fn the_bounds_themselves_are_within_them() {
        let token = with(r#"{"alg":"ES256"}"#);
        let read = |max_bytes| Jws::parse(&token, &JwsRules { max_bytes, ..JwsRules::default() }).err();
        assert_eq!((read(token.len()), read(token.len() - 1)), (None, Some(TokenError::TooLarge)));
        let members = |more: usize| {
            let more: String = (0..more).map(|n| format!(",\"m{n}\":0")).collect();
            let token = with(&format!("{{\"alg\":\"ES256\"{more}}}"));
            Jws::parse(&token, &JwsRules::default()).is_ok()
        };
        // The object itself is a value, and `alg` is another.
        assert_eq!((members(98), members(99)), (true, false));
        let nested = |levels: usize| {
            let value = "[".repeat(levels) + &"]".repeat(levels);
            let token = with(&format!("{{\"alg\":\"ES256\",\"m\":{value}}}"));
            Jws::parse(&token, &JwsRules::default()).is_ok()
        };
        assert_eq!((nested(5), nested(6)), (true, false));
    }

    #[test]
    fn what_a_token_says_is_not_printed() {
        let token = base64url::encode(br#"{"alg":"ES256","kid":"canary-1"}"#) + ".Y2FuYXJ5LTI.AA";
        let jws = Jws::parse(&token, &JwsRules::default()).unwrap();
        assert_eq!(format!("{jws:?}"), "Jws { algorithm: Es256, .. }");
    }
}
