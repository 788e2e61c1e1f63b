//! What the verifier accepts and refuses, over public vectors and over attacks kept as data.

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod canary;
mod dpop;
mod rfc;
mod wycheproof;
