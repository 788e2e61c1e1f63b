//! Message bodies as they pass through: frames, and reading them from an HTTP/1 connection.

use std::io;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use portcullis_engine::Fields;

use crate::http1::{BodyLength, ChunkedDecoder, Decoded, HeadError};
use crate::io::Io;

/// A piece of a body.
#[derive(Debug)]
pub(crate) enum Frame {
    /// Content; never empty.
    Data(Bytes),
    /// The trailer section; nothing follows.
    Trailers(Box<Fields>),
}

/// Why a body could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BodyError {
    /// The connection ended or broke.
    #[error("the connection ended within the body")]
    Closed,
    /// Bytes that have no single reading.
    #[error("{0}")]
    Malformed(HeadError),
    /// An HTTP/2 stream was reset or broke the protocol.
    #[error("{0}")]
    Stream(h2::Error),
}

impl From<io::Error> for BodyError {
    fn from(_: io::Error) -> Self {
        Self::Closed
    }
}

/// Reads one body from an HTTP/1 connection.
#[derive(Debug)]
pub(crate) enum BodyReader {
    /// It has ended.
    Done,
    /// So many bytes are missing.
    Fixed(u64),
    /// Chunked.
    Chunked(ChunkedDecoder),
    /// Until the connection ends.
    UntilClose,
}

impl BodyReader {
    pub(crate) fn new(length: BodyLength) -> Self {
        match length {
            BodyLength::Empty | BodyLength::Fixed(0) => Self::Done,
            BodyLength::Fixed(n) => Self::Fixed(n),
            BodyLength::Chunked => Self::Chunked(ChunkedDecoder::new()),
            BodyLength::UntilClose => Self::UntilClose,
        }
    }

    #[inline]
    pub(crate) fn is_done(&self) -> bool {
        matches!(self, Self::Done)
    }

    /// The next piece; `None` once the body has ended.
    #[inline]
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
        buffer: &mut BytesMut,
    ) -> Poll<Result<Option<Frame>, BodyError>> {
        loop {
            match self {
                Self::Done => return Poll::Ready(Ok(None)),
                Self::Fixed(left) => {
                    if !buffer.is_empty() {
                        let take = usize::try_from(*left).unwrap_or(usize::MAX).min(buffer.len());
                        *left -= take as u64;
                        if *left == 0 {
                            *self = Self::Done;
                        }
                        return Poll::Ready(Ok(Some(Frame::Data(buffer.split_to(take).freeze()))));
                    }
                }
                Self::Chunked(decoder) => match decoder.decode(buffer).map_err(BodyError::Malformed)? {
                    Decoded::Data(data) => return Poll::Ready(Ok(Some(Frame::Data(data)))),
                    Decoded::End(trailers) => {
                        *self = Self::Done;
                        let frame = (!trailers.is_empty()).then(|| Frame::Trailers(Box::new(trailers)));
                        return Poll::Ready(Ok(frame));
                    }
                    Decoded::Incomplete => {}
                },
                Self::UntilClose => {
                    if !buffer.is_empty() {
                        return Poll::Ready(Ok(Some(Frame::Data(buffer.split().freeze()))));
                    }
                }
            }
            if ready!(io.poll_fill(cx, buffer))? == 0 {
                if matches!(self, Self::UntilClose) {
                    *self = Self::Done;
                    return Poll::Ready(Ok(None));
                }
                return Poll::Ready(Err(BodyError::Closed));
            }
        }
    }
}
