//! What the verifier accepts and refuses, over public vectors and over attacks kept as data.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test may stop at what it did not expect"
)]

#[path = "../support/mod.rs"]
mod support;

mod attacks;
mod canary;
mod dpop;
mod rfc;
mod wycheproof;
