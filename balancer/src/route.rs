//! Which member an attempt goes to: a pure decision over one snapshot.

use std::sync::Arc;

use lbpool_api::pool::AwayPolicy;

use crate::{
    snapshot::{Member, Snapshot},
    stats::Spill,
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
    /// Requests in flight on all members.
    pub in_flight: u64,
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
        panic: false,
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
        panic: look.too_few_ready(),
        ..look
    };
    if let Some(target) = look.usable(owner).filter(|_| look.panic) {
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
    panic: bool,
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
        let target = if self.panic {
            member.expected()
        } else {
            member.ready(self.question.now)
        };
        target.filter(|target| !self.tried(target))
    }

    fn tried(&self, target: &Arc<Target>) -> bool {
        self.question.tried.iter().any(|tried| Arc::ptr_eq(tried, target))
    }

    fn too_few_ready(&self) -> bool {
        let members = self.snapshot.members.iter();
        let ready = members
            .clone()
            .filter(|member| member.ready(self.question.now).is_some())
            .count();
        ready * PANIC < members.filter(|member| member.expected().is_some()).count()
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
        let total = u128::from(self.question.in_flight) + 1;
        let most =
            (total * u128::from(bound) * u128::from(member.weight)).div_ceil(100 * u128::from(snapshot.weight.max(1)));
        u128::from(in_flight) >= most
    }
}

#[cfg(test)]
mod tests;
