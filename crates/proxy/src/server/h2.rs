//! One HTTP/2 connection from a client: a task that drives it, and one task a stream.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use h2::server::SendResponse;
use http::header::{self, HeaderValue};
use http::{Method, Response, StatusCode, Version};
use portcullis_engine::{BodyLength, Connection, Fields, RequestHead, ResponseHead};

use super::client::{Client, Gone};
use super::h1::denial;
use super::meter::{FrameLimits, Metered};
use crate::alarm::Alarm;
use crate::exchange;
use crate::h2io::{Receiver, Sender};
use crate::http1::{HeadError, encode, fields};
use crate::io::{Io, Outbox};
use crate::message::{BodyError, Frame};
use crate::worker::Worker;

/// How long the last frames may take once the connection is over.
const LAST_FRAMES: u64 = 2_000;

/// Serves a connection until it ends.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    io: Io,
    prefix: BytesMut,
    connection: Rc<Connection>,
    alarm: Alarm,
) {
    let flooded = Rc::new(Cell::new(false));
    let (limits, keep_alive, head) = {
        let limits = worker.limits();
        let timeouts = worker.timeouts();
        (limits.clone(), timeouts.keep_alive.millis(), timeouts.head.millis())
    };
    let frames = FrameLimits { control: limits.http2_control_frames, resets: limits.http2_resets };
    let io = Metered::new(io, prefix, frames, Rc::clone(&worker.alarms), Rc::clone(&flooded));
    let resets = usize::try_from(limits.http2_resets).unwrap_or(usize::MAX);
    let mut builder = h2::server::Builder::new();
    builder
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.header_bytes.0).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(resets.min(64))
        .max_local_error_reset_streams(Some(resets))
        .max_concurrent_reset_streams(resets.min(256))
        .max_send_buffer_size(256 * 1024)
        .initial_window_size(256 * 1024)
        .initial_connection_window_size(1 << 20);
    alarm.set(head);
    let Ok(Ok(mut server)) = alarm.within(builder.handshake::<_, Bytes>(io)).await else {
        if flooded.get() {
            worker.stats.http2_floods_total.up();
        }
        return;
    };
    let streams = Rc::new(Cell::new(0usize));
    let mut idle_since = alarm.now();
    let mut leaving = false;
    loop {
        let next = std::future::poll_fn(|cx| {
            if let Poll::Ready(next) = server.poll_accept(cx) {
                return Poll::Ready(Some(next));
            }
            if flooded.get() {
                return Poll::Ready(None);
            }
            let now = alarm.now();
            if streams.get() > 0 {
                idle_since = now;
            }
            let left = keep_alive.saturating_sub(now.saturating_sub(idle_since));
            if !leaving && (left == 0 || worker.is_draining()) {
                leaving = true;
                idle_since = now;
                server.graceful_shutdown();
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            let over = leaving && streams.get() == 0 && now.saturating_sub(idle_since) >= LAST_FRAMES;
            if over || worker.is_cut() {
                return Poll::Ready(None);
            }
            alarm.set(if leaving { LAST_FRAMES } else { left });
            let _ = alarm.poll(cx);
            Poll::Pending
        })
        .await;
        let (request, respond) = match next {
            Some(Some(Ok(accepted))) => accepted,
            Some(Some(Err(error))) => {
                tracing::debug!(%error, peer = %connection.peer, "an HTTP/2 connection ended");
                break;
            }
            Some(None) => break,
            None if flooded.get() => {
                worker.stats.http2_floods_total.up();
                server.abrupt_shutdown(h2::Reason::ENHANCE_YOUR_CALM);
                alarm.set(LAST_FRAMES);
                let _ = alarm.within(std::future::poll_fn(|cx| server.poll_closed(cx))).await;
                break;
            }
            None => break,
        };
        streams.set(streams.get() + 1);
        let stream = Stream {
            worker: Rc::clone(&worker),
            connection: Rc::clone(&connection),
            _open: OpenStream(Rc::clone(&streams)),
        };
        tokio::task::spawn_local(stream.serve(request, respond));
    }
    alarm.clear();
}

struct OpenStream(Rc<Cell<usize>>);

impl Drop for OpenStream {
    fn drop(&mut self) {
        self.0.set(self.0.get().saturating_sub(1));
    }
}

struct Stream {
    worker: Rc<Worker>,
    connection: Rc<Connection>,
    _open: OpenStream,
}

impl Stream {
    async fn serve(self, request: http::Request<h2::RecvStream>, respond: SendResponse<Bytes>) {
        let alarm = self.worker.alarms.alarm();
        let (parts, body) = request.into_parts();
        let mut client = H2Client {
            respond,
            receiver: Receiver::new(body),
            sender: Sender::default(),
            head: None,
            bodiless: false,
            head_only: parts.method == Method::HEAD,
            failed: false,
        };
        let target = match parts.uri.path_and_query() {
            Some(path) => Bytes::copy_from_slice(path.as_str().as_bytes()),
            None => Bytes::from_static(b"/"),
        };
        match head(parts, target.clone(), client.receiver.is_done()) {
            Ok(head) => {
                let _ = exchange::serve(&self.worker, &alarm, &mut client, head, &self.connection).await;
            }
            Err(error) => {
                let denial = denial(error);
                let _ =
                    exchange::refuse(&self.worker, &alarm, &mut client, &denial, &target, &self.connection)
                        .await;
            }
        }
    }
}

/// The head as the engine takes it. The protocol's implementation has refused pseudo-fields that are missing,
/// repeated or late, upper-case names, and fields about the connection (RFC 9113 section 8.2).
fn head(parts: http::request::Parts, target: Bytes, ended: bool) -> Result<RequestHead, HeadError> {
    let http::request::Parts { method, uri, headers, .. } = parts;
    let mut headers = Fields::from(headers);
    if method != Method::CONNECT && !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(HeadError::Target);
    }
    if !method.as_str().bytes().all(|b| b.is_ascii_uppercase() || b == b'-') {
        return Err(HeadError::Method);
    }
    let authority = match uri.authority() {
        Some(authority) if !fields::is_authority(authority.as_str().as_bytes()) => {
            return Err(HeadError::HostMalformed);
        }
        Some(authority) => Some(Bytes::copy_from_slice(authority.as_str().as_bytes())),
        None => None,
    };
    let mut lengths = headers.get_all(header::CONTENT_LENGTH);
    let announced = lengths.next().map(|v| fields::parse_content_length(v.as_bytes())).transpose()?;
    if lengths.next().is_some() {
        return Err(HeadError::ContentLengthRepeated);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        return Err(HeadError::TransferEncoding);
    }
    if headers.get(header::EXPECT).is_some_and(|v| !v.as_bytes().eq_ignore_ascii_case(b"100-continue")) {
        return Err(HeadError::Expect);
    }
    join_cookies(&mut headers);
    let body = match (ended, announced) {
        (true, Some(n)) if n > 0 => return Err(HeadError::ContentLength),
        (_, Some(n)) => BodyLength::Exact(n),
        (true, None) => BodyLength::None,
        (false, None) => BodyLength::Unknown,
    };
    Ok(RequestHead { method, target, authority, version: Version::HTTP_2, headers, body })
}

/// HTTP/2 may split the Cookie field; everything else expects it in one piece (RFC 9113 section 8.2.3).
fn join_cookies(headers: &mut Fields) {
    let mut crumbs = headers.get_all(header::COOKIE);
    let (Some(first), Some(second)) = (crumbs.next(), crumbs.next()) else { return };
    let mut joined = first.as_bytes().to_vec();
    for crumb in std::iter::once(second).chain(crumbs) {
        joined.extend_from_slice(b"; ");
        joined.extend_from_slice(crumb.as_bytes());
    }
    if let Ok(joined) = HeaderValue::from_bytes(&joined) {
        headers.insert(header::COOKIE, joined);
    }
}

/// A client on one HTTP/2 stream.
#[derive(Debug)]
struct H2Client {
    respond: SendResponse<Bytes>,
    receiver: Receiver,
    sender: Sender,
    /// The response head, until it is known whether anything follows it.
    head: Option<Response<()>>,
    bodiless: bool,
    head_only: bool,
    failed: bool,
}

impl Client for H2Client {
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        self.receiver.poll_frame(cx)
    }

    fn body_done(&self) -> bool {
        self.receiver.is_done()
    }

    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        match self.sender.stream() {
            Some(stream) => stream.poll_reset(cx).map(|_| Gone),
            None => self.respond.poll_reset(cx).map(|_| Gone),
        }
    }

    fn takes_informational(&self) -> bool {
        true
    }

    fn informational(&mut self, status: StatusCode, headers: &Fields) {
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.headers_mut() = headers.clone().into();
        // An interim response that cannot be sent is not worth failing for.
        let _ = self.respond.send_informational(response);
    }

    fn start(&mut self, head: ResponseHead, announced: Option<u64>, _close: bool) {
        let ResponseHead { status, mut headers, body } = head;
        self.bodiless = self.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        headers.retain(|name, _| !encode::is_connection_field(name));
        let length = match body {
            _ if self.head_only => announced,
            _ if self.bodiless => None,
            BodyLength::Exact(n) => Some(n),
            BodyLength::None | BodyLength::Unknown => None,
        };
        if let Some(n) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(n));
        }
        let mut response = Response::new(());
        *response.status_mut() = status;
        *response.version_mut() = Version::HTTP_2;
        *response.headers_mut() = headers.into();
        self.head = Some(response);
    }

    fn data(&mut self, data: Bytes) {
        if !self.bodiless {
            self.sender.data(data);
        }
    }

    fn end(&mut self, trailers: Option<Fields>) {
        self.sender.end(trailers);
    }

    fn abort(&mut self) {
        self.failed = true;
        match self.sender.stream() {
            Some(stream) => stream.send_reset(h2::Reason::INTERNAL_ERROR),
            None => self.respond.send_reset(h2::Reason::INTERNAL_ERROR),
        }
    }

    fn cut(&mut self) {
        self.abort();
    }

    fn has_room(&self) -> bool {
        self.sender.has_room()
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, progress: &mut u64) -> Poll<Result<(), Gone>> {
        if let Some(head) = self.head.take() {
            let ended = self.sender.is_only_end();
            match self.respond.send_response(head, ended) {
                Ok(stream) => self.sender.attach(stream, ended),
                Err(_) => return Poll::Ready(Err(Gone)),
            }
        }
        self.sender.poll_write(cx, progress).map_err(|_| Gone)
    }

    fn raw(&mut self) -> Option<(&mut Io, &mut BytesMut, &mut Outbox)> {
        None
    }
}

impl Drop for H2Client {
    fn drop(&mut self) {
        if !self.failed && !self.sender.is_ended() {
            match self.sender.stream() {
                Some(stream) => stream.send_reset(h2::Reason::CANCEL),
                None => self.respond.send_reset(h2::Reason::INTERNAL_ERROR),
            }
        }
    }
}
