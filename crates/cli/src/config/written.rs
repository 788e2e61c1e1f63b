//! The configuration file as it is written. What it means is checked in [`super::checked`].

use std::path::PathBuf;

use ipnet::IpNet;
use portcullis_engine::{Bounds, Period, Size};
use portcullis_proxy::{Limits, Timeouts, TlsConfig, UpstreamConfig};
use schemars::JsonSchema;
use serde::Deserialize;

use super::egress::EgressWritten;
use super::scan::ScanWritten;
use crate::gateway::watch::AlertsWritten;
use crate::observe::access::Format;

/// The gateway's own sections. Each guard owns a section of its own beside them, and `policies` says where they
/// differ by operation.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Written {
    /// Where clients connect: an address, a mapping with `address` and `tls`, or a list of them.
    /// Default `127.0.0.1:8080`.
    #[schemars(with = "Option<OneOrMany<AddressOr<ListenWritten>>>")]
    pub(crate) listen: Option<Vec<ListenWritten>>,
    /// Where metrics and health are read: an address, a mapping with `listen` and `token`, or `off`.
    /// Default `127.0.0.1:9600`.
    #[schemars(with = "Option<AddressOr<AdminWritten>>")]
    pub(crate) admin: Option<AdminWritten>,
    /// Where calls go: a URL, a list of them, or a mapping with `origins` and how they are used.
    #[schemars(with = "Option<OneOrMany<AddressOr<UpstreamConfig>>>")]
    pub(crate) upstream: Option<UpstreamConfig>,
    /// The OpenAPI document: a path, or a mapping with `file`.
    #[schemars(with = "Option<AddressOr<ContractWritten>>")]
    pub(crate) contract: Option<ContractWritten>,
    /// The folder of the event log and the keys. Default `.portcullis`.
    pub(crate) data: Option<PathBuf>,
    /// What is written down besides the event log.
    pub(crate) log: LogWritten,
    /// The event log: how much is kept, or `off`.
    #[schemars(with = "AddressOr<EventsWritten>")]
    pub(crate) events: EventsWritten,
    /// Incidents: when refusals are a spike, and who is told.
    pub(crate) alerts: AlertsWritten,
    /// How long exchanges under way may go on after the gateway was told to stop. Default 30 s.
    pub(crate) drain: Option<Period>,
    /// Bounds on what clients may use.
    pub(crate) limits: Limits,
    /// How long each phase may take.
    pub(crate) timeouts: Timeouts,
    /// How large and how complex bodies may be. A policy may set others for its operations.
    pub(crate) bounds: Bounds,
    /// Networks of the proxies in front whose `X-Forwarded-For` and PROXY protocol headers are believed. Nobody by
    /// default.
    #[schemars(with = "Vec<String>")]
    pub(crate) trusted_hops: Vec<IpNet>,
    /// What the upstream is told about the client.
    pub(crate) forwarded: ForwardedWritten,
    /// Whether `%2F` in a path segment is data; otherwise it is refused.
    pub(crate) encoded_slash: bool,
    /// Query parameters whose values never reach a record, beside those that look secret by name.
    pub(crate) secret_parameters: Vec<String>,
    /// Worker threads; 0 means one for each core.
    pub(crate) workers: usize,
    /// What `portcullis egress` lets out: the API's own calls to others.
    pub(crate) egress: Option<EgressWritten>,
    /// What `portcullis scan` tests: the API, in several names.
    pub(crate) scan: Option<ScanWritten>,
}

/// One listener.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Listener")]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenWritten {
    /// Address and port, such as `0.0.0.0:8443`.
    pub(crate) address: String,
    /// The certificate; with it, clients must speak TLS here. All listeners share one certificate.
    #[serde(default)]
    pub(crate) tls: Option<TlsConfig>,
    /// Whether connections begin with a PROXY protocol header (version 1 or 2) that names the client. They must then,
    /// and must come from a network under `trusted_hops`.
    #[serde(default)]
    pub(crate) proxy_protocol: bool,
}

/// The admin port.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Admin")]
#[serde(deny_unknown_fields)]
pub(crate) struct AdminWritten {
    /// Address and port, or `off`. One that others can reach needs a `token`.
    pub(crate) listen: String,
    /// What a reader of metrics presents: `Authorization: Bearer TOKEN`. At least 16 characters.
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// The contract.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Contract")]
#[serde(deny_unknown_fields)]
pub(crate) struct ContractWritten {
    /// The OpenAPI document, JSON or YAML; Swagger 2.0, OpenAPI 3.0, 3.1 or 3.2.
    pub(crate) file: PathBuf,
    /// Base paths that take the place of the document's own (`servers`, `basePath`). `[""]` is the root.
    #[serde(default)]
    pub(crate) base_paths: Option<Vec<String>>,
    /// Whether `/a/` is `/a`.
    #[serde(default)]
    pub(crate) ignore_trailing_slash: bool,
    /// Whether `/A` is `/a`.
    #[serde(default)]
    pub(crate) ignore_case: bool,
    /// Paths of the document in which a parameter may hold slashes, that one marked with a star:
    /// `/files/{path*}` for the document's `/files/{path}`.
    #[serde(default)]
    pub(crate) multi_segment: Vec<String>,
    /// The folder of pinned copies of the URLs that the document refers to: `https://example.com/a.yaml` is read from
    /// `example.com/a.yaml` in it. Nothing is fetched; `portcullis contract pin` makes the copies. Default: `pinned`
    /// beside the document.
    #[serde(default)]
    pub(crate) pinned: Option<PathBuf>,
}

/// What is written down besides the event log.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Log")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct LogWritten {
    /// The access log's form: `off`, `text` or `json`.
    pub(crate) access: Format,
    /// Where the access log goes: `stdout`, `stderr` or a file. Default `stdout`.
    pub(crate) access_to: String,
    /// How much the program says of itself on standard error: `error`, `warn`, `info`, `debug` or `trace`.
    pub(crate) level: Level,
    /// Whether it says so in JSON.
    pub(crate) json: bool,
}

impl Default for LogWritten {
    fn default() -> Self {
        LogWritten { access: Format::Off, access_to: "stdout".into(), level: Level::Info, json: false }
    }
}

/// How much of the event log is kept. What is over goes, the oldest first.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[schemars(rename = "Events")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct EventsWritten {
    /// Whether events are kept at all; `events: off` is short for `false`. Without them `portcullis log` has nothing to
    /// show and nothing can be replayed; metrics, the access log and alerts stay. Default `true`.
    pub(crate) keep: bool,
    /// Bytes on disk. Default 1 GiB.
    pub(crate) max_size: Size,
    /// Age of the oldest event. Default 30 days.
    pub(crate) max_age: Period,
}

impl Default for EventsWritten {
    fn default() -> Self {
        EventsWritten { keep: true, max_size: Size::mib(1024), max_age: Period::seconds(30 * 86_400) }
    }
}

/// How much the program says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

/// What the upstream is told about the client.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[schemars(rename = "Forwarded")]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ForwardedWritten {
    /// `X-Forwarded-For`, `X-Forwarded-Proto` and `X-Forwarded-Host`.
    pub(crate) x_forwarded: bool,
    /// `Forwarded` (RFC 7239).
    pub(crate) rfc7239: bool,
    /// `traceparent` (W3C Trace Context).
    pub(crate) trace: bool,
}

impl Default for ForwardedWritten {
    fn default() -> Self {
        ForwardedWritten { x_forwarded: true, rfc7239: false, trace: true }
    }
}

/// A text, or the long form.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "describes the forms; never made")]
enum AddressOr<T> {
    Short(String),
    Long(T),
}

/// One, or a list.
#[derive(JsonSchema)]
#[serde(untagged)]
#[schemars(inline)]
#[expect(dead_code, reason = "describes the forms; never made")]
pub(super) enum OneOrMany<T> {
    One(T),
    Many(Vec<T>),
}
