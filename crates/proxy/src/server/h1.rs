//! One HTTP/1.1 connection from a client, from its first byte to its last.

use std::rc::Rc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::header;
use http::{Method, StatusCode, Version};
use portcullis_engine::{BodyLength, Connection, Denial, Fields, RequestHead, ResponseHead, code};
use tokio::io::AsyncWriteExt;

use super::client::{Client, Gone};
use crate::alarm::{Alarm, Alarms};
use crate::exchange;
use crate::http1::{
    self, HeadError, HeadLimits, HeadScanner, ParsedRequest, StartLine, chunked, encode, take_request,
};
use crate::io::{Io, Outbox};
use crate::message::{BodyError, BodyReader, Frame};
use crate::worker::Worker;

/// After a response the buffers are kept for this long, in case the next request follows at once...
const WARM: u64 = 1_000;
/// ...by so many connections of a worker; further ones give theirs back at once.
const WARM_MOST: usize = 256;
/// Bytes of an unread request body that are read and dropped to keep the connection.
const DRAIN: u64 = 64 * 1024;
/// A client that closes its side may have left, or may only have nothing more to say (`nc -N`): for so long, in
/// milliseconds, its answer is waited for.
const HALF_CLOSED: u64 = 1_000;
/// How long the end of a refused connection is waited for, and how many bytes are dropped meanwhile.
const LINGER: u64 = 2_000;
/// Most clients send their whole body before they read, and lose the refusal when they cannot.
const LINGER_BYTES: usize = 64 << 20;

/// A connection between two stretches of work.
#[derive(Debug)]
pub(crate) struct Idle {
    pub(crate) io: Io,
    /// What was read while the protocol was being found out.
    pub(crate) buffer: BytesMut,
    /// Requests served so far.
    pub(crate) served: u64,
    /// Milliseconds on the worker's clock until which the next byte must come.
    pub(crate) until: u64,
}

/// Serves a connection until it ends. `readable` if there may be something to read although the socket is not
/// readable.
pub(crate) async fn serve(
    worker: Rc<Worker>,
    mut idle: Idle,
    connection: Rc<Connection>,
    alarm: Alarm,
    mut readable: bool,
) {
    loop {
        // While nothing happens, a connection holds no buffers: only its socket and this small future.
        let waits = idle.buffer.is_empty() && !readable;
        readable = false;
        if waits && !wait_for_data(&worker, &idle, &alarm).await {
            let client = H1Client::new(&worker, idle.io, BytesMut::new(), Outbox::default());
            return Box::pin(close(&worker, client, &alarm)).await;
        }
        match Box::pin(active(&worker, idle, &connection, &alarm)).await {
            Some(again) => idle = again,
            None => return,
        }
    }
}

/// Waits for the first byte of a request; `false` if it does not come.
async fn wait_for_data(worker: &Worker, idle: &Idle, alarm: &Alarm) -> bool {
    std::future::poll_fn(|cx| {
        if idle.io.poll_readable(cx).is_ready() {
            return Poll::Ready(true);
        }
        let now = alarm.now();
        if now >= idle.until || (worker.lets_go() && idle.served > 0) || worker.is_cut() {
            return Poll::Ready(false);
        }
        alarm.set(idle.until - now);
        let _ = alarm.poll(cx);
        Poll::Pending
    })
    .await
}

/// Serves requests as long as they keep coming. `Some` is a connection that fell idle.
async fn active(worker: &Rc<Worker>, idle: Idle, connection: &Connection, alarm: &Alarm) -> Option<Idle> {
    let (mut buffer, out) = worker.buffers();
    buffer.extend_from_slice(&idle.buffer);
    let mut client = H1Client::new(worker, idle.io, buffer, out);
    let mut served = idle.served;
    let mut until = idle.until;
    loop {
        let head = read_head(worker, &mut client, alarm, served > 0, until).await;
        alarm.clear();
        match head {
            Wanted::Request(head) => {
                let request = client.begin(worker, *head, served);
                let outcome = exchange::serve(worker, alarm, &mut client, request, connection).await;
                if outcome.is_err() {
                    // A tunnel that ended, or a response that broke: the client must see the end at once.
                    worker.recycle(client.buffer, client.out);
                    return None;
                }
                served += 1;
                if let Some(fields) = client.used.take() {
                    worker.recycle_fields(fields);
                }
                if !client.keep_alive || !drain_body(worker, &mut client, alarm).await {
                    close(worker, client, alarm).await;
                    return None;
                }
                until = alarm.now() + worker.timeouts().keep_alive.millis();
            }
            Wanted::Idle => {
                let H1Client { io, buffer, out, .. } = client;
                worker.recycle(buffer, out);
                return Some(Idle { io, buffer: BytesMut::new(), served, until });
            }
            Wanted::End => {
                worker.recycle(client.buffer, client.out);
                return None;
            }
            Wanted::Expired => {
                close(worker, client, alarm).await;
                return None;
            }
            Wanted::Refused(error) => {
                client.reset_for_refusal();
                // An answer in HTTP would say nothing to whoever speaks something else: the record has it.
                client.mute = served == 0 && !is_http(&client.buffer);
                let denial = denial(error);
                let target = raw_target(&client.buffer).to_vec();
                if exchange::refuse(worker, alarm, &mut client, &denial, &target, connection).await.is_ok() {
                    close(worker, client, alarm).await;
                }
                return None;
            }
            Wanted::TooSlow => {
                worker.stats.slow_requests_total.up();
                client.reset_for_refusal();
                let denial = Denial::new(&code::REQUEST_TIMEOUT, "the head came too slowly").close();
                let target = raw_target(&client.buffer).to_vec();
                if exchange::refuse(worker, alarm, &mut client, &denial, &target, connection).await.is_ok() {
                    close(worker, client, alarm).await;
                }
                return None;
            }
        }
    }
}

/// What reading a head came to.
enum Wanted {
    Request(Box<ParsedRequest>),
    /// Nothing came while the buffers were warm.
    Idle,
    /// The client closed.
    End,
    /// The time for a further request is up.
    Expired,
    Refused(HeadError),
    /// A head was begun and not finished in time.
    TooSlow,
}

async fn read_head(worker: &Worker, client: &mut H1Client, alarm: &Alarm, again: bool, until: u64) -> Wanted {
    let limits = worker.head_limits();
    let mut scanner = HeadScanner::new(StartLine::Request);
    let began = alarm.now();
    let mut head_began = (!client.buffer.is_empty()).then_some(began);
    let waiting = Waiting::new(worker);
    let warm = if worker.warm.get() <= WARM_MOST { WARM } else { 0 };
    let wanted = std::future::poll_fn(|cx| {
        loop {
            if !client.buffer.is_empty() {
                match take_request(&mut client.buffer, &mut scanner, &limits, || worker.fields()) {
                    Ok(Some(request)) => return Poll::Ready(Wanted::Request(Box::new(request))),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Wanted::Refused(error)),
                }
            }
            match client.io.poll_fill(cx, &mut client.buffer) {
                Poll::Ready(Ok(n)) if n > 0 => {
                    head_began.get_or_insert(alarm.now());
                    continue;
                }
                Poll::Ready(_) => return Poll::Ready(Wanted::End),
                Poll::Pending => {}
            }
            let now = alarm.now();
            let deadline = match head_began {
                // The first head must be complete in time from the first byte on; the wait before it was bounded
                // by `until`.
                Some(began) => began + worker.timeouts().head.millis(),
                None => until.min(began + warm),
            };
            if worker.is_cut() || (worker.lets_go() && again && head_began.is_none()) {
                return Poll::Ready(Wanted::Expired);
            }
            if now >= deadline {
                return Poll::Ready(match head_began {
                    Some(_) => Wanted::TooSlow,
                    None if now >= until => Wanted::Expired,
                    None => Wanted::Idle,
                });
            }
            alarm.set(deadline - now);
            let _ = alarm.poll(cx);
            return Poll::Pending;
        }
    })
    .await;
    drop(waiting);
    wanted
}

/// A connection that waits with its buffers in hand, as counted.
struct Waiting<'a>(&'a Worker);

impl<'a> Waiting<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.warm.set(worker.warm.get() + 1);
        Self(worker)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.warm.set(self.0.warm.get().saturating_sub(1));
    }
}

/// Reads and drops what is left of a small request body; `false` if the connection cannot be kept.
async fn drain_body(worker: &Worker, client: &mut H1Client, alarm: &Alarm) -> bool {
    if client.reader.is_done() {
        return true;
    }
    let mut dropped = 0;
    alarm.set(worker.timeouts().body.millis().min(5_000));
    let drained = std::future::poll_fn(|cx| {
        loop {
            match client.reader.poll_frame(cx, &mut client.io, &mut client.buffer) {
                Poll::Ready(Ok(Some(Frame::Data(data)))) => {
                    dropped += data.len() as u64;
                    if dropped > DRAIN {
                        return Poll::Ready(false);
                    }
                }
                Poll::Ready(Ok(Some(Frame::Trailers(_)))) => {}
                Poll::Ready(Ok(None)) => return Poll::Ready(true),
                Poll::Ready(Err(_)) => return Poll::Ready(false),
                Poll::Pending => return alarm.poll(cx).map(|_| false),
            }
        }
    })
    .await;
    alarm.clear();
    drained
}

/// Closes a connection so that what was sent arrives: a socket that is closed with unread bytes resets the
/// connection, and the client may lose the response (RFC 9112 section 9.6). A client that does not close its side in
/// turn, since it takes its time to read or has vanished, is reset.
async fn close(worker: &Worker, mut client: H1Client, alarm: &Alarm) {
    alarm.set(LINGER);
    let closed = alarm.within(async {
        client.io.shutdown().await.ok()?;
        let mut dropped = 0;
        while dropped < LINGER_BYTES {
            client.buffer.clear();
            let (io, buffer) = (&mut client.io, &mut client.buffer);
            match std::future::poll_fn(|cx| io.poll_fill(cx, buffer)).await.ok()? {
                0 => return Some(()),
                n => dropped += n,
            }
        }
        None
    });
    if !matches!(closed.await, Ok(Some(()))) {
        client.io.reset_on_drop();
    }
    alarm.clear();
    worker.recycle(client.buffer, client.out);
}

/// A client on HTTP/1.1: the connection, and where its current exchange stands.
#[derive(Debug)]
pub(crate) struct H1Client {
    io: Io,
    buffer: BytesMut,
    out: Outbox,
    reader: BodyReader,
    /// The client waits for `100 Continue`.
    expects: bool,
    keep_alive: bool,
    http10: bool,
    head_only: bool,
    /// The request is CONNECT: a 2xx begins a tunnel.
    tunnels: bool,
    /// The response body is chunked.
    chunked: bool,
    /// The response has no body.
    bodiless: bool,
    /// What is queued is not sent.
    mute: bool,
    /// The client has closed its side: until when it is answered all the same.
    leaving: Option<Alarm>,
    alarms: Rc<Alarms>,
    /// The fields of the last response, as an allocation to use again.
    used: Option<Fields>,
}

impl H1Client {
    fn new(worker: &Worker, io: Io, buffer: BytesMut, out: Outbox) -> Self {
        Self {
            io,
            buffer,
            out,
            reader: BodyReader::Done,
            expects: false,
            keep_alive: true,
            http10: false,
            head_only: false,
            tunnels: false,
            chunked: false,
            bodiless: false,
            mute: false,
            leaving: None,
            alarms: Rc::clone(&worker.alarms),
            used: None,
        }
    }

    fn begin(&mut self, worker: &Worker, parsed: ParsedRequest, served: u64) -> RequestHead {
        let ParsedRequest {
            method,
            target,
            absolute,
            version,
            headers,
            body,
            keep_alive,
            expects_continue,
            upgrade: _,
        } = parsed;
        self.reader = BodyReader::new(body);
        self.expects = expects_continue;
        self.http10 = version == Version::HTTP_10;
        self.head_only = method == Method::HEAD;
        self.keep_alive = keep_alive && served + 1 < worker.limits().requests_per_connection;
        let body = match body {
            http1::BodyLength::Fixed(n) => BodyLength::Exact(n),
            http1::BodyLength::Chunked | http1::BodyLength::UntilClose => BodyLength::Unknown,
            http1::BodyLength::Empty if headers.contains_key(header::CONTENT_LENGTH) => BodyLength::Exact(0),
            http1::BodyLength::Empty => BodyLength::None,
        };
        self.tunnels = method == Method::CONNECT;
        let target = if worker.shared.forward_proxy { absolute.unwrap_or(target) } else { target };
        RequestHead { method, target, authority: None, version, headers, body }
    }

    /// The request could not be read: nothing is known of it.
    fn reset_for_refusal(&mut self) {
        self.reader = BodyReader::Done;
        self.expects = false;
        self.keep_alive = false;
        self.http10 = false;
        self.head_only = self.buffer.starts_with(b"HEAD ");
        self.tunnels = false;
    }

    /// Whether the rest of the request body is too much to read only to keep the connection.
    fn must_close(&self) -> bool {
        match &self.reader {
            BodyReader::Done => false,
            _ if self.expects => true,
            BodyReader::Fixed(left) => *left > DRAIN,
            BodyReader::Chunked(_) | BodyReader::UntilClose => false,
        }
    }
}

impl Client for H1Client {
    #[inline]
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        if self.expects {
            self.expects = false;
            if self.buffer.is_empty() {
                self.out.text().extend_from_slice(b"HTTP/1.1 100 Continue\r\n\r\n");
                if let Poll::Ready(Err(_)) = self.out.poll_write(cx, &mut self.io, &mut 0) {
                    return Poll::Ready(Err(BodyError::Closed));
                }
            }
        }
        self.reader.poll_frame(cx, &mut self.io, &mut self.buffer)
    }

    #[inline]
    fn body_done(&self) -> bool {
        self.reader.is_done()
    }

    #[inline]
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone> {
        // What comes now is the next request; enough of it is kept, and the rest stays in the kernel.
        while self.leaving.is_none() && self.buffer.len() < crate::io::READ {
            match ready!(self.io.poll_fill(cx, &mut self.buffer)) {
                Ok(0) => {
                    let alarm = self.alarms.alarm();
                    alarm.set(HALF_CLOSED);
                    self.leaving = Some(alarm);
                }
                Ok(_) => {}
                Err(_) => return Poll::Ready(Gone),
            }
        }
        match &self.leaving {
            Some(alarm) => alarm.poll(cx).map(|_| Gone),
            None => Poll::Pending,
        }
    }

    fn takes_informational(&self) -> bool {
        !self.http10
    }

    fn informational(&mut self, status: StatusCode, headers: &Fields) {
        let text = self.out.text();
        encode::write_response_start(text, status, headers);
        text.extend_from_slice(b"\r\n");
    }

    fn start(&mut self, head: ResponseHead, announced: Option<u64>, close: bool) {
        let ResponseHead { status, headers, body } = head;
        self.keep_alive &= !close && !self.must_close();
        let text = self.out.text();
        encode::write_response_start(text, status, &headers);
        self.chunked = false;
        self.bodiless = self.head_only || matches!(status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        if status == StatusCode::SWITCHING_PROTOCOLS {
            self.bodiless = true;
            text.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n\r\n");
            return;
        }
        // RFC 9110 section 9.3.6: no length is announced, since what follows is the tunnel's.
        if self.tunnels && status.is_success() {
            self.bodiless = true;
            text.extend_from_slice(b"\r\n");
            return;
        }
        if self.bodiless {
            if let (true, Some(n)) = (self.head_only, announced) {
                encode::write_content_length(text, n);
            }
        } else {
            match body {
                BodyLength::None => encode::write_content_length(text, 0),
                BodyLength::Exact(n) => encode::write_content_length(text, n),
                BodyLength::Unknown if self.http10 => self.keep_alive = false,
                BodyLength::Unknown => {
                    self.chunked = true;
                    text.extend_from_slice(b"transfer-encoding: chunked\r\n");
                }
            }
        }
        if !self.keep_alive {
            text.extend_from_slice(b"connection: close\r\n");
        } else if self.http10 {
            text.extend_from_slice(b"connection: keep-alive\r\n");
        }
        text.extend_from_slice(b"\r\n");
        self.used = Some(headers);
    }

    #[inline]
    fn data(&mut self, data: Bytes) {
        if self.bodiless {
            return;
        }
        // As long as something is sent, the kernel tells whether someone takes it.
        if let Some(alarm) = &self.leaving {
            alarm.set(HALF_CLOSED);
        }
        self.out.body(data, self.chunked);
    }

    #[inline]
    fn end(&mut self, trailers: Option<Fields>) {
        if self.chunked && !self.bodiless {
            chunked::write_end(self.out.text(), trailers.as_ref());
        }
    }

    fn abort(&mut self) {
        // Closing without the last chunk, or short of the announced length, is how HTTP/1.1 tells. HTTP/1.0 ends a
        // body by closing: only a reset tells there.
        self.keep_alive = false;
        if self.http10 {
            self.io.reset_on_drop();
        }
    }

    fn cut(&mut self) {
        self.keep_alive = false;
        self.io.reset_on_drop();
    }

    #[inline]
    fn has_room(&self) -> bool {
        self.out.has_room()
    }

    #[inline]
    fn poll_flush(&mut self, cx: &mut Context<'_>, progress: &mut u64) -> Poll<Result<(), Gone>> {
        if self.mute {
            self.out.clear();
        }
        if self.out.is_empty() {
            return Poll::Ready(Ok(()));
        }
        self.out.poll_write(cx, &mut self.io, progress).map_err(Gone::from)
    }

    fn raw(&mut self) -> Option<(&mut Io, &mut BytesMut, &mut Outbox)> {
        Some((&mut self.io, &mut self.buffer, &mut self.out))
    }
}

/// The refusal of a head that could not be read.
pub(crate) fn denial(error: HeadError) -> Denial {
    let code = match error {
        HeadError::TargetTooLong => &code::TARGET_TOO_LONG,
        HeadError::TooManyFields | HeadError::HeadTooLarge => &code::HEADERS_TOO_LARGE,
        HeadError::UnsupportedVersion => &code::VERSION_UNSUPPORTED,
        HeadError::Expect => &code::EXPECTATION_FAILED,
        HeadError::HostMissing
        | HeadError::HostRepeated
        | HeadError::HostMalformed
        | HeadError::HostMismatch => &code::HOST_INVALID,
        HeadError::ContentLength
        | HeadError::ContentLengthRepeated
        | HeadError::LengthAndCoding
        | HeadError::TransferEncoding
        | HeadError::TransferEncodingVersion => &code::FRAMING_AMBIGUOUS,
        _ => &code::REQUEST_MALFORMED,
    };
    Denial::new(code, error.to_string()).close()
}

/// Whether what could not be read may be a try at HTTP: its first line names the protocol or a path, or is not whole.
fn is_http(buffer: &[u8]) -> bool {
    let buffer = buffer.trim_ascii_start();
    let Some(line) = memchr::memchr(b'\n', buffer).and_then(|end| buffer.get(..end)) else { return true };
    let names_it = line.windows(4).any(|four| four.eq_ignore_ascii_case(b"HTTP"));
    names_it || line.split(|b| *b == b' ').any(|word| word.starts_with(b"/"))
}

/// What can be told of the target of a head that could not be read.
fn raw_target(buffer: &[u8]) -> &[u8] {
    let line = buffer.split(|b| matches!(b, b'\r' | b'\n')).find(|l| !l.is_empty()).unwrap_or_default();
    line.split(|b| *b == b' ').nth(1).unwrap_or_default()
}

impl Worker {
    fn head_limits(&self) -> HeadLimits {
        let limits = self.limits();
        HeadLimits {
            bytes: limits.header_bytes.bytes(),
            fields: limits.header_count,
            target: limits.target_bytes.bytes(),
        }
    }
}
