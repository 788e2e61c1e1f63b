//! The proxy over loopback, with an engine that has no guards: what reaches the upstream and what comes back.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test that meets the unexpected fails"
)]

mod balancing;
mod harness;
mod http1;
mod http2;
mod limits;
mod proxy_protocol;
mod tls;
