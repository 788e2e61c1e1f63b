//! Deadlines without a timer for each call.
//!
//! A worker has one ticker. Each task that may have to give up owns an [`Alarm`]: a moment, and the waker of the task.
//! Setting the moment is a store; the ticker looks over all alarms ten times a second and wakes those that are due.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::pin::pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, Instant};

/// How often the ticker looks.
pub(crate) const TICK: Duration = Duration::from_millis(100);

/// The deadline of an alarm that is not set.
const NEVER: u64 = u64::MAX;

/// The alarms of one worker and its coarse clock.
#[derive(Debug)]
pub(crate) struct Alarms {
    start: Instant,
    now: Cell<u64>,
    entries: RefCell<Vec<Option<Rc<Entry>>>>,
    free: RefCell<Vec<usize>>,
}

#[derive(Debug)]
struct Entry {
    at: Cell<u64>,
    waker: RefCell<Option<Waker>>,
}

/// The deadline passed.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Expired;

impl Alarms {
    pub(crate) fn new(start: Instant) -> Rc<Self> {
        Rc::new(Self { start, now: Cell::new(0), entries: RefCell::default(), free: RefCell::default() })
    }

    /// Milliseconds since `start`, as of the last tick.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.now.get()
    }

    /// Moves the clock and wakes the tasks whose alarm is due.
    pub(crate) fn tick(&self) {
        self.now.set(u64::try_from(self.start.elapsed().as_millis()).unwrap_or(u64::MAX));
        for entry in self.entries.borrow().iter().flatten() {
            if entry.at.get() <= self.now.get() {
                entry.wake();
            }
        }
    }

    /// Wakes every task that has an alarm, so that it looks at what has changed.
    pub(crate) fn wake_all(&self) {
        for entry in self.entries.borrow().iter().flatten() {
            entry.wake();
        }
    }

    /// A new alarm, not set.
    pub(crate) fn alarm(self: &Rc<Self>) -> Alarm {
        let entry = Rc::new(Entry { at: Cell::new(NEVER), waker: RefCell::new(None) });
        let mut entries = self.entries.borrow_mut();
        let index = if let Some(index) = self.free.borrow_mut().pop() {
            if let Some(slot) = entries.get_mut(index) {
                *slot = Some(Rc::clone(&entry));
            }
            index
        } else {
            entries.push(Some(Rc::clone(&entry)));
            entries.len() - 1
        };
        Alarm { alarms: Rc::clone(self), entry, index }
    }
}

impl Entry {
    fn wake(&self) {
        // The waker stays: a task that is woken and goes on waiting does not have to hand it in again.
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

/// One task's deadline.
#[derive(Debug)]
pub(crate) struct Alarm {
    alarms: Rc<Alarms>,
    entry: Rc<Entry>,
    index: usize,
}

impl Alarm {
    /// Sets the deadline to `millis` from now.
    #[inline]
    pub(crate) fn set(&self, millis: u64) {
        // One tick more, since the clock may be one tick behind.
        self.entry.at.set(self.alarms.now().saturating_add(millis).saturating_add(TICK.as_millis() as u64));
    }

    /// Takes the deadline away.
    #[inline]
    pub(crate) fn clear(&self) {
        self.entry.at.set(NEVER);
    }

    /// The worker's coarse clock.
    #[inline]
    pub(crate) fn now(&self) -> u64 {
        self.alarms.now()
    }

    /// Whether the deadline has passed; if not, the current task is woken when it does.
    #[inline]
    pub(crate) fn poll(&self, cx: &mut Context<'_>) -> Poll<Expired> {
        if self.entry.at.get() <= self.alarms.now() {
            return Poll::Ready(Expired);
        }
        let mut waker = self.entry.waker.borrow_mut();
        match &*waker {
            Some(waker) if waker.will_wake(cx.waker()) => {}
            _ => *waker = Some(cx.waker().clone()),
        }
        Poll::Pending
    }

    /// Runs `future` until the deadline that is set.
    pub(crate) async fn within<T>(&self, future: impl Future<Output = T>) -> Result<T, Expired> {
        let mut future = pin!(future);
        std::future::poll_fn(|cx| match future.as_mut().poll(cx) {
            Poll::Ready(value) => Poll::Ready(Ok(value)),
            Poll::Pending => self.poll(cx).map(Err),
        })
        .await
    }
}

impl Drop for Alarm {
    fn drop(&mut self) {
        if let Some(slot) = self.alarms.entries.borrow_mut().get_mut(self.index) {
            *slot = None;
            self.alarms.free.borrow_mut().push(self.index);
        }
    }
}

/// How long a peer may still make us wait: refilled by progress, used up by waiting.
///
/// A peer that sends or takes a byte now and then never lets a plain idle timeout pass; here each byte buys only as
/// much waiting as the least acceptable rate allows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    most: u64,
    left: u64,
    rate: u64,
    waiting_since: Option<u64>,
}

impl Patience {
    /// `most` milliseconds of waiting in a row; `rate` in bytes per second, 0 for none: any progress refills.
    pub(crate) fn new(most: u64, rate: u64) -> Self {
        Self { most, left: most, rate, waiting_since: None }
    }

    /// Begins to wait, or goes on; how many milliseconds are left.
    pub(crate) fn wait(&mut self, now: u64) -> u64 {
        let since = *self.waiting_since.get_or_insert(now);
        self.left.saturating_sub(now.saturating_sub(since))
    }

    /// Takes note of progress by `bytes`.
    pub(crate) fn progress(&mut self, now: u64, bytes: u64) {
        if let Some(since) = self.waiting_since.take() {
            self.left = self.left.saturating_sub(now.saturating_sub(since));
        }
        let bought = bytes.saturating_mul(1000).checked_div(self.rate).unwrap_or(self.most);
        self.left = self.left.saturating_add(bought).min(self.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_used_up_by_trickles_and_kept_by_steady_progress() {
        let mut trickle = Patience::new(30_000, 240);
        let mut now = 0;
        let mut steps = 0;
        while trickle.wait(now) > 0 && steps < 1_000 {
            now += 5_000;
            if trickle.wait(now) > 0 {
                trickle.progress(now, 10);
            }
            steps += 1;
        }
        assert!((30_000..45_000).contains(&now), "cut off after {now} ms");

        let mut steady = Patience::new(30_000, 240);
        for second in 0..600 {
            assert!(steady.wait(second * 1000) > 0);
            steady.progress(second * 1000, 300);
        }
        let mut idle_only = Patience::new(30_000, 0);
        for minute in 0..20 {
            assert!(idle_only.wait(minute * 29_000) > 0);
            idle_only.progress(minute * 29_000, 1);
        }
    }

    #[tokio::test]
    async fn alarms_fire_once_due_and_not_before() {
        let alarms = Alarms::new(Instant::now());
        let ticker = Rc::clone(&alarms);
        let local = tokio::task::LocalSet::new();
        local
            .run_until(async move {
                tokio::task::spawn_local(async move {
                    loop {
                        tokio::time::sleep(TICK).await;
                        ticker.tick();
                    }
                });
                let alarm = alarms.alarm();
                alarm.set(200);
                let began = Instant::now();
                assert_eq!(alarm.within(std::future::pending::<()>()).await, Err(Expired));
                assert!(began.elapsed() >= Duration::from_millis(200));
                alarm.clear();
                assert_eq!(alarm.within(tokio::time::sleep(TICK * 2)).await, Ok(()));
                let second = alarms.alarm();
                drop(alarm);
                let third = alarms.alarm();
                assert_ne!(second.index, third.index);
                assert_eq!(alarms.entries.borrow().len(), 2);
            })
            .await;
    }
}
