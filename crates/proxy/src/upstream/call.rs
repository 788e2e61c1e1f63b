//! One call on an HTTP/1.1 connection to an upstream.

use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};
use http::{Method, StatusCode};
use portcullis_engine::{Fields, Request};

use super::pool::Slot;
use crate::http1::{
    self, HeadError, HeadLimits, HeadScanner, ParsedResponse, StartLine, chunked, encode, take_response,
};
use crate::io::{Io, Outbox};
use crate::message::{BodyError, BodyReader, Frame};

/// Bounds on what an upstream may send; more generous than for clients.
const LIMITS: HeadLimits = HeadLimits { bytes: 128 * 1024, fields: 256, target: 0 };

/// Why a call got no answer.
#[derive(Debug)]
pub(crate) enum CallError {
    /// The connection ended or broke. `sent` tells whether any byte of the request was written, `answered` whether
    /// any byte of an answer was read.
    Broken { sent: bool, answered: bool },
    /// The answer is not HTTP.
    Malformed(HeadError),
    /// The HTTP/2 stream or connection failed; `refused` if the upstream promises not to have looked at the call.
    Stream { error: h2::Error, refused: bool },
}

/// What an upstream answered.
#[derive(Debug)]
pub(crate) enum Head {
    /// 100 to 199 without 101: more follows.
    Informational(StatusCode, Fields),
    /// The answer, or a 101.
    Final(UpstreamHead),
}

/// A final response head.
#[derive(Debug)]
pub(crate) struct UpstreamHead {
    pub(crate) status: StatusCode,
    pub(crate) headers: Fields,
    pub(crate) body: portcullis_engine::BodyLength,
    /// What Content-Length announces, even where no body follows.
    pub(crate) content_length: Option<u64>,
}

/// How the request's body is framed upstream.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum SendBody {
    None,
    Exact(u64),
    Unknown,
}

/// A call under way.
#[derive(Debug)]
pub(crate) struct H1Call {
    pub(crate) io: Io,
    pub(crate) slot: Slot,
    /// The connection has served a call before.
    pub(crate) reused: bool,
    pub(crate) buffer: BytesMut,
    out: Outbox,
    written: u64,
    chunked: bool,
    ended: bool,
    write_failed: bool,
    method: Method,
    scanner: HeadScanner,
    answered: bool,
    reader: BodyReader,
    keep_alive: bool,
    /// An empty map with room, for the fields of the answer.
    fields: Fields,
}

impl H1Call {
    pub(crate) fn new(
        io: Io,
        slot: Slot,
        reused: bool,
        (buffer, out): (BytesMut, Outbox),
        fields: Fields,
    ) -> Self {
        Self {
            io,
            slot,
            reused,
            buffer,
            out,
            written: 0,
            chunked: false,
            ended: false,
            write_failed: false,
            method: Method::GET,
            scanner: HeadScanner::new(StartLine::Response),
            answered: false,
            reader: BodyReader::Done,
            keep_alive: false,
            fields,
        }
    }

    /// Queues the request's head.
    pub(crate) fn start(&mut self, request: &Request, host: &[u8], body: SendBody, upgrade: Option<&[u8]>) {
        self.method = request.method.clone();
        let text = self.out.text();
        let target = request.target_bytes();
        encode::write_request_start(text, request.method.as_str(), target, host, &request.headers);
        match body {
            SendBody::None => self.ended = true,
            SendBody::Exact(n) => {
                encode::write_content_length(text, n);
                self.ended = n == 0;
            }
            SendBody::Unknown => {
                encode::write_framing(text, http1::BodyLength::Chunked, false);
                self.chunked = true;
            }
        }
        if let Some(protocol) = upgrade {
            text.extend_from_slice(b"connection: upgrade\r\n");
            encode::write_field(text, b"upgrade", protocol);
        } else if request.headers.contains_key(http::header::TE) {
            // TE is about this connection; the engine lets only `trailers` pass (RFC 9110 section 10.1.4).
            text.extend_from_slice(b"connection: te\r\n");
        }
        text.extend_from_slice(b"\r\n");
    }

    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.out.has_room()
    }

    pub(crate) fn data(&mut self, data: Bytes) {
        if !self.write_failed {
            self.out.body(data, self.chunked);
        }
    }

    pub(crate) fn end(&mut self, trailers: Option<&Fields>) {
        if self.ended {
            return;
        }
        if self.chunked {
            chunked::write_end(self.out.text(), trailers);
        }
        self.ended = true;
    }

    /// Writes what is queued. A failure is kept for later: the upstream may have answered before it closed.
    #[inline]
    pub(crate) fn poll_write(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.write_failed || self.out.is_empty() {
            return Poll::Ready(());
        }
        if ready!(self.out.poll_write(cx, &mut self.io, &mut self.written)).is_err() {
            self.write_failed = true;
            self.out.clear();
        }
        Poll::Ready(())
    }

    /// Reads the next response head.
    #[inline]
    pub(crate) fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<Head, CallError>> {
        loop {
            if !self.buffer.is_empty() {
                self.answered = true;
                let (buffer, fields) = (&mut self.buffer, &mut self.fields);
                match take_response(buffer, &mut self.scanner, &LIMITS, &self.method, fields) {
                    Ok(Some(response)) => return Poll::Ready(Ok(self.head(response))),
                    Ok(None) => {}
                    Err(error) => return Poll::Ready(Err(CallError::Malformed(error))),
                }
            }
            match ready!(self.io.poll_fill(cx, &mut self.buffer)) {
                Ok(n) if n > 0 => {}
                _ => {
                    return Poll::Ready(Err(CallError::Broken {
                        sent: self.written > 0,
                        answered: self.answered,
                    }));
                }
            }
        }
    }

    fn head(&mut self, response: ParsedResponse) -> Head {
        let ParsedResponse { status, headers, body, content_length, keep_alive, version: _ } = response;
        if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
            return Head::Informational(status, headers);
        }
        self.keep_alive = keep_alive;
        self.reader = BodyReader::new(body);
        let body = match body {
            http1::BodyLength::Fixed(n) => portcullis_engine::BodyLength::Exact(n),
            http1::BodyLength::Empty if content_length == Some(0) => portcullis_engine::BodyLength::Exact(0),
            http1::BodyLength::Empty => portcullis_engine::BodyLength::None,
            http1::BodyLength::Chunked | http1::BodyLength::UntilClose => {
                portcullis_engine::BodyLength::Unknown
            }
        };
        Head::Final(UpstreamHead { status, headers, body, content_length })
    }

    #[inline]
    pub(crate) fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Frame>, BodyError>> {
        self.reader.poll_frame(cx, &mut self.io, &mut self.buffer)
    }

    #[inline]
    pub(crate) fn body_done(&self) -> bool {
        self.reader.is_done()
    }

    /// Whether the connection can serve another call.
    pub(crate) fn is_reusable(&self) -> bool {
        self.keep_alive
            && self.ended
            && !self.write_failed
            && self.out.is_empty()
            && self.buffer.is_empty()
            && self.reader.is_done()
    }

    /// Takes the call apart: connection, its place in the pool, and the buffers.
    pub(crate) fn into_parts(mut self) -> (Io, Slot, BytesMut, Outbox) {
        self.out.clear();
        (self.io, self.slot, self.buffer, self.out)
    }
}
