//! Which member an attempt goes to, and whether there is a further one.

use std::{pin::pin, rc::Rc, sync::Arc, time::Duration};

use lbpool_http1::Method;
use tokio::time::{Instant, sleep_until};

use super::error::{Cause, Failure, Stage};
use crate::{
    key::{self, Asked},
    route::{Answer, Question, route},
    stats::{Hold, Retry, Spill},
    target::{Probe, Target},
    upstream::{breaker, pool::Origin},
    worker::{Pinned, Worker},
};

/// How often a waiting request looks whether its member can be reached again, where nobody tells.
const LOOK: Duration = Duration::from_millis(50);

/// One attempt's way: counted on its target from the moment that it was routed.
pub(super) struct Leg {
    pub(super) snapshot: Rc<Pinned>,
    pub(super) origin: Rc<Origin>,
    worker: Rc<Worker>,
}

/// What was tried so far for a request.
#[derive(Default)]
pub(super) struct Attempts {
    tried: Vec<Arc<Target>>,
    again: u32,
    /// A connection that had been used before failed, or a stream was refused: the same member once more, over a new one.
    fresh: bool,
    stale_once: bool,
    /// Until when the request waits for its owner, once it does.
    until: Option<Instant>,
    impatient: bool,
    last: Option<Failure>,
    /// Hash of the key, or a random one, and whether there is a key: as the present attempt was routed by.
    key: (u64, bool),
}

/// A place in the queue of a member that is away.
struct Place<'a> {
    worker: &'a Worker,
    member: Arc<str>,
}

// === impl Leg ===

impl Leg {
    fn new(worker: &Rc<Worker>, snapshot: Rc<Pinned>, target: &Arc<Target>) -> Self {
        target.begin(worker.id);
        worker.stats().sent.inc();
        Self {
            origin: worker.origins.of(target),
            snapshot,
            worker: Rc::clone(worker),
        }
    }
}

impl Drop for Leg {
    fn drop(&mut self) {
        self.origin.target().end(self.worker.id);
        self.worker.stats().sent.dec();
    }
}

// === impl Place ===

impl<'a> Place<'a> {
    /// `None`: so many wait already.
    fn take(worker: &'a Worker, member: &Arc<str>) -> Option<Self> {
        let mut holds = worker.holds.borrow_mut();
        let waiting = holds.entry(Arc::clone(member)).or_default();
        if *waiting >= worker.shared.config.limits.holds_per_member {
            return None;
        }
        *waiting += 1;
        worker.stats().held.inc();
        Some(Self {
            worker,
            member: Arc::clone(member),
        })
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.worker.stats().held.dec();
        let mut holds = self.worker.holds.borrow_mut();
        if let Some(waiting) = holds.get_mut(&self.member) {
            *waiting -= 1;
            if *waiting == 0 {
                holds.remove(&self.member);
            }
        }
    }
}

// === impl Attempts ===

impl Attempts {
    /// Whether the next attempt takes a new connection.
    pub(super) const fn fresh(&self) -> bool {
        self.fresh
    }

    /// Whether a connection that had been used before has failed already.
    pub(super) const fn was_stale(&self) -> bool {
        self.stale_once
    }

    /// Finds the member for the next attempt by the newest snapshot, where it can be asked at once.
    pub(super) fn next(&mut self, worker: &Rc<Worker>, asked: Asked<'_>) -> Option<Leg> {
        let snapshot = worker.snapshot();
        match self.route(worker, asked, &snapshot, worker.random()) {
            Answer::Go { target, spill } => Some(go(worker, snapshot, &target, spill)),
            Answer::Hold(_) | Answer::Away | Answer::Nobody => None,
        }
    }

    /// As [`Attempts::next`]; waits for the member where the policy says so, unless the client is `gone` meanwhile.
    pub(super) async fn wait(
        &mut self,
        worker: &Rc<Worker>,
        asked: Asked<'_>,
        gone: impl Future<Output = ()>,
    ) -> Result<Leg, Failure> {
        let random = worker.random();
        let mut place = None;
        let mut gone = pin!(gone);
        loop {
            let snapshot = worker.snapshot();
            match self.route(worker, asked, &snapshot, random) {
                Answer::Go { target, spill } => {
                    if place.is_some() {
                        let ended = if self.impatient { Hold::TimedOut } else { Hold::Returned };
                        worker.stats().holds[ended as usize].inc();
                    }
                    return Ok(go(worker, snapshot, &target, spill));
                }
                Answer::Hold(member) => {
                    let Some(member) = snapshot.members.get(member) else {
                        return Err(self.give_up(Cause::Nobody));
                    };
                    if place.is_none() {
                        place = Place::take(worker, &member.name);
                    }
                    let until = *self
                        .until
                        .get_or_insert_with(|| Instant::now() + snapshot.policy.hold_timeout);
                    if place.is_none() {
                        worker.stats().holds[Hold::Full as usize].inc();
                    }
                    if place.is_none() || Instant::now() >= until {
                        self.impatient = true;
                        continue;
                    }
                    let look = (Instant::now() + LOOK).min(until);
                    tokio::select! {
                        // Changes are told on this thread: none fell between the look and here.
                        () = worker.changed.notified() => {}
                        () = sleep_until(look) => self.forgive(member.target.as_ref()),
                        () = &mut gone => {
                            return Err(Failure { stage: Stage::Unsent, cause: Cause::ClientGone });
                        }
                    }
                }
                Answer::Away => return Err(self.give_up(Cause::Away)),
                Answer::Nobody => return Err(self.give_up(Cause::Nobody)),
            }
        }
    }

    fn route(&mut self, worker: &Worker, asked: Asked<'_>, snapshot: &Pinned, random: u64) -> Answer {
        let key = key::of(&snapshot.policy, asked);
        let hash = key.as_deref().map_or(random, |key| snapshot.table.hash(key));
        self.key = (hash, key.is_some());
        route(snapshot, &self.question(worker, &self.tried))
    }

    fn question<'a>(&self, worker: &'a Worker, tried: &'a [Arc<Target>]) -> Question<'a> {
        let (hash, keyed) = self.key;
        let shared = &worker.shared;
        Question {
            hash,
            keyed,
            tried,
            patient: !self.impatient,
            waited: self.until.is_some(),
            now: shared.now(),
            workers: shared.stats(),
            load_floor: shared.config.limits.load_floor,
        }
    }

    /// Whether a request that waits for an answer of `target`, which is ill, is better off elsewhere: it may be tried once
    /// more, and somebody well takes it, or it may wait for its owner's return.
    fn is_better_elsewhere(&self, worker: &Worker, target: &Arc<Target>) -> bool {
        let snapshot = worker.snapshot();
        if self.again >= snapshot.policy.attempts || !worker.budget.is_open() {
            return false;
        }
        let tried: Vec<Arc<Target>> = self.tried.iter().chain([target]).cloned().collect();
        match route(&snapshot, &self.question(worker, &tried)) {
            // Where too few are well, the table alone decides: then nobody is better.
            Answer::Go { target, .. } => target.admits(worker.shared.now()),
            Answer::Hold(_) => true,
            Answer::Away | Answer::Nobody => false,
        }
    }

    /// The owner may be tried again: while a request waits for it, nothing better can be done.
    fn forgive(&mut self, owner: Option<&Arc<Target>>) {
        self.tried
            .retain(|tried| !owner.is_some_and(|owner| Arc::ptr_eq(owner, tried)));
    }

    /// What the client is told: of a member that failed rather than of one that is missing.
    fn give_up(&mut self, cause: Cause) -> Failure {
        self.last.take().unwrap_or(Failure {
            stage: Stage::Unsent,
            cause,
        })
    }

    /// Looks after a request whose member has not answered for long: whether it is given up here, and sent again.
    /// `replayable`: all that was sent of it is still here.
    pub(super) fn gives_up(&self, worker: &Worker, target: &Arc<Target>, method: Method, replayable: bool) -> bool {
        if target.probe() != Probe::Ill {
            worker.shared.suspect(target);
            return false;
        }
        Stage::Waiting.may_retry(method.is_idempotent(), replayable) && self.is_better_elsewhere(worker, target)
    }

    /// Decides whether a request is sent again after a failure, and keeps it where it is not. `replayable`: all that was
    /// sent of it is still here; `reused`: its connection had been used before.
    pub(super) fn again(
        &mut self,
        worker: &Worker,
        leg: &Leg,
        (method, replayable): (Method, bool),
        failure: Failure,
        reused: bool,
    ) -> Result<(), Failure> {
        let stale = !self.stale_once
            && match failure.cause {
                Cause::Reset(_) => reused,
                // A member that ends connections by their age means the connection, not the request.
                Cause::Refused => true,
                _ => false,
            };
        if !stale {
            blame(worker, leg, &failure);
        }
        let may = failure.stage.may_retry(method.is_idempotent(), replayable) && failure.cause.is_worth_another();
        if !may {
            return Err(failure);
        }
        // One that waits for its owner tries it as often as it takes: nothing is sent until there is a connection.
        let waiting = self.until.is_some() && !self.impatient && matches!(failure.cause, Cause::Connect(_));
        if !waiting {
            if !stale && self.again >= leg.snapshot.policy.attempts {
                return Err(failure);
            }
            if matches!(failure.cause, Cause::MemberHung) {
                worker.budget.spend_for_ill();
            } else if !worker.budget.spend() {
                worker.stats().retries_denied.inc();
                return Err(failure);
            }
        }
        let why = match failure.cause {
            Cause::Refused => Retry::Refused,
            _ if stale => Retry::Stale,
            Cause::Connect(_) => Retry::Connect,
            Cause::MemberHung => Retry::Hung,
            _ => Retry::Reset,
        };
        worker.stats().retries[why as usize].inc();
        self.fresh = stale;
        self.stale_once |= stale;
        if !stale {
            self.again += u32::from(!waiting);
            self.tried.push(Arc::clone(leg.origin.target()));
        }
        self.last = Some(failure);
        Ok(())
    }
}

/// Counts an attempt. Between the look at the snapshot and here nothing is awaited: a drain that sees the next epoch sees this
/// request.
fn go(worker: &Rc<Worker>, snapshot: Rc<Pinned>, target: &Arc<Target>, spill: Option<Spill>) -> Leg {
    if let Some(spill) = spill {
        worker.stats().spills[spill as usize].inc();
    }
    Leg::new(worker, snapshot, target)
}

/// Lets the breaker know of a failure that was the member's.
fn blame(worker: &Worker, leg: &Leg, failure: &Failure) {
    let breaks = match failure.cause {
        Cause::Connect(_) => Some(breaker::Failure::Connect),
        Cause::Reset(_) => Some(breaker::Failure::Reset),
        Cause::Answer(_) | Cause::Protocol(_) | Cause::MemberSlow | Cause::MemberHung => None,
        // One that refused a request has not looked at it, which is no failure.
        _ => return,
    };
    let target = leg.origin.target();
    target.count_failure(worker.id);
    if let Some(failure) = breaks {
        worker.shared.on_failure(&leg.snapshot, target, failure);
    }
}
