//! Where evidence and keys live.
//!
//! [`events`]: one record for every exchange, in append-only checksummed segments that survive the death of the
//! process. [`keys`]: consumers and the digests of their keys, in SQLite, behind the trait
//! [`keys::KeyStore`].

pub mod events;
pub mod keys;
