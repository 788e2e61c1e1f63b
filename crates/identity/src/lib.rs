//! Credentials to principals: API keys, App ID with App Key, access tokens, proofs of possession and client
//! certificates.
//!
//! Pure: no I/O, no clock, no randomness of its own. Who creates a key hands in random bytes, who looks one up
//! hands in the time and the client's address. What must be fetched (key sets, metadata) is asked for.
//!
//! # API keys
//!
//! ```
//! use portcullis_engine::CredentialKind;
//! use portcullis_identity::{KeyEntry, KeyRing, KeyRingHandle, Pepper, Secret, Verdict};
//!
//! let pepper = Pepper::new([7; 32]);
//! let secret = Secret::api_key(&[42; 32]); // 32 bytes from the operating system's random source
//! let entry = KeyEntry::new(pepper.digest(secret.expose()), CredentialKind::ApiKey, "mobile-app", "key-1");
//! let keys = KeyRingHandle::new(KeyRing::new(pepper, [entry]).unwrap());
//!
//! let client = "192.0.2.1".parse().unwrap();
//! let Verdict::Found(principal) = keys.load().api_key(secret.expose().as_bytes(), 1_800_000_000, client) else { panic!() };
//! assert_eq!(&*principal.consumer, "mobile-app");
//! assert_eq!(keys.load().api_key(b"pck_guess", 1_800_000_000, client), Verdict::Unknown);
//! ```
//!
//! # Access tokens
//!
//! [`oauth::Issuers::verify`] takes a token and says what it says, or what is to be fetched first. On every call
//! the guard then asks [`oauth::VerifiedToken::check`] (audience, times), [`Presented::check`] (binding) and its
//! own questions about scopes.
//!
//! ```text
//! guard   issuers.verify(token, now)
//!           Verified(facts)        facts.check(audiences, now_s, leeway)?; presented.check(facts.binding())?
//!           NeedKeys(issuer)       ask the host; when it answers, verify once more (a second NeedKeys: 503)
//!           Unavailable{..}        503 with Retry-After
//!           Refused(error)         401
//!           Opaque                 introspection, or 401
//! host    issuer.keys().begin(now)
//!           Fetch(fetch)           GET fetch.url, at most fetch.max_bytes, no redirects; then
//!                                  keys.finish(&fetch, fetched, now): Next(fetch) goes on, else all who wait resume
//!           UnderWay               wait for the one who fetches
//!           NotNow                 resume at once
//!         every second: for issuers.all(), if keys().due(now), the same in the background
//! ```

mod assertion;
mod base64url;
mod binding;
pub mod certificate;
mod data_keys;
pub mod dpop;
mod generations;
pub mod jose;
mod json;
pub mod oauth;
mod pepper;
mod ring;
mod secret;
mod stretch;
mod webhook;

#[cfg(test)]
#[path = "../tests/support/mod.rs"]
mod support;

pub use assertion::{ASSERTION_TYPE, AssertedCall, AssertionError, AssertionSigner};
pub use binding::{AuthScheme, BindingError, Presented};
pub use data_keys::{
    Context, CryptoFailed, DataKeys, ENCRYPTED_PREFIX, MasterKey, MasterKeyError, SEALED_PREFIX, Sealer,
    Unopened,
};
pub use pepper::{Digest, Pepper};
pub use ring::{KeyEntry, KeyRing, KeyRingHandle, MAX_APP_KEYS, RingError, Verdict};
pub use secret::{Secret, SecretKind, recognise};
pub use stretch::{StretchCost, StretchError, Stretcher};
pub use webhook::sign_webhook;
