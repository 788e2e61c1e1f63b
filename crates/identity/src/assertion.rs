//! The gateway's own word to the API behind it: who called, for this call only.
//!
//! A short JWS (type `portcullis-assertion+jwt`) that names the principal and is bound to audience, method and path.
//! An API that checks it need not trust the network between: header fields can be forged by whoever reaches it, this
//! cannot.

use std::fmt;

use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{self, EcdsaKeyPair, Ed25519KeyPair, KeyPair};
use portcullis_engine::Principal;
use serde::Serialize;
use serde_json::{Value, json};

use crate::base64url;
use crate::jose::{Algorithm, JwkRules, KeySet, Thumbprint, VerificationKey};

/// The `typ` of an assertion: no other token has it, and it is taken for no other (RFC 8725 section 3.11).
pub const ASSERTION_TYPE: &str = "portcullis-assertion+jwt";

/// Signs assertions.
pub struct AssertionSigner {
    pair: Pair,
    jwk: Value,
    kid: Thumbprint,
    /// The encoded header, with the dot after it.
    header: Box<str>,
    issuer: Box<str>,
    lifetime_s: u64,
}

enum Pair {
    Ec(Box<EcdsaKeyPair>),
    Ed(Ed25519KeyPair),
}

/// Why there is no signer, or no signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AssertionError {
    /// The key is no PKCS #8 private key of P-256 or Ed25519.
    #[error("the signing key is not a PKCS #8 private key for ES256 (P-256) or Ed25519")]
    Key,
    /// The cryptographic library failed.
    #[error("the assertion could not be signed")]
    Sign,
}

/// The call that an assertion is about.
#[derive(Debug, Clone, Copy)]
pub struct AssertedCall<'a> {
    /// The API behind the gateway.
    pub audience: &'a str,
    /// The method that goes upstream.
    pub method: &'a str,
    /// The path that goes upstream, without its query.
    pub path: &'a str,
    /// Who calls; none where the operation is public.
    pub principal: Option<&'a Principal>,
}

#[derive(Serialize)]
struct Assertion<'a> {
    iss: &'a str,
    aud: &'a str,
    iat: u64,
    exp: u64,
    jti: &'a str,
    htm: &'a str,
    path: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    sub: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scope: Option<String>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    roles: &'a [Box<str>],
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    groups: &'a [Box<str>],
}

impl AssertionSigner {
    /// A signer that calls itself `issuer`, with the private key `pkcs8` (DER). Its assertions hold for
    /// `lifetime_s` seconds: no longer than a call takes to arrive.
    ///
    /// # Errors
    /// If it is no key for ES256 or Ed25519.
    pub fn from_pkcs8(
        pkcs8: &[u8],
        issuer: impl Into<Box<str>>,
        lifetime_s: u64,
    ) -> Result<AssertionSigner, AssertionError> {
        let ec = EcdsaKeyPair::from_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8);
        let (pair, algorithm, mut jwk) = if let Ok(pair) = ec {
            let jwk = {
                let point = pair
                    .public_key()
                    .as_ref()
                    .split_at_checked(1)
                    .map(|(_, point)| point)
                    .unwrap_or_default();
                let (x, y) = point.split_at_checked(32).ok_or(AssertionError::Key)?;
                json!({"kty": "EC", "crv": "P-256", "x": base64url::encode(x), "y": base64url::encode(y)})
            };
            (Pair::Ec(Box::new(pair)), Algorithm::Es256, jwk)
        } else {
            let pair = Ed25519KeyPair::from_pkcs8(pkcs8).map_err(|_| AssertionError::Key)?;
            let jwk =
                json!({"kty": "OKP", "crv": "Ed25519", "x": base64url::encode(pair.public_key().as_ref())});
            (Pair::Ed(pair), Algorithm::EdDsa, jwk)
        };
        // Read back as any verifier would: what is published works.
        let public = VerificationKey::from_jwk(jwk.to_string().as_bytes(), &JwkRules::default());
        let kid = public.map_err(|_| AssertionError::Key)?.thumbprint();
        if let Value::Object(members) = &mut jwk {
            members.insert("kid".to_owned(), kid.to_string().into());
            members.insert("alg".to_owned(), algorithm.name().into());
            members.insert("use".to_owned(), "sig".into());
        }
        let header = json!({"typ": ASSERTION_TYPE, "alg": algorithm.name(), "kid": kid.to_string()});
        let header = format!("{}.", base64url::encode(header.to_string().as_bytes())).into();
        Ok(AssertionSigner { pair, jwk, kid, header, issuer: issuer.into(), lifetime_s })
    }

    /// A new private key for ES256, as PKCS #8 DER: secret.
    ///
    /// # Errors
    /// If the cryptographic library has no randomness.
    pub fn generate_pkcs8() -> Result<zeroize::Zeroizing<Vec<u8>>, AssertionError> {
        let document =
            EcdsaKeyPair::generate_pkcs8(&signature::ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
                .map_err(|_| AssertionError::Sign)?;
        Ok(zeroize::Zeroizing::new(document.as_ref().to_vec()))
    }

    /// The assertion about `call`, made at `now_s` (seconds since the epoch). `unique`: random, so that no two are
    /// alike.
    ///
    /// # Errors
    /// If the cryptographic library fails.
    pub fn sign(
        &self,
        call: &AssertedCall<'_>,
        unique: [u8; 16],
        now_s: u64,
    ) -> Result<String, AssertionError> {
        let claims = call.principal.and_then(|principal| principal.claims.as_deref());
        let assertion = Assertion {
            iss: &self.issuer,
            aud: call.audience,
            iat: now_s,
            exp: now_s.saturating_add(self.lifetime_s),
            jti: &base64url::encode(&unique),
            htm: call.method,
            path: call.path,
            sub: call.principal.map(Principal::subject),
            client_id: call.principal.map(|principal| &*principal.consumer),
            scope: call
                .principal
                .filter(|principal| !principal.scopes.is_empty())
                .map(|principal| principal.scopes.join(" ")),
            roles: claims.map(|claims| claims.roles()).unwrap_or_default(),
            groups: claims.map(|claims| claims.groups()).unwrap_or_default(),
        };
        let payload = serde_json::to_vec(&assertion).map_err(|_| AssertionError::Sign)?;
        let mut token = String::with_capacity(self.header.len() + payload.len() * 4 / 3 + 96);
        token.push_str(&self.header);
        token.push_str(&base64url::encode(&payload));
        let signature = match &self.pair {
            Pair::Ec(pair) => pair.sign(&SystemRandom::new(), token.as_bytes()),
            Pair::Ed(pair) => pair.try_sign(token.as_bytes()),
        };
        let signature = signature.map_err(|_| AssertionError::Sign)?;
        token.push('.');
        token.push_str(&base64url::encode(signature.as_ref()));
        Ok(token)
    }

    /// The name of its key: the RFC 7638 thumbprint.
    pub fn kid(&self) -> Thumbprint {
        self.kid
    }

    /// The key set by which the API checks assertions (RFC 7517): of this signer, and of those that it follows or
    /// that will follow it, so that keys can be changed without a refused call.
    pub fn key_set<'a>(signers: impl IntoIterator<Item = &'a AssertionSigner>) -> String {
        json!({"keys": signers.into_iter().map(|signer| &signer.jwk).collect::<Vec<_>>()}).to_string()
    }

    /// The same, ready to verify with.
    pub fn verification_keys(&self) -> KeySet {
        KeySet::parse(AssertionSigner::key_set([self]).as_bytes(), &JwkRules::default()).unwrap_or_default()
    }
}

impl fmt::Debug for AssertionSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AssertionSigner")
            .field("kid", &self.kid)
            .field("issuer", &self.issuer)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
#[path = "assertion_tests.rs"]
mod tests;
