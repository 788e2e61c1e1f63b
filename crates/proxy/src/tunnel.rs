//! Two connections joined after a protocol switch: bytes go both ways until one side ends or both fall silent.

use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::BytesMut;
use tokio::io::AsyncWrite;

use crate::alarm::Alarm;
use crate::io::{Io, Outbox};
use crate::worker::Worker;

/// One end: its socket, what was read from it already, and what waits to be written to it.
pub(crate) struct Side<'a> {
    pub(crate) io: &'a mut Io,
    pub(crate) buffer: BytesMut,
    pub(crate) out: &'a mut Outbox,
}

/// What went through.
pub(crate) struct Carried {
    /// Bytes from the client.
    pub(crate) up: u64,
    /// Bytes to the client.
    pub(crate) down: u64,
    /// The idle deadline or a drain ended it.
    pub(crate) cut: bool,
}

#[derive(Default)]
struct Direction {
    eof: bool,
    shut: bool,
    carried: u64,
}

impl Direction {
    /// Moves what is there; whether something moved. `Err` ends the tunnel.
    fn poll(&mut self, cx: &mut Context<'_>, from: &mut Side<'_>, to: &mut Side<'_>) -> Result<bool, ()> {
        let mut moved = false;
        loop {
            if !from.buffer.is_empty() && to.out.has_room() {
                self.carried += from.buffer.len() as u64;
                to.out.data(from.buffer.split().freeze());
                moved = true;
            }
            let mut written = 0;
            let flushed = to.out.poll_write(cx, to.io, &mut written);
            moved |= written > 0;
            match flushed {
                Poll::Ready(Err(_)) => return Err(()),
                Poll::Pending if !to.out.has_room() => return Ok(moved),
                _ => {}
            }
            if self.eof {
                if flushed.is_ready() && !self.shut {
                    self.shut = Pin::new(&mut *to.io).poll_shutdown(cx).is_ready();
                }
                return Ok(moved);
            }
            match from.io.poll_fill(cx, &mut from.buffer) {
                Poll::Ready(Ok(0)) => self.eof = true,
                Poll::Ready(Ok(_)) => {}
                Poll::Ready(Err(_)) => return Err(()),
                Poll::Pending => return Ok(moved),
            }
        }
    }
}

/// Carries bytes until both directions have ended, one broke, or nothing moved for `idle` milliseconds.
pub(crate) async fn run(
    mut client: Side<'_>,
    mut upstream: Side<'_>,
    alarm: &Alarm,
    worker: &Worker,
    idle: u64,
) -> Carried {
    let (mut up, mut down) = (Direction::default(), Direction::default());
    let mut last = alarm.now();
    let cut = std::future::poll_fn(|cx| {
        let moved = match (up.poll(cx, &mut client, &mut upstream), down.poll(cx, &mut upstream, &mut client))
        {
            (Ok(a), Ok(b)) => a || b,
            _ => return Poll::Ready(false),
        };
        let now = alarm.now();
        if moved {
            last = now;
        }
        // A side that has ended its half is not waited for longer than a moment.
        let most = if up.eof || down.eof { idle.min(10_000) } else { idle };
        let left = most.saturating_sub(now.saturating_sub(last));
        if up.shut && down.shut {
            return Poll::Ready(false);
        }
        if left == 0 || worker.is_cut() {
            return Poll::Ready(true);
        }
        alarm.set(left);
        let _ = alarm.poll(cx);
        Poll::Pending
    })
    .await;
    alarm.clear();
    Carried { up: up.carried, down: down.carried, cut }
}
