//! Deadlines without a timer each: connections note when they give up, and one sweep per worker looks now and then.
//!
//! A timer per read costs microseconds at each read; here it is one store. The price is that a deadline is met up to one
//! [`TICK`] late, never early.

use std::{
    cell::{Cell, RefCell},
    future::poll_fn,
    pin::pin,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use tokio::time::Instant;

/// Time between two sweeps.
pub(crate) const TICK: Duration = Duration::from_millis(20);

/// What waited for longer than it was to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// The deadlines of a worker's connections.
#[derive(Debug)]
pub(crate) struct Deadlines {
    start: Instant,
    now: Rc<Cell<u64>>,
    slots: RefCell<Vec<Rc<Slot>>>,
}

/// One deadline of one connection: at most one wait at a time.
#[derive(Debug)]
pub(crate) struct Deadline {
    now: Rc<Cell<u64>>,
    slot: Rc<Slot>,
}

/// In ticks. `NEVER`: nothing waits. 0: over.
#[derive(Debug)]
struct Slot {
    at: Cell<u64>,
    ticks: Cell<u64>,
    idle: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

const NEVER: u64 = u64::MAX;

// === impl Deadlines ===

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self {
            start: Instant::now(),
            now: Rc::new(Cell::new(0)),
            slots: RefCell::default(),
        }
    }

    /// A deadline for a new connection.
    pub(crate) fn add(&self) -> Deadline {
        let slot = Rc::new(Slot {
            at: Cell::new(NEVER),
            ticks: Cell::new(0),
            idle: Cell::new(false),
            waker: RefCell::default(),
        });
        self.slots.borrow_mut().push(Rc::clone(&slot));
        Deadline {
            now: Rc::clone(&self.now),
            slot,
        }
    }

    /// Wakes whom it is time for.
    pub(crate) fn sweep(&self) {
        let tick = TICK.as_millis();
        let now = u64::try_from(self.start.elapsed().as_millis() / tick).unwrap_or(NEVER - 1);
        self.now.set(now);
        self.slots.borrow_mut().retain(|slot| {
            if slot.at.get() <= now {
                slot.fire();
            }
            // The connection is gone: only this list knows its slot.
            Rc::strong_count(slot) > 1
        });
    }

    /// Ends every wait for something that may never come.
    pub(crate) fn end_idle(&self) {
        for slot in self
            .slots
            .borrow()
            .iter()
            .filter(|slot| slot.idle.get() && slot.at.get() != NEVER)
        {
            slot.fire();
        }
    }
}

// === impl Slot ===

impl Slot {
    fn fire(&self) {
        self.at.set(0);
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

// === impl Deadline ===

impl Deadline {
    /// The outcome of `work`, or [`Elapsed`] where it takes longer than `limit`.
    ///
    /// Cancel safe where `work` is.
    pub(crate) async fn within<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        self.arm(limit);
        let mut work = pin!(work);
        let done = poll_fn(|cx| match work.as_mut().poll(cx) {
            Poll::Ready(output) => Poll::Ready(Ok(output)),
            Poll::Pending => self.poll(cx).map(|()| Err(Elapsed)),
        })
        .await;
        self.slot.at.set(NEVER);
        done
    }

    /// As [`Deadline::within`], for a wait that a shutdown ends.
    pub(crate) async fn idle<F: Future>(&self, limit: Duration, work: F) -> Result<F::Output, Elapsed> {
        self.slot.idle.set(true);
        let done = self.within(limit, work).await;
        self.slot.idle.set(false);
        done
    }

    /// Starts the present wait's time anew: there was progress elsewhere that it depends on.
    pub(crate) fn extend(&self) {
        if self.slot.at.get() != NEVER && self.slot.at.get() != 0 {
            self.slot.at.set(self.now.get().saturating_add(self.slot.ticks.get()));
        }
    }

    /// As [`Deadline::extend`], with another limit from now on.
    pub(crate) fn restart(&self, limit: Duration) {
        if self.slot.at.get() != NEVER && self.slot.at.get() != 0 {
            self.arm(limit);
        }
    }

    fn arm(&self, limit: Duration) {
        // The present tick has partly passed: one more, so that nobody gives up early.
        let ticks = u64::try_from(limit.as_millis().div_ceil(TICK.as_millis()))
            .unwrap_or(NEVER / 2)
            .saturating_add(1);
        self.slot.ticks.set(ticks);
        self.slot.at.set(self.now.get().saturating_add(ticks));
    }

    fn poll(&self, cx: &Context<'_>) -> Poll<()> {
        if self.slot.at.get() == 0 {
            return Poll::Ready(());
        }
        let mut waker = self.slot.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|known| known.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, ready};

    use super::*;

    async fn sweeping<F: Future>(deadlines: &Deadlines, work: F) -> F::Output {
        let sweep = async {
            loop {
                tokio::time::sleep(TICK).await;
                deadlines.sweep();
            }
        };
        tokio::select! { output = work => output, () = sweep => unreachable!() }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_at_most_two_ticks_late_and_never_early() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        let start = Instant::now();
        let limit = Duration::from_millis(90);
        assert_eq!(
            sweeping(&deadlines, deadline.within(limit, pending::<()>())).await,
            Err(Elapsed)
        );
        assert!(
            start.elapsed() >= limit && start.elapsed() <= limit + 2 * TICK,
            "{:?}",
            start.elapsed()
        );
        assert_eq!(deadline.within(limit, ready(7)).await, Ok(7), "usable again");
    }

    #[tokio::test(start_paused = true)]
    async fn progress_elsewhere_puts_a_deadline_off() {
        let deadlines = Deadlines::new();
        let deadline = deadlines.add();
        let start = Instant::now();
        let progress = async {
            for _ in 0..10 {
                tokio::time::sleep(Duration::from_millis(60)).await;
                deadline.extend();
            }
            pending::<()>().await;
        };
        let limit = Duration::from_millis(100);
        assert_eq!(
            sweeping(&deadlines, deadline.within(limit, progress)).await,
            Err(Elapsed)
        );
        assert!(start.elapsed() >= Duration::from_millis(700), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_ends_idle_waits_only_and_dropped_ones_are_forgotten() {
        let deadlines = Deadlines::new();
        let (idle, busy) = (deadlines.add(), deadlines.add());
        let hour = Duration::from_secs(3600);
        let busy_wait = async {
            tokio::select! {
                done = busy.within(hour, pending::<()>()) => Some(done),
                () = tokio::time::sleep(Duration::from_secs(1)) => None,
            }
        };
        let end = async {
            tokio::task::yield_now().await;
            deadlines.end_idle();
        };
        let (idled, busied, ()) = tokio::join!(idle.idle(hour, pending::<()>()), busy_wait, end);
        assert_eq!((idled, busied), (Err(Elapsed), None));
        drop((idle, busy));
        deadlines.sweep();
        assert!(deadlines.slots.borrow().is_empty());
    }
}
