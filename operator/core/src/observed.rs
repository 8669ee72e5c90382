//! The input of a pass: what runs, what the balancers know, what was last published. Plain data.
//!
//! # What a driver promises
//! Decisions are pure, so what was asked for a moment ago must be part of what is seen, or it would be asked for twice:
//! - **Making:** an instance that was asked for is listed, as [`Phase::Starting`], until it is seen or the request can
//!   no longer take effect.
//! - **Ending:** an instance that was told to end is [`Phase::Ending`] from that moment, and the request is repeated
//!   until it is answered.
//! - **Publishing:** a document is accepted only if its epoch is above the last (the writer compares), and a publication
//!   whose outcome is unknown is repeated until it is known, before anything is ended.

use std::{fmt, net::SocketAddr};

use jiff::Timestamp;
use lbpool_api::{MemberName, RoutingDocument};

/// Identity of an instance: the Pod's UID, or one that a fleet made up for a process. Never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub String);

/// Everything that a decision may depend on, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Every instance (Pod, container, process) that belongs to the pool, those that end included, in any order.
    pub instances: Vec<Instance>,
    /// What each balancer that is up says about itself. A balancer that does not answer is listed with `epoch` 0.
    pub balancers: Vec<BalancerReport>,
    /// The routing document as it was last published; none before the first.
    pub routing: Option<RoutingDocument>,
    /// Since when instances are out of the document: the driver's memory, from [`departures`].
    pub departures: Vec<Departure>,
    /// Which balancers answer requests, where somebody else starts them.
    pub balancing: Balancing,
}

/// One Pod, container or process.
#[derive(Clone, Debug, PartialEq)]
pub struct Instance {
    /// Its identity.
    pub id: InstanceId,
    /// Its name, a function of pool, seat, template and predecessor: see [`crate::plan::instance_name`].
    pub name: String,
    /// The seat it was made for.
    pub seat: MemberName,
    /// Hash of the template that it runs: see [`crate::validate::ValidPool::template_hash`].
    pub template: String,
    /// What it is doing.
    pub phase: Phase,
    /// Where it listens, once that is known.
    pub address: Option<SocketAddr>,
    /// When it was made.
    pub created: Timestamp,
    /// Why it does not start or ended, in a person's words (`exit status 1`, `ImagePullBackOff`).
    pub trouble: Option<String>,
}

/// What an instance is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Made, never ready so far.
    Starting,
    /// Ready: answers its health path.
    Ready,
    /// Was ready, is not now, may come back (also: its node is not ready, briefly).
    Unready,
    /// Will not come back: ended, evicted, its node is gone. It may still be listed until it is deleted.
    Failed,
    /// Told to end (by us or by others); still finishing.
    Ending,
}

/// What one balancer says about itself (`GET /v1/table`).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct BalancerReport {
    /// Its name.
    pub name: String,
    /// The epoch that all its workers route by. 0: it did not answer.
    pub epoch: u64,
    /// Requests in flight, by the name of the instance; only those above zero need be listed.
    pub in_flight: Vec<(String, u64)>,
}

/// Which balancers answer requests. Nothing on one machine, where they are part of the driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balancing {
    /// How many are ready.
    pub ready: usize,
    /// Those that have not been ready so far, and those that say why they are not any more.
    pub unready: Vec<UnreadyBalancer>,
}

/// A balancer that is not ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnreadyBalancer {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created: Timestamp,
    /// It has a node and waits there for its volumes or its network: no container was begun.
    pub unmounted: bool,
    /// Why it does not start or ended, in a person's words.
    pub trouble: Option<String>,
}

/// An instance that the published document does not route to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Departure {
    /// Which.
    pub id: InstanceId,
    /// The first epoch that was seen without it.
    pub epoch: u64,
    /// When that was: its drain times out from here.
    pub since: Timestamp,
}

/// The driver's memory of drains, brought up to date: called once per pass with what it gave the last time.
///
/// A restarted driver that lost it starts the time-outs anew, which only makes drains longer.
#[must_use]
pub fn departures(
    last: &[Departure],
    instances: &[Instance],
    routing: Option<&RoutingDocument>,
    now: Timestamp,
) -> Vec<Departure> {
    let Some(document) = routing else { return Vec::new() };
    instances
        .iter()
        .filter(|instance| !instance.is_routed_by(document))
        .map(|instance| {
            let known = last.iter().find(|departure| departure.id == instance.id).cloned();
            known.unwrap_or_else(|| Departure {
                id: instance.id.clone(),
                epoch: document.epoch,
                since: now,
            })
        })
        .collect()
}

// === impl InstanceId ===

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

// === impl Instance ===

impl Instance {
    /// Whether it is alive and not told to end.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self.phase, Phase::Starting | Phase::Ready | Phase::Unready)
    }

    /// Whether `document` sends requests to it, or would once it is ready again.
    #[must_use]
    pub fn is_routed_by(&self, document: &RoutingDocument) -> bool {
        document
            .members
            .iter()
            .any(|member| member.pod.as_deref() == Some(self.name.as_str()))
    }
}
