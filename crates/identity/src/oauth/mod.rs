//! Access tokens (RFC 6750, 7662, 9068) and the issuers who vouch for them.

mod access;
mod claims;
mod discovery;
mod introspection;
mod issuer_keys;
mod issuers;
mod pointer;
mod token_cache;

pub use access::{TokenProfile, TokenRules};
pub use claims::{Binding, ClaimNames, VerifiedToken};
pub use discovery::{
    AddressError, MAX_METADATA_BYTES, Metadata, MetadataError, check_address, metadata_addresses,
};
pub use introspection::{
    Introspected, Introspection, IntrospectionError, IntrospectionRules, MAX_INTROSPECTION_BYTES,
};
pub use issuer_keys::{
    Begin, FETCH_INTERVAL_S, Fetch, Fetched, Finish, FoundKeys, IssuerKeys, KeyLookup, KeyTimes, KeysFrom,
};
pub use issuers::{Issuer, Issuers, Verification};
pub use pointer::ClaimPointer;
pub use token_cache::TokenCache;
