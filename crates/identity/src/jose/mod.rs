//! Signed tokens and the keys that verify them (RFC 7515, 7517, 7518, 8037).

mod algorithm;
mod error;
mod jwk;
mod jws;
mod key;
mod key_set;
mod known_headers;
mod roca;

pub use algorithm::Algorithm;
pub use error::TokenError;
pub use jwk::{JwkError, JwkRules, Thumbprint};
pub(crate) use jws::split_signature;
pub use jws::{HeaderKeys, Jws, JwsRules};
pub use key::VerificationKey;
pub use key_set::{KeySet, KeySetError, MAX_KEY_SET_BYTES, MAX_KEYS, SkippedKey};
pub(crate) use known_headers::KnownHeaders;
