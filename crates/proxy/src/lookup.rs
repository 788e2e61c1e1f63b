//! Lookups: what guards have to ask outside before they can decide.

use std::fmt::Debug;
use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use portcullis_engine::{
    Answer, Destination, Fields, Lookup, LookupFailure, LookupResult, ResponseHead, UpstreamFailure,
    UpstreamRead,
};

use crate::alarm::Alarm;
use crate::exchange::release;
use crate::io::{Io, Outbox};
use crate::message::{BodyError, Frame};
use crate::server::client::{Client, Gone};
use crate::upstream::ForwardError;
use crate::worker::Worker;

/// A lookup under way.
pub type LookupFuture = Pin<Box<dyn Future<Output = LookupResult> + Send>>;

/// Who asks servers of their own (identity providers, decision points) for the engine. Reads of the API itself go over
/// the proxy's own connections.
pub trait Lookups: Debug + Send + Sync {
    /// Asks. Called on a worker's thread: must not block. Reads of the API never get here.
    fn ask(&self, lookup: Lookup) -> LookupFuture;
}

/// Nobody to ask.
impl Lookups for () {
    fn ask(&self, _: Lookup) -> LookupFuture {
        Box::pin(std::future::ready(Err(LookupFailure::Forbidden("lookups are not set up".into()))))
    }
}

/// Asks; gives up on it when the client leaves.
pub(crate) async fn ask<C: Client>(
    worker: &Rc<Worker>,
    alarm: &Alarm,
    client: &mut C,
    lookup: Lookup,
) -> Result<LookupResult, Gone> {
    worker.stats.lookups_total.up();
    let within = lookup.timeout;
    let answer = async {
        match lookup.destination {
            Destination::Upstream(read) => read_upstream(worker, alarm, *read, lookup.max_response).await,
            Destination::Url { .. }
            | Destination::Keys { .. }
            | Destination::Resolve { .. }
            | Destination::Names { .. }
            | Destination::Stream { .. } => worker.lookups.ask(lookup).await,
        }
    };
    let mut answer = pin!(tokio::time::timeout(within, answer));
    let result = std::future::poll_fn(|cx| match answer.as_mut().poll(cx) {
        Poll::Ready(result) => Poll::Ready(Ok(result.unwrap_or(Err(LookupFailure::Timeout)))),
        Poll::Pending if client.body_done() => client.poll_gone(cx).map(Err),
        Poll::Pending => Poll::Pending,
    })
    .await;
    alarm.clear();
    if let Ok(Err(_)) = &result {
        worker.stats.lookup_failures_total.up();
    }
    result
}

async fn read_upstream(worker: &Rc<Worker>, alarm: &Alarm, read: UpstreamRead, most: u64) -> LookupResult {
    let UpstreamRead { permit, request } = read;
    let forwarded = match worker.upstream(&request) {
        Ok(upstream) => upstream.forward(permit, &request, &mut Nobody, worker, alarm).await,
        Err(failure) => Err(ForwardError::Upstream(failure)),
    };
    let crate::upstream::Answer { head, mut exchange } = forwarded.map_err(|error| match error {
        ForwardError::Upstream(UpstreamFailure::Timeout) => LookupFailure::Timeout,
        ForwardError::Upstream(UpstreamFailure::Unavailable(_)) => {
            LookupFailure::Unreachable("no instance of the API is available".into())
        }
        ForwardError::Upstream(UpstreamFailure::Unreachable(why) | UpstreamFailure::Invalid(why)) => {
            LookupFailure::Unreachable(why)
        }
        _ => LookupFailure::Unreachable("the API could not be asked".into()),
    })?;
    let mut body = BytesMut::new();
    loop {
        match std::future::poll_fn(|cx| exchange.call.poll_body(cx)).await {
            Ok(Some(Frame::Data(data))) if (body.len() + data.len()) as u64 > most => {
                return Err(LookupFailure::TooLarge);
            }
            Ok(Some(Frame::Data(data))) => body.extend_from_slice(&data),
            Ok(Some(Frame::Trailers(_))) => {}
            Ok(None) => break,
            Err(error) => return Err(LookupFailure::Unreachable(error.to_string().into())),
        }
    }
    release(worker, Some(exchange));
    Ok(Arc::new(Answer { status: head.status, headers: head.headers, body: body.freeze() }))
}

/// The client's side of a read that the gateway makes for itself: there is none.
struct Nobody;

impl Client for Nobody {
    fn poll_body(&mut self, _: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        Poll::Ready(Ok(None))
    }

    fn body_done(&self) -> bool {
        true
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<Gone> {
        Poll::Pending
    }

    fn takes_informational(&self) -> bool {
        false
    }

    fn informational(&mut self, _: http::StatusCode, _: &Fields) {}

    fn start(&mut self, _: ResponseHead, _: Option<u64>, _: bool) {}

    fn data(&mut self, _: Bytes) {}

    fn end(&mut self, _: Option<Fields>) {}

    fn abort(&mut self) {}

    fn cut(&mut self) {}

    fn has_room(&self) -> bool {
        true
    }

    fn poll_flush(&mut self, _: &mut Context<'_>, _: &mut u64) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn raw(&mut self) -> Option<(&mut Io, &mut BytesMut, &mut Outbox)> {
        None
    }
}
