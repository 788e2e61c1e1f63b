//! Forwarding one permitted exchange: pick, send, wait for the answer, try again where that is safe.

use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::Method;
use portcullis_engine::{BodyLength, Fields, ForwardBody, Permit, Request, UpstreamFailure};

use super::call::{CallError, Head, SendBody, UpstreamHead};
use super::connect::{Ready, Which};
use super::{Call, Instance, Origin, Upstream, failure};
use crate::alarm::{Alarm, Patience};
use crate::config::HostHeader;
use crate::http1::fields::may_be_request_trailer;
use crate::message::{BodyError, Frame};
use crate::server::client::Client;
use crate::upstream::h2call::H2Call;
use crate::worker::Worker;

/// An upstream's answer; its body is still to be read from the call.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) head: UpstreamHead,
    pub(crate) exchange: Outbound,
}

/// Why there is no answer.
#[derive(Debug)]
pub(crate) enum ForwardError {
    /// The upstream failed.
    Upstream(UpstreamFailure),
    /// The client left.
    ClientGone,
    /// The client was too slow with its body.
    ClientSlow,
    /// The client's body is broken.
    ClientBody(BodyError),
    /// The body is larger than the permit allows.
    TooLarge,
}

/// A call under way, with what is left to send of the request's body.
#[derive(Debug)]
pub(crate) struct Outbound {
    pub(crate) call: Call,
    pub(crate) lease: Lease,
    pub(crate) upload: Upload,
}

/// The load of one call on its instance.
#[derive(Debug)]
pub(crate) struct Lease {
    pub(crate) instance: Rc<Instance>,
    trial: bool,
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.instance.leave();
        if self.trial {
            self.instance.origin.release_trial();
        }
    }
}

/// The request body on its way.
#[derive(Debug)]
pub(crate) struct Upload {
    /// Bytes that may still come.
    left: u64,
    /// The end was queued upstream.
    pub(crate) done: bool,
    /// Bytes that came.
    pub(crate) received: u64,
    pub(crate) patience: Patience,
}

/// Where pumping the request body stands.
pub(crate) enum Pumped {
    /// All of it was sent.
    Done,
    /// The client is to send more.
    ClientWaits,
    /// The upstream is to take more.
    UpstreamWaits,
}

impl Upload {
    /// Moves what the client sent to the upstream, as far as both are ready.
    pub(crate) fn poll<C: Client>(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut C,
        call: &mut Call,
        now: u64,
    ) -> Result<Pumped, ForwardError> {
        loop {
            while !self.done && call.has_room() {
                match client.poll_body(cx) {
                    Poll::Ready(Ok(Some(Frame::Data(data)))) => {
                        let size = data.len() as u64;
                        self.received += size;
                        self.left = self.left.checked_sub(size).ok_or(ForwardError::TooLarge)?;
                        self.patience.progress(now, size);
                        call.data(data);
                    }
                    Poll::Ready(Ok(Some(Frame::Trailers(trailers)))) => {
                        call.end(Some(passed_on(*trailers)));
                        self.done = true;
                    }
                    Poll::Ready(Ok(None)) => {
                        call.end(None);
                        self.done = true;
                    }
                    Poll::Ready(Err(error)) => return Err(ForwardError::ClientBody(error)),
                    Poll::Pending => {
                        let _ = call.poll_write(cx);
                        return Ok(Pumped::ClientWaits);
                    }
                }
            }
            if call.poll_write(cx).is_pending() {
                return Ok(Pumped::UpstreamWaits);
            }
            if self.done {
                return Ok(Pumped::Done);
            }
        }
    }
}

/// The trailers of a request that the upstream may see.
fn passed_on(mut trailers: Fields) -> Fields {
    trailers.retain(|name, _| may_be_request_trailer(name));
    trailers
}

/// Methods that may be repeated without harm (RFC 9110 section 9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET | Method::HEAD | Method::PUT | Method::DELETE | Method::OPTIONS | Method::TRACE
    )
}

impl Upstream {
    /// Sends the exchange that `permit` is for and waits for the head of its answer.
    pub(crate) async fn forward<C: Client>(
        &self,
        permit: Permit,
        request: &Request,
        client: &mut C,
        worker: &Rc<Worker>,
        alarm: &Alarm,
    ) -> Result<Answer, ForwardError> {
        self.earn_retry();
        let mut tried = 0u64;
        let mut fresh = false;
        let mut attempts = 0;
        // Part of the body was read from the client and cannot be read again.
        let mut consumed = false;
        let mut last = UpstreamFailure::Unavailable(1);
        loop {
            // When every instance was tried, the first may be tried again: its failure may have been a stale
            // connection.
            let Some(index) = self.pick(worker, tried).or_else(|| self.pick(worker, 0)) else {
                worker.stats.upstream_unavailable_total.up();
                return Err(ForwardError::Upstream(last));
            };
            let Some(instance) = self.instances.get(index) else {
                return Err(ForwardError::Upstream(last));
            };
            instance.enter();
            let trial = instance.origin.availability(worker.alarms.now()) != super::Availability::Yes;
            let lease = Lease { instance: Rc::clone(instance), trial };
            let attempt = self.attempt(&permit, request, client, worker, alarm, lease, fresh, &mut consumed);
            let (why, safe, stale) = match attempt.await {
                Ok(answer) => return Ok(answer),
                Err(Attempt::Final(error)) => return Err(error),
                Err(Attempt::Retry { why, safe, stale }) => (why, safe, stale),
            };
            let repeatable = safe || is_idempotent(&request.method);
            // That a pooled connection went stale is no failure of the instance: the next attempt, which is on a
            // connection of its own, is the first that counts.
            if stale && !fresh && repeatable && !consumed {
                worker.stats.upstream_retries_total.up();
                fresh = true;
                last = why;
                continue;
            }
            attempts += 1;
            if attempts > self.group.config.retries || !repeatable || consumed || !self.spend_retry() {
                worker.stats.upstream_failures_total.up();
                return Err(ForwardError::Upstream(why));
            }
            worker.stats.upstream_retries_total.up();
            if index < 64 {
                tried |= 1 << index;
            }
            fresh = true;
            last = why;
        }
    }

    #[expect(clippy::too_many_arguments, reason = "one attempt needs all that the loop above holds")]
    async fn attempt<C: Client>(
        &self,
        permit: &Permit,
        request: &Request,
        client: &mut C,
        worker: &Rc<Worker>,
        alarm: &Alarm,
        lease: Lease,
        fresh: bool,
        consumed: &mut bool,
    ) -> Result<Answer, Attempt> {
        let instance = Rc::clone(&lease.instance);
        let origin = &instance.origin;
        let upgrade = if permit.upgrade() { request.upgrade.clone() } else { None };
        let again = is_idempotent(&request.method) && !matches!(permit.body(), ForwardBody::Streamed { .. });
        let which = match (fresh, again) {
            (true, _) => Which::Fresh,
            (false, true) => Which::Any,
            (false, false) => Which::Sure,
        };
        let ready = match self.connection(worker, &instance, which, upgrade.is_some()).await {
            Ok(ready) => ready,
            Err(error) => {
                if !matches!(error, super::ConnectError::QueueFull) {
                    origin.failed(worker.alarms.now());
                }
                return Err(Attempt::Retry { why: failure(&error), safe: true, stale: false });
            }
        };
        let mut upload = Upload {
            left: 0,
            done: true,
            received: 0,
            patience: Patience::new(worker.timeouts().body.millis(), client_rate(worker, request)),
        };
        let (framing, whole) = match permit.body() {
            ForwardBody::None => (SendBody::None, Bytes::new()),
            ForwardBody::Whole(bytes) => (SendBody::Exact(bytes.len() as u64), bytes.clone()),
            ForwardBody::Streamed { max } => {
                upload.left = *max;
                upload.done = client.body_done();
                match request.body {
                    BodyLength::None => (SendBody::None, Bytes::new()),
                    BodyLength::Exact(n) => (SendBody::Exact(n), Bytes::new()),
                    BodyLength::Unknown => (SendBody::Unknown, Bytes::new()),
                }
            }
        };
        let host = match self.group.config.host {
            HostHeader::Preserve if !request.authority.is_empty() => request.authority.as_bytes(),
            _ => origin.authority.as_bytes(),
        };
        let reused = matches!(&ready, Ready::H1(call) if call.reused);
        let mut call = match ready {
            Ready::H1(mut call) => {
                call.start(request, host, framing, upgrade.as_deref());
                Call::H1(call)
            }
            Ready::H2(mut connection) => {
                let scheme = if origin.tls.is_some() { "https" } else { "http" };
                connection = match ready_h2(connection).await {
                    Ok(connection) => connection,
                    Err(error) => {
                        let why = UpstreamFailure::Unreachable(error.to_string().into());
                        return Err(Attempt::Retry { why, safe: true, stale: false });
                    }
                };
                match H2Call::start(&mut connection, request, scheme, host, framing) {
                    Ok(call) => Call::H2(Box::new(call)),
                    Err(error) => return Err(self.failed(worker, origin, error, false)),
                }
            }
        };
        if !whole.is_empty() {
            call.data(whole);
        }
        if upload.done {
            call.end(None);
        }
        let head = wait_for_head(&mut call, &mut upload, client, worker, alarm).await;
        alarm.clear();
        *consumed = upload.received > 0;
        match head {
            Ok(head) => {
                origin.succeeded();
                Ok(Answer { head, exchange: Outbound { call, lease, upload } })
            }
            Err(Waited::Call(error)) => Err(self.failed(worker, origin, error, reused)),
            Err(Waited::Timeout) => {
                worker.stats.upstream_failures_total.up();
                Err(Attempt::Final(ForwardError::Upstream(UpstreamFailure::Timeout)))
            }
            Err(Waited::Forward(error)) => Err(Attempt::Final(error)),
        }
    }

    fn failed(&self, worker: &Worker, origin: &Origin, error: CallError, reused: bool) -> Attempt {
        match error {
            CallError::Broken { answered: true, .. } => {
                origin.failed(worker.alarms.now());
                worker.stats.upstream_failures_total.up();
                let why = UpstreamFailure::Invalid("the connection ended within the response head".into());
                Attempt::Final(ForwardError::Upstream(why))
            }
            CallError::Broken { sent, answered: false } => {
                // That a pooled connection was closed says nothing about the instance.
                if !reused {
                    origin.failed(worker.alarms.now());
                }
                let why = UpstreamFailure::Unreachable("the connection ended before a response".into());
                Attempt::Retry { why, safe: !sent, stale: reused }
            }
            CallError::Malformed(error) => {
                worker.stats.upstream_failures_total.up();
                Attempt::Final(ForwardError::Upstream(UpstreamFailure::Invalid(error.to_string().into())))
            }
            CallError::Stream { error, refused } => {
                if !refused {
                    origin.failed(worker.alarms.now());
                }
                let why = UpstreamFailure::Unreachable(error.to_string().into());
                Attempt::Retry { why, safe: refused, stale: false }
            }
        }
    }
}

enum Attempt {
    /// Another attempt may succeed; `safe` if the upstream cannot have acted on this one, `stale` if it was a pooled
    /// connection that had ended.
    Retry { why: UpstreamFailure, safe: bool, stale: bool },
    /// No other attempt is to be made.
    Final(ForwardError),
}

enum Waited {
    Call(CallError),
    Forward(ForwardError),
    Timeout,
}

/// The least rate of a request body; a gRPC stream may pause as it likes, within the idle timeout.
fn client_rate(worker: &Worker, request: &Request) -> u64 {
    if request.body == BodyLength::None {
        return 0;
    }
    let grpc = request.headers.get(http::header::CONTENT_TYPE);
    if grpc.is_some_and(|v| v.as_bytes().starts_with(b"application/grpc")) {
        0
    } else {
        worker.limits().min_rate
    }
}

async fn ready_h2(mut connection: super::pool::Multiplexed) -> Result<super::pool::Multiplexed, h2::Error> {
    connection.send = connection.send.ready().await?;
    Ok(connection)
}

async fn wait_for_head<C: Client>(
    call: &mut Call,
    upload: &mut Upload,
    client: &mut C,
    worker: &Worker,
    alarm: &Alarm,
) -> Result<UpstreamHead, Waited> {
    let mut waiting_since = alarm.now();
    let most = worker.timeouts().response.millis();
    let mut interim = 0;
    std::future::poll_fn(|cx| {
        loop {
            let now = alarm.now();
            let pumped = match upload.poll(cx, client, call, now) {
                Ok(pumped) => pumped,
                Err(error) => return Poll::Ready(Err(Waited::Forward(error))),
            };
            match call.poll_head(cx) {
                Poll::Ready(Ok(Head::Final(head))) => return Poll::Ready(Ok(head)),
                Poll::Ready(Ok(Head::Informational(status, headers))) => {
                    interim += 1;
                    if interim > 16 {
                        let error = CallError::Malformed(crate::http1::HeadError::Status);
                        return Poll::Ready(Err(Waited::Call(error)));
                    }
                    pass_on(client, status, &headers);
                    continue;
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(Waited::Call(error))),
                Poll::Pending => {}
            }
            let left = match pumped {
                Pumped::ClientWaits => {
                    waiting_since = now;
                    let left = upload.patience.wait(now);
                    if left == 0 {
                        return Poll::Ready(Err(Waited::Forward(ForwardError::ClientSlow)));
                    }
                    left
                }
                Pumped::Done => {
                    if client.poll_gone(cx).is_ready() {
                        return Poll::Ready(Err(Waited::Forward(ForwardError::ClientGone)));
                    }
                    most.saturating_sub(now.saturating_sub(waiting_since))
                }
                Pumped::UpstreamWaits => most.saturating_sub(now.saturating_sub(waiting_since)),
            };
            if left == 0 {
                return Poll::Ready(Err(Waited::Timeout));
            }
            if interim > 0 {
                let _ = client.poll_flush(cx, &mut 0);
            }
            alarm.set(left);
            let _ = alarm.poll(cx);
            return Poll::Pending;
        }
    })
    .await
}

/// Passes an interim response on. 100 is ours to send; of the others only links are of use before the answer
/// was inspected (RFC 8297).
fn pass_on<C: Client>(client: &mut C, status: http::StatusCode, headers: &Fields) {
    if status.as_u16() != 103 || !client.takes_informational() {
        return;
    }
    let mut links = Fields::new();
    for link in headers.get_all(http::header::LINK) {
        links.append(http::header::LINK, link.clone());
    }
    if !links.is_empty() {
        client.informational(status, &links);
    }
}
