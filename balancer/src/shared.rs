//! What the workers, the publisher and everything around the data plane have in common.

use std::{
    sync::{
        Arc, Mutex, OnceLock, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use lbpool_api::routing::Protocol;
use tokio::{
    sync::{Notify, watch},
    time::Instant,
};

use crate::{
    balancer::Report,
    config::Config,
    snapshot::Snapshot,
    stats::{Count, WorkerStats},
    target::{Probe, Target},
    upstream::breaker::{Failure, most_ejected},
};

pub use lbpool_daemon::drain::{Phase, Phases};

/// The state of a running balancer. Admin, metrics and health read it; few write.
#[derive(Debug)]
pub struct Shared {
    pub(crate) config: Config,
    started: Instant,
    snapshot: watch::Sender<Arc<Snapshot>>,
    phases: Phases,
    verdicts: watch::Sender<u64>,
    suspects: Notify,
    targets: Mutex<Vec<Arc<Target>>>,
    stats: Box<[WorkerStats]>,
    tables: AtomicU64,
    /// In billionths, so that it can be added to without a lock.
    moved: AtomicU64,
    /// By worker.
    routed: Mutex<Box<[Routed]>>,
    leaving: watch::Sender<bool>,
    /// When everything is cut, and how long that is from the beginning of the end.
    end: OnceLock<(Instant, Duration)>,
    pub(crate) acknowledged: Notify,
}

/// The snapshot that a worker routes by, or all do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Routed {
    /// Which one: decides which is older.
    pub version: u64,
    /// Its epoch, which may be smaller in a newer one: of a document that was made anew.
    pub epoch: u64,
}

// === impl Shared ===

impl Shared {
    pub(crate) fn new(config: Config, snapshot: Snapshot) -> Self {
        let workers = config.workers;
        Self {
            config,
            started: Instant::now(),
            snapshot: watch::Sender::new(Arc::new(snapshot)),
            phases: Phases::default(),
            verdicts: watch::Sender::new(0),
            suspects: Notify::new(),
            targets: Mutex::default(),
            tables: AtomicU64::new(0),
            moved: AtomicU64::new(0),
            stats: (0..workers).map(|_| WorkerStats::default()).collect(),
            routed: Mutex::new((0..workers).map(|_| Routed::default()).collect()),
            leaving: watch::Sender::new(false),
            end: OnceLock::new(),
            acknowledged: Notify::new(),
        }
    }

    /// Name of this balancer.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.config.name
    }

    pub(crate) const fn limits(&self) -> &crate::Limits {
        &self.config.limits
    }

    /// Milliseconds since the start: the clock of ejections and of [`Target::admits`]. Starts at 1, so that 0 is free.
    #[must_use]
    pub fn now(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis())
            .unwrap_or(u64::MAX - 1)
            .saturating_add(1)
    }

    /// The newest snapshot. A worker may be a moment behind it: see [`Shared::epoch`].
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        Arc::clone(&self.snapshot.borrow())
    }

    /// Tells of each new snapshot.
    #[must_use]
    pub fn watch_snapshot(&self) -> watch::Receiver<Arc<Snapshot>> {
        self.snapshot.subscribe()
    }

    pub(crate) fn set_snapshot(&self, snapshot: &Arc<Snapshot>) {
        let before = self.snapshot.send_replace(Arc::clone(snapshot));
        for target in before.targets() {
            target.set_departed(true);
        }
        for target in snapshot.targets() {
            target.set_departed(false);
        }
        let epoch = before.epoch;
        drop(before);
        self.forget();
        if epoch == snapshot.epoch {
            // The same document: only who is ready, and where, is another.
            return;
        }
        self.tables.fetch_add(1, Relaxed);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a share: from 0 to 1 billion"
        )]
        self.moved
            .fetch_add((snapshot.moved.clamp(0.0, 1.0) * 1e9) as u64, Relaxed);
    }

    /// Routing documents that were put into use so far.
    #[must_use]
    pub fn tables(&self) -> u64 {
        self.tables.load(Relaxed)
    }

    /// Sum of the shares of the key space that changed hands so far: 1.5 is one and a half times everything.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a metric")]
    pub fn moved(&self) -> f64 {
        self.moved.load(Relaxed) as f64 / 1e9
    }

    /// What the balancer routes by, and who has requests in flight.
    ///
    /// The epoch is read first: a request that was routed by an older snapshot than that is counted by now.
    #[must_use]
    pub fn report(&self) -> Report {
        let epoch = self.epoch();
        let snapshot = self.snapshot();
        let mut in_flight: Vec<(String, u64)> = Vec::new();
        for (pod, n) in self
            .targets()
            .iter()
            .map(|target| (target.pod(), target.in_flight()))
            .filter(|(_, n)| *n > 0)
        {
            match in_flight.iter_mut().find(|(name, _)| **name == **pod) {
                Some((_, sum)) => *sum += n,
                None => in_flight.push((pod.to_string(), n)),
            }
        }
        Report {
            name: self.config.name.clone(),
            epoch,
            digest: snapshot.digest.clone(),
            in_flight,
            members: snapshot.members.iter().map(|member| member.name.to_string()).collect(),
        }
    }

    /// The epoch that **all** workers route by.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.routed().epoch
    }

    /// What **all** workers route by, or something newer.
    pub(crate) fn routed(&self) -> Routed {
        let routed = self.routed.lock().unwrap_or_else(PoisonError::into_inner);
        routed.iter().min().copied().unwrap_or_default()
    }

    /// A worker says that no attempt of its requests will be routed by an older snapshot from now on.
    pub(crate) fn acknowledge(&self, worker: usize, snapshot: &Snapshot) {
        if let Some(routed) = self
            .routed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(worker)
        {
            *routed = Routed {
                version: snapshot.version,
                epoch: snapshot.epoch,
            };
        }
        self.acknowledged.notify_waiters();
    }

    /// From now on every answer tells its client to come back to another balancer, and `/readyz` says no. All else
    /// goes on as before, for new connections too: whoever sends requests here needs time to notice.
    pub fn leave(&self) {
        self.leaving.send_replace(true);
    }

    /// The end has begun, and takes so long at most.
    pub(crate) fn end_within(&self, grace: Duration) {
        // Only the first word counts: there is one shutdown.
        self.end.get_or_init(|| (Instant::now() + grace, grace));
    }

    pub(crate) fn end(&self) -> Option<(Instant, Duration)> {
        self.end.get().copied()
    }

    /// Whether it was told to leave.
    #[must_use]
    pub fn is_leaving(&self) -> bool {
        *self.leaving.borrow()
    }

    pub(crate) fn watch_leaving(&self) -> watch::Receiver<bool> {
        self.leaving.subscribe()
    }

    /// What the balancer is doing: Ready once all workers route, Draining from the begin of its shutdown.
    #[must_use]
    pub const fn phases(&self) -> &Phases {
        &self.phases
    }

    /// The counters of each worker.
    #[must_use]
    pub fn stats(&self) -> &[WorkerStats] {
        &self.stats
    }

    /// Requests in flight on members, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.stats.iter().map(|stats| stats.sent.get()).sum()
    }

    /// Every target that is in the table, and those that left it and may still have requests in flight.
    #[must_use]
    pub fn targets(&self) -> Vec<Arc<Target>> {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Forgets the targets that left the table and that no request and no worker knows any more.
    fn forget(&self) {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        targets.retain(|target| !target.departed() || target.in_flight() > 0 || Arc::strong_count(target) > 1);
    }

    /// Finds the target of a pod at an address, or makes it.
    pub(crate) fn target(
        &self,
        member: &Arc<str>,
        pod: &str,
        address: std::net::SocketAddr,
        (protocol, host): (Protocol, Option<&str>),
    ) -> Arc<Target> {
        let mut targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        let known = targets
            .iter()
            .find(|t| **t.pod() == *pod && t.address() == address && t.member() == member && t.speaks(protocol, host));
        if let Some(target) = known {
            return Arc::clone(target);
        }
        let workers = self.config.workers;
        let target = Target::new(Arc::clone(member), Arc::from(pod), address, protocol, workers);
        let target = Arc::new(target.with_host(host));
        targets.push(Arc::clone(&target));
        target
    }

    /// A member failed: ejects it where that follows, and lets probes know.
    pub(crate) fn on_failure(&self, snapshot: &Snapshot, target: &Target, failure: Failure) {
        let now = self.now();
        let room = || {
            let ejected = snapshot
                .targets()
                .filter(|target| !target.breaker().admits(now))
                .count();
            ejected < most_ejected(snapshot.members.len())
        };
        if let Some(length) = target.breaker().on_failure(failure, now, room) {
            tracing::warn!(member = %target.member(), pod = %target.pod(), ?failure, ?length, "ejected");
        }
        self.suspects.notify_one();
    }

    /// Something is odd about a target, which is no proof: its requests wait for long. Probes find out.
    pub(crate) fn suspect(&self, target: &Target) {
        if target.probe() != Probe::Ill && target.set_suspect(true) {
            self.suspects.notify_one();
        }
    }

    /// As `Shared::suspect`, for what these Pods' seats hold.
    pub fn suspect_pods(&self, pods: &[String]) {
        for target in self.snapshot().targets() {
            if pods.iter().any(|pod| **pod == **target.pod()) {
                self.suspect(target);
            }
        }
    }

    /// Waits until a member failed a request, or something is odd about it. Prober's use: it has one waiter.
    pub async fn suspected(&self) {
        self.suspects.notified().await;
    }

    /// Lets the workers know that a target may be ready that was not: requests wait for it.
    pub fn verdicts_changed(&self) {
        self.verdicts.send_modify(|version| *version = version.wrapping_add(1));
    }

    pub(crate) fn watch_verdicts(&self) -> watch::Receiver<u64> {
        self.verdicts.subscribe()
    }

    /// Requests that this balancer has answered or given up so far.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.stats
            .iter()
            .flat_map(|stats| &stats.requests)
            .map(Count::get)
            .sum()
    }
}
