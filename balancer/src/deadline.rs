//! Deadlines without a timer each: connections note when they give up, and one sweep per worker looks now and then.
//!
//! A timer per read costs microseconds at each read; here it is one store. The price is that a deadline is met up to
//! three [`TICK`]s late, never early.
//!
//! A wait may also be looked at before it is over, without a timer either: see [`Deadline::watched`].
//!
//! The clock is the worker's own: it stands still while the worker does (a stopped process, a machine without a free
//! core). Nobody is charged for time in which nobody could have looked at what they sent.

use std::{
    cell::{Cell, RefCell},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use pin_project_lite::pin_project;
use tokio::time::Instant;

/// Time between two sweeps.
pub(crate) const TICK: Duration = Duration::from_millis(20);
/// Milliseconds that the clock goes on at a sweep at most: more than a tick, so that it keeps time although sweeps are a
/// little late.
const STEP: u64 = 30;

/// When a wait is looked at, and how often from then on.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Looks {
    pub(crate) first: Duration,
    pub(crate) then: Duration,
}

/// Why a watched wait ended without an outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Over {
    /// It took too long.
    Elapsed,
    /// Whoever looked at it gave it up.
    GivenUp,
}

/// What waited for longer than it was to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Elapsed;

/// The deadlines of a worker's connections.
#[derive(Debug)]
pub(crate) struct Deadlines {
    swept: Cell<Instant>,
    now: Rc<Cell<u64>>,
    slots: RefCell<Vec<Rc<Slot>>>,
}

/// One deadline of one connection: at most one wait at a time.
#[derive(Debug)]
pub(crate) struct Deadline {
    now: Rc<Cell<u64>>,
    slot: Rc<Slot>,
}

/// In milliseconds of the worker's clock. `NEVER`: nothing waits. 0: over.
#[derive(Debug)]
struct Slot {
    at: Cell<u64>,
    limit: Cell<u64>,
    /// What waits is idle: a shutdown leaves it so much time.
    idle: Cell<Option<u64>>,
    /// When it is looked at.
    look: Cell<u64>,
    /// Milliseconds between two looks.
    again: Cell<u64>,
    looking: Cell<Looking>,
    waker: RefCell<Option<Waker>>,
}

/// How far a watched wait is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Looking {
    /// It is young, or not watched.
    No,
    /// It is to be looked at now.
    Due,
    /// It was looked at.
    Done,
}

pin_project! {
    /// A wait. Not an `async` function: that would hold what it waits for twice, once as it was given and once where it is
    /// polled, and so on through everything that waits for it.
    pub(crate) struct Within<'a, F> {
        deadline: &'a Deadline,
        // `None` once it has begun.
        limit: Option<Duration>,
        // Of an idle wait: how long a shutdown leaves it.
        ending: Option<Duration>,
        #[pin]
        work: F,
    }
}

pin_project! {
    /// A wait that is looked at.
    pub(crate) struct Watched<'a, F, G> {
        deadline: &'a Deadline,
        limit: Option<(Duration, Looks)>,
        gives_up: G,
        #[pin]
        work: F,
    }
}

const NEVER: u64 = u64::MAX;

// === impl Deadlines ===

impl Deadlines {
    pub(crate) fn new() -> Self {
        Self {
            swept: Cell::new(Instant::now()),
            now: Rc::new(Cell::new(0)),
            slots: RefCell::default(),
        }
    }

    /// A deadline for a new connection.
    pub(crate) fn add(&self) -> Deadline {
        let slot = Rc::new(Slot {
            at: Cell::new(NEVER),
            limit: Cell::new(0),
            idle: Cell::new(None),
            look: Cell::new(NEVER),
            again: Cell::new(NEVER),
            looking: Cell::new(Looking::No),
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
        let passed = millis(self.swept.get().elapsed());
        // What is left of a millisecond counts the next time.
        self.swept.set(self.swept.get() + Duration::from_millis(passed));
        let now = self.now.get() + passed.min(STEP);
        self.now.set(now);
        self.slots.borrow_mut().retain(|slot| {
            if slot.at.get() <= now {
                slot.fire();
            }
            if slot.look.get() <= now {
                slot.look.set(now.saturating_add(slot.again.get()));
                slot.look_now();
            }
            // The connection is gone: only this list knows its slot.
            Rc::strong_count(slot) > 1
        });
    }

    /// Has every wait looked at again that was looked at before: there is news.
    pub(crate) fn look_again(&self) {
        for slot in self.slots.borrow().iter() {
            if slot.looking.get() == Looking::Done {
                slot.look_now();
            }
        }
    }

    /// Ends every wait for something that may never come, at once or in as much time as each is left.
    pub(crate) fn end_idle(&self) {
        for slot in self.slots.borrow().iter().filter(|slot| slot.at.get() != NEVER) {
            match slot.idle.get() {
                Some(0) => slot.fire(),
                Some(left) => slot.at.set(slot.at.get().min(self.now.get() + left)),
                None => {}
            }
        }
    }
}

// === impl Slot ===

impl Slot {
    fn fire(&self) {
        self.at.set(0);
        self.wake();
    }

    fn look_now(&self) {
        self.looking.set(Looking::Due);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.borrow_mut().take() {
            waker.wake();
        }
    }
}

// === impl Deadline ===

impl Deadline {
    /// The outcome of `work`, or [`Elapsed`] where it takes longer than `limit`, which begins with the first poll.
    ///
    /// Cancel safe where `work` is.
    pub(crate) fn within<F: Future>(&self, limit: Duration, work: F) -> Within<'_, F> {
        Within {
            deadline: self,
            limit: Some(limit),
            ending: None,
            work,
        }
    }

    /// As [`Deadline::within`], for a wait that a shutdown ends: in `ending`, or at once where that is zero.
    pub(crate) fn idle<F: Future>(&self, limit: Duration, ending: Duration, work: F) -> Within<'_, F> {
        Within {
            ending: Some(ending),
            ..self.within(limit, work)
        }
    }

    /// As [`Deadline::within`], and `gives_up` is asked at the times of `looks` whether the wait is to end.
    pub(crate) fn watched<F: Future, G: Fn() -> bool>(
        &self,
        limit: Duration,
        looks: Looks,
        gives_up: G,
        work: F,
    ) -> Watched<'_, F, G> {
        Watched {
            deadline: self,
            limit: Some((limit, looks)),
            gives_up,
            work,
        }
    }

    /// Milliseconds of the worker's clock, as of the last sweep.
    pub(crate) fn clock(&self) -> u64 {
        self.now.get()
    }

    /// Starts the present wait's time anew: there was progress elsewhere that it depends on.
    pub(crate) fn extend(&self) {
        if self.slot.at.get() != NEVER && self.slot.at.get() != 0 {
            self.slot.at.set(self.now.get().saturating_add(self.slot.limit.get()));
        }
    }

    /// As [`Deadline::extend`], with another limit from now on.
    pub(crate) fn restart(&self, limit: Duration) {
        if self.slot.at.get() != NEVER && self.slot.at.get() != 0 {
            self.arm(limit);
        }
    }

    fn arm(&self, limit: Duration) {
        // The next sweep goes on by time that has partly passed: so much more, so that nobody gives up early.
        let limit = millis(limit).saturating_add(STEP);
        self.slot.limit.set(limit);
        self.slot.at.set(self.now.get().saturating_add(limit));
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

// === impl Within ===

impl<F: Future> Future for Within<'_, F> {
    type Output = Result<F::Output, Elapsed>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let slot = &this.deadline.slot;
        if let Some(limit) = this.limit.take() {
            slot.idle.set(this.ending.map(millis));
            this.deadline.arm(limit);
        }
        let done = match this.work.poll(cx) {
            Poll::Ready(output) => Ok(output),
            Poll::Pending => {
                ready!(this.deadline.poll(cx));
                Err(Elapsed)
            }
        };
        slot.at.set(NEVER);
        slot.idle.set(None);
        Poll::Ready(done)
    }
}

// === impl Watched ===

impl<F: Future, G: Fn() -> bool> Future for Watched<'_, F, G> {
    type Output = Result<F::Output, Over>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let slot = &this.deadline.slot;
        if let Some((limit, looks)) = this.limit.take() {
            this.deadline.arm(limit);
            // A wait that was dropped may have left its own.
            slot.looking.set(Looking::No);
            slot.again.set(millis(looks.then));
            slot.look
                .set(this.deadline.now.get().saturating_add(millis(looks.first)));
        }
        let done = match this.work.poll(cx) {
            Poll::Ready(output) => Ok(output),
            Poll::Pending if slot.looking.get() == Looking::Due && (this.gives_up)() => Err(Over::GivenUp),
            Poll::Pending => {
                if slot.looking.get() == Looking::Due {
                    slot.looking.set(Looking::Done);
                }
                ready!(this.deadline.poll(cx));
                Err(Over::Elapsed)
            }
        };
        slot.at.set(NEVER);
        slot.look.set(NEVER);
        slot.looking.set(Looking::No);
        Poll::Ready(done)
    }
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(NEVER / 2)
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
    async fn a_worker_that_stood_still_charges_nobody_for_it() {
        let deadlines = Deadlines::new();
        let (before, after) = (deadlines.add(), deadlines.add());
        let limit = Duration::from_millis(200);
        let stall = async {
            tokio::task::yield_now().await;
            tokio::time::advance(Duration::from_mins(1)).await;
            // A wait that begins before the first sweep behind the stall.
            let start = Instant::now();
            let done = after.within(limit, pending::<()>()).await;
            (done, start.elapsed() >= limit)
        };
        let waiting = async {
            let start = Instant::now();
            (before.within(limit, pending::<()>()).await, start.elapsed())
        };
        let both = async { tokio::join!(waiting, stall) };
        let ((done, waited), late) = sweeping(&deadlines, both).await;
        assert_eq!(late, (Err(Elapsed), true));
        assert!(
            done == Err(Elapsed) && waited >= Duration::from_mins(1) + limit / 2,
            "{waited:?}"
        );
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
    async fn a_watched_wait_is_looked_at_in_time_and_again_when_there_is_news() {
        let deadlines = Deadlines::new();
        let (deadline, other) = (deadlines.add(), deadlines.add());
        let start = Instant::now();
        let asked = RefCell::new(Vec::new());
        let looks = Looks {
            first: Duration::from_secs(1),
            then: Duration::from_secs(5),
        };
        let asks = || {
            asked.borrow_mut().push(start.elapsed().as_secs());
            asked.borrow().len() == 3
        };
        let hour = Duration::from_hours(1);
        let news = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            deadlines.look_again();
            tokio::time::sleep(Duration::from_secs(7)).await;
            deadlines.look_again();
            pending::<()>().await;
        };
        let both = async {
            tokio::select! {
                done = deadline.watched(hour, looks, asks, pending::<()>()) => done,
                _ = other.within(hour, news) => unreachable!(),
            }
        };
        assert_eq!(sweeping(&deadlines, both).await, Err(Over::GivenUp));
        assert_eq!(*asked.borrow(), [1, 6, 7], "no look before the first");
        let limit = Duration::from_millis(90);
        let over = deadline.watched(limit, looks, || true, pending::<()>());
        assert_eq!(sweeping(&deadlines, over).await, Err(Over::Elapsed));
    }

    #[tokio::test(start_paused = true)]
    async fn a_shutdown_ends_idle_waits_only_and_dropped_ones_are_forgotten() {
        let deadlines = Deadlines::new();
        let (idle, busy) = (deadlines.add(), deadlines.add());
        let hour = Duration::from_hours(1);
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
        let (idled, busied, ()) = tokio::join!(idle.idle(hour, Duration::ZERO, pending::<()>()), busy_wait, end);
        assert_eq!((idled, busied), (Err(Elapsed), None));
        drop((idle, busy));
        deadlines.sweep();
        assert!(deadlines.slots.borrow().is_empty());
    }
}
