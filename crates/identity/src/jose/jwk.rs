//! JSON Web Keys (RFC 7517) to keys that verify exactly one algorithm.

use std::fmt;

use aws_lc_rs::rsa::PublicKeyComponents;
use aws_lc_rs::signature::{self, ParsedPublicKey, VerificationAlgorithm};
use aws_lc_rs::{digest, hmac};
use serde_json::Value;
use zeroize::Zeroizing;

use crate::base64url;
use crate::jose::algorithm::Family;
use crate::jose::key::Material;
use crate::jose::{Algorithm, VerificationKey, roca};
use crate::json::{self, Members};

/// Longest `kid` that is read.
pub(crate) const MAX_KID_BYTES: usize = 512;

/// Which keys are taken.
#[derive(Debug, Clone, Copy)]
pub struct JwkRules<'a> {
    /// The algorithms that a key may be for. An RSA key that names none (`alg` is optional) is for the first RSA
    /// algorithm here: every key is for exactly one (RFC 8725 section 3.1). Symmetric keys are taken only where
    /// their algorithm is listed.
    pub algorithms: &'a [Algorithm],
}

impl Default for JwkRules<'_> {
    /// Every asymmetric algorithm; RSA keys without `alg` are for RS256.
    fn default() -> Self {
        JwkRules { algorithms: &Algorithm::ASYMMETRIC }
    }
}

/// Why a key is not used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwkError {
    /// It is no JSON object, or names a member twice.
    #[error("it is no JSON object, or names a member twice")]
    NotAnObject,
    /// A member is missing or is not what it must be.
    #[error("`{0}` is missing or is not what it must be")]
    Member(&'static str),
    /// Its `kty` is not RSA, EC, OKP (or, where configured, oct).
    #[error("its `kty` is not one whose signatures are verified here")]
    KeyType,
    /// It is not for signatures.
    #[error("it is not for signatures (`use` or `key_ops`)")]
    NotForSignatures,
    /// Its algorithm is unknown, not for its type and curve, or not among those that were configured.
    #[error("its `alg` is unknown, does not fit `kty` and `crv`, or is not among the accepted algorithms")]
    Algorithm,
    /// Its private part is published with it.
    #[error("it is published with its private part, so anybody can sign with it: replace it")]
    Private,
    /// It is too short, or its exponent is too small.
    #[error(
        "it is too weak: RSA needs 2048 to 8192 bits and an odd exponent of at least 3, HMAC as many bits as its hash"
    )]
    Weak,
    /// Its modulus has the structure of CVE-2017-15361, by which its private part can be computed.
    #[error("it was made by a faulty generator (ROCA, CVE-2017-15361): replace it")]
    Roca,
    /// It is no point of its curve, or otherwise no key.
    #[error("it is no valid public key")]
    Invalid,
    /// Another key of the set has the same `kid` and algorithm, so neither can be meant.
    #[error("another key of the set has the same `kid` and algorithm")]
    SameKid,
    /// The set mixes public keys and shared secrets.
    #[error("the set holds public keys and shared secrets: keep them apart")]
    Mixed,
    /// The set has more keys than are read.
    #[error("the set has more keys than are read")]
    TooMany,
}

/// The SHA-256 thumbprint of a key (RFC 7638): the same for the same key, wherever it is from.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Thumbprint(pub [u8; 32]);

impl Thumbprint {
    /// The thumbprint that `text` spells in base64url.
    pub fn parse(text: &str) -> Option<Thumbprint> {
        base64url::decode_array(text.as_bytes()).map(Thumbprint)
    }

    /// SHA-256 of `bytes`: of a DER certificate, its `x5t#S256` (RFC 8705 section 3.1).
    pub fn of(bytes: &[u8]) -> Thumbprint {
        let hash = digest::digest(&digest::SHA256, bytes);
        Thumbprint(hash.as_ref().try_into().unwrap_or_default())
    }
}

impl fmt::Display for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64url::encode(&self.0))
    }
}

impl fmt::Debug for Thumbprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Thumbprint({self})")
    }
}

impl VerificationKey {
    /// The key that the JSON object `json` describes.
    ///
    /// # Errors
    /// If it is not a whole, strong, public signature key for an algorithm of `rules`.
    pub fn from_jwk(json: &[u8], rules: &JwkRules<'_>) -> Result<VerificationKey, JwkError> {
        let members = json::object(json, 8, 1000).ok_or(JwkError::NotAnObject)?;
        VerificationKey::from_object(&members, rules)
    }

    pub(crate) fn from_object(jwk: &Members, rules: &JwkRules<'_>) -> Result<VerificationKey, JwkError> {
        let family = match text(jwk, "kty")? {
            Some("RSA") => Family::Rsa,
            Some("EC") => Family::Ec,
            Some("OKP") => Family::Okp,
            Some("oct") => Family::Oct,
            _ => return Err(JwkError::KeyType),
        };
        if family != Family::Oct && PRIVATE.iter().any(|name| jwk.has(name)) {
            return Err(JwkError::Private);
        }
        check_use(jwk)?;
        let algorithm = pin(jwk, family, rules)?;
        let (material, thumbprint) = match family {
            Family::Rsa => rsa(jwk, algorithm)?,
            Family::Ec => ec(jwk, algorithm)?,
            Family::Okp => okp(jwk)?,
            Family::Oct => oct(jwk, algorithm)?,
        };
        let kid = text(jwk, "kid")?;
        if kid.is_some_and(|kid| kid.len() > MAX_KID_BYTES) {
            return Err(JwkError::Member("kid"));
        }
        Ok(VerificationKey::new(algorithm, kid.map(Into::into), thumbprint, material))
    }
}

/// Members that only a private key has (RFC 7518 section 6, RFC 8037); `k` is an `oct` key's own.
const PRIVATE: [&str; 8] = ["d", "p", "q", "dp", "dq", "qi", "oth", "k"];

fn text<'a>(jwk: &'a Members, name: &'static str) -> Result<Option<&'a str>, JwkError> {
    jwk.text(name).map_err(|_| JwkError::Member(name))
}

fn bytes(jwk: &Members, name: &'static str) -> Result<Zeroizing<Vec<u8>>, JwkError> {
    let bytes = text(jwk, name)?.and_then(|text| base64url::decode(text.as_bytes()));
    bytes.map(Zeroizing::new).ok_or(JwkError::Member(name))
}

/// `use` and `key_ops` (RFC 7517 sections 4.2 and 4.3) must allow verifying where they say anything.
fn check_use(jwk: &Members) -> Result<(), JwkError> {
    if text(jwk, "use")?.is_some_and(|purpose| purpose != "sig") {
        return Err(JwkError::NotForSignatures);
    }
    match jwk.get("key_ops") {
        None => Ok(()),
        Some(Value::Array(operations)) if operations.iter().all(Value::is_string) => {
            let twice = operations
                .iter()
                .enumerate()
                .any(|(at, one)| operations.iter().skip(at + 1).any(|other| other == one));
            if twice || !operations.iter().any(|operation| operation == "verify") {
                return Err(JwkError::NotForSignatures);
            }
            Ok(())
        }
        Some(_) => Err(JwkError::Member("key_ops")),
    }
}

/// The one algorithm that the key is for.
fn pin(jwk: &Members, family: Family, rules: &JwkRules<'_>) -> Result<Algorithm, JwkError> {
    let implied = match family {
        Family::Ec => match text(jwk, "crv")? {
            Some("P-256") => Some(Algorithm::Es256),
            Some("P-384") => Some(Algorithm::Es384),
            Some("P-521") => Some(Algorithm::Es512),
            _ => return Err(JwkError::Member("crv")),
        },
        Family::Okp => match text(jwk, "crv")? {
            Some("Ed25519") => Some(Algorithm::EdDsa),
            _ => return Err(JwkError::Member("crv")),
        },
        Family::Rsa => rules.algorithms.iter().copied().find(|algorithm| algorithm.family() == Family::Rsa),
        Family::Oct => None,
    };
    let algorithm = match text(jwk, "alg")? {
        None => implied,
        Some(name) => Algorithm::from_name(name).filter(|named| match family {
            Family::Rsa | Family::Oct => named.family() == family,
            Family::Ec | Family::Okp => Some(*named) == implied,
        }),
    };
    algorithm.filter(|algorithm| rules.algorithms.contains(algorithm)).ok_or(JwkError::Algorithm)
}

fn rsa(jwk: &Members, algorithm: Algorithm) -> Result<(Material, Thumbprint), JwkError> {
    let (n, e) = (bytes(jwk, "n")?, bytes(jwk, "e")?);
    // A number has one spelling: without leading zeros (RFC 7518 section 2, Base64urlUInt).
    let (Some(first), Some(e_first), Some(e_last)) =
        (n.first().copied(), e.first().copied(), e.last().copied())
    else {
        return Err(JwkError::Member("n"));
    };
    if first == 0 || e_first == 0 {
        return Err(JwkError::Member(if first == 0 { "n" } else { "e" }));
    }
    let bits = n.len() * 8 - first.leading_zeros() as usize;
    let odd = n.last().is_some_and(|last| last % 2 == 1) && e_last % 2 == 1;
    // An exponent of more than 32 bits only makes verifying slow.
    if !(2048..=8192).contains(&bits) || !odd || e.as_slice() == [1] || e.len() > 4 {
        return Err(JwkError::Weak);
    }
    if roca::is_vulnerable(&n) {
        return Err(JwkError::Roca);
    }
    let parameters = algorithm.rsa().ok_or(JwkError::Algorithm)?;
    let components = PublicKeyComponents { n: n.as_slice(), e: e.as_slice() };
    let key = components.to_parsed_public_key(parameters).map_err(|_| JwkError::Invalid)?;
    let thumbprint = thumbprint(&[("e", text(jwk, "e")?), ("kty", Some("RSA")), ("n", text(jwk, "n")?)]);
    Ok((Material::Public(key), thumbprint))
}

fn ec(jwk: &Members, algorithm: Algorithm) -> Result<(Material, Thumbprint), JwkError> {
    let (curve, length): (&'static dyn VerificationAlgorithm, usize) = match algorithm {
        Algorithm::Es256 => (&signature::ECDSA_P256_SHA256_FIXED, 32),
        Algorithm::Es384 => (&signature::ECDSA_P384_SHA384_FIXED, 48),
        Algorithm::Es512 => (&signature::ECDSA_P521_SHA512_FIXED, 66),
        _ => return Err(JwkError::Algorithm),
    };
    let (x, y) = (bytes(jwk, "x")?, bytes(jwk, "y")?);
    // Coordinates have the full length of their field (RFC 7518 section 6.2.1.2).
    if x.len() != length || y.len() != length {
        return Err(JwkError::Member(if x.len() == length { "y" } else { "x" }));
    }
    let point = [&[4], x.as_slice(), y.as_slice()].concat();
    let key = ParsedPublicKey::new(curve, &point).map_err(|_| JwkError::Invalid)?;
    let thumbprint = thumbprint(&[
        ("crv", text(jwk, "crv")?),
        ("kty", Some("EC")),
        ("x", text(jwk, "x")?),
        ("y", text(jwk, "y")?),
    ]);
    Ok((Material::Public(key), thumbprint))
}

fn okp(jwk: &Members) -> Result<(Material, Thumbprint), JwkError> {
    let x = bytes(jwk, "x")?;
    if x.len() != 32 {
        return Err(JwkError::Member("x"));
    }
    let key = ParsedPublicKey::new(&signature::ED25519, x.as_slice()).map_err(|_| JwkError::Invalid)?;
    let thumbprint = thumbprint(&[("crv", Some("Ed25519")), ("kty", Some("OKP")), ("x", text(jwk, "x")?)]);
    Ok((Material::Public(key), thumbprint))
}

fn oct(jwk: &Members, algorithm: Algorithm) -> Result<(Material, Thumbprint), JwkError> {
    let k = bytes(jwk, "k")?;
    let hmac = algorithm.hmac().ok_or(JwkError::Algorithm)?;
    // RFC 7518 section 3.2: a key of the hash's size or longer.
    if k.len() < hmac.digest_algorithm().output_len() {
        return Err(JwkError::Weak);
    }
    let thumbprint = thumbprint(&[("k", text(jwk, "k")?), ("kty", Some("oct"))]);
    Ok((Material::Secret(Box::new(hmac::Key::new(hmac, &k))), thumbprint))
}

/// RFC 7638 section 3: the required members in the order of their names, without white space. None of the values
/// needs escaping: they are base64url or constants.
pub(crate) fn thumbprint(members: &[(&str, Option<&str>)]) -> Thumbprint {
    let mut json = Zeroizing::new(String::with_capacity(512));
    for (name, value) in members {
        let before = if json.is_empty() { "{\"" } else { ",\"" };
        json.push_str(before);
        json.push_str(name);
        json.push_str("\":\"");
        json.push_str(value.unwrap_or_default());
        json.push('"');
    }
    json.push('}');
    Thumbprint::of(json.as_bytes())
}

#[cfg(test)]
#[path = "jwk_tests.rs"]
mod tests;
