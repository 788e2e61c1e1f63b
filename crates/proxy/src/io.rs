//! Sockets, plain or under TLS, and what is about to be written to them.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::ops::Range;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

use crate::http1::chunked;

/// What one read asks for at first; doubled while reads fill the buffer.
pub(crate) const READ: usize = 8 * 1024;
/// What one read asks for at most.
pub(crate) const READ_MOST: usize = 128 * 1024;
/// Content up to this size is copied behind the text before it: cheaper than a part of its own, and one plain write
/// instead of a gathering one.
const COPIED: usize = 4 * 1024;
/// Bytes that may wait to be written before the other side is no longer read.
pub(crate) const HIGH_WATER: usize = 128 * 1024;

/// A connection to a client or to an upstream.
#[derive(Debug)]
pub(crate) enum Io {
    /// Cleartext.
    Plain(TcpStream),
    /// TLS, as the server.
    Server(Box<tokio_rustls::server::TlsStream<TcpStream>>),
    /// TLS, as the client.
    Client(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

macro_rules! each {
    ($self:expr, $io:ident => $what:expr) => {
        match $self {
            Io::Plain($io) => $what,
            Io::Server($io) => $what,
            Io::Client($io) => $what,
        }
    };
}

impl AsyncRead for Io {
    #[inline]
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_read(cx, buf))
    }
}

impl AsyncWrite for Io {
    #[inline]
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), io => Pin::new(io).poll_write(cx, buf))
    }

    #[inline]
    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        each!(self.get_mut(), io => Pin::new(io).poll_write_vectored(cx, bufs))
    }

    fn is_write_vectored(&self) -> bool {
        each!(self, io => io.is_write_vectored())
    }

    #[inline]
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        each!(self.get_mut(), io => Pin::new(io).poll_shutdown(cx))
    }
}

impl Io {
    /// Reads once into `buffer`; 0 is the end of the stream.
    #[inline]
    pub(crate) fn poll_fill(
        &mut self,
        cx: &mut Context<'_>,
        buffer: &mut BytesMut,
    ) -> Poll<io::Result<usize>> {
        // Where nothing of what was read before is in use any more, its memory is used again from the start: the same
        // few cache lines serve every call.
        let _ = buffer.is_empty() && buffer.try_reclaim(2 * READ);
        if buffer.capacity() - buffer.len() < READ / 4 {
            // A buffer that was filled to the brim grows with what is being sent; `reserve` reclaims what has been
            // handed out and dropped.
            let want = (buffer.capacity() * 2).clamp(READ, READ_MOST);
            buffer.reserve(want);
        }
        // `read_buf` keeps no state between polls.
        each!(self, io => pin!(io.read_buf(buffer)).poll(cx))
    }

    fn stream(&self) -> &TcpStream {
        match self {
            Io::Plain(stream) => stream,
            Io::Server(stream) => stream.get_ref().0,
            Io::Client(stream) => stream.get_ref().0,
        }
    }

    /// Has the connection reset when it is dropped. The kernel would go on offering what was written to a client
    /// that does not take it, for as long as that client likes.
    pub(crate) fn reset_on_drop(&self) {
        let _ = socket2::SockRef::from(self.stream()).set_linger(Some(std::time::Duration::ZERO));
    }

    /// Ready once the socket has something to read, or has ended. Only right while TLS holds nothing back, that is
    /// after a read that would have waited.
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.stream().poll_read_ready(cx).map(|_| ())
    }

    /// Whether the peer has been silent and present since the last read, as far as is known without a system call.
    pub(crate) fn seems_quiet(&self) -> bool {
        // Answers `WouldBlock` at once, without a system call, while the driver has seen nothing.
        let peeked = self.stream().try_io(tokio::io::Interest::READABLE, || self.peek());
        matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// As [`seems_quiet`](Self::seems_quiet), and as the kernel knows it now.
    pub(crate) fn is_quiet(&self) -> bool {
        matches!(self.peek(), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
    }

    /// Looks for a byte; the sockets do not block.
    fn peek(&self) -> io::Result<()> {
        let mut byte = [0u8; 1];
        rustix::net::recv(self.stream(), &mut byte[..], rustix::net::RecvFlags::PEEK)?;
        Ok(())
    }
}

/// What is about to be written: heads and chunk sizes as text in one reused buffer, content as shared bytes.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    text: Vec<u8>,
    /// Text before this offset is in `parts`.
    sealed: usize,
    parts: VecDeque<Part>,
    length: usize,
}

#[derive(Debug)]
enum Part {
    Text(Range<usize>),
    Data(Bytes),
}

impl Outbox {
    /// The buffer to append text to.
    #[inline]
    pub(crate) fn text(&mut self) -> &mut Vec<u8> {
        &mut self.text
    }

    /// Appends content.
    #[inline]
    pub(crate) fn data(&mut self, data: Bytes) {
        if data.len() <= COPIED {
            self.text.extend_from_slice(&data);
            return;
        }
        self.seal();
        self.length += data.len();
        self.parts.push_back(Part::Data(data));
    }

    /// Appends a piece of a body, as a chunk of its own where it is `chunked`.
    #[inline]
    pub(crate) fn body(&mut self, data: Bytes, chunked: bool) {
        if data.is_empty() {
            return;
        }
        if chunked {
            chunked::write_size_line(self.text(), data.len());
            self.data(data);
            self.text().extend_from_slice(b"\r\n");
        } else {
            self.data(data);
        }
    }

    #[inline]
    fn seal(&mut self) {
        if self.sealed < self.text.len() {
            self.length += self.text.len() - self.sealed;
            self.parts.push_back(Part::Text(self.sealed..self.text.len()));
            self.sealed = self.text.len();
        }
    }

    /// Bytes that wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length + (self.text.len() - self.sealed)
    }

    /// Whether nothing waits.
    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether more may be queued before something is written.
    #[inline]
    pub(crate) fn has_room(&self) -> bool {
        self.len() < HIGH_WATER
    }

    /// Forgets what was not written.
    pub(crate) fn clear(&mut self) {
        self.parts.clear();
        self.text.clear();
        self.sealed = 0;
        self.length = 0;
        if self.text.capacity() > HIGH_WATER {
            self.text = Vec::new();
        }
    }

    /// Writes as much as the socket takes; ready once everything is written. `progress` counts the bytes.
    #[inline]
    pub(crate) fn poll_write(
        &mut self,
        cx: &mut Context<'_>,
        io: &mut Io,
        progress: &mut u64,
    ) -> Poll<io::Result<()>> {
        self.seal();
        while !self.parts.is_empty() {
            let written = {
                let empty: &[u8] = &[];
                let mut slices = [IoSlice::new(&[]); 16];
                let mut count = 0;
                for (slot, part) in slices.iter_mut().zip(&self.parts) {
                    *slot = IoSlice::new(match part {
                        Part::Text(range) => self.text.get(range.clone()).unwrap_or(empty),
                        Part::Data(data) => data,
                    });
                    count += 1;
                }
                match slices.get(..count) {
                    Some([one]) => ready!(Pin::new(&mut *io).poll_write(cx, one))?,
                    Some(many) => ready!(Pin::new(&mut *io).poll_write_vectored(cx, many))?,
                    None => 0,
                }
            };
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            *progress += written as u64;
            self.advance(written);
        }
        self.clear();
        if matches!(io, Io::Plain(_)) { Poll::Ready(Ok(())) } else { Pin::new(io).poll_flush(cx) }
    }

    fn advance(&mut self, mut written: usize) {
        self.length = self.length.saturating_sub(written);
        while written > 0 {
            let Some(part) = self.parts.front_mut() else { return };
            let size = match part {
                Part::Text(range) => range.len(),
                Part::Data(data) => data.len(),
            };
            if size <= written {
                written -= size;
                self.parts.pop_front();
                continue;
            }
            match part {
                Part::Text(range) => range.start += written,
                Part::Data(data) => data.advance(written),
            }
            return;
        }
    }
}
