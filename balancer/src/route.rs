//! Which member an attempt goes to: a pure decision over one snapshot.

use std::sync::Arc;

use lbpool_api::pool::AwayPolicy;

use crate::{
    snapshot::{Member, Snapshot},
    stats::{Spill, WorkerStats},
    target::Target,
};

/// When fewer than one in so many members look ready, what we think of them is more likely wrong than they are: the table
/// alone decides.
const PANIC: usize = 4;

/// What is known about the request and about the moment.
pub(crate) struct Question<'a> {
    /// Hash of the key, or a random one.
    pub hash: u64,
    /// Whether the request has a key. Without, any member is as good as another.
    pub keyed: bool,
    /// Targets that failed this very request.
    pub tried: &'a [Arc<Target>],
    /// Whether the request may wait for its owner.
    pub patient: bool,
    /// Whether it has waited: then it goes to its owner whatever the load, for all who waited come at once.
    pub waited: bool,
    /// The balancer's clock.
    pub now: u64,
    /// The workers' counts, of which the requests in flight on all members are read: only when they matter, for each lies
    /// on a cache line that its worker writes to all the time.
    pub workers: &'a [WorkerStats],
    /// Requests in flight that each member may carry whatever the mean.
    pub load_floor: u64,
}

/// Where an attempt goes.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// There.
    Go {
        /// What sits in the member's seat.
        target: Arc<Target>,
        /// Why it is not the owner.
        spill: Option<Spill>,
    },
    /// It waits for this member.
    Hold(usize),
    /// The owner is away, and nobody else may serve its keys.
    Away,
    /// Nobody is there.
    Nobody,
}

/// Decides.
pub(crate) fn route(snapshot: &Snapshot, question: &Question<'_>) -> Answer {
    let Some(owner) = snapshot.table.owner(question.hash) else {
        return Answer::Nobody;
    };
    let look = Look {
        snapshot,
        question,
        belief: Belief::All,
    };
    if let Some(target) = look.usable(owner) {
        let crowded = !question.waited && look.over_bound(owner);
        let next = if crowded {
            look.next(|member| !look.over_bound(member))
        } else {
            None
        };
        return match next {
            Some((_, target)) => Answer::Go {
                target: Arc::clone(target),
                spill: Some(Spill::Load),
            },
            None => Answer::Go {
                target: Arc::clone(target),
                spill: None,
            },
        };
    }
    let look = Look {
        belief: look.belief(),
        ..look
    };
    let doubt = look.belief != Belief::All;
    if let Some(target) = look.usable(owner).filter(|_| doubt) {
        return Answer::Go {
            target: Arc::clone(target),
            spill: None,
        };
    }
    if question.keyed {
        match snapshot.policy.away {
            AwayPolicy::Hold if question.patient => return Answer::Hold(owner),
            AwayPolicy::Fail => return Answer::Away,
            AwayPolicy::Hold | AwayPolicy::Spill => {}
        }
    }
    let found = look
        .next(|member| !look.over_bound(member))
        .or_else(|| look.next(|_| true));
    let failed = snapshot
        .members
        .get(owner)
        .and_then(|m| m.target.as_ref())
        .is_some_and(|target| look.tried(target));
    let spill = if failed { Spill::Failed } else { Spill::Away };
    found.map_or(Answer::Nobody, |(member, target)| Answer::Go {
        target: Arc::clone(target),
        spill: (member != owner).then_some(spill),
    })
}

/// The members, seen with one request's eyes.
struct Look<'a> {
    snapshot: &'a Snapshot,
    question: &'a Question<'a>,
    belief: Belief,
}

/// Whose word counts about who is well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    /// Ours and the cluster's.
    All,
    /// Not ours: it would leave too few.
    Cluster,
    /// Nobody's: there are several members, and the cluster calls none of them ready. A control plane that comes back after
    /// a minute does so with every node, and with it every Pod, until it has heard of them. One alone may well be away: the
    /// document, or its endpoint for a while by now, says so.
    Table,
}

// === impl Look ===

impl<'a> Look<'a> {
    /// The first member by rank that can be used and is wanted.
    fn next(&self, wanted: impl Fn(usize) -> bool) -> Option<(usize, &'a Arc<Target>)> {
        let ranks = self.snapshot.table.rank_hash(self.question.hash);
        ranks
            .filter_map(|member| Some((member, self.usable(member)?)))
            .find(|(member, _)| wanted(*member))
    }

    fn usable(&self, member: usize) -> Option<&'a Arc<Target>> {
        let member: &'a Member = self.snapshot.members.get(member)?;
        let target = match self.belief {
            Belief::All => member.ready(self.question.now),
            Belief::Cluster => member.expected(),
            Belief::Table => member.target.as_ref(),
        };
        target.filter(|target| !self.tried(target))
    }

    fn tried(&self, target: &Arc<Target>) -> bool {
        self.question.tried.iter().any(|tried| Arc::ptr_eq(tried, target))
    }

    fn belief(&self) -> Belief {
        let count = |of: &dyn Fn(&Member) -> bool| self.snapshot.members.iter().filter(|member| of(member)).count();
        let ready = count(&|member| member.ready(self.question.now).is_some());
        let expected = count(&|member| member.expected().is_some());
        if expected == 0 && count(&|member| member.target.is_some()) > 1 {
            Belief::Table
        } else if ready * PANIC < expected {
            Belief::Cluster
        } else {
            Belief::All
        }
    }

    /// Whether one more request would be above the member's share of the load, times the bound.
    fn over_bound(&self, member: usize) -> bool {
        let (snapshot, bound) = (self.snapshot, self.snapshot.policy.load_bound);
        let Some(member) = snapshot.members.get(member).filter(|_| bound > 0) else {
            return false;
        };
        let in_flight = member.target.as_ref().map_or(0, |target| target.in_flight());
        if in_flight < self.question.load_floor {
            return false;
        }
        let total: u64 = self.question.workers.iter().map(|worker| worker.sent.get()).sum();
        let total = u128::from(total) + 1;
        let most =
            (total * u128::from(bound) * u128::from(member.weight)).div_ceil(100 * u128::from(snapshot.weight.max(1)));
        u128::from(in_flight) >= most
    }
}

#[cfg(test)]
mod tests;
