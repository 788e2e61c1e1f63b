//! The built-in reverse proxy: the host that drives the policy engine on real sockets.
//!
//! A [`Proxy`] has one worker thread a core, each with its own runtime, its own listening sockets (`SO_REUSEPORT`) and
//! its own upstream connections, so that a call never crosses a thread. A worker reads a request with a strict codec of
//! the project's own ([`http1`]) or over HTTP/2, asks the engine, and does what it says. It holds no policy: what is
//! refused, changed or recorded is the engine's word, and nothing is forwarded without its `Permit`.

mod alarm;
mod client_auth;
mod config;
mod date;
mod exchange;
mod h2io;
pub mod http1;
mod io;
mod limits;
mod lookup;
mod message;
mod proxy;
mod server;
mod stats;
mod tls;
mod tunnel;
mod upstream;
mod worker;

pub use config::{
    Circuit, HealthCheck, HostHeader, Limits, Listen, OriginConfig, Protocol, ProxyConfig, Timeouts,
    TlsConfig, UpstreamConfig,
};
pub use lookup::{LookupFuture, Lookups};
pub use proxy::{BindError, Proxy, ProxyHandle};
pub use stats::{Counter, Kind, ProxyStats, Reading, WorkerStats};
pub use tls::TlsError;
pub use upstream::control::UpstreamError;
pub use upstream::{OriginError, OriginState};
