//! One place that requests can be sent to: what sits in a seat, and where it listens.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU8, Ordering::Relaxed},
    },
};

use lbpool_api::routing::Protocol;

use crate::{stats::Count, upstream::breaker::Breaker};

/// A Pod or process at an address. It outlives the snapshots that name it: counters and health are its own.
#[derive(Debug)]
pub struct Target {
    member: Arc<str>,
    pod: Arc<str>,
    address: SocketAddr,
    protocol: Protocol,
    host: Option<Arc<str>>,
    cells: Box<[Cell]>,
    breaker: Breaker,
    probe: AtomicU8,
    suspect: AtomicBool,
    departed: AtomicBool,
}

/// What one worker counts about one target, on a cache line of its own.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Cell {
    in_flight: Count,
    requests: Count,
    failures: Count,
}

/// What active probes found out about a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Probe {
    /// Nothing: not probed, the routing document's word counts.
    Unknown,
    /// It answers.
    Well,
    /// It does not.
    Ill,
}

// === impl Target ===

impl Target {
    /// The target of `member` that is named `pod`, for a balancer with so many workers.
    #[must_use]
    pub fn new(member: Arc<str>, pod: Arc<str>, address: SocketAddr, protocol: Protocol, workers: usize) -> Self {
        Self {
            member,
            pod,
            address,
            protocol,
            host: None,
            cells: (0..workers).map(|_| Cell::default()).collect(),
            breaker: Breaker::default(),
            probe: AtomicU8::new(0),
            suspect: AtomicBool::new(false),
            departed: AtomicBool::new(false),
        }
    }

    /// The same with the name that its certificate is for.
    #[must_use]
    pub fn with_host(self, host: Option<&str>) -> Self {
        let host = host.map(Arc::from);
        Self { host, ..self }
    }

    /// The seat that it sits in.
    #[must_use]
    pub fn member(&self) -> &Arc<str> {
        &self.member
    }

    /// Its own name: the Pod's or the process'; the seat's where the document names none.
    #[must_use]
    pub fn pod(&self) -> &Arc<str> {
        &self.pod
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What it speaks.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// The name that its certificate is for, where TLS is spoken to it. `None`: its address.
    #[must_use]
    pub fn host(&self) -> Option<&str> {
        self.host.as_deref()
    }

    /// Whether it is reached like this.
    pub(crate) fn speaks(&self, protocol: Protocol, host: Option<&str>) -> bool {
        self.protocol == protocol && self.host() == host
    }

    /// Whether requests may go there, as far as this balancer found out.
    #[must_use]
    pub fn admits(&self, now: u64) -> bool {
        self.probe() != Probe::Ill && self.breaker.admits(now)
    }

    /// Its failures and what follows from them.
    #[must_use]
    pub const fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// What the last probes found.
    #[must_use]
    pub fn probe(&self) -> Probe {
        match self.probe.load(Relaxed) {
            1 => Probe::Well,
            2 => Probe::Ill,
            _ => Probe::Unknown,
        }
    }

    /// Records what probes found. The caller tells the workers: [`crate::Shared::verdicts_changed`].
    pub fn set_probe(&self, probe: Probe) {
        self.probe.store(
            match probe {
                Probe::Unknown => 0,
                Probe::Well => 1,
                Probe::Ill => 2,
            },
            Relaxed,
        );
    }

    /// Whether somebody found it odd, and no probe has said since that it is well.
    #[must_use]
    pub fn is_suspect(&self) -> bool {
        self.suspect.load(Relaxed)
    }

    /// Whether that is news.
    pub(crate) fn set_suspect(&self, suspect: bool) -> bool {
        // Loads first: many requests may find the same, and almost always it is known.
        self.suspect.load(Relaxed) != suspect && self.suspect.swap(suspect, Relaxed) != suspect
    }

    /// Whether the present snapshot no longer names it.
    #[must_use]
    pub fn departed(&self) -> bool {
        self.departed.load(Relaxed)
    }

    pub(crate) fn set_departed(&self, departed: bool) {
        self.departed.store(departed, Relaxed);
    }

    /// Requests in flight on it, over all workers.
    #[must_use]
    pub fn in_flight(&self) -> u64 {
        self.sum(|cell| &cell.in_flight)
    }

    /// Requests that were sent to it so far, each time of a repeated one counted.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.sum(|cell| &cell.requests)
    }

    /// Failures that it caused so far: connections that did not come about, or ended too early.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.sum(|cell| &cell.failures)
    }

    fn sum(&self, of: impl Fn(&Cell) -> &Count) -> u64 {
        self.cells.iter().map(|cell| of(cell).get()).sum()
    }

    pub(crate) fn begin(&self, worker: usize) {
        if let Some(cell) = self.cells.get(worker) {
            cell.in_flight.inc();
            cell.requests.inc();
        }
    }

    pub(crate) fn end(&self, worker: usize) {
        if let Some(cell) = self.cells.get(worker) {
            cell.in_flight.dec();
        }
    }

    pub(crate) fn count_failure(&self, worker: usize) {
        if let Some(cell) = self.cells.get(worker) {
            cell.failures.inc();
        }
    }
}
