//! Credentials to principals: API keys, and App ID with App Key.
//!
//! Pure: no I/O, no clock, no randomness of its own. Who creates a key hands in random bytes, who looks one up
//! hands in the time and the client's address.
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

mod pepper;
mod ring;
mod secret;

pub use pepper::{Digest, Pepper};
pub use ring::{KeyEntry, KeyRing, KeyRingHandle, MAX_APP_KEYS, RingError, Verdict};
pub use secret::{Secret, SecretKind, recognise};
