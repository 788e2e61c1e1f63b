//! The gateway, wired: configuration to engine, proxy, event log, admin port; reload and drain.

pub(crate) mod admin;
pub(crate) mod build;
pub(crate) mod data_keys;
pub(crate) mod files;
pub(crate) mod keys;
pub(crate) mod lookups;
pub(crate) mod reload;
pub(crate) mod status;
pub(crate) mod watch;

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use portcullis_engine::{EngineHandle, Observer, State};
use portcullis_guards::{Credentials, Report};
use portcullis_proxy::{Proxy, ProxyHandle};
use portcullis_store::events::{EventLog, LogConfig};

use crate::config::checked::Admin;
use crate::config::{Config, Overrides};
use crate::control;
use crate::exit::{Failure, Result};
use crate::observe::{Observers, access::AccessLog, metrics::Metrics};
use crate::random;

use keys::Keys;
use lookups::Lookups;
use reload::Reloader;
use status::GatewayStatus;
use watch::Watch;

/// Everything bound and compiled, and not yet serving.
#[derive(Debug)]
pub(crate) struct Gateway {
    /// What guards what, as it was at start.
    pub(crate) report: Report,
    proxy: Proxy,
    admin: Option<SocketAddr>,
    tls: Vec<bool>,
    reloader: Arc<Reloader>,
    events: Option<Arc<EventLog>>,
    drain: std::time::Duration,
    _control: Option<control::Guard>,
}

impl Gateway {
    /// Compiles, opens and binds everything that `config` names. `overrides` are what a reload starts from.
    pub(crate) fn start(config: Config, overrides: Overrides) -> Result<Gateway> {
        make_data_folder(&config.gateway.data)?;
        let keys = Keys::open(&config.gateway.data)?;
        let state = Arc::new(State::default());
        let credentials =
            Credentials { cache_key: random::bytes()?, ..keys.credentials().map_err(Failure::Incomplete)? };
        let (compiled, files) = build::compile_watched(&config, credentials.clone(), Arc::clone(&state))
            .map_err(Failure::usage)?;
        let events = open_events(&config)?;
        let access =
            AccessLog::open(config.gateway.log.access, &config.gateway.log.access_to).map_err(|error| {
                let to = &config.gateway.log.access_to;
                Failure::Incomplete(format!("the access log `{to}` cannot be written: {error}"))
            })?;
        let metrics = Arc::new(Metrics::default());
        let watch = Watch::start(&config.gateway.alerts, &config.gateway.data)
            .map_err(|error| Failure::Incomplete(format!("alerts cannot be sent: {error}")))?;
        let access_dropped = access.as_ref().map(AccessLog::dropped);
        let observer = Arc::new(Observers {
            events: events.clone().map(|events| events as Arc<dyn Observer>),
            metrics: Arc::clone(&metrics),
            access,
            watch: Arc::clone(&watch) as Arc<dyn Observer>,
        });
        let engine = EngineHandle::new(Arc::clone(&compiled.engine));
        let tls = config.gateway.proxy.listen.iter().map(|listen| listen.tls).collect();
        let proxy = Proxy::bind(config.gateway.proxy.clone(), engine.clone(), observer)
            .map_err(Failure::incomplete)?;
        let lookups = Lookups::start(Arc::clone(&compiled.tokens), proxy.handle())
            .map_err(|error| Failure::Incomplete(format!("a thread cannot be started: {error}")))?;
        let proxy = proxy.lookups(Arc::clone(&lookups) as _);
        let parts = reload::Parts {
            lookups,
            credentials,
            overrides,
            files,
            fixed: config.gateway.fixed(),
            engine,
            proxy: proxy.handle(),
            state,
        };
        let reloader = Reloader::start(parts, keys)
            .map_err(|error| Failure::Incomplete(format!("a thread cannot be started: {error}")))?;
        let control = {
            let reloader = Arc::clone(&reloader);
            control::listen(&config.gateway.data, move |ask| reloader.answer(ask))
        };
        let control = match control {
            Ok(guard) => Some(guard),
            Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
                return Err(Failure::Incomplete(format!("`{}`: {error}", config.gateway.data.display())));
            }
            // Without the socket, changes of keys are still seen, a second later.
            Err(error) => {
                tracing::warn!(%error, "no control socket: changes of keys count within a second instead of at once");
                None
            }
        };
        let status = Arc::new(GatewayStatus {
            metrics,
            proxy: proxy.handle(),
            events: events.clone(),
            reloader: Arc::clone(&reloader),
            access_dropped,
            watch,
        });
        let admin = serve_admin(config.gateway.admin.as_ref(), status)?;
        Ok(Gateway {
            report: compiled.report,
            proxy,
            admin,
            tls,
            reloader,
            events,
            drain: config.gateway.drain.0,
            _control: control,
        })
    }

    /// Where clients connect.
    pub(crate) fn listen(&self) -> &[SocketAddr] {
        self.proxy.local_addrs()
    }

    /// The same as URLs.
    pub(crate) fn urls(&self) -> impl Iterator<Item = String> {
        self.listen().iter().zip(&self.tls).map(|(address, tls)| {
            let scheme = if *tls { "https" } else { "http" };
            format!("{scheme}://{address}")
        })
    }

    /// Where metrics are read.
    pub(crate) fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// What loads everything again.
    pub(crate) fn reloader(&self) -> Arc<Reloader> {
        Arc::clone(&self.reloader)
    }

    /// Control over its proxy.
    pub(crate) fn proxy(&self) -> ProxyHandle {
        self.proxy.handle()
    }

    /// Serves until `shutdown`, then lets what is under way end, within the drain deadline.
    pub(crate) async fn serve(self, shutdown: impl Future<Output = ()>) -> Result<()> {
        let Gateway { proxy, events, drain, reloader, .. } = self;
        let handle = proxy.handle();
        let stop = async move {
            shutdown.await;
            handle.drain(drain);
        };
        proxy.run_until(stop).await.map_err(Failure::incomplete)?;
        reloader.stop();
        if let Some(Err(error)) = events.map(|events| events.sync()) {
            tracing::error!(%error, "the last events may not have reached the disk");
        }
        Ok(())
    }
}

/// Makes the data folder, readable by its owner only.
pub(crate) fn make_data_folder(data: &Path) -> Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    let failed = |error: std::io::Error| {
        let hint = "choose another with --data, or make it and give it to this user";
        Failure::Incomplete(format!("the data folder `{}` cannot be used: {error}; {hint}", data.display()))
    };
    if data.is_dir() {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data).map_err(failed)?;
    // Keys and events have no place in a repository.
    std::fs::write(data.join(".gitignore"), "*\n").map_err(failed)
}

/// The folder of the event log within the data folder.
pub(crate) fn events_folder(data: &Path) -> std::path::PathBuf {
    data.join("events")
}

fn open_events(config: &Config) -> Result<Option<Arc<EventLog>>> {
    if !config.gateway.events.keep {
        tracing::warn!(
            "events are not kept (`events: off`): what is decided can be counted, and not looked up"
        );
        return Ok(None);
    }
    let mut log = LogConfig::new(events_folder(&config.gateway.data));
    log.total_bytes = config.gateway.events.max_size.0;
    log.keep = config.gateway.events.max_age.0;
    EventLog::open(log).map(Some).map_err(Failure::incomplete)
}

fn serve_admin(admin: Option<&Admin>, status: Arc<GatewayStatus>) -> Result<Option<SocketAddr>> {
    let Some(Admin { address, token, chosen }) = admin else { return Ok(None) };
    let bound = admin::serve(*address, token.clone(), Arc::clone(&status) as _);
    let bound = match bound {
        // Nobody asked for this very port: with two gateways on one machine, the second takes another.
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse && !chosen => {
            admin::serve(SocketAddr::new(address.ip(), 0), token.clone(), status)
        }
        other => other,
    };
    bound.map(Some).map_err(|error| {
        let hint = "choose another with --admin, or `--admin off`";
        Failure::Incomplete(format!("the admin port `{address}` cannot be opened: {error}; {hint}"))
    })
}
