//! The connections of one worker to one instance.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::rc::Rc;
use std::task::{Poll, Waker};

use bytes::Bytes;

use crate::io::Io;

/// A pool of one worker.
#[derive(Debug, Default)]
pub(crate) struct Pool {
    /// Unused HTTP/1 connections; the last one back is the first one out, so that the others may go stale and close.
    idle: RefCell<Vec<Idle>>,
    /// HTTP/2 connections.
    multiplexed: RefCell<Vec<Multiplexed>>,
    /// TLS negotiated HTTP/2 the last time.
    pub(crate) speaks_h2: Cell<bool>,
    /// Held while an HTTP/2 connection is being made, so that a burst makes one.
    pub(crate) connecting: tokio::sync::Mutex<()>,
    open: Cell<usize>,
    waiters: RefCell<VecDeque<Rc<Waiter>>>,
}

#[derive(Debug)]
struct Idle {
    io: Io,
    slot: Slot,
    since: u64,
}

/// A place among the connections that are allowed; given back when dropped.
#[derive(Debug)]
pub(crate) struct Slot(Rc<Pool>);

/// An HTTP/2 connection that several calls share.
#[derive(Clone, Debug)]
pub(crate) struct Multiplexed {
    pub(crate) send: h2::client::SendRequest<Bytes>,
    /// Streams of ours that are open.
    pub(crate) streams: Rc<Cell<usize>>,
    /// The connection has ended or is about to.
    pub(crate) closed: Rc<Cell<bool>>,
}

#[derive(Debug, Default)]
struct Waiter {
    woken: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

/// All connections are in use, and as many calls wait for one as may.
#[derive(Debug)]
pub(crate) struct QueueFull;

impl Pool {
    /// An unused connection that still seems alive. With `ask`, the kernel is asked whether it is: for a call that could
    /// not be repeated if the upstream has just closed it.
    #[inline]
    pub(crate) fn take(&self, ask: bool) -> Option<(Io, Slot)> {
        loop {
            let idle = self.idle.borrow_mut().pop()?;
            if idle.io.seems_quiet() && (!ask || idle.io.is_quiet()) {
                return Some((idle.io, idle.slot));
            }
        }
    }

    /// Keeps a connection for the next call.
    #[inline]
    pub(crate) fn give_back(&self, io: Io, slot: Slot, now: u64) {
        self.idle.borrow_mut().push(Idle { io, slot, since: now });
        self.wake_one();
    }

    /// Whether there is no connection.
    pub(crate) fn is_empty(&self) -> bool {
        self.open.get() == 0
    }

    /// A place for a new connection, if there is one below `limit`.
    pub(crate) fn slot(self: &Rc<Self>, limit: usize) -> Option<Slot> {
        if self.open.get() >= limit {
            return None;
        }
        self.open.set(self.open.get() + 1);
        Some(Slot(Rc::clone(self)))
    }

    /// Waits until a connection comes back or a place is free; the caller then tries again.
    pub(crate) async fn wait(&self, queue: usize) -> Result<(), QueueFull> {
        if self.waiters.borrow().len() >= queue {
            return Err(QueueFull);
        }
        let waiter = Rc::new(Waiter::default());
        self.waiters.borrow_mut().push_back(Rc::clone(&waiter));
        let ticket = Ticket { pool: self, waiter, used: Cell::new(false) };
        std::future::poll_fn(|cx| {
            if ticket.waiter.woken.get() {
                return Poll::Ready(());
            }
            *ticket.waiter.waker.borrow_mut() = Some(cx.waker().clone());
            Poll::Pending
        })
        .await;
        ticket.used.set(true);
        Ok(())
    }

    fn wake_one(&self) {
        if let Some(waiter) = self.waiters.borrow_mut().pop_front() {
            waiter.woken.set(true);
            if let Some(waker) = waiter.waker.borrow_mut().take() {
                waker.wake();
            }
        }
    }

    /// An HTTP/2 connection with room for one more stream.
    pub(crate) fn multiplexed(&self) -> Option<Multiplexed> {
        let mut all = self.multiplexed.borrow_mut();
        all.retain(|c| !c.closed.get());
        all.iter()
            .filter(|c| c.streams.get() < c.send.current_max_send_streams().min(1000))
            .min_by_key(|c| c.streams.get())
            .cloned()
    }

    /// Keeps an HTTP/2 connection for others.
    pub(crate) fn share(&self, connection: Multiplexed) {
        self.multiplexed.borrow_mut().push(connection);
    }

    /// Closes what was unused since before `oldest`, and what the other side has closed.
    pub(crate) fn sweep(&self, oldest: u64) {
        let stale: Vec<Idle> =
            self.idle.borrow_mut().extract_if(.., |i| i.since < oldest || !i.io.seems_quiet()).collect();
        drop(stale);
    }

    /// Closes everything that is not in use.
    pub(crate) fn clear(&self) {
        let idle = std::mem::take(&mut *self.idle.borrow_mut());
        drop(idle);
        self.multiplexed.borrow_mut().clear();
    }
}

impl Slot {
    pub(crate) fn pool(&self) -> &Rc<Pool> {
        &self.0
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.open.set(self.0.open.get().saturating_sub(1));
        self.0.wake_one();
    }
}

/// A place in the queue; left when dropped.
struct Ticket<'a> {
    pool: &'a Pool,
    waiter: Rc<Waiter>,
    /// The wait has ended as it should.
    used: Cell<bool>,
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        let waiters = &self.pool.waiters;
        let place = waiters.borrow().iter().position(|w| Rc::ptr_eq(w, &self.waiter));
        if let Some(place) = place {
            waiters.borrow_mut().remove(place);
        } else if self.waiter.woken.get() && !self.used.get() {
            // Whoever left after being called passes the call on.
            self.pool.wake_one();
        }
    }
}
