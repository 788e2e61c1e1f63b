//! proxy
pub mod http1;
