//! Drives one pool: observe, validate, plan, apply, report; again when something changed.

mod apply;
mod gather;
mod observe;
mod report;
pub(crate) mod table;

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::Arc,
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use lbpool_api::{LoadBalancerPool, PoolStatus};
use lbpool_core::{
    Observed, Phase, plan,
    status::{self, status},
    validate,
};
use tokio::{
    sync::{Semaphore, mpsc},
    time::{Instant, sleep},
};

use self::{apply::Applied, gather::Gather, observe::Memory, table::Tables};
use crate::{Balancers, Category, Error, Fleet, Metrics, PoolHandle};

/// Pauses between looks at the balancers while a member drains: short at first, since most drains are.
const DRAIN_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_millis(100));
/// Pauses after passes in which something failed.
const RETRY_PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// The same failure is a warning once in so long. Passes follow what changes as well as their pauses: in a namespace that is
/// being removed each object that goes makes one, and nothing can be made.
const SAME_FAILURE: Duration = Duration::from_secs(30);

/// Keeps a pool as its spec says.
pub struct Controller<F, B> {
    handle: PoolHandle,
    fleet: F,
    balancers: B,
    metrics: Metrics,
    memory: Memory,
    tables: Tables,
    /// The status as the pure part made it: what is reported may say more.
    last: PoolStatus,
    drains: Pause,
    failures: Pause,
    /// Which failures were told of, and when.
    warned: HashMap<String, Instant>,
    bounds: Option<Bounds>,
    gather: Gather,
    notices: Option<mpsc::Sender<Notice>>,
}

/// What keeps many controllers in one process from getting into each other's way.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The right to run a pass.
    pub passes: Arc<Semaphore>,
    /// What changes within so long is looked at in one pass.
    pub debounce: Duration,
}

/// Something that a person would look for, beside the status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notice {
    /// Whether it is bad.
    pub warning: bool,
    /// What happened, from a closed set.
    pub reason: &'static str,
    /// In a person's words.
    pub note: String,
}

/// A pause that doubles each time, from the first to the longest.
#[derive(Debug)]
struct Pause {
    next: Duration,
    range: (Duration, Duration),
}

/// A controller of `pool` over a fleet and balancers, and the handle to it. Nothing is started before
/// [`Controller::run`].
///
/// # Errors
/// Where the spec is wrong, or its template can not be run by this fleet.
pub fn controller<F, B>(
    pool: LoadBalancerPool,
    fleet: Arc<F>,
    balancers: B,
) -> Result<(Controller<Arc<F>, B>, PoolHandle), Error>
where
    F: Fleet + 'static,
    B: Balancers,
{
    let checks = Arc::clone(&fleet);
    let handle = PoolHandle::new(pool, Box::new(move |pool| checks.check(pool)))?;
    Ok((Controller::new(handle.clone(), fleet, balancers), handle))
}

// === impl Controller ===

impl<F: Fleet, B: Balancers> Controller<F, B> {
    /// A controller of the pool behind `handle`, whose status it goes on from.
    pub(crate) fn new(handle: PoolHandle, fleet: F, balancers: B) -> Self {
        Self {
            last: handle.get().status.clone().unwrap_or_default(),
            handle,
            fleet,
            balancers,
            metrics: Metrics::default(),
            memory: Memory::default(),
            tables: Tables::default(),
            drains: Pause::new(DRAIN_PAUSE),
            failures: Pause::new(RETRY_PAUSE),
            warned: HashMap::new(),
            bounds: None,
            gather: Gather::default(),
            notices: None,
        }
    }

    /// Runs passes within bounds that it shares with others.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = Some(bounds);
        self
    }

    /// Tells of what a person would look for. What finds no room is left out: it is in the log.
    #[must_use]
    pub fn with_notices(mut self, notices: mpsc::Sender<Notice>) -> Self {
        self.notices = Some(notices);
        self
    }

    /// Counts in `metrics`.
    #[must_use]
    pub fn with_metrics(mut self, metrics: Metrics) -> Self {
        self.metrics = metrics;
        self
    }

    /// Drives the pool until `shutdown`, then ends its members, all at once, and returns when the last has ended.
    pub async fn run(mut self, shutdown: impl Future<Output = ()>) {
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let pause = self.pass().await;
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                () = self.handle.edited() => {}
                () = self.fleet.changed() => {}
                () = wait(pause) => {}
            }
            if let Some(bounds) = &self.bounds {
                sleep(bounds.debounce).await;
            }
        }
        let grace = validate(&self.handle.get()).map_or(Duration::ZERO, |pool| apply::grace(&pool));
        self.fleet.shutdown(grace).await;
        self.handle.report_end();
    }

    /// One pass; returns after how long the next one is due although nothing is seen to change.
    async fn pass(&mut self) -> Option<Duration> {
        let turn = match &self.bounds {
            Some(bounds) => Arc::clone(&bounds.passes).acquire_owned().await.ok(),
            None => None,
        };
        let begin = Instant::now();
        let outcome = self.step().await;
        self.metrics.pass(begin.elapsed());
        drop(turn);
        match outcome {
            Ok(pause) => pause,
            Err(error) => {
                self.note(&error);
                // An edit is noticed; until then nothing that is tried again helps.
                if error.category() == Category::Spec {
                    return None;
                }
                self.report_failure(error);
                Some(self.failures.take())
            }
        }
    }

    /// A pass that ended early has nothing new to say but why.
    fn report_failure(&self, error: Error) {
        let applied = Applied {
            failures: vec![error],
            ..Applied::default()
        };
        let pool = self.handle.get();
        let told = report::degrade(self.last.clone(), pool.status.as_ref(), &applied, Timestamp::now());
        self.handle.report(told);
    }

    fn tell(&self, warning: bool, reason: &'static str, note: String) {
        if let Some(notices) = &self.notices {
            // Full: the log has it.
            _ = notices.try_send(Notice { warning, reason, note });
        }
    }

    async fn step(&mut self) -> Result<Option<Duration>, Error> {
        let now = Timestamp::now();
        self.confirm().await?;
        let pool = self.handle.get();
        let valid = validate(&pool).inspect_err(|invalid| {
            let generation = pool.metadata.generation.unwrap_or(1);
            self.handle
                .report(status::refused(invalid, generation, &self.last, now));
        })?;
        // What can not be made around the members is reported, and keeps nothing else from being done.
        let provided = self.fleet.provide(&valid).await.map_err(Error::of_provide);
        let seen = observe::observe(&self.fleet, &self.balancers, &mut self.memory, now).await?;
        if self.memory.health.as_ref() != Some(&valid.health) {
            self.fleet.probe(&valid).await.map_err(Error::Observe)?;
            self.memory.health = Some(valid.health.clone());
        }
        let mut plan = plan(&valid, &seen, now);
        let gathers = self.gather.hold(&mut plan, &seen, Instant::now());
        let mut applied = self.apply(&valid, &plan).await;
        // First: what else fails often follows from it.
        applied.failures.splice(..0, provided.err());
        let drains = drains(&seen);
        let wake = plan.wake;

        let seen = Observed {
            routing: self.memory.routing.clone(),
            ..seen
        };
        self.handle.report_seen(&seen);
        self.last = status(&valid, &seen, &plan, &self.last, now);
        let told = report::degrade(self.last.clone(), pool.status.as_ref(), &applied, now);
        report::log_changes(pool.status.as_ref(), &told);
        self.handle.report(told);
        if seen
            .routing
            .as_ref()
            .is_some_and(|document| report::is_routed(&valid, document))
        {
            self.handle.report_routed(valid.generation);
        }
        let next = self.next(&applied, drains, wake);
        Ok([next, gathers].into_iter().flatten().min())
    }

    /// When to look again.
    fn next(&mut self, applied: &Applied, drains: bool, wake: Option<Timestamp>) -> Option<Duration> {
        for error in &applied.failures {
            self.note(error);
        }
        let now = Timestamp::now();
        let until = |at: Timestamp| Duration::try_from(at.duration_since(now).max(SignedDuration::ZERO)).ok();
        let retry = if applied.failures.is_empty() {
            self.failures.reset();
            None
        } else {
            Some(self.failures.take())
        };
        let look = if drains {
            Some(self.drains.take())
        } else {
            self.drains.reset();
            None
        };
        let again = applied.progress.then_some(Duration::ZERO);
        let waits = applied.waits.iter().filter_map(|wait| until(wait.until)).min();
        [retry, look, again, waits, wake.and_then(until)]
            .into_iter()
            .flatten()
            .min()
    }

    fn note(&mut self, error: &Error) {
        self.metrics.failure(error.category());
        let (category, error) = (error.category().as_str(), error.chain());
        let now = Instant::now();
        self.warned.retain(|_, at| now.duration_since(*at) < SAME_FAILURE);
        match self.warned.entry(error) {
            Entry::Occupied(told) => tracing::debug!(category, error = told.key(), "a step failed again"),
            Entry::Vacant(new) => {
                tracing::warn!(category, error = new.key(), "a step failed, tried again");
                new.insert(now);
            }
        }
    }
}

/// Whether something that was ready is out of the table: the balancers, which tell nobody, decide when it may end.
fn drains(seen: &Observed) -> bool {
    let departed = |id| seen.departures.iter().any(|departure| departure.id == id);
    let alive = seen
        .instances
        .iter()
        .filter(|it| matches!(it.phase, Phase::Ready | Phase::Unready));
    alive.map(|instance| instance.id.clone()).any(departed)
}

/// For ever where there is nothing to wait for.
async fn wait(pause: Option<Duration>) {
    match pause {
        Some(pause) => sleep(pause).await,
        None => std::future::pending().await,
    }
}

// === impl Pause ===

impl Pause {
    const fn new(range: (Duration, Duration)) -> Self {
        Self { next: range.0, range }
    }

    fn take(&mut self) -> Duration {
        let now = self.next;
        self.next = (now * 2).min(self.range.1);
        now
    }

    const fn reset(&mut self) {
        self.next = self.range.0;
    }
}

#[cfg(test)]
mod tests;
