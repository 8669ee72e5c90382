//! What a request sees of the pool: one immutable value, taken once per attempt.

use std::sync::Arc;

use lbpool_api::{
    pool::{Health, Routing},
    status::SeatState,
};
use lbpool_ring::Table;

use crate::{policy::Policy, target::Target};

/// Table, members, policy and epoch, all of the same routing document.
#[derive(Debug)]
pub struct Snapshot {
    /// Name of the pool; empty before the first document.
    pub pool: String,
    /// Epoch of the document. 0: none so far.
    pub epoch: u64,
    /// Counts snapshots: who is ready changes without a new epoch.
    pub version: u64,
    /// Digest of the table, as 16 hexadecimal digits.
    pub digest: String,
    /// Where keys live.
    pub table: Arc<Table>,
    /// The members, by the table's index.
    pub members: Box<[Member]>,
    /// Sum of the members' weights.
    pub weight: u64,
    /// The share of the key space that changed hands with this epoch.
    pub moved: f64,
    /// The routing policy, ready for use.
    pub policy: Policy,
    /// The routing policy as it was written.
    pub routing: Routing,
    /// How members are probed.
    pub health: Health,
}

/// One member as a request sees it.
#[derive(Clone, Debug)]
pub struct Member {
    /// Name of the seat.
    pub name: Arc<str>,
    /// Its weight.
    pub weight: u32,
    /// What the document says about it.
    pub state: SeatState,
    /// What sits in it; `None` while nobody does, or nobody knows where.
    pub target: Option<Arc<Target>>,
}

// === impl Snapshot ===

impl Snapshot {
    /// What is known before the first document: nobody.
    pub(crate) fn empty(table: Arc<Table>) -> Self {
        let routing = Routing::default();
        Self {
            pool: String::new(),
            epoch: 0,
            version: 0,
            digest: String::new(),
            table,
            members: Box::default(),
            weight: 0,
            moved: 0.0,
            policy: Policy::default(),
            routing,
            health: Health::default(),
        }
    }

    /// Whether a balancer that routes by this snapshot has something to route by.
    #[must_use]
    pub const fn is_routed(&self) -> bool {
        self.epoch > 0
    }

    /// The target of each member that has one.
    pub fn targets(&self) -> impl Iterator<Item = &Arc<Target>> {
        self.members.iter().filter_map(|member| member.target.as_ref())
    }
}

// === impl Member ===

impl Member {
    /// The target that requests may go to now: the document and our own verdict both say so.
    #[must_use]
    pub fn ready(&self, now: u64) -> Option<&Arc<Target>> {
        self.expected().filter(|target| target.admits(now))
    }

    /// The target that the document says is serving, whatever we think of it.
    #[must_use]
    pub fn expected(&self) -> Option<&Arc<Target>> {
        self.target.as_ref().filter(|_| self.state == SeatState::Serving)
    }
}
