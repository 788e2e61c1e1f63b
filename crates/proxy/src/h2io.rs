//! What both ends of HTTP/2 share: sending a body under flow control, and receiving one.

use std::collections::VecDeque;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use h2::{RecvStream, SendStream};
use portcullis_engine::Fields;

use crate::io::HIGH_WATER;
use crate::message::{BodyError, Frame};

/// Sends one body.
#[derive(Debug, Default)]
pub(crate) struct Sender {
    stream: Option<SendStream<Bytes>>,
    pending: VecDeque<Bytes>,
    length: usize,
    end: End,
}

#[derive(Debug, Default)]
enum End {
    /// More may be queued.
    #[default]
    Open,
    /// The end is queued.
    Queued(Option<Fields>),
    /// The end is sent.
    Sent,
}

impl Sender {
    /// A sender whose head was sent; `ended` if that closed the stream.
    pub(crate) fn attach(&mut self, stream: SendStream<Bytes>, ended: bool) {
        if ended {
            self.end = End::Sent;
        }
        self.stream = Some(stream);
    }

    pub(crate) fn has_room(&self) -> bool {
        self.length < HIGH_WATER
    }

    pub(crate) fn data(&mut self, data: Bytes) {
        if !data.is_empty() {
            self.length += data.len();
            self.pending.push_back(data);
        }
    }

    pub(crate) fn end(&mut self, trailers: Option<Fields>) {
        if matches!(self.end, End::Open) {
            self.end = End::Queued(trailers);
        }
    }

    /// Whether the queued end closes the stream with no content and no trailers before it.
    pub(crate) fn is_only_end(&self) -> bool {
        self.pending.is_empty() && matches!(self.end, End::Queued(None))
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.end, End::Sent)
    }

    pub(crate) fn stream(&mut self) -> Option<&mut SendStream<Bytes>> {
        self.stream.as_mut()
    }

    /// Hands over what flow control allows; ready once everything queued was handed over.
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        progress: &mut u64,
    ) -> Poll<Result<(), h2::Error>> {
        let Some(stream) = self.stream.as_mut() else { return Poll::Ready(Ok(())) };
        while let Some(front) = self.pending.front_mut() {
            stream.reserve_capacity(front.len().min(HIGH_WATER));
            while stream.capacity() == 0 {
                match ready!(stream.poll_capacity(cx)) {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return Poll::Ready(Err(error)),
                    None => return Poll::Ready(Err(h2::Reason::CANCEL.into())),
                }
            }
            let take = stream.capacity().min(front.len());
            let piece = front.split_to(take);
            if front.is_empty() {
                self.pending.pop_front();
            }
            self.length = self.length.saturating_sub(take);
            *progress += take as u64;
            let last = self.pending.is_empty() && matches!(self.end, End::Queued(None));
            stream.send_data(piece, last)?;
            if last {
                self.end = End::Sent;
            }
        }
        if let End::Queued(trailers) = &mut self.end {
            match trailers.take() {
                Some(trailers) => stream.send_trailers(trailers.into())?,
                None => stream.send_data(Bytes::new(), true)?,
            }
            self.end = End::Sent;
        }
        Poll::Ready(Ok(()))
    }
}

/// Receives one body.
#[derive(Debug)]
pub(crate) struct Receiver {
    stream: RecvStream,
    /// Content has ended; trailers may follow.
    content_ended: bool,
    done: bool,
}

impl Receiver {
    pub(crate) fn new(stream: RecvStream) -> Self {
        let done = stream.is_end_stream();
        Self { stream, content_ended: done, done }
    }

    pub(crate) fn is_done(&self) -> bool {
        self.done || self.stream.is_end_stream()
    }

    pub(crate) fn poll_frame(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        while !self.content_ended {
            match ready!(self.stream.poll_data(cx)) {
                Some(Ok(data)) => {
                    // What is taken is passed on or dropped at once; the caller stops asking when it has no room.
                    let _ = self.stream.flow_control().release_capacity(data.len());
                    if !data.is_empty() {
                        return Poll::Ready(Ok(Some(Frame::Data(data))));
                    }
                }
                Some(Err(error)) => return Poll::Ready(Err(BodyError::Stream(error))),
                None => self.content_ended = true,
            }
        }
        if self.done {
            return Poll::Ready(Ok(None));
        }
        let trailers = ready!(self.stream.poll_trailers(cx)).map_err(BodyError::Stream)?;
        self.done = true;
        let allowed = trailers.map(|all| {
            let mut all = Fields::from(all);
            all.retain(|name, _| crate::http1::fields::may_be_trailer(name));
            all
        });
        Poll::Ready(Ok(allowed.filter(|t| !t.is_empty()).map(|t| Frame::Trailers(Box::new(t)))))
    }
}
