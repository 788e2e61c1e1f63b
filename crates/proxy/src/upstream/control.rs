//! What goes on in the background for one upstream: resolving names and checking health, on threads of their own, so
//! that no call ever waits for either.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use bytes::BytesMut;
use http::Method;
use portcullis_engine::Fields;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;

use super::Group;
use super::origin::{Origin, OriginError};
use crate::config::{HealthCheck, Protocol, UpstreamConfig};
use crate::http1::{HeadLimits, HeadScanner, StartLine, take_response};
use crate::tls::{self, TlsError};

/// Why an upstream cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum UpstreamError {
    /// There are no instances.
    #[error("no upstream is named; give at least one, as in `http://127.0.0.1:3000`")]
    Empty,
    /// An instance's URL cannot be used.
    #[error(transparent)]
    Origin(#[from] OriginError),
    /// TLS towards the upstream cannot be set up.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The path of the health check is not one.
    #[error("the health check's path `{0}` must begin with `/` and have no spaces")]
    HealthPath(String),
    /// A thread could not be started.
    #[error("a background thread cannot be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The background work of one group; stopped when dropped.
#[derive(Debug)]
pub(crate) struct Control {
    stop: Arc<AtomicBool>,
    threads: Vec<JoinHandle<()>>,
}

impl Group {
    /// The upstream as so many workers will call it. `elsewhere` if it names no instances: a forward proxy's, from which
    /// [`Group::toward`] makes those of each server.
    pub(crate) fn new(
        config: UpstreamConfig,
        workers: usize,
        elsewhere: bool,
    ) -> Result<Arc<Self>, UpstreamError> {
        if config.origins.is_empty() && !elsewhere {
            return Err(UpstreamError::Empty);
        }
        if let Some(health) = &config.health
            && (!health.path.starts_with('/') || health.path.bytes().any(|b| b <= b' ' || b >= 0x7f))
        {
            return Err(UpstreamError::HealthPath(health.path.clone()));
        }
        let origins = config
            .origins
            .iter()
            .map(|o| Origin::new(o, &config.circuit, workers).map(Arc::new))
            .collect::<Result<Vec<_>, _>>()?;
        let tls = match elsewhere || origins.iter().any(|o| o.tls.is_some()) {
            true => Some(tls::client(config.ca.as_deref(), config.protocol)?),
            false => None,
        };
        Ok(Arc::new(Self { config, origins, tls }))
    }

    /// The group of one server that a client of a forward proxy named, called as this one says.
    pub(crate) fn toward(&self, origin: Origin) -> Arc<Self> {
        let origins = vec![Arc::new(origin)];
        Arc::new(Self { config: self.config.clone(), origins, tls: self.tls.clone() })
    }
}

impl Control {
    /// Resolves all names once, then keeps them and the instances' health up to date.
    pub(crate) fn start(group: &Arc<Group>) -> Result<Self, UpstreamError> {
        let mut control = Self { stop: Arc::default(), threads: Vec::new() };
        if group.origins.iter().any(|o| o.is_named()) {
            resolve(group);
            let (group, stop) = (Arc::clone(group), Arc::clone(&control.stop));
            control.threads.push(thread::Builder::new().name("resolver".into()).spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    thread::park_timeout(group.config.resolve.0.max(Duration::from_secs(1)));
                    if !stop.load(Ordering::Relaxed) {
                        resolve(&group);
                    }
                }
            })?);
        }
        if let Some(health) = group.config.health.clone() {
            let (group, stop) = (Arc::clone(group), Arc::clone(&control.stop));
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            control.threads.push(thread::Builder::new().name("health".into()).spawn(move || {
                runtime.block_on(watch(&group, &health, &stop));
            })?);
        }
        Ok(control)
    }
}

impl Drop for Control {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        for thread in &self.threads {
            // Not joined: a resolver may block for long, and it holds nothing that anyone waits for.
            thread.thread().unpark();
        }
    }
}

fn resolve(group: &Group) {
    for origin in group.origins.iter().filter(|o| o.is_named()) {
        origin.resolve();
    }
}

async fn watch(group: &Arc<Group>, health: &HealthCheck, stop: &AtomicBool) {
    let mut streaks = vec![0i64; group.origins.len()];
    while !stop.load(Ordering::Relaxed) {
        let mut checks = tokio::task::JoinSet::new();
        for (index, origin) in group.origins.iter().enumerate() {
            let (group, origin, health) = (Arc::clone(group), Arc::clone(origin), health.clone());
            checks.spawn(async move {
                let checked =
                    tokio::time::timeout(health.timeout.0, check(&group, &origin, &health.path)).await;
                (index, matches!(checked, Ok(Ok(true))))
            });
        }
        while let Some(Ok((index, passed))) = checks.join_next().await {
            let (Some(streak), Some(origin)) = (streaks.get_mut(index), group.origins.get(index)) else {
                continue;
            };
            // Positive: successes in a row; negative: failures in a row.
            *streak = if passed { (*streak).max(0) + 1 } else { (*streak).min(0) - 1 };
            if *streak >= i64::from(health.healthy) {
                origin.set_healthy(true);
            } else if -*streak >= i64::from(health.unhealthy) {
                origin.set_healthy(false);
            }
        }
        let mut left = health.interval.0.max(Duration::from_millis(100));
        while left > Duration::ZERO && !stop.load(Ordering::Relaxed) {
            let nap = left.min(Duration::from_millis(500));
            tokio::time::sleep(nap).await;
            left -= nap;
        }
    }
}

type CheckError = Box<dyn std::error::Error + Send + Sync>;

/// One GET; whether it was answered with 2xx or 3xx.
async fn check(group: &Group, origin: &Origin, path: &str) -> Result<bool, CheckError> {
    let addresses = origin.addresses();
    let address = addresses.first().ok_or("no address")?;
    let stream = TcpStream::connect(address).await?;
    let http2 = group.config.protocol == Protocol::Http2;
    match (&origin.tls, &group.tls) {
        (Some(name), Some(tls)) => {
            let mut tls = rustls::ClientConfig::clone(tls);
            tls.alpn_protocols = vec![if http2 { b"h2".to_vec() } else { b"http/1.1".to_vec() }];
            let stream =
                tokio_rustls::TlsConnector::from(Arc::new(tls)).connect(name.clone(), stream).await?;
            ask(stream, origin, path, http2).await
        }
        _ => ask(stream, origin, path, http2).await,
    }
}

async fn ask<S>(mut stream: S, origin: &Origin, path: &str, http2: bool) -> Result<bool, CheckError>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let host = origin.authority.to_str()?;
    if http2 {
        let (send, connection) = h2::client::handshake(stream).await?;
        let connection = tokio::spawn(connection);
        let scheme = if origin.tls.is_some() { "https" } else { "http" };
        let uri = http::Uri::builder().scheme(scheme).authority(host).path_and_query(path).build()?;
        let (response, _) = send.ready().await?.send_request(http::Request::get(uri).body(())?, true)?;
        let status = response.await?.status();
        connection.abort();
        return Ok(status.is_success() || status.is_redirection());
    }
    let request = format!(
        "GET {path} HTTP/1.1\r\nhost: {host}\r\nuser-agent: portcullis-health\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    stream.flush().await?;
    let limits = HeadLimits { bytes: 64 * 1024, fields: 256, target: 0 };
    let mut scanner = HeadScanner::new(StartLine::Response);
    let mut buffer = BytesMut::with_capacity(4096);
    loop {
        let taken = take_response(&mut buffer, &mut scanner, &limits, &Method::GET, &mut Fields::new())?;
        if let Some(response) = taken {
            if response.status.is_informational() {
                continue;
            }
            return Ok(response.status.is_success() || response.status.is_redirection());
        }
        if stream.read_buf(&mut buffer).await? == 0 {
            return Ok(false);
        }
    }
}
