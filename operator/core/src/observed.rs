//! The input of a pass: what runs, what the balancers know, what was last published. Plain data.

use std::{fmt, net::SocketAddr};

use jiff::Timestamp;
use lbpool_api::{MemberName, RoutingDocument};

/// Identity of an instance: the Pod's UID, or one that a fleet made up for a process. Never used twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InstanceId(pub String);

impl fmt::Display for InstanceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Everything that a decision may depend on, as of one moment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Observed {
    /// Every instance (Pod, container, process) that belongs to the pool, those that end included, in any order.
    pub instances: Vec<Instance>,
    /// What each balancer that is up says about itself. A balancer that does not answer is listed with `epoch` 0.
    pub balancers: Vec<BalancerReport>,
    /// The routing document as it was last published; none before the first.
    pub routing: Option<RoutingDocument>,
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
