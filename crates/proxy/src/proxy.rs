//! The proxy as a whole: binding, worker threads, reload, drain.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use arc_swap::ArcSwap;
use parking_lot::Mutex;
use portcullis_engine::{EngineHandle, Now, Observer};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::TcpListener;
use tokio::sync::oneshot;

use crate::config::{Listen, ProxyConfig};
use crate::limits::{Gate, Memory};
use crate::lookup::Lookups;
use crate::stats::ProxyStats;
use crate::tls::{self, TlsError};
use crate::upstream::control::{Control, UpstreamError};
use crate::upstream::{Group, OriginState};
use crate::worker::{Settings, Shared, Worker};

/// Why the proxy cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// A listening address cannot be used.
    #[error("cannot listen on `{address}`: {error}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system says.
        error: std::io::Error,
    },
    /// No address to listen on.
    #[error("no address to listen on; give at least one, as in `127.0.0.1:8080`")]
    NoAddress,
    /// A listener is to speak TLS, and there is no certificate.
    #[error("`{0}` is to speak TLS, but there is no certificate; name `certificate` and `key`")]
    NoCertificate(SocketAddr),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The upstream cannot be used.
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    /// A worker thread cannot be started.
    #[error("a worker thread cannot be started: {0}")]
    Thread(std::io::Error),
}

/// The data plane, bound to its addresses and not yet serving.
#[derive(Debug)]
pub struct Proxy {
    /// One set of listeners for each worker.
    listeners: Vec<Vec<(std::net::TcpListener, Listen)>>,
    local: Vec<SocketAddr>,
    engine: EngineHandle,
    observer: Arc<dyn Observer>,
    lookups: Arc<dyn Lookups>,
    handle: ProxyHandle,
}

/// Control over a proxy, from any thread.
#[derive(Clone, Debug)]
pub struct ProxyHandle {
    shared: Arc<Shared>,
    control: Arc<Mutex<Control>>,
    deadline: Arc<Mutex<Option<Instant>>>,
    drained: Arc<tokio::sync::Notify>,
}

/// How long connections may go on after a shutdown was asked for without another deadline.
const DRAIN: Duration = Duration::from_secs(30);

impl Proxy {
    /// Binds all addresses and prepares the upstream; serves nothing yet.
    ///
    /// # Errors
    /// What is wrong with an address, a certificate or the upstream.
    pub fn bind(
        config: ProxyConfig,
        engine: EngineHandle,
        observer: Arc<dyn Observer>,
    ) -> Result<Self, BindError> {
        let ProxyConfig { listen, tls, upstream, limits, timeouts, trusted_hops, workers, forward_proxy } =
            config;
        if listen.is_empty() {
            return Err(BindError::NoAddress);
        }
        let workers = match workers {
            0 => thread::available_parallelism().map_or(1, usize::from),
            n => n,
        };
        let tls = tls.as_ref().map(tls::Server::new).transpose()?.map(Arc::new);
        if let Some(without) = listen.iter().find(|l| l.tls && tls.is_none()) {
            return Err(BindError::NoCertificate(without.address));
        }
        let group = Group::new(upstream, workers, forward_proxy)?;
        let control = Control::start(&group)?;
        raise_file_limit(limits.connections.saturating_mul(2).saturating_add(1024));
        let mut local = Vec::new();
        let mut listeners: Vec<Vec<_>> = (0..workers).map(|_| Vec::new()).collect();
        for listen in listen {
            let address = listen.address;
            let failed = |error| BindError::Listen { address, error };
            let mut bound = address;
            if address.port() != 0 {
                probe(address).map_err(failed)?;
            }
            for set in &mut listeners {
                let socket = open(bound, timeouts.write.0).map_err(failed)?;
                bound = socket.local_addr().map_err(failed)?;
                set.push((socket, listen));
            }
            local.push(bound);
        }
        let shared = Arc::new(Shared {
            start: Instant::now(),
            ahead: AtomicU64::new(0),
            workers,
            forward_proxy,
            gate: Arc::new(Gate::default()),
            memory: Memory::new(limits.buffered_bytes.bytes()),
            stats: ProxyStats::new(workers),
            settings: ArcSwap::from_pointee(Settings { limits, timeouts, trusted_hops, group }),
            tls,
            draining: AtomicBool::new(false),
            cut: AtomicBool::new(false),
            connections: AtomicUsize::new(0),
        });
        let handle = ProxyHandle {
            shared,
            control: Arc::new(Mutex::new(control)),
            deadline: Arc::default(),
            drained: Arc::default(),
        };
        Ok(Self { listeners, local, engine, observer, lookups: Arc::new(()), handle })
    }

    /// Who asks outside what guards want to know. Without it, such calls are refused.
    #[must_use]
    pub fn lookups(self, lookups: Arc<dyn Lookups>) -> Self {
        Self { lookups, ..self }
    }

    /// The addresses that clients can connect to, in the order of the configuration.
    #[must_use]
    pub fn local_addrs(&self) -> &[SocketAddr] {
        &self.local
    }

    /// Control over this proxy, to be used while it runs.
    #[must_use]
    pub fn handle(&self) -> ProxyHandle {
        self.handle.clone()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        self.handle.stats()
    }

    /// Serves until `shutdown` is ready or [`ProxyHandle::drain`] was called, and all connections have ended or
    /// the deadline has passed. Needs a tokio runtime, which only waits.
    ///
    /// # Errors
    /// If a worker thread cannot be started.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), BindError> {
        let Self { listeners, engine, observer, lookups, handle, .. } = self;
        let mut ended = Vec::new();
        for (index, listeners) in listeners.into_iter().enumerate() {
            let (done, wait) = oneshot::channel::<()>();
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .map_err(BindError::Thread)?;
            let shared = Arc::clone(&handle.shared);
            let (engine, observer, lookups) = (engine.clone(), Arc::clone(&observer), Arc::clone(&lookups));
            thread::Builder::new()
                .name(format!("worker-{index}"))
                .spawn(move || {
                    let local = tokio::task::LocalSet::new();
                    local.block_on(&runtime, async move {
                        let worker = Worker::new(shared, index, &engine, observer, lookups);
                        let listeners = listeners
                            .into_iter()
                            .filter_map(|(listener, listen)| {
                                Some((TcpListener::from_std(listener).ok()?, listen))
                            })
                            .collect();
                        worker.run(listeners).await;
                    });
                    // Tasks that are still there are dropped with the set, and with them their connections.
                    drop(local);
                    let _ = done.send(());
                })
                .map_err(BindError::Thread)?;
            ended.push(wait);
        }
        tokio::select! {
            () = shutdown => {}
            () = handle.drained.notified() => {}
        }
        let deadline = *handle.deadline.lock();
        if deadline.is_none() {
            handle.drain(DRAIN);
        }
        let deadline = handle.deadline.lock().unwrap_or_else(Instant::now);
        let all = async {
            for wait in &mut ended {
                let _ = wait.await;
            }
        };
        if tokio::time::timeout_at(deadline.into(), all).await.is_err() {
            handle.shared.cut.store(true, Ordering::Relaxed);
            let rest = async {
                for wait in ended {
                    let _ = wait.await;
                }
            };
            let _ = tokio::time::timeout(Duration::from_secs(5), rest).await;
        }
        Ok(())
    }
}

impl ProxyHandle {
    /// Puts new limits, timeouts, upstream and certificate in force. Exchanges under way go on with the old
    /// ones. Addresses, whether they speak TLS, and the number of workers stay as they were bound.
    ///
    /// # Errors
    /// What is wrong; everything old stays in force then.
    pub fn reload(&self, config: &ProxyConfig) -> Result<(), BindError> {
        let old = self.shared.settings.load_full();
        let group = if old.group.config == config.upstream {
            None
        } else {
            let group = Group::new(config.upstream.clone(), self.shared.workers, self.shared.forward_proxy)?;
            let control = Control::start(&group)?;
            Some((group, control))
        };
        // The certificate comes last of what can fail: after it, nothing does.
        if let (Some(server), Some(tls)) = (&self.shared.tls, &config.tls) {
            server.reload(tls)?;
        }
        let group = match group {
            Some((group, control)) => {
                *self.control.lock() = control;
                group
            }
            None => Arc::clone(&old.group),
        };
        self.shared.memory.set_most(config.limits.buffered_bytes.bytes());
        self.shared.settings.store(Arc::new(Settings {
            limits: config.limits.clone(),
            timeouts: config.timeouts.clone(),
            trusted_hops: config.trusted_hops.clone(),
            group,
        }));
        Ok(())
    }

    /// Stops accepting, lets exchanges under way end, and closes what is left after `deadline`.
    pub fn drain(&self, deadline: Duration) {
        *self.deadline.lock() = Some(Instant::now() + deadline);
        self.shared.draining.store(true, Ordering::Relaxed);
        self.drained.notify_one();
    }

    /// Whether a drain was asked for.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.draining.load(Ordering::Relaxed)
    }

    /// The moment, on the clock by which exchanges are judged.
    #[must_use]
    pub fn now(&self) -> Now {
        let nanos = |elapsed: Duration| u64::try_from(elapsed.as_nanos()).unwrap_or(u64::MAX);
        let unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ahead = Duration::from_nanos(self.shared.ahead.load(Ordering::Relaxed));
        Now { unix_ns: nanos(unix + ahead), mono_ns: nanos(self.shared.start.elapsed() + ahead) }
    }

    /// Judges exchanges as if it were later by `time`, from the workers' next tick on: what a trial of a policy does
    /// where others would have to wait for a limit.
    pub fn advance(&self, time: Duration) {
        let time = u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        self.shared.ahead.fetch_add(time, Ordering::Relaxed);
    }

    /// How each instance of the upstream stands.
    #[must_use]
    pub fn origins(&self) -> Vec<OriginState> {
        self.shared.settings.load().group.origins.iter().map(|origin| origin.state()).collect()
    }

    /// Client connections that are open now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.shared.connections.load(Ordering::Relaxed)
    }

    /// Exchanges at work now.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.shared.stats.in_flight()
    }

    /// The counters.
    #[must_use]
    pub fn stats(&self) -> ProxyStats {
        self.shared.stats.clone()
    }
}

/// Fails if someone else listens there: with `SO_REUSEPORT`, two gateways would silently share the calls.
fn probe(address: SocketAddr) -> std::io::Result<()> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1)
}

/// Bytes that the kernel takes beyond what the client's window allows to be sent.
const NOT_SENT: u32 = 128 * 1024;

/// A listening socket; what is set here holds for the connections that it accepts.
fn open(address: SocketAddr, write: Duration) -> std::io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(true)?;
    socket.set_tcp_nodelay(true)?;
    // The kernel gives up on a peer that takes nothing, also once everything was written and nobody here waits.
    socket.set_tcp_user_timeout(Some(write))?;
    // Without this, the kernel takes megabytes for a client that reads them byte by byte, and we never notice.
    socket.set_tcp_notsent_lowat(NOT_SENT)?;
    if address.is_ipv6() {
        socket.set_only_v6(false)?;
    }
    socket.bind(&address.into())?;
    socket.listen(1024)?;
    socket.set_nonblocking(true)?;
    Ok(socket.into())
}

/// Each connection is a file; the soft limit is often far below what the system allows.
fn raise_file_limit(wanted: usize) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = wanted as u64;
    let maximum = limit.maximum.unwrap_or(u64::MAX);
    if limit.current.is_some_and(|current| current < wanted) {
        let raised = Rlimit { current: Some(wanted.min(maximum)), maximum: limit.maximum };
        if let Err(error) = setrlimit(Resource::Nofile, raised) {
            tracing::warn!(%error, "the limit of open files cannot be raised");
        }
    }
}
