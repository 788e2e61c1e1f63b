//! Counting what an HTTP/2 client makes us do, below the protocol's own implementation.
//!
//! PING, SETTINGS, RST_STREAM and empty frames cost a client next to nothing and a server an answer, a task or an
//! allocation. The meter reads only frame headers (RFC 9113 section 4.1) as the bytes pass through.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::PREFACE;
use crate::alarm::Alarms;
use crate::io::Io;

/// The window in which frames are counted, in milliseconds.
const WINDOW: u64 = 10_000;

/// A connection whose frames are counted.
#[derive(Debug)]
pub(crate) struct Metered {
    io: Io,
    /// Bytes that were read before it was known that this is HTTP/2.
    prefix: BytesMut,
    meter: Meter,
    alarms: Rc<Alarms>,
    flooded: Rc<Cell<bool>>,
}

/// Most frames of each kind in one window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct FrameLimits {
    pub(crate) control: u32,
    pub(crate) resets: u32,
}

#[derive(Debug)]
struct Meter {
    limits: FrameLimits,
    /// Bytes to pass over: the preface, or the rest of a frame.
    skip: u64,
    header: [u8; 9],
    filled: usize,
    window_began: u64,
    control: u32,
    resets: u32,
}

impl Meter {
    fn new(limits: FrameLimits) -> Self {
        Self {
            limits,
            skip: PREFACE.len() as u64,
            header: [0; 9],
            filled: 0,
            window_began: 0,
            control: 0,
            resets: 0,
        }
    }

    /// Reads on; `false` once a limit is exceeded.
    fn read(&mut self, mut bytes: &[u8], now: u64) -> bool {
        if now.saturating_sub(self.window_began) >= WINDOW {
            (self.window_began, self.control, self.resets) = (now, 0, 0);
        }
        while !bytes.is_empty() {
            let skipped = self.skip.min(bytes.len() as u64);
            self.skip -= skipped;
            bytes = bytes.get(usize::try_from(skipped).unwrap_or(usize::MAX)..).unwrap_or_default();
            while self.skip == 0
                && let Some((first, rest)) = bytes.split_first()
            {
                if let Some(slot) = self.header.get_mut(self.filled) {
                    *slot = *first;
                }
                self.filled += 1;
                bytes = rest;
                if self.filled == self.header.len() {
                    self.filled = 0;
                    self.frame();
                }
            }
        }
        self.control <= self.limits.control && self.resets <= self.limits.resets
    }

    fn frame(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        let length = u32::from_be_bytes([0, a, b, c]);
        self.skip = u64::from(length);
        match kind {
            // DATA and HEADERS are paid for by flow control and by the limit on streams, unless they are empty.
            0x0 if length == 0 && flags & 0x1 == 0 => self.control += 1,
            0x0 | 0x1 | 0x8 => {}
            0x3 => self.resets += 1,
            // PRIORITY, SETTINGS, PING, CONTINUATION, and what is unknown.
            _ => self.control += 1,
        }
    }
}

impl Metered {
    pub(crate) fn new(
        io: Io,
        prefix: BytesMut,
        limits: FrameLimits,
        alarms: Rc<Alarms>,
        flooded: Rc<Cell<bool>>,
    ) -> Self {
        Self { io, prefix, meter: Meter::new(limits), alarms, flooded }
    }
}

impl AsyncRead for Metered {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.flooded.get() {
            // The task that owns the connection sees the flag when this poll returns.
            return Poll::Pending;
        }
        let before = buf.filled().len();
        if this.prefix.is_empty() {
            std::task::ready!(Pin::new(&mut this.io).poll_read(cx, buf))?;
        } else {
            let take = this.prefix.len().min(buf.remaining());
            buf.put_slice(this.prefix.get(..take).unwrap_or_default());
            this.prefix.advance(take);
        }
        if !this.meter.read(buf.filled().get(before..).unwrap_or_default(), this.alarms.now()) {
            this.flooded.set(true);
            buf.set_filled(before);
            return Poll::Pending;
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Metered {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, buf)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, flags: u8, length: u8) -> Vec<u8> {
        let mut wire = vec![0, 0, length, kind, flags, 0, 0, 0, 1];
        wire.extend(std::iter::repeat_n(0x3, usize::from(length)));
        wire
    }

    #[test]
    fn frames_are_counted_however_they_arrive() {
        let mut wire = PREFACE.to_vec();
        for _ in 0..3 {
            wire.extend(frame(0x6, 0, 8));
            wire.extend(frame(0x0, 0, 200));
            wire.extend(frame(0x3, 0, 4));
        }
        for step in 1..wire.len() {
            let mut meter = Meter::new(FrameLimits { control: 3, resets: 3 });
            assert!(wire.chunks(step).all(|piece| meter.read(piece, 5)));
            assert_eq!((meter.control, meter.resets), (3, 3));
            assert!(!meter.read(&frame(0x4, 0, 0), 6), "one too many");
            assert!(meter.read(&frame(0x4, 0, 0), WINDOW + 6), "a new window");
            assert!((0..3).all(|_| meter.read(&frame(0x3, 0, 4), WINDOW + 6)));
            assert!(!meter.read(&frame(0x3, 0, 4), WINDOW + 6));
        }
    }
}
