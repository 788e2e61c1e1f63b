//! The proxy over loopback, with an engine that has no guards: what reaches the upstream and what comes back.

mod balancing;
mod harness;
mod http1;
mod http2;
mod limits;
mod tls;
