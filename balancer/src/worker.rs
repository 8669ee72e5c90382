//! One data thread: its listener, its connections, and the snapshot that it routes by.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    net::{SocketAddr, TcpListener},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use jiff::{Timestamp, fmt::rfc2822::DateTimePrinter};
use lbpool_api::status::SeatState;
use socket2::{Domain, Protocol, Socket, Type};
use tokio::{
    net::TcpStream,
    runtime::{Builder, LocalOptions},
    sync::{Notify, watch},
    task::JoinSet,
    time::{Instant, MissedTickBehavior, interval},
};

use crate::{
    config::Opening,
    deadline::{Deadlines, TICK},
    error::Error,
    page::Pages,
    proxy,
    shared::{Phase, Shared},
    snapshot::Snapshot,
    spread::{Closed, Door},
    stats::WorkerStats,
    upstream::{pool::Origins, retry::Budget},
};

/// How long to wait after an accept that failed for want of a resource.
const ACCEPT_AGAIN: Duration = Duration::from_millis(50);
/// Connections that the kernel queues before it refuses further ones.
pub(crate) const BACKLOG: i32 = 4096;
/// Sweeps of deadlines per sweep of idle connections to members.
const IDLE_SWEEP: u32 = 50;

/// What the connections of a worker share.
pub(crate) struct Worker {
    pub(crate) id: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) pages: Pages,
    pub(crate) deadlines: Deadlines,
    pub(crate) origins: Origins,
    pub(crate) budget: Budget,
    /// Told whenever a request that waits for a member should look again.
    pub(crate) changed: Notify,
    /// Requests that wait, by member.
    pub(crate) holds: RefCell<HashMap<Arc<str>, usize>>,
    snapshot: RefCell<Rc<Pinned>>,
    /// The time as a Date field has it, to the second.
    pub(crate) date: RefCell<String>,
    leaving: Cell<bool>,
    draining: Cell<bool>,
    drains: Notify,
    random: Cell<u64>,
}

/// A snapshot, counted once per worker and not once per request: two threads do not fight for its counter.
pub(crate) struct Pinned(Arc<Snapshot>);

// === impl Pinned ===

impl std::ops::Deref for Pinned {
    type Target = Snapshot;

    fn deref(&self) -> &Snapshot {
        &self.0
    }
}

// === impl Worker ===

impl Worker {
    fn new(id: usize, shared: &Arc<Shared>) -> Self {
        let snapshot = shared.snapshot();
        let worker = Self {
            id,
            shared: Arc::clone(shared),
            pages: Pages::default(),
            deadlines: Deadlines::new(),
            origins: Origins::default(),
            budget: Budget::default(),
            changed: Notify::new(),
            holds: RefCell::default(),
            snapshot: RefCell::new(Rc::new(Pinned(Arc::clone(&snapshot)))),
            date: RefCell::default(),
            leaving: Cell::new(shared.is_leaving()),
            draining: Cell::new(false),
            drains: Notify::new(),
            random: Cell::new(seed(id)),
        };
        write_date(Timestamp::now(), &mut worker.date.borrow_mut());
        worker.route_by(&snapshot);
        worker
    }

    /// The newest snapshot. Whoever routes by it begins with counting the attempt, before anything is awaited.
    pub(crate) fn snapshot(&self) -> Rc<Pinned> {
        Rc::clone(&self.snapshot.borrow())
    }

    pub(crate) fn stats(&self) -> &WorkerStats {
        // There is one per worker: `Shared::new` makes them from the same number as `Balancer::start` the workers.
        &self.shared.stats()[self.id]
    }

    /// Whether connections are to end after the request at hand.
    pub(crate) const fn leaving(&self) -> bool {
        self.leaving.get()
    }

    /// Whether idle connections end, and no new ones come.
    pub(crate) const fn draining(&self) -> bool {
        self.draining.get()
    }

    /// Waits until the balancer ends: when everything is cut, and how long that is from the beginning of the end.
    pub(crate) async fn ends(&self) -> (Instant, Duration) {
        let mut drains = std::pin::pin!(self.drains.notified());
        drains.as_mut().enable();
        if !self.draining() {
            drains.await;
        }
        match self.shared.end() {
            Some(end) => end,
            // Nobody said: it is cut with all the rest.
            None => std::future::pending().await,
        }
    }

    /// A number that nobody has to predict: for random members and request ids (splitmix64).
    pub(crate) fn random(&self) -> u64 {
        let state = self.random.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.random.set(state);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn route_by(&self, snapshot: &Arc<Snapshot>) {
        self.origins.keep(snapshot.targets());
        self.budget.set(snapshot.policy.budget);
        self.snapshot.replace(Rc::new(Pinned(Arc::clone(snapshot))));
        self.shared.acknowledge(self.id, snapshot);
        self.changed.notify_waiters();
    }

    /// Follows the publisher, the probes and the phase; ends when the balancer stops.
    async fn follow(&self) {
        let mut snapshots = self.shared.watch_snapshot();
        let mut verdicts = self.shared.watch_verdicts();
        let mut phases = self.shared.phases().watch();
        let mut leaving = self.shared.watch_leaving();
        snapshots.mark_changed();
        leaving.mark_changed();
        loop {
            // The senders live in `shared`, as long as we do.
            tokio::select! {
                biased;
                Ok(()) = snapshots.changed() => {
                    let snapshot = Arc::clone(&snapshots.borrow_and_update());
                    self.route_by(&snapshot);
                }
                Ok(()) = leaving.changed() => self.leaving.set(*leaving.borrow_and_update()),
                Ok(()) = phases.changed() => match *phases.borrow_and_update() {
                    Phase::Starting | Phase::Ready => {}
                    Phase::Draining => self.drain(),
                    Phase::Stopped => return,
                },
                Ok(()) = verdicts.changed() => {
                    self.changed.notify_waiters();
                    self.origins.leave_ill();
                    self.deadlines.look_again();
                }
                else => return,
            }
        }
    }

    fn drain(&self) {
        self.draining.set(true);
        self.drains.notify_waiters();
        self.deadlines.end_idle();
    }

    /// Looks after what takes long.
    async fn sweep(&self) {
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut until_idle = IDLE_SWEEP;
        let mut second = 0;
        loop {
            ticks.tick().await;
            self.deadlines.sweep();
            let now = Timestamp::now();
            if now.as_second() != second {
                second = now.as_second();
                write_date(now, &mut self.date.borrow_mut());
            }
            until_idle -= 1;
            if until_idle == 0 {
                until_idle = IDLE_SWEEP;
                self.origins.sweep(self.snapshot().policy.idle);
            }
        }
    }

    /// Accepts until the balancer drains, then waits for what is left.
    async fn serve(self: Rc<Self>, mut door: Door) {
        let mut phases = self.shared.phases().watch();
        let mut clients = JoinSet::new();
        tokio::select! {
            () = self.opened() => {}
            _ = phases.wait_for(|phase| *phase >= Phase::Draining) => {}
        }
        loop {
            let room = clients.len() < self.shared.config.limits.connections;
            tokio::select! {
                accepted = door.accept(), if room => match accepted {
                    Ok((stream, peer)) => self.welcome(&mut clients, stream, peer),
                    Err(error) => {
                        tracing::warn!(worker = self.id, %error, "accept");
                        tokio::time::sleep(ACCEPT_AGAIN).await;
                    }
                },
                Some(ended) = clients.join_next() => {
                    door.ended();
                    self.farewell(ended);
                }
                _ = phases.wait_for(|phase| *phase >= Phase::Draining) => break,
            }
        }
        // Whoever the kernel has accepted for us was promised an answer.
        for (stream, peer) in door.last().await {
            self.welcome(&mut clients, stream, peer);
        }
        while let Some(ended) = clients.join_next().await {
            self.farewell(ended);
        }
    }

    /// Until members serve as the configuration wants it, or its patience ends.
    async fn opened(&self) {
        let Opening { members, within } = self.shared.config.opening;
        let enough = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                // What this worker routes by: another one may have newer news.
                let snapshot = self.snapshot();
                let serving = snapshot.members.iter();
                let serving = serving.filter(|member| member.state == SeatState::Serving);
                if serving.count() >= members {
                    return;
                }
                changed.await;
            }
        };
        // Either way it opens now.
        let _ = tokio::time::timeout(within, enough).await;
    }

    fn welcome(self: &Rc<Self>, clients: &mut JoinSet<()>, stream: TcpStream, peer: SocketAddr) {
        self.stats().accepted.inc();
        self.stats().connections.inc();
        clients.spawn_local(proxy::client(Rc::clone(self), stream, peer));
    }

    fn farewell(&self, ended: Result<(), tokio::task::JoinError>) {
        self.stats().connections.dec();
        if ended.is_err_and(|error| error.is_panic()) {
            self.stats().panics.inc();
            tracing::error!(worker = self.id, "a connection was lost to a bug");
        }
    }
}

/// Runs a worker on the present thread until the balancer stops.
pub(crate) fn run(id: usize, shared: &Arc<Shared>, door: Closed) -> io::Result<()> {
    // Not a `LocalSet`: whatever woke one of its tasks would have everything below polled as well.
    let runtime = Builder::new_current_thread()
        .enable_all()
        .build_local(LocalOptions::default())?;
    runtime.block_on(async {
        let door = door.open(shared.config.limits.connections)?;
        let worker = Rc::new(Worker::new(id, shared));
        let mut stop = shared.phases().watch();
        tokio::select! {
            biased;
            () = worker.follow() => {}
            () = Rc::clone(&worker).serve(door) => {}
            () = worker.sweep() => {}
            _ = stopped(&mut stop) => {}
        }
        Ok(())
    })
}

async fn stopped(phases: &mut watch::Receiver<Phase>) -> Option<Phase> {
    phases
        .wait_for(|phase| *phase == Phase::Stopped)
        .await
        .ok()
        .map(|phase| *phase)
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7). Empty for years that it has no room for.
fn write_date(now: Timestamp, date: &mut String) {
    date.clear();
    if DateTimePrinter::new()
        .print_timestamp_rfc9110(&now, &mut *date)
        .is_err()
    {
        date.clear();
    }
}

/// Differs from worker to worker and from start to start.
fn seed(id: usize) -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one((id, Instant::now()))
}

// === listeners ===

/// A listener per worker at the same address, so that the kernel spreads connections over them.
pub(crate) fn listen(address: SocketAddr, workers: usize) -> Result<(SocketAddr, Vec<TcpListener>), Error> {
    let failed = |source: io::Error| match source.kind() {
        io::ErrorKind::AddrInUse => Error::PortInUse(address),
        _ => Error::Listen { address, source },
    };
    // Sharing a port is allowed to every process of the same user: one that does not share finds out whether it is taken.
    let alone = bind(address, false).map_err(failed)?;
    let bound = alone.local_addr().map_err(failed)?.as_socket().unwrap_or(address);
    drop(alone);
    let listeners = (0..workers).map(|_| {
        let socket = bind(bound, true)?;
        socket.listen(BACKLOG)?;
        Ok(socket.into())
    });
    Ok((bound, listeners.collect::<io::Result<_>>().map_err(failed)?))
}

fn bind(address: SocketAddr, shared: bool) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.bind(&address.into())?;
    Ok(socket)
}
