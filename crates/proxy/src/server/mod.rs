//! The clients' side: finding out what a connection speaks, and serving it.

pub(crate) mod client;
pub(crate) mod h1;
pub(crate) mod h2;
mod meter;
mod proxy_protocol;

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::BytesMut;
use portcullis_engine::{ClientCertificate, Connection, Scheme};
use tokio::net::TcpStream;

use crate::alarm::Alarm;
use crate::config::Listen;
use crate::io::Io;
use crate::limits::Admission;
use crate::worker::Worker;

/// What an HTTP/2 client with prior knowledge sends first (RFC 9113 section 3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Serves one connection that `listen` accepted until it ends.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    mut stream: TcpStream,
    peer: SocketAddr,
    listen: Listen,
    admission: Admission,
) {
    let Ok(local) = stream.local_addr() else { return };
    let alarm = worker.alarms.alarm();
    let (peer, _admission) = match listen.proxy_protocol {
        false => (peer, admission),
        true => match Box::pin(named(&worker, &mut stream, peer, admission, &alarm)).await {
            Some(named) => named,
            None => return worker.stats.connections_refused_total.up(),
        },
    };
    if listen.tls {
        let Some(Secured { io, http2, sni, certificate }) =
            Box::pin(handshake(&worker, stream, &alarm)).await
        else {
            worker.stats.tls_failures_total.up();
            return;
        };
        let connection = Rc::new(Connection { peer, local, scheme: Scheme::Https, sni, certificate });
        let until = alarm.now() + worker.timeouts().head.millis();
        if http2 {
            return Box::pin(h2::serve(worker, io, BytesMut::new(), connection, alarm)).await;
        }
        // TLS may hold decrypted bytes that make no socket readable: begin by reading.
        let idle = h1::Idle { io, buffer: BytesMut::new(), served: 0, until };
        return h1::serve(worker, idle, connection, alarm, true).await;
    }
    let connection = Rc::new(Connection { peer, local, scheme: Scheme::Http, sni: None, certificate: None });
    let mut io = Io::Plain(stream);
    let until = alarm.now() + worker.timeouts().head.millis();
    let mut buffer = BytesMut::new();
    let Some(http2) = sniff(&worker, &mut io, &mut buffer, &alarm, until).await else { return };
    if http2 {
        return Box::pin(h2::serve(worker, io, buffer, connection, alarm)).await;
    }
    h1::serve(worker, h1::Idle { io, buffer, served: 0, until }, connection, alarm, false).await;
}

/// Whose connection it is, by the word of the load balancer that passes it on.
async fn named(
    worker: &Worker,
    stream: &mut TcpStream,
    peer: SocketAddr,
    admission: Admission,
    alarm: &Alarm,
) -> Option<(SocketAddr, Admission)> {
    alarm.set(worker.timeouts().head.millis());
    let source = alarm.within(proxy_protocol::source(stream, peer)).await;
    alarm.clear();
    let Ok(Ok(source)) = source else {
        tracing::debug!(%peer, "a connection without a PROXY protocol header was closed");
        return None;
    };
    let most = worker.limits().connections_per_client;
    admission.instead(source.ip(), most).map(|admission| (source, admission))
}

/// Reads until it is clear whether the client speaks HTTP/2; `None` if it does not say in time.
async fn sniff(
    worker: &Worker,
    io: &mut Io,
    buffer: &mut BytesMut,
    alarm: &Alarm,
    until: u64,
) -> Option<bool> {
    std::future::poll_fn(|cx| {
        loop {
            if buffer.starts_with(PREFACE) {
                return Poll::Ready(Some(true));
            }
            if !buffer.is_empty() && !PREFACE.starts_with(buffer) {
                return Poll::Ready(Some(false));
            }
            // No buffer is made before there is something to read.
            if io.poll_readable(cx).is_ready() {
                match io.poll_fill(cx, buffer) {
                    Poll::Ready(Ok(n)) if n > 0 => continue,
                    Poll::Ready(_) => return Poll::Ready(None),
                    // A false alarm must not leave a silent connection with a buffer.
                    Poll::Pending if buffer.is_empty() => *buffer = BytesMut::new(),
                    Poll::Pending => {}
                }
            }
            let now = alarm.now();
            if now >= until || worker.is_cut() {
                if !buffer.is_empty() {
                    worker.stats.slow_requests_total.up();
                }
                return Poll::Ready(None);
            }
            alarm.set(until - now);
            let _ = alarm.poll(cx);
            return Poll::Pending;
        }
    })
    .await
}

/// A connection after its TLS handshake.
struct Secured {
    io: Io,
    /// Whether HTTP/2 was negotiated.
    http2: bool,
    /// The name that was asked for.
    sni: Option<Arc<str>>,
    certificate: Option<Arc<ClientCertificate>>,
}

async fn handshake(worker: &Worker, stream: TcpStream, alarm: &Alarm) -> Option<Secured> {
    let config = worker.shared.tls.as_ref()?.config();
    alarm.set(worker.timeouts().tls.millis());
    let stream = alarm.within(tokio_rustls::TlsAcceptor::from(config).accept(stream)).await.ok()?.ok()?;
    alarm.clear();
    let (_, session) = stream.get_ref();
    let http2 = session.alpn_protocol() == Some(b"h2");
    let sni = session.server_name().map(Arc::from);
    let leaf = session.peer_certificates().and_then(<[_]>::first);
    let certificate = leaf.map(|leaf| Arc::new(ClientCertificate::new(leaf.to_vec())));
    Some(Secured { io: Io::Server(Box::new(stream)), http2, sni, certificate })
}
