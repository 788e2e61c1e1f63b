//! What the proxy is told: listeners, TLS, limits, timeouts and the upstream. Plain data.

use std::net::SocketAddr;
use std::path::PathBuf;

use portcullis_engine::{Period, Size, TrustedHops};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Everything that [`crate::Proxy::bind`] needs besides the engine.
#[derive(Clone, Debug, Default)]
pub struct ProxyConfig {
    /// Where clients connect.
    pub listen: Vec<Listen>,
    /// The certificate of the listeners that speak TLS.
    pub tls: Option<TlsConfig>,
    /// Where calls go.
    pub upstream: UpstreamConfig,
    /// Bounds on what clients may use.
    pub limits: Limits,
    /// How long each phase may take.
    pub timeouts: Timeouts,
    /// The proxies in front whose PROXY protocol header is believed.
    pub trusted_hops: TrustedHops,
    /// Number of worker threads; 0 means one for each core.
    pub workers: usize,
    /// Whether clients say where calls go (a forward proxy). Then `upstream` names no instances, and says how those are
    /// called that the engine allows.
    pub forward_proxy: bool,
}

/// One listening address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Listen {
    /// The address; port 0 picks a free one.
    pub address: SocketAddr,
    /// Whether clients must speak TLS here.
    pub tls: bool,
    /// Whether every connection comes from a trusted hop and begins with a PROXY protocol header.
    pub proxy_protocol: bool,
}

/// The server's certificate.
#[derive(Clone, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TlsConfig {
    /// File with the certificate chain in PEM, leaf first.
    pub certificate: PathBuf,
    /// File with the private key in PEM.
    pub key: PathBuf,
    /// File with the authorities in PEM that sign clients' certificates. With it, clients are asked for one.
    #[serde(default)]
    pub client_ca: Option<PathBuf>,
    /// Files with revocation lists in PEM. With any, each authority in a client's chain needs one that has not expired.
    #[serde(default)]
    pub crl: Vec<PathBuf>,
    /// Whether clients without a certificate are turned away in the handshake. Otherwise the contract's security says
    /// where one is needed.
    #[serde(default)]
    pub client_required: bool,
}

/// Bounds on what clients may use. Each has a safe default.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Open client connections, all together; further ones wait in the kernel's queue.
    pub connections: usize,
    /// Open client connections from one address (an IPv6 /64 counts as one); further ones are closed at once.
    pub connections_per_client: usize,
    /// Exchanges at work at the same time; further ones get 503 with Retry-After.
    pub in_flight: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// Bytes of a request head; more is 431.
    pub header_bytes: Size,
    /// Bytes of a request target; more is 414.
    pub target_bytes: Size,
    /// Bytes of all bodies that are held in memory at the same time.
    pub buffered_bytes: Size,
    /// Least bytes per second of a request body or of a response that a client takes, on the average, once
    /// `timeouts.body` or `timeouts.write` has run up. 0 turns it off.
    pub min_rate: u64,
    /// Requests on one connection before it is closed.
    pub requests_per_connection: u64,
    /// Concurrent HTTP/2 streams of one connection.
    pub http2_streams: u32,
    /// HTTP/2 control frames (PING, SETTINGS, RST_STREAM, PRIORITY, empty DATA) of one connection in ten seconds.
    pub http2_control_frames: u32,
    /// Stream resets by an HTTP/2 client in ten seconds (rapid reset, CVE-2023-44487).
    pub http2_resets: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 16_384,
            connections_per_client: 4_096,
            in_flight: 4_096,
            header_count: 100,
            header_bytes: Size::kib(32),
            target_bytes: Size::kib(8),
            buffered_bytes: Size::mib(64),
            min_rate: 240,
            requests_per_connection: 1_000_000,
            http2_streams: 100,
            http2_control_frames: 2_000,
            http2_resets: 200,
        }
    }
}

/// How long each phase may take. Deadlines are kept with a tenth of a second's precision.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Timeouts {
    /// From the first byte of a request head (or from accepting the connection) to its last.
    pub head: Period,
    /// Between requests on a kept-alive connection.
    pub keep_alive: Period,
    /// Without a byte of the request body.
    pub body: Period,
    /// Without the client taking a byte of the response.
    pub write: Period,
    /// Of the TLS handshake with a client.
    pub tls: Period,
    /// Of connecting to the upstream, TLS included, and of waiting for a free connection.
    pub connect: Period,
    /// From sending the request upstream to the response head.
    pub response: Period,
    /// Between two pieces of the upstream's response body.
    pub response_body: Period,
    /// Without a byte in either direction on an upgraded connection (WebSocket).
    pub tunnel: Period,
    /// The whole exchange: answered with 504 (or 408 while the request is still being read), and broken off where the
    /// answer had begun. None by default, so that streams may live.
    pub total: Option<Period>,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            head: Period::seconds(10),
            keep_alive: Period::seconds(60),
            body: Period::seconds(30),
            write: Period::seconds(30),
            tls: Period::seconds(10),
            connect: Period::seconds(5),
            response: Period::seconds(60),
            response_body: Period::seconds(60),
            tunnel: Period::seconds(300),
            total: None,
        }
    }
}

/// Where calls go.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct UpstreamConfig {
    /// The instances of the API.
    pub origins: Vec<OriginConfig>,
    /// Which protocol the instances speak.
    pub protocol: Protocol,
    /// Which Host the instances see.
    pub host: HostHeader,
    /// File with the certificates (PEM) that may sign an `https` instance's; the platform's bundle by default.
    pub ca: Option<PathBuf>,
    /// Connections to one instance.
    pub connections: usize,
    /// Calls that may wait for a connection to one instance; further ones get 503.
    pub queue: usize,
    /// How long an unused connection is kept; must be shorter than the instance keeps it.
    pub idle: Period,
    /// How often a call that failed is tried again: one that was never sent, or an idempotent one.
    pub retries: u32,
    /// Retries as a percentage of calls, so that they cannot multiply an outage.
    pub retry_budget: u32,
    /// Active health checks; none by default.
    pub health: Option<HealthCheck>,
    /// When to stop calling an instance that fails.
    pub circuit: Circuit,
    /// How often host names are resolved again.
    pub resolve: Period,
}

impl Default for UpstreamConfig {
    fn default() -> Self {
        Self {
            origins: Vec::new(),
            protocol: Protocol::Auto,
            host: HostHeader::Preserve,
            ca: None,
            connections: 1_024,
            queue: 1_024,
            idle: Period::seconds(4),
            retries: 2,
            retry_budget: 20,
            health: None,
            circuit: Circuit::default(),
            resolve: Period::seconds(30),
        }
    }
}

/// One instance of the API.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct OriginConfig {
    /// `http://host:port` or `https://host:port`, without a path.
    pub url: String,
    /// Its share of the calls, relative to the others.
    #[serde(default = "one")]
    pub weight: u32,
}

fn one() -> u32 {
    1
}

/// Which protocol an upstream speaks.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/2 where TLS negotiates it, HTTP/1.1 otherwise.
    #[default]
    Auto,
    /// HTTP/1.1.
    Http1,
    /// HTTP/2; without TLS by prior knowledge.
    Http2,
}

/// Which Host field the upstream sees.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum HostHeader {
    /// The one that the client sent.
    #[default]
    Preserve,
    /// The one of the instance's URL.
    Upstream,
}

/// An active health check: a GET that must be answered with 2xx or 3xx.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct HealthCheck {
    /// The path to ask for.
    pub path: String,
    /// How often.
    #[serde(default = "five_seconds")]
    pub interval: Period,
    /// How long an answer may take.
    #[serde(default = "two_seconds")]
    pub timeout: Period,
    /// Failures in a row that take an instance out.
    #[serde(default = "three")]
    pub unhealthy: u32,
    /// Successes in a row that bring it back.
    #[serde(default = "two")]
    pub healthy: u32,
}

fn five_seconds() -> Period {
    Period::seconds(5)
}

fn two_seconds() -> Period {
    Period::seconds(2)
}

fn two() -> u32 {
    2
}

fn three() -> u32 {
    3
}

/// When to stop calling an instance that fails: connections refused or broken, never an error that it answers.
#[derive(Clone, Debug, Deserialize, Eq, JsonSchema, PartialEq, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Circuit {
    /// Failures in a row that open the circuit; 0 turns it off.
    pub failures: u32,
    /// For how long; doubled for each time that the trial call fails, up to sixteen times as long.
    pub open: Period,
}

impl Default for Circuit {
    fn default() -> Self {
        Self { failures: 5, open: Period::seconds(1) }
    }
}
