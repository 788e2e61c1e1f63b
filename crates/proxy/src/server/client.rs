//! The client's side of one exchange, whichever protocol it speaks.

use std::io;
use std::task::{Context, Poll};

use bytes::{Bytes, BytesMut};
use portcullis_engine::{BodyLength, Fields, ResponseHead};

use crate::io::{Io, Outbox};
use crate::message::{BodyError, Frame};

/// What is known of the length of a response whose body is not sent (HEAD, 304).
pub(crate) type Announced = Option<u64>;

/// The connection or stream is of no more use.
#[derive(Debug)]
pub(crate) struct Gone;

impl From<io::Error> for Gone {
    fn from(_: io::Error) -> Self {
        Self
    }
}

/// A client that sent a request and waits for its response.
pub(crate) trait Client {
    /// The next piece of the request body; `None` once it has ended. Invites a client that waits for it.
    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>>;
    /// Whether the whole request body was read.
    fn body_done(&self) -> bool;
    /// Ready once the client has left.
    fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<Gone>;
    /// Whether an interim response can be sent.
    fn takes_informational(&self) -> bool;
    /// Queues an interim response.
    fn informational(&mut self, status: http::StatusCode, headers: &Fields);
    /// Queues the response head. `close` asks for the connection to be closed afterwards.
    fn start(&mut self, head: ResponseHead, announced: Announced, close: bool);
    /// Queues a piece of the response body.
    fn data(&mut self, data: Bytes);
    /// Queues the end of the response.
    fn end(&mut self, trailers: Option<Fields>);
    /// The response broke: the client must be able to tell.
    fn abort(&mut self);
    /// The client takes too little: what it has not taken is dropped with the connection or stream.
    fn cut(&mut self);
    /// Whether more may be queued before something is sent.
    fn has_room(&self) -> bool;
    /// Sends what is queued; `progress` counts the bytes.
    fn poll_flush(&mut self, cx: &mut Context<'_>, progress: &mut u64) -> Poll<Result<(), Gone>>;
    /// The raw connection, for a tunnel; `None` where the protocol has none.
    fn raw(&mut self) -> Option<(&mut Io, &mut BytesMut, &mut Outbox)>;
}

/// The length of a body that the gateway has whole.
pub(crate) fn exact(body: &Bytes) -> BodyLength {
    BodyLength::Exact(body.len() as u64)
}
