//! Getting a connection to an instance: from the pool, or a new one.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;

use portcullis_engine::{self as engine, Permit, UpstreamFailure};
use tokio::net::TcpStream;

use super::call::H1Call;
use super::pool::{Multiplexed, Pool, Slot};
use super::{Instance, Origin, Upstream};
use crate::config::Protocol;
use crate::io::Io;
use crate::worker::Worker;

/// Why there is no connection. In every case nothing of the call was sent.
#[derive(Debug)]
pub(crate) enum ConnectError {
    /// Connecting or TLS failed.
    Failed(String),
    /// It took too long.
    TimedOut,
    /// All connections are in use and the queue is full.
    QueueFull,
}

/// A connection for one call.
pub(super) enum Ready {
    H1(Box<H1Call>),
    H2(Multiplexed),
}

/// Which connection a call takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Which {
    /// Any: should it turn out closed, the call is made again.
    Any,
    /// One that is surely open: the call cannot be made again.
    Sure,
    /// A new one.
    Fresh,
}

impl Upstream {
    /// A connection to `instance`, as `which` says.
    pub(super) async fn connection(
        &self,
        worker: &Rc<Worker>,
        instance: &Instance,
        which: Which,
        h1_only: bool,
    ) -> Result<Ready, ConnectError> {
        let Instance { origin, pool, .. } = instance;
        let protocol = self.group.config.protocol;
        let multiplexed = !h1_only
            && match protocol {
                Protocol::Http1 => false,
                Protocol::Http2 => true,
                Protocol::Auto => origin.tls.is_some() && pool.speaks_h2.get(),
            };
        if multiplexed {
            return self.multiplexed(worker, origin, pool).await;
        }
        let mut deadline = None;
        loop {
            let pooled = match which {
                Which::Fresh => None,
                Which::Any => pool.take(false),
                Which::Sure => pool.take(true),
            };
            if let Some((io, slot)) = pooled {
                worker.stats.upstream_reuses_total.up();
                return Ok(Ready::H1(Box::new(H1Call::new(
                    io,
                    slot,
                    true,
                    worker.buffers(),
                    worker.fields(),
                ))));
            }
            if let Some(slot) =
                pool.slot(self.group.config.connections.div_ceil(worker.shared.workers).max(1))
            {
                return self.connect(worker, origin, pool, slot, h1_only).await;
            }
            // With no place for a new connection, an unused one makes room.
            if which == Which::Fresh && pool.take(false).is_some() {
                continue;
            }
            // One deadline for the whole wait, however often someone else was quicker.
            let most = worker.timeouts().connect.0;
            let until = *deadline.get_or_insert_with(|| tokio::time::Instant::now() + most);
            let waited = tokio::time::timeout_at(until, pool.wait(self.group.config.queue)).await;
            match waited {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(ConnectError::QueueFull),
                Err(_) => return Err(ConnectError::TimedOut),
            }
        }
    }

    async fn multiplexed(
        &self,
        worker: &Rc<Worker>,
        origin: &Arc<Origin>,
        pool: &Rc<Pool>,
    ) -> Result<Ready, ConnectError> {
        if let Some(connection) = pool.multiplexed() {
            worker.stats.upstream_reuses_total.up();
            return Ok(Ready::H2(connection));
        }
        let _one = pool.connecting.lock().await;
        if let Some(connection) = pool.multiplexed() {
            worker.stats.upstream_reuses_total.up();
            return Ok(Ready::H2(connection));
        }
        let Some(slot) = pool.slot(self.group.config.connections.div_ceil(worker.shared.workers).max(1))
        else {
            return Err(ConnectError::QueueFull);
        };
        self.connect(worker, origin, pool, slot, false).await
    }

    async fn connect(
        &self,
        worker: &Rc<Worker>,
        origin: &Arc<Origin>,
        pool: &Rc<Pool>,
        slot: Slot,
        h1_only: bool,
    ) -> Result<Ready, ConnectError> {
        let timeout = worker.timeouts().connect.0;
        let connected = tokio::time::timeout(timeout, self.open(worker, origin, h1_only)).await;
        let (io, h2) = match connected {
            Ok(Ok(opened)) => opened,
            other => {
                worker.stats.upstream_connect_failures_total.up();
                return Err(match other {
                    Ok(Err(reason)) => ConnectError::Failed(reason),
                    _ => ConnectError::TimedOut,
                });
            }
        };
        worker.stats.upstream_connects_total.up();
        if origin.tls.is_some() && !h1_only {
            pool.speaks_h2.set(h2);
        }
        if !h2 {
            return Ok(Ready::H1(Box::new(H1Call::new(io, slot, false, worker.buffers(), worker.fields()))));
        }
        let connection = handshake(io, slot).await.map_err(|e| ConnectError::Failed(e.to_string()))?;
        pool.share(connection.clone());
        Ok(Ready::H2(connection))
    }

    /// Connects, with TLS where the instance's URL says so; whether HTTP/2 is to be spoken.
    async fn open(&self, worker: &Rc<Worker>, origin: &Origin, h1_only: bool) -> Result<(Io, bool), String> {
        let addresses = origin.addresses();
        let mut failure = format!("`{}` has no address", origin.host);
        let start = usize::try_from(worker.random() % (addresses.len() as u64).max(1)).unwrap_or(0);
        for address in addresses.iter().cycle().skip(start).take(addresses.len()) {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    failure = format!("{address}: {error}");
                    continue;
                }
            };
            let _ = stream.set_nodelay(true);
            let (Some(name), Some(tls)) = (&origin.tls, &self.group.tls) else {
                return Ok((Io::Plain(stream), self.group.config.protocol == Protocol::Http2 && !h1_only));
            };
            let mut tls = Arc::clone(tls);
            if h1_only {
                let mut config = rustls::ClientConfig::clone(&tls);
                config.alpn_protocols = vec![b"http/1.1".to_vec()];
                tls = Arc::new(config);
            }
            match tokio_rustls::TlsConnector::from(tls).connect(name.clone(), stream).await {
                Ok(stream) => {
                    let h2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                    return Ok((Io::Client(Box::new(stream)), h2));
                }
                Err(error) => failure = format!("{address}: TLS: {error}"),
            }
        }
        Err(failure)
    }
}

/// Connects to a server for a tunnel: to the addresses that were checked, in their order.
pub(crate) async fn reach(
    _permit: &Permit,
    origin: &engine::Origin,
    worker: &Worker,
) -> Result<(Io, Arc<str>), UpstreamFailure> {
    let mut failure = UpstreamFailure::Unreachable(format!("`{}` has no address", origin.host).into());
    let most = tokio::time::Instant::now() + worker.timeouts().connect.0;
    for address in &origin.addresses {
        let connect = TcpStream::connect((*address, origin.port));
        failure = match tokio::time::timeout_at(most, connect).await {
            Ok(Ok(stream)) => {
                let _ = stream.set_nodelay(true);
                worker.stats.upstream_connects_total.up();
                return Ok((Io::Plain(stream), format!("{}:{}", origin.host, origin.port).into()));
            }
            Ok(Err(error)) => UpstreamFailure::Unreachable(format!("{address}: {error}").into()),
            Err(_) => UpstreamFailure::Timeout,
        };
    }
    worker.stats.upstream_connect_failures_total.up();
    Err(failure)
}

/// Starts HTTP/2 on a connection and keeps it running.
async fn handshake(io: Io, slot: Slot) -> Result<Multiplexed, h2::Error> {
    let (send, connection) = h2::client::Builder::new()
        .enable_push(false)
        .initial_window_size(1 << 20)
        .initial_connection_window_size(4 << 20)
        .max_header_list_size(128 * 1024)
        .handshake(io)
        .await?;
    let closed = Rc::new(Cell::new(false));
    let ended = Rc::clone(&closed);
    tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "an upstream HTTP/2 connection ended");
        }
        ended.set(true);
        drop(slot);
    });
    Ok(Multiplexed { send, streams: Rc::default(), closed })
}
