//! One instance of the API: where it is, and whether it should be called.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use http::HeaderValue;
use portcullis_engine as engine;
use rustls_pki_types::ServerName;

use crate::config::{Circuit, OriginConfig};

/// An upstream URL that cannot be used.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{url}` is not an upstream URL: {why}; write `http://host:port` or `https://host:port`")]
pub struct OriginError {
    url: String,
    why: &'static str,
}

/// An instance, shared by all workers.
#[derive(Debug)]
pub(crate) struct Origin {
    /// The URL, as metrics and records name it.
    pub(crate) label: Arc<str>,
    /// Host and port, as a Host field names them.
    pub(crate) authority: HeaderValue,
    pub(crate) host: String,
    pub(crate) port: u16,
    /// The name that the certificate must prove, for `https`.
    pub(crate) tls: Option<ServerName<'static>>,
    pub(crate) weight: u32,
    addresses: ArcSwap<Vec<SocketAddr>>,
    /// What active checks say.
    healthy: AtomicBool,
    /// Calls under way, by worker.
    active: Box<[Active]>,
    circuit: Circuit,
    failures: AtomicU32,
    /// Milliseconds of the shared clock until which the circuit is open; 0 while it is closed.
    open_until: AtomicU64,
    trips: AtomicU32,
    /// A trial call is under way.
    trial: AtomicBool,
}

/// The calls of one worker, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(128))]
struct Active(AtomicUsize);

/// How one instance of the upstream stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct OriginState {
    /// Its URL.
    pub url: Arc<str>,
    /// What active checks say; `true` where there are none.
    pub healthy: bool,
    /// Its calls failed in a row, and it is left alone for a while.
    pub circuit_open: bool,
    /// Calls under way.
    pub active: usize,
}

/// Whether an instance may be called now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Availability {
    Yes,
    /// Its circuit was open for long enough: one call may try.
    Trial,
    No,
}

impl Origin {
    pub(crate) fn new(config: &OriginConfig, circuit: &Circuit, workers: usize) -> Result<Self, OriginError> {
        let error = |why| OriginError { url: config.url.clone(), why };
        let uri: http::Uri = config.url.parse().map_err(|_| error("it cannot be parsed"))?;
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(error("its scheme is neither `http` nor `https`")),
        };
        if uri.path() != "/" && !uri.path().is_empty() || uri.query().is_some() {
            return Err(error("it has a path"));
        }
        let authority = uri.authority().ok_or_else(|| error("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(error("it carries user information"));
        }
        if config.weight == 0 {
            return Err(error("its weight is 0"));
        }
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let tls = if secure {
            Some(
                ServerName::try_from(host.clone())
                    .map_err(|_| error("its host is not a name that TLS can prove"))?,
            )
        } else {
            None
        };
        let addresses = host.parse::<IpAddr>().map(|ip| vec![SocketAddr::new(ip, port)]).unwrap_or_default();
        let name = HeaderValue::from_str(authority.as_str()).map_err(|_| error("its host is malformed"))?;
        let label = config.url.trim_end_matches('/').into();
        Ok(Self {
            weight: config.weight,
            ..Self::at(label, name, (host, port), tls, addresses, circuit, workers)
        })
    }

    /// The server that a client of a forward proxy named, at the addresses that were checked.
    pub(crate) fn pinned(origin: &engine::Origin, circuit: &Circuit) -> Result<Self, OriginError> {
        let bracketed =
            if origin.host.contains(':') { format!("[{}]", origin.host) } else { origin.host.to_string() };
        let (scheme, port) = (origin.scheme.as_str(), origin.port);
        let url = format!("{scheme}://{bracketed}:{port}");
        let error = |why| OriginError { url: url.clone(), why };
        let authority = HeaderValue::from_str(&format!("{bracketed}:{port}"))
            .map_err(|_| error("its host is malformed"))?;
        let tls = match origin.scheme {
            engine::Scheme::Http => None,
            engine::Scheme::Https => Some(
                ServerName::try_from(origin.host.to_string())
                    .map_err(|_| error("its host is not a name that TLS can prove"))?,
            ),
        };
        let addresses = origin.addresses.iter().map(|ip| SocketAddr::new(*ip, port)).collect();
        let host = origin.host.to_string();
        // It is one worker's own.
        Ok(Self::at(url.as_str().into(), authority, (host, port), tls, addresses, circuit, 1))
    }

    fn at(
        label: Arc<str>,
        authority: HeaderValue,
        (host, port): (String, u16),
        tls: Option<ServerName<'static>>,
        addresses: Vec<SocketAddr>,
        circuit: &Circuit,
        workers: usize,
    ) -> Self {
        Self {
            label,
            authority,
            host,
            port,
            tls,
            weight: 1,
            addresses: ArcSwap::from_pointee(addresses),
            healthy: AtomicBool::new(true),
            active: (0..workers).map(|_| Active::default()).collect(),
            circuit: circuit.clone(),
            failures: AtomicU32::new(0),
            open_until: AtomicU64::new(0),
            trips: AtomicU32::new(0),
            trial: AtomicBool::new(false),
        }
    }

    /// How it stands now.
    pub(crate) fn state(&self) -> OriginState {
        OriginState {
            url: Arc::clone(&self.label),
            healthy: self.healthy.load(Ordering::Relaxed),
            circuit_open: self.open_until.load(Ordering::Relaxed) != 0,
            active: self.active(),
        }
    }

    /// Whether its host is a name that must be resolved.
    pub(crate) fn is_named(&self) -> bool {
        self.host.parse::<IpAddr>().is_err()
    }

    pub(crate) fn addresses(&self) -> Arc<Vec<SocketAddr>> {
        self.addresses.load_full()
    }

    /// Asks the system's resolver; blocks. What was known stays if it fails.
    pub(crate) fn resolve(&self) {
        use std::net::ToSocketAddrs;
        match (self.host.as_str(), self.port).to_socket_addrs() {
            Ok(found) => {
                let mut found: Vec<_> = found.collect();
                // IPv4 first: a listener on `localhost` that is bound to one family is mostly bound to this one.
                found.sort_by_key(|a| (a.is_ipv6(), *a));
                found.dedup();
                if !found.is_empty() && **self.addresses.load() != found {
                    self.addresses.store(Arc::new(found));
                }
            }
            Err(error) => {
                tracing::warn!(origin = %self.label, %error, "the upstream's name cannot be resolved");
            }
        }
    }

    pub(crate) fn availability(&self, now: u64) -> Availability {
        if !self.healthy.load(Ordering::Relaxed) {
            return Availability::No;
        }
        match self.open_until.load(Ordering::Relaxed) {
            0 => Availability::Yes,
            until if now >= until && !self.trial.load(Ordering::Relaxed) => Availability::Trial,
            _ => Availability::No,
        }
    }

    /// Claims the one trial call of an open circuit.
    pub(crate) fn claim_trial(&self) -> bool {
        self.trial.compare_exchange(false, true, Ordering::AcqRel, Ordering::Relaxed).is_ok()
    }

    pub(crate) fn release_trial(&self) {
        self.trial.store(false, Ordering::Release);
    }

    /// Calls under way per unit of weight, scaled.
    pub(crate) fn load(&self) -> u64 {
        (self.active() as u64 + 1) * 1024 / u64::from(self.weight)
    }

    fn active(&self) -> usize {
        self.active.iter().fold(0usize, |sum, worker| sum.saturating_add(worker.0.load(Ordering::Relaxed)))
    }

    pub(crate) fn enter(&self, worker: usize) {
        if let Some(active) = self.active.get(worker) {
            active.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    pub(crate) fn leave(&self, worker: usize) {
        if let Some(active) = self.active.get(worker) {
            active.0.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// It answered.
    #[inline]
    pub(crate) fn succeeded(&self) {
        if self.failures.load(Ordering::Relaxed) != 0 {
            self.failures.store(0, Ordering::Relaxed);
        }
        if self.open_until.load(Ordering::Relaxed) != 0 {
            self.open_until.store(0, Ordering::Relaxed);
            self.trips.store(0, Ordering::Relaxed);
        }
    }

    /// It could not be reached, or broke off before it answered.
    pub(crate) fn failed(&self, now: u64) {
        if self.circuit.failures == 0 {
            return;
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed).saturating_add(1);
        let open = self.open_until.load(Ordering::Relaxed);
        if failures >= self.circuit.failures && (open == 0 || now >= open) {
            let trips = self.trips.fetch_add(1, Ordering::Relaxed).min(4);
            let until = now.saturating_add(self.circuit.open.millis() << trips);
            self.open_until.store(until.max(1), Ordering::Relaxed);
        }
    }

    /// What an active check found.
    pub(crate) fn set_healthy(&self, healthy: bool) {
        if self.healthy.swap(healthy, Ordering::Relaxed) != healthy {
            tracing::info!(origin = %self.label, healthy, "upstream health changed");
        }
        if healthy {
            self.succeeded();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Result<Origin, OriginError> {
        Origin::new(&OriginConfig { url: url.into(), weight: 1 }, &Circuit::default(), 1)
    }

    #[test]
    fn urls() {
        let plain = origin("http://127.0.0.1:3000").unwrap();
        assert_eq!((plain.port, plain.tls.is_some(), plain.is_named()), (3000, false, false));
        assert_eq!(*plain.addresses(), vec!["127.0.0.1:3000".parse().unwrap()]);
        let named = origin("https://api.example.com/").unwrap();
        assert_eq!((named.port, named.tls.is_some(), named.is_named()), (443, true, true));
        assert_eq!(origin("http://[::1]:80").unwrap().addresses()[0], "[::1]:80".parse().unwrap());
        for bad in
            ["", "127.0.0.1:1", "ftp://a", "http://a/b", "http://a?b", "http://u:p@a", "http://", "unix:/x"]
        {
            assert!(origin(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn the_circuit_opens_tries_once_and_closes() {
        let origin = origin("http://127.0.0.1:1").unwrap();
        for _ in 0..4 {
            origin.failed(10);
        }
        assert_eq!(origin.availability(10), Availability::Yes);
        origin.failed(10);
        assert_eq!(origin.availability(11), Availability::No);
        assert_eq!(origin.availability(1_010), Availability::Trial);
        assert!(origin.claim_trial());
        assert!(!origin.claim_trial());
        assert_eq!(origin.availability(1_010), Availability::No);
        origin.failed(1_011);
        origin.release_trial();
        assert_eq!(origin.availability(2_500), Availability::No, "the second time is twice as long");
        assert_eq!(origin.availability(3_011), Availability::Trial);
        origin.succeeded();
        assert_eq!(origin.availability(3_012), Availability::Yes);
        origin.set_healthy(false);
        assert_eq!(origin.availability(3_012), Availability::No);
        origin.set_healthy(true);
        assert_eq!(origin.availability(3_012), Availability::Yes);
    }
}
