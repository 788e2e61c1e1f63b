//! One exchange from head to record: the engine says what happens, this does it.

use std::rc::Rc;
use std::sync::Arc;
use std::task::Poll;

use bytes::{Bytes, BytesMut};
use http::StatusCode;
use http::header::{DATE, HeaderValue, RETRY_AFTER};
use portcullis_engine::{
    BodyLength, Connection, Denial, End, Fields, Inspection, LocalReply, Now, Outcome, RequestHead,
    ResponseHead, ResponseStep, Step, UpstreamFailure, code,
};

use crate::alarm::{Alarm, Patience};
use crate::io::{Io, Outbox};
use crate::limits::Held;
use crate::lookup;
use crate::message::{BodyError, Frame};
use crate::server::client::{Client, Gone, exact};
use crate::tunnel;
use crate::upstream::{self, Answer, Call, ForwardError, Outbound, Pumped, UpstreamHead};
use crate::worker::Worker;

/// Serves one request. Returns once the response was handed over, or cannot be.
pub(crate) async fn serve<C: Client>(
    worker: &Rc<Worker>,
    alarm: &Alarm,
    client: &mut C,
    head: RequestHead,
    connection: &Connection,
) -> Result<(), Gone> {
    let inspection = worker.engine().begin(head, connection, worker.id(), worker.now());
    let mut exchange = Exchange::new(worker, alarm, client, inspection);
    let total = worker.timeouts().total;
    let served = match total {
        None => exchange.run().await,
        Some(most) => match tokio::time::timeout(most.0, exchange.run()).await {
            Ok(served) => served,
            Err(_) => exchange.out_of_time().await,
        },
    };
    if served.is_err() {
        exchange.account.finish(End::ClientGone);
    }
    alarm.clear();
    served
}

/// Refuses what could not be parsed; the connection is closed afterwards.
pub(crate) async fn refuse<C: Client>(
    worker: &Rc<Worker>,
    alarm: &Alarm,
    client: &mut C,
    denial: &Denial,
    target: &[u8],
    connection: &Connection,
) -> Result<(), Gone> {
    let (inspection, mut reply) =
        worker.engine().refuse(denial, target, connection, worker.id(), worker.now());
    worker.stats.protocol_refusals_total.up();
    reply.close = true;
    Exchange::new(worker, alarm, client, inspection).reply(reply).await
}

/// What the record will say. Dropped without an end, the exchange was cut off.
struct Account<'a> {
    worker: &'a Worker,
    inspection: Option<Inspection>,
    status: StatusCode,
    bytes_in: u64,
    bytes_out: u64,
    upstream: Option<Arc<str>>,
    upstream_ns: Option<u64>,
    _in_flight: InFlight<'a>,
}

struct InFlight<'a>(&'a Worker);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.stats.in_flight.down();
    }
}

impl<'a> Account<'a> {
    fn new(worker: &'a Worker, inspection: Inspection) -> Self {
        worker.stats.requests_total.up();
        worker.stats.in_flight.up();
        Self {
            worker,
            inspection: Some(inspection),
            status: StatusCode::INTERNAL_SERVER_ERROR,
            bytes_in: 0,
            bytes_out: 0,
            upstream: None,
            upstream_ns: None,
            _in_flight: InFlight(worker),
        }
    }

    /// Hands the record to the observer; the first call counts.
    fn finish(&mut self, end: End) {
        let Some(inspection) = self.inspection.take() else { return };
        if end == End::ClientGone {
            self.worker.stats.client_aborts_total.up();
        }
        self.worker.stats.bytes_in_total.add(self.bytes_in);
        self.worker.stats.bytes_out_total.add(self.bytes_out);
        let record = inspection.finish(Outcome {
            status: self.status,
            end,
            bytes_in: self.bytes_in,
            bytes_out: self.bytes_out,
            upstream: self.upstream.take(),
            upstream_ns: self.upstream_ns,
            now: self.worker.now(),
        });
        self.worker.observer.observe(&record);
        self.worker.recycle_fields(record.into_fields());
    }
}

impl Drop for Account<'_> {
    fn drop(&mut self) {
        self.finish(End::Cut);
    }
}

/// Why a request body is not there whole.
enum NotWhole {
    Gone,
    Denied(Denial),
}

struct Exchange<'a, C> {
    worker: &'a Rc<Worker>,
    alarm: &'a Alarm,
    client: &'a mut C,
    account: Account<'a>,
    /// Where it stands, for the case that its time is up.
    progress: Progress,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Progress {
    /// The request is being read and judged.
    Request,
    /// It was sent upstream.
    Forwarded,
    /// The response head was queued.
    Answered,
}

impl<'a, C: Client> Exchange<'a, C> {
    fn new(worker: &'a Rc<Worker>, alarm: &'a Alarm, client: &'a mut C, inspection: Inspection) -> Self {
        let account = Account::new(worker, inspection);
        Self { worker, alarm, client, account, progress: Progress::Request }
    }

    /// The time for the whole exchange is up: who kept it waiting is told, as long as nothing else was said.
    async fn out_of_time(&mut self) -> Result<(), Gone> {
        self.alarm.clear();
        let Some(inspection) = self.account.inspection.as_mut() else { return Err(Gone) };
        let mut reply = match self.progress {
            Progress::Request => {
                self.worker.stats.slow_requests_total.up();
                inspection
                    .refuse(&Denial::new(&code::REQUEST_TIMEOUT, "the request took too long as a whole"))
            }
            Progress::Forwarded => {
                self.worker.stats.upstream_failures_total.up();
                inspection.upstream_failed(&UpstreamFailure::Timeout)
            }
            Progress::Answered => {
                self.account.finish(End::Cut);
                self.client.abort();
                return Err(Gone);
            }
        };
        // What is left of the request would be waited for.
        reply.close = true;
        self.reply(reply).await
    }

    async fn run(&mut self) -> Result<(), Gone> {
        let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
        if self.worker.is_over_capacity() {
            self.worker.stats.shed_total.up();
            let reply = inspection.refuse(&overloaded("too many exchanges at the same time"));
            return self.reply(reply).await;
        }
        let mut step = inspection.request_head();
        // What was buffered for the engine stays accounted for until it was sent upstream.
        let mut held = None;
        loop {
            step = match step {
                Step::Reply(reply) => return self.reply(reply).await,
                Step::Lookup(lookup) => {
                    let result = lookup::ask(self.worker, self.alarm, self.client, *lookup).await?;
                    let now = self.worker.now();
                    let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
                    inspection.resolve(result, now)
                }
                Step::NeedBody { limit } => match self.request_body(limit, &mut held).await {
                    Ok(body) => {
                        let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
                        inspection.request_body(body)
                    }
                    Err(NotWhole::Gone) => return Err(Gone),
                    Err(NotWhole::Denied(denial)) => {
                        let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
                        Step::Reply(inspection.refuse(&denial))
                    }
                },
                Step::Forward(permit) => {
                    self.progress = Progress::Forwarded;
                    let upgrade = permit.upgrade();
                    let began = self.worker.now();
                    let Some(inspection) = self.account.inspection.as_ref() else { return Ok(()) };
                    let request = inspection.request();
                    if let Some(origin) = request.origin.as_deref().filter(|origin| origin.tunnel) {
                        let connected = upstream::reach(&permit, origin, self.worker).await;
                        return self.connected(connected).await;
                    }
                    let answer = match self.worker.upstream(request) {
                        Ok(upstream) => {
                            upstream.forward(permit, request, self.client, self.worker, self.alarm).await
                        }
                        Err(failure) => Err(ForwardError::Upstream(failure)),
                    };
                    drop(held);
                    let now = self.worker.now();
                    self.account.upstream_ns = Some(now.mono_ns.saturating_sub(began.mono_ns));
                    return match answer {
                        Ok(answer) => self.response(answer, upgrade, now).await,
                        Err(error) => self.forward_failed(error).await,
                    };
                }
            };
        }
    }

    async fn forward_failed(&mut self, error: ForwardError) -> Result<(), Gone> {
        let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
        let reply = match error {
            ForwardError::Upstream(failure) => inspection.upstream_failed(&failure),
            ForwardError::ClientGone | ForwardError::ClientBody(BodyError::Closed | BodyError::Stream(_)) => {
                return Err(Gone);
            }
            ForwardError::ClientSlow => {
                self.worker.stats.slow_requests_total.up();
                inspection.refuse(&Denial::new(&code::REQUEST_TIMEOUT, "the body came too slowly").close())
            }
            ForwardError::ClientBody(BodyError::Malformed(error)) => {
                inspection.refuse(&malformed_body(error))
            }
            ForwardError::TooLarge => inspection.refuse(&too_large()),
        };
        self.reply(reply).await
    }

    /// Reads the whole request body, at most `limit` bytes.
    async fn request_body(&mut self, limit: u64, held: &mut Option<Held>) -> Result<Bytes, NotWhole> {
        let mut patience = Patience::new(self.worker.timeouts().body.millis(), self.worker.limits().min_rate);
        let mut body = Gathered::default();
        let held = held.insert(self.worker.shared.memory.hold());
        loop {
            let (alarm, client) = (self.alarm, &mut *self.client);
            let frame = std::future::poll_fn(|cx| match client.poll_body(cx) {
                Poll::Ready(frame) => Poll::Ready(Some(frame)),
                Poll::Pending => {
                    let left = patience.wait(alarm.now());
                    if left == 0 {
                        return Poll::Ready(None);
                    }
                    // A client that waits for `100 Continue` gets it now.
                    let _ = client.poll_flush(cx, &mut 0);
                    alarm.set(left);
                    let _ = alarm.poll(cx);
                    Poll::Pending
                }
            })
            .await;
            self.alarm.clear();
            match frame {
                None => {
                    self.worker.stats.slow_requests_total.up();
                    let denial = Denial::new(&code::REQUEST_TIMEOUT, "the body came too slowly");
                    return Err(NotWhole::Denied(denial.close()));
                }
                Some(Ok(Some(Frame::Data(data)))) => {
                    patience.progress(self.alarm.now(), data.len() as u64);
                    self.account.bytes_in += data.len() as u64;
                    if self.account.bytes_in > limit {
                        return Err(NotWhole::Denied(too_large()));
                    }
                    if !held.grow(data.len()).await {
                        self.worker.stats.shed_total.up();
                        return Err(NotWhole::Denied(overloaded("too many bodies in memory").close()));
                    }
                    body.push(data);
                }
                // Trailers of an inspected body end here: nothing has inspected them.
                Some(Ok(Some(Frame::Trailers(_)))) => {}
                Some(Ok(None)) => return Ok(body.finish()),
                Some(Err(BodyError::Malformed(error))) => {
                    return Err(NotWhole::Denied(malformed_body(error)));
                }
                Some(Err(BodyError::Closed | BodyError::Stream(_))) => return Err(NotWhole::Gone),
            }
        }
    }

    async fn response(&mut self, answer: Answer, upgrade: bool, now: Now) -> Result<(), Gone> {
        let Answer { head: UpstreamHead { status, headers, body, content_length }, exchange } = answer;
        let mut outbound = Some(exchange);
        if let Some(outbound) = &outbound {
            self.account.upstream = Some(Arc::clone(&outbound.lease.instance.label));
            self.account.bytes_in += outbound.upload.received;
        }
        let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
        if status == StatusCode::SWITCHING_PROTOCOLS {
            if !upgrade || !is_websocket(&headers) {
                drop(outbound);
                let failure = UpstreamFailure::Invalid("it switched protocols without being asked to".into());
                let reply = inspection.upstream_failed(&failure);
                return self.reply(reply).await;
            }
            let head = ResponseHead { status, headers, body };
            let mut step = inspection.response_head(head, now);
            while let ResponseStep::Lookup(lookup) = step {
                let result = lookup::ask(self.worker, self.alarm, self.client, *lookup).await?;
                step = inspection.resolve_response(result, self.worker.now());
            }
            return match step {
                ResponseStep::Deliver(head) => self.tunnel(head, outbound).await,
                ResponseStep::Reply(reply) => {
                    drop(outbound);
                    self.reply(reply).await
                }
                ResponseStep::NeedBody { .. } | ResponseStep::DeliverWhole(..) | ResponseStep::Lookup(_) => {
                    drop(outbound);
                    let failure = UpstreamFailure::Invalid("a protocol switch has no body".into());
                    let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
                    let reply = inspection.upstream_failed(&failure);
                    self.reply(reply).await
                }
            };
        }
        let mut step = inspection.response_head(ResponseHead { status, headers, body }, now);
        let mut prefix: Vec<Bytes> = Vec::new();
        let mut held = None;
        loop {
            step = match step {
                ResponseStep::Deliver(head) => {
                    let Some(outbound) = outbound.take() else { return Ok(()) };
                    return self.stream(head, content_length, prefix, outbound).await;
                }
                ResponseStep::DeliverWhole(head, body) => {
                    release(self.worker, outbound.take());
                    return self.whole(head, body, false, content_length).await;
                }
                ResponseStep::Reply(reply) => {
                    release(self.worker, outbound.take());
                    return self.reply(reply).await;
                }
                ResponseStep::Lookup(lookup) => {
                    let result = lookup::ask(self.worker, self.alarm, self.client, *lookup).await?;
                    let now = self.worker.now();
                    let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
                    inspection.resolve_response(result, now)
                }
                ResponseStep::NeedBody { limit } => {
                    let Some(out) = outbound.as_mut() else { return Ok(()) };
                    let read = self.response_body(limit, &mut out.call, &mut held).await?;
                    let now = self.worker.now();
                    let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
                    match read {
                        Read::Whole(body) => inspection.response_body(body, now),
                        Read::Overflow(pieces) => {
                            prefix = pieces;
                            inspection.response_body_overflow()
                        }
                        Read::Failed(failure) => {
                            outbound = None;
                            ResponseStep::Reply(inspection.upstream_failed(&failure))
                        }
                        Read::NoMemory => {
                            self.worker.stats.shed_total.up();
                            outbound = None;
                            ResponseStep::Reply(inspection.refuse(&overloaded("too many bodies in memory")))
                        }
                    }
                }
            };
        }
    }

    /// Reads the whole response body for the engine, at most `limit` bytes.
    async fn response_body(
        &mut self,
        limit: u64,
        call: &mut Call,
        held: &mut Option<Held>,
    ) -> Result<Read, Gone> {
        let mut body = Gathered::default();
        let held = held.insert(self.worker.shared.memory.hold());
        let most = self.worker.timeouts().response_body.millis();
        loop {
            let (alarm, client) = (self.alarm, &mut *self.client);
            alarm.set(most);
            let frame = std::future::poll_fn(|cx| match call.poll_body(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(Some(frame))),
                Poll::Pending if alarm.poll(cx).is_ready() => Poll::Ready(Ok(None)),
                Poll::Pending if client.body_done() => client.poll_gone(cx).map(Err),
                Poll::Pending => Poll::Pending,
            })
            .await?;
            self.alarm.clear();
            match frame {
                None => return Ok(Read::Failed(UpstreamFailure::Timeout)),
                Some(Ok(Some(Frame::Data(data)))) => {
                    if !held.grow(data.len()).await {
                        return Ok(Read::NoMemory);
                    }
                    body.push(data);
                    if body.length as u64 > limit {
                        return Ok(Read::Overflow(body.into_pieces()));
                    }
                }
                Some(Ok(Some(Frame::Trailers(_)))) => {}
                Some(Ok(None)) => return Ok(Read::Whole(body.finish())),
                Some(Err(error)) => {
                    return Ok(Read::Failed(UpstreamFailure::Invalid(error.to_string().into())));
                }
            }
        }
    }

    /// Sends a reply of the gateway's own.
    async fn reply(&mut self, reply: LocalReply) -> Result<(), Gone> {
        let LocalReply { status, headers, body, close } = reply;
        let head = ResponseHead { status, headers, body: exact(&body) };
        let announced = Some(body.len() as u64);
        self.whole(head, body, close, announced).await
    }

    async fn whole(
        &mut self,
        head: ResponseHead,
        body: Bytes,
        close: bool,
        announced: Option<u64>,
    ) -> Result<(), Gone> {
        self.account.status = head.status;
        self.account.bytes_out = body.len() as u64;
        self.start(head, announced, close);
        self.client.data(body);
        self.account.finish(End::Complete);
        self.client.end(None);
        self.flush().await
    }

    fn start(&mut self, mut head: ResponseHead, announced: Option<u64>, close: bool) {
        // An origin server with a clock sends Date (RFC 9110 section 6.6.1); a recipient adds what is missing.
        if !head.headers.contains_key(DATE) {
            head.headers.insert(DATE, self.worker.date());
        }
        self.progress = Progress::Answered;
        // Who is answered while the gateway drains is not to come back on this connection.
        self.client.start(head, announced, close || self.worker.is_draining());
    }

    /// Sends all that is queued, as fast as the client takes it.
    async fn flush(&mut self) -> Result<(), Gone> {
        let mut patience =
            Patience::new(self.worker.timeouts().write.millis(), self.worker.limits().min_rate);
        let (alarm, client, worker) = (self.alarm, &mut *self.client, self.worker);
        let mut sent = 0;
        std::future::poll_fn(|cx| {
            let before = sent;
            let flushed = client.poll_flush(cx, &mut sent);
            if flushed.is_ready() {
                return flushed;
            }
            stalled(&mut patience, sent - before, alarm, worker, cx).map_err(|gone| {
                client.cut();
                gone
            })
        })
        .await
    }

    /// Passes a response body on as it comes.
    async fn stream(
        &mut self,
        head: ResponseHead,
        announced: Option<u64>,
        prefix: Vec<Bytes>,
        mut outbound: Outbound,
    ) -> Result<(), Gone> {
        self.account.status = head.status;
        let mut left = match head.body {
            portcullis_engine::BodyLength::Exact(n) => Some(n),
            _ => None,
        };
        self.start(head, announced, false);
        for piece in prefix {
            self.account.bytes_out += piece.len() as u64;
            left = left.map(|n| n.saturating_sub(piece.len() as u64));
            self.client.data(piece);
        }
        let worker = self.worker;
        let most = worker.timeouts().response_body.millis();
        let mut reading = Patience::new(worker.timeouts().write.millis(), worker.limits().min_rate);
        let mut waiting_since = self.alarm.now();
        let before_upload = self.account.bytes_in.saturating_sub(outbound.upload.received);
        let (alarm, client, account) = (self.alarm, &mut *self.client, &mut self.account);
        let mut ended = false;
        let mut sent = 0;
        let result = std::future::poll_fn(|cx| {
            loop {
                let now = alarm.now();
                account.bytes_in = before_upload + outbound.upload.received;
                let mut upstream_waits = false;
                while !ended && client.has_room() {
                    match outbound.call.poll_body(cx) {
                        Poll::Ready(Ok(Some(Frame::Data(data)))) => {
                            waiting_since = now;
                            account.bytes_out += data.len() as u64;
                            if let Some(n) = &mut left {
                                match n.checked_sub(data.len() as u64) {
                                    Some(rest) => *n = rest,
                                    None => return Poll::Ready(Err(Broke::Upstream)),
                                }
                            }
                            client.data(data);
                            if outbound.call.body_done() || left == Some(0) {
                                account.finish(End::Complete);
                            }
                            if outbound.call.body_done() {
                                client.end(None);
                                ended = true;
                            }
                        }
                        Poll::Ready(Ok(Some(Frame::Trailers(trailers)))) => {
                            account.finish(End::Complete);
                            client.end(Some(*trailers));
                            ended = true;
                        }
                        Poll::Ready(Ok(None)) => {
                            if left.is_some_and(|n| n > 0) {
                                return Poll::Ready(Err(Broke::Upstream));
                            }
                            account.finish(End::Complete);
                            client.end(None);
                            ended = true;
                        }
                        Poll::Ready(Err(_)) => return Poll::Ready(Err(Broke::Upstream)),
                        Poll::Pending => {
                            upstream_waits = true;
                            break;
                        }
                    }
                }
                let before = sent;
                match client.poll_flush(cx, &mut sent) {
                    Poll::Ready(Ok(())) if ended => return Poll::Ready(Ok(())),
                    Poll::Ready(Ok(())) => reading.progress(now, sent - before),
                    Poll::Ready(Err(Gone)) => return Poll::Ready(Err(Broke::Client)),
                    Poll::Pending => {
                        if sent > before && client.has_room() && !ended {
                            continue;
                        }
                        return stalled(&mut reading, sent - before, alarm, worker, cx).map(|gone| {
                            client.cut();
                            gone.map_err(|_| Broke::Client)
                        });
                    }
                }
                if !upstream_waits {
                    continue;
                }
                // The upstream may answer before it has read the whole request.
                match outbound.upload.poll(cx, client, &mut outbound.call, now) {
                    Ok(Pumped::Done) if client.poll_gone(cx).is_ready() => {
                        return Poll::Ready(Err(Broke::Client));
                    }
                    Ok(_) => {}
                    Err(_) => return Poll::Ready(Err(Broke::Client)),
                }
                let left = most.saturating_sub(now.saturating_sub(waiting_since));
                if left == 0 {
                    return Poll::Ready(Err(Broke::Upstream));
                }
                alarm.set(left);
                let _ = alarm.poll(cx);
                return Poll::Pending;
            }
        })
        .await;
        match result {
            Ok(()) => {
                release(self.worker, Some(outbound));
                Ok(())
            }
            Err(Broke::Client) => Err(Gone),
            Err(Broke::Upstream) => {
                self.worker.stats.upstream_failures_total.up();
                self.account.finish(End::UpstreamBroke);
                drop(outbound);
                let _ = self.flush().await;
                self.client.abort();
                Err(Gone)
            }
        }
    }

    /// Tells the client that CONNECT reached the server, and begins the tunnel.
    async fn connected(&mut self, reached: Result<(Io, Arc<str>), UpstreamFailure>) -> Result<(), Gone> {
        let Some(inspection) = self.account.inspection.as_mut() else { return Ok(()) };
        let (io, label) = match reached {
            Ok(reached) => reached,
            Err(failure) => {
                let reply = inspection.upstream_failed(&failure);
                return self.reply(reply).await;
            }
        };
        self.account.upstream = Some(label);
        let head = ResponseHead { status: StatusCode::OK, headers: Fields::new(), body: BodyLength::None };
        let (buffer, out) = self.worker.buffers();
        self.carry(head, io, buffer, out).await
    }

    /// Turns both connections into a tunnel.
    async fn tunnel(&mut self, head: ResponseHead, outbound: Option<Outbound>) -> Result<(), Gone> {
        let Some(Outbound { call: Call::H1(call), lease, .. }) = outbound else { return Err(Gone) };
        let (upstream, slot, buffer, out) = call.into_parts();
        let carried = self.carry(head, upstream, buffer, out).await;
        drop((slot, lease));
        carried
    }

    async fn carry(
        &mut self,
        head: ResponseHead,
        mut upstream: Io,
        upstream_buffer: BytesMut,
        mut upstream_out: Outbox,
    ) -> Result<(), Gone> {
        self.account.status = head.status;
        self.progress = Progress::Answered;
        self.client.start(head, None, false);
        self.flush().await?;
        let Some((io, buffer, out)) = self.client.raw() else { return Err(Gone) };
        self.worker.stats.tunnels_total.up();
        let client_side = tunnel::Side { io, buffer: buffer.split(), out };
        let upstream_side =
            tunnel::Side { io: &mut upstream, buffer: upstream_buffer, out: &mut upstream_out };
        let idle = self.worker.timeouts().tunnel.millis();
        let carried = tunnel::run(client_side, upstream_side, self.alarm, self.worker, idle).await;
        self.account.bytes_in = carried.up;
        self.account.bytes_out = carried.down;
        self.account.finish(if carried.cut { End::Cut } else { End::Complete });
        Err(Gone)
    }
}

enum Broke {
    Client,
    Upstream,
}

enum Read {
    Whole(Bytes),
    Overflow(Vec<Bytes>),
    Failed(UpstreamFailure),
    NoMemory,
}

/// Takes note of what a client took, and gives up on one that takes too little.
fn stalled(
    patience: &mut Patience,
    progress: u64,
    alarm: &Alarm,
    worker: &Worker,
    cx: &mut std::task::Context<'_>,
) -> Poll<Result<(), Gone>> {
    let now = alarm.now();
    if progress > 0 {
        patience.progress(now, progress);
    }
    let left = patience.wait(now);
    if left == 0 {
        worker.stats.slow_readers_total.up();
        return Poll::Ready(Err(Gone));
    }
    alarm.set(left);
    let _ = alarm.poll(cx);
    Poll::Pending
}

/// Gives the upstream connection back, if it can serve another call.
pub(crate) fn release(worker: &Worker, outbound: Option<Outbound>) {
    let Some(Outbound { call: Call::H1(call), lease, .. }) = outbound else { return };
    let reusable = call.is_reusable();
    let (io, slot, buffer, out) = call.into_parts();
    worker.recycle(buffer, out);
    if reusable {
        let pool = Rc::clone(slot.pool());
        pool.give_back(io, slot, worker.alarms.now());
    }
    drop(lease);
}

fn is_websocket(headers: &Fields) -> bool {
    headers.get(http::header::UPGRADE).is_some_and(|v| v.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn too_large() -> Denial {
    Denial::new(&code::BODY_TOO_LARGE, "the body is larger than the operation accepts").close()
}

fn malformed_body(error: crate::http1::HeadError) -> Denial {
    Denial::new(&code::REQUEST_MALFORMED, error.to_string()).close()
}

fn overloaded(reason: &'static str) -> Denial {
    Denial::new(&code::OVERLOADED, reason).header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Pieces of a body that is wanted whole; one piece is passed through without a copy.
#[derive(Default)]
struct Gathered {
    pieces: Vec<Bytes>,
    length: usize,
}

impl Gathered {
    fn push(&mut self, piece: Bytes) {
        self.length += piece.len();
        self.pieces.push(piece);
    }

    fn into_pieces(self) -> Vec<Bytes> {
        self.pieces
    }

    fn finish(mut self) -> Bytes {
        if self.pieces.len() <= 1 {
            return self.pieces.pop().unwrap_or_default();
        }
        let mut whole = BytesMut::with_capacity(self.length);
        for piece in &self.pieces {
            whole.extend_from_slice(piece);
        }
        whole.freeze()
    }
}
