//! The configuration, checked: what was written became addresses, URLs and paths that make sense together.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use portcullis_engine::{ForwardedHeaders, Period, Settings, TrustedHops};
use portcullis_openapi::{CaseOf, Options, TrailingSlash};
use portcullis_proxy::{Listen, OriginConfig, ProxyConfig, TlsConfig, UpstreamConfig};

use super::Fault;
use super::egress::Outward;
use super::written::{
    AdminWritten, ContractWritten, EventsWritten, ForwardedWritten, ListenWritten, LogWritten, Written,
};
use crate::gateway::watch::{self, AlertsWritten};

/// Where clients connect when nothing else is said.
pub(crate) const DEFAULT_LISTEN: &str = "127.0.0.1:8080";
/// Where metrics are read when nothing else is said.
pub(crate) const DEFAULT_ADMIN: &str = "127.0.0.1:9600";
/// The data folder when nothing else is said.
pub(crate) const DEFAULT_DATA: &str = ".portcullis";

/// The gateway's own settings.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// Listeners, upstream, limits and timeouts.
    pub(crate) proxy: ProxyConfig,
    /// The admin port; `None` where it is off.
    pub(crate) admin: Option<Admin>,
    /// The contract, where there is one.
    pub(crate) contract: Option<ContractSource>,
    /// The data folder.
    pub(crate) data: PathBuf,
    /// What is written down besides the event log.
    pub(crate) log: LogWritten,
    /// How much of the event log is kept.
    pub(crate) events: EventsWritten,
    /// Incidents: when refusals are a spike, and who is told.
    pub(crate) alerts: AlertsWritten,
    /// How long exchanges under way may go on after the gateway was told to stop.
    pub(crate) drain: Period,
    /// What holds for every exchange.
    pub(crate) settings: Settings,
    /// What a forward proxy lets out; `None` before an API of one's own.
    pub(crate) egress: Option<Outward>,
}

/// What is decided once, at start: a reload leaves it as it is.
#[derive(Debug, Clone)]
pub(crate) struct Fixed {
    listen: Vec<Listen>,
    workers: usize,
    admin: Option<Admin>,
    data: PathBuf,
    log: LogWritten,
    events: EventsWritten,
    alerts: AlertsWritten,
    drain: Period,
}

impl Gateway {
    /// What a reload cannot change.
    pub(crate) fn fixed(&self) -> Fixed {
        Fixed {
            listen: self.proxy.listen.clone(),
            workers: self.proxy.workers,
            admin: self.admin.clone(),
            data: self.data.clone(),
            log: self.log.clone(),
            events: self.events.clone(),
            alerts: self.alerts.clone(),
            drain: self.drain,
        }
    }
}

impl Fixed {
    /// The keys whose values differ in `other`.
    pub(crate) fn changed(&self, other: &Fixed) -> Vec<&'static str> {
        let Fixed { listen, workers, admin, data, log, events, alerts, drain } = other;
        let keys = [
            ("listen", self.listen == *listen),
            ("workers", self.workers == *workers),
            ("admin", self.admin == *admin),
            ("data", self.data == *data),
            ("log", self.log == *log),
            ("events", self.events == *events),
            ("alerts", self.alerts == *alerts),
            ("drain", self.drain == *drain),
        ];
        keys.into_iter().filter_map(|(key, same)| (!same).then_some(key)).collect()
    }
}

/// The admin port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    /// Where.
    pub(crate) address: SocketAddr,
    /// What readers of metrics present.
    pub(crate) token: Option<Arc<str>>,
    /// Whether somebody chose the address: then it must be had.
    pub(crate) chosen: bool,
}

/// The contract's file and how it is read.
#[derive(Debug, Clone)]
pub(crate) struct ContractSource {
    /// The document.
    pub(crate) file: PathBuf,
    /// Where copies of URLs are, if not in the usual place.
    pub(crate) pinned: Option<PathBuf>,
    /// How it is compiled.
    pub(crate) options: Options,
}

/// A value that makes no sense: the JSON pointer of the key that it is about, and what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wrong {
    pub(crate) pointer: String,
    pub(crate) fault: Fault,
}

impl Wrong {
    fn new(pointer: impl Into<String>, what: impl Into<String>, hint: impl Into<String>) -> Wrong {
        Wrong { pointer: pointer.into(), fault: Fault::new(what).hint(hint) }
    }
}

/// Checks what was written. `folder` is what relative paths start from.
pub(crate) fn check(written: Written, folder: &Path) -> Result<Gateway, Wrong> {
    let (listen, tls) = listeners(written.listen.as_deref(), folder)?;
    if let Some(index) = listen.iter().position(|one| one.proxy_protocol && written.trusted_hops.is_empty()) {
        let what = "this listener believes a PROXY protocol header, and nobody is trusted to send one";
        let hint = "name the load balancers' networks under `trusted_hops`, such as `[10.0.0.0/8]`";
        return Err(Wrong::new(format!("/listen/{index}/proxy_protocol"), what, hint));
    }
    let trusted_hops = TrustedHops::new(written.trusted_hops);
    let mut upstream = written.upstream.unwrap_or_default();
    upstream.ca = upstream.ca.map(|path| folder.join(path));
    check_upstream(&upstream)?;
    let ForwardedWritten { x_forwarded, rfc7239, trace } = written.forwarded;
    let mut log = written.log;
    if !matches!(log.access_to.as_str(), "stdout" | "stderr") {
        log.access_to = folder.join(&log.access_to).to_string_lossy().into_owned();
    }
    Ok(Gateway {
        proxy: ProxyConfig {
            listen,
            tls,
            upstream,
            limits: written.limits,
            timeouts: written.timeouts,
            trusted_hops: trusted_hops.clone(),
            workers: written.workers,
            forward_proxy: false,
        },
        admin: admin(written.admin)?,
        contract: written.contract.map(|contract| contract_source(contract, folder)),
        data: folder.join(written.data.unwrap_or_else(|| DEFAULT_DATA.into())),
        log,
        events: written.events,
        alerts: alerts(written.alerts, folder)?,
        drain: written.drain.unwrap_or(Period::seconds(30)),
        settings: Settings {
            trusted_hops,
            forwarded: ForwardedHeaders { x_forwarded, forwarded: rfc7239, trace },
            encoded_slash: written.encoded_slash,
            secret_parameters: written.secret_parameters.into_iter().map(String::into_boxed_str).collect(),
            ..Settings::default()
        },
        egress: None,
    })
}

fn listeners(
    written: Option<&[ListenWritten]>,
    folder: &Path,
) -> Result<(Vec<Listen>, Option<TlsConfig>), Wrong> {
    let default = [ListenWritten { address: DEFAULT_LISTEN.into(), tls: None, proxy_protocol: false }];
    let written = written.unwrap_or(&default);
    if written.is_empty() {
        return Err(Wrong::new("/listen", "there is no listener", "name at least one address"));
    }
    let mut tls: Option<TlsConfig> = None;
    let mut listen: Vec<Listen> = Vec::new();
    for (index, one) in written.iter().enumerate() {
        let at = format!("/listen/{index}");
        let address = address(&one.address).map_err(|(what, hint)| Wrong::new(&at, what, hint))?;
        if address.port() != 0 && listen.iter().any(|known| known.address == address) {
            return Err(Wrong::new(at, format!("`{address}` is listed twice"), "name each listener once"));
        }
        if let Some(config) = &one.tls {
            let config = TlsConfig {
                certificate: folder.join(&config.certificate),
                key: folder.join(&config.key),
                client_ca: config.client_ca.as_ref().map(|file| folder.join(file)),
                crl: config.crl.iter().map(|file| folder.join(file)).collect(),
                client_required: config.client_required,
            };
            if tls.as_ref().is_some_and(|known| *known != config) {
                let what = "this listener has another certificate than the one before";
                return Err(Wrong::new(at, what, "all TLS listeners share one certificate"));
            }
            tls = Some(config);
        }
        listen.push(Listen { address, tls: one.tls.is_some(), proxy_protocol: one.proxy_protocol });
    }
    Ok((listen, tls))
}

/// An address and port; a name is resolved once.
pub(crate) fn address(text: &str) -> Result<SocketAddr, (String, &'static str)> {
    const HINT: &str =
        "expected an address and a port, such as `127.0.0.1:8080`, `[::1]:8080` or `0.0.0.0:443`";
    let spelled = text.strip_prefix(':').map(|port| format!("0.0.0.0:{port}"));
    let text = spelled.as_deref().unwrap_or(text);
    if let Ok(address) = text.parse() {
        return Ok(address);
    }
    if !text.contains(':') || text.contains("//") {
        return Err((format!("`{text}` is not an address"), HINT));
    }
    match text.to_socket_addrs().map(|mut found| found.next()) {
        Ok(Some(address)) => Ok(address),
        _ => Err((format!("`{text}` is not an address, and no host of that name is known"), HINT)),
    }
}

/// Checks the upstream's URLs.
pub(crate) fn check_upstream(upstream: &UpstreamConfig) -> Result<(), Wrong> {
    const HINT: &str = "expected `http://host:port` or `https://host:port`";
    for (index, OriginConfig { url, weight }) in upstream.origins.iter().enumerate() {
        let at = format!("/upstream/origins/{index}");
        let wrong = |what: &str, hint: &str| Err(Wrong::new(&at, format!("`{url}` {what}"), hint));
        let Some(rest) = url.strip_prefix("http://").or_else(|| url.strip_prefix("https://")) else {
            return wrong("is not an http or https URL", HINT);
        };
        if rest.contains('@') {
            let hint = "leave them out; where the API wants credentials, its callers send them";
            let mut wrong = Wrong::new(at, "this URL carries a user name or a password", hint);
            wrong.fault.secret = true;
            return Err(wrong);
        }
        let Ok(uri) = url.parse::<http::Uri>() else { return wrong("is not a URL", HINT) };
        if uri.host().is_none_or(str::is_empty) {
            return wrong("names no host", HINT);
        }
        if uri.path() != "/" && !uri.path().is_empty() || uri.query().is_some() {
            let hint = "leave the path out: calls are forwarded with the path they came with";
            return wrong("has a path", hint);
        }
        if *weight == 0 {
            return wrong("has the weight 0", "leave the instance out, or give it a weight of 1 or more");
        }
    }
    if upstream.health.as_ref().is_some_and(|health| !health.path.starts_with('/')) {
        return Err(Wrong::new(
            "/upstream/health/path",
            "the path does not start with `/`",
            "such as `/healthz`",
        ));
    }
    Ok(())
}

/// The admin port as it was chosen on the command line or in the file.
pub(crate) fn admin(written: Option<AdminWritten>) -> Result<Option<Admin>, Wrong> {
    let chosen = written.is_some();
    let AdminWritten { listen, token } =
        written.unwrap_or(AdminWritten { listen: DEFAULT_ADMIN.into(), token: None });
    if matches!(listen.as_str(), "off" | "false" | "none") {
        return Ok(None);
    }
    let address = address(&listen).map_err(|(what, hint)| Wrong::new("/admin", what, hint))?;
    if !address.ip().is_loopback() && token.is_none() {
        let what = format!("`{address}` can be reached from outside, and there is no token");
        let hint = "listen on 127.0.0.1, or write `admin: { listen: …, token: \"${ADMIN_TOKEN}\" }`";
        return Err(Wrong::new("/admin", what, hint));
    }
    if token.as_ref().is_some_and(|token| token.len() < 16 || !token.bytes().all(|b| b.is_ascii_graphic())) {
        let hint = "expected at least 16 printable characters, such as what `openssl rand -hex 16` gives";
        let mut wrong = Wrong::new("/admin/token", "this token can be guessed or cannot be sent", hint);
        wrong.fault.secret = true;
        return Err(wrong);
    }
    Ok(Some(Admin { address, token: token.map(Into::into), chosen }))
}

fn alerts(mut written: AlertsWritten, folder: &Path) -> Result<AlertsWritten, Wrong> {
    let Some(webhook) = &mut written.webhook else { return Ok(written) };
    webhook.ca = webhook.ca.as_ref().map(|file| folder.join(file));
    if let Err(what) = watch::split(&webhook.url) {
        let hint = "such as `https://hooks.example.com/portcullis`";
        return Err(Wrong::new("/alerts/webhook/url", what, hint));
    }
    if let Err(what) = watch::key(&webhook.secret) {
        let mut wrong = Wrong::new(
            "/alerts/webhook/secret",
            what,
            "write `${ALERT_SECRET}`, and keep it in the environment",
        );
        wrong.fault.secret = true;
        return Err(wrong);
    }
    Ok(written)
}

fn contract_source(written: ContractWritten, folder: &Path) -> ContractSource {
    let ContractWritten { file, base_paths, ignore_trailing_slash, ignore_case, multi_segment, pinned } =
        written;
    let options = Options {
        base_paths,
        trailing_slash: if ignore_trailing_slash { TrailingSlash::Ignore } else { TrailingSlash::Strict },
        case: if ignore_case { CaseOf::Insensitive } else { CaseOf::Sensitive },
        multi_segment,
        ..Options::default()
    };
    ContractSource { file: folder.join(file), pinned: pinned.map(|pinned| folder.join(pinned)), options }
}
