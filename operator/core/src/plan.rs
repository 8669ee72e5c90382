//! What to do next, and why: a pure function of the pool, what was seen, and the time.
//!
//! The published document is the one thing that says which seats are in the table and who sits in them; everything is
//! derived from it and from the instances, so a driver that forgot everything goes on where the last one stopped:
//! - a seat enters the table when an instance of it is ready, and stays in it, vacant or not, as long as the spec has it;
//! - a seat that the spec no longer has leaves the table first; its instance ends when it is drained;
//! - *drained* is an instance that the published document does not name, once every balancer routes by a document
//!   without it and has no request in flight to it, or `drainTimeout` after it left;
//! - a failed instance gets a successor at once; one that is merely not ready keeps its seat;
//! - an update gives a seat a successor, switches the seat when that is ready, and ends the old one when it is drained;
//!   where it breaks before it makes, the document shows the seat vacant while its old instance is still ready;
//! - a plan that publishes ends nothing that was ever routed to: what may end is decided on published documents only.

mod census;
mod document;

use std::time::Duration;

use jiff::Timestamp;
use lbpool_api::{MemberName, RoutingDocument};

pub(crate) use census::{Census, SeatView};

pub use crate::fingerprint::instance_name;
use crate::{Instance, InstanceId, Observed, Phase, ValidPool, status};

/// What to do, in this order, and when to look again.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What to do, in this order. Empty for a settled pool.
    pub actions: Vec<Action>,
    /// When to plan again although nothing was observed to change (a drain's time-out, a deadline).
    pub wake: Option<Timestamp>,
}

/// One change, with its reason.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Publish this document; its digest is filled in by who builds the table.
    Publish {
        /// The document, its epoch one above the last.
        document: RoutingDocument,
        /// Why.
        reason: Reason,
    },
    /// Make an instance.
    Create(Create),
    /// End an instance: SIGTERM, grace, SIGKILL.
    Delete(Delete),
}

/// An instance to make.
#[derive(Clone, Debug, PartialEq)]
pub struct Create {
    /// Its name: see [`instance_name`]. Making it twice is refused by the fleet as "exists".
    pub name: String,
    /// Its seat.
    pub seat: MemberName,
    /// Hash of the template that it runs.
    pub template: String,
    /// The instance that it will take the seat of, or that had the seat last.
    pub replaces: Option<InstanceId>,
    /// Why.
    pub reason: Reason,
}

/// An instance to end.
#[derive(Clone, Debug, PartialEq)]
pub struct Delete {
    /// Which: a precondition, so that a namesake is never hit.
    pub id: InstanceId,
    /// Its name.
    pub name: String,
    /// Its seat.
    pub seat: MemberName,
    /// Why.
    pub reason: Reason,
}

/// Why something is done. A closed set: label of a metric, reason of an Event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// A seat has nobody.
    SeatEmpty,
    /// The instance in the seat failed.
    Failed,
    /// The instance runs an old template.
    Outdated,
    /// The seat is no longer part of the pool.
    ScaledDown,
    /// A successor sits in the seat.
    Replaced,
    /// Members of the table, or who sits where, changed.
    Membership,
    /// The routing policy changed.
    Policy,
    /// More instances of a seat than it can use.
    Surplus,
}

/// Plans the next step of a pool.
#[must_use]
pub fn plan(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let census = Census::take(pool, seen);
    let publish = document::next(pool, seen, &census);
    let mut step = Step {
        pool,
        seen,
        now,
        publishes: publish.is_some(),
        plan: Plan::default(),
    };
    step.plan
        .actions
        .extend(publish.map(|(document, reason)| Action::Publish { document, reason }));
    for seat in &census.seats {
        step.fill(seat);
    }
    for seat in &census.seats {
        step.clear(seat);
    }
    for instance in &census.gone {
        step.end(instance, Reason::ScaledDown);
    }
    // Nothing is seen to change while one waits for what does not come.
    for balancer in &seen.balancing.unready {
        for limit in [status::MOUNT, pool.update.progress_deadline.get()] {
            step.wake_after(balancer.created, limit);
        }
    }
    step.plan
}

/// A plan in the making.
struct Step<'a> {
    pool: &'a ValidPool,
    seen: &'a Observed,
    now: Timestamp,
    publishes: bool,
    plan: Plan,
}

// === impl Reason ===

impl Reason {
    /// As a label of a metric and a reason of an Event.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::SeatEmpty => "SeatEmpty",
            Self::Failed => "Failed",
            Self::Outdated => "Outdated",
            Self::ScaledDown => "ScaledDown",
            Self::Replaced => "Replaced",
            Self::Membership => "Membership",
            Self::Policy => "Policy",
            Self::Surplus => "Surplus",
        }
    }
}

// === impl Step ===

impl Step<'_> {
    /// Makes the instance that a seat lacks: because it has none, or as the successor that an update wants.
    fn fill(&mut self, seat: &SeatView<'_>) {
        if !seat.wants_instance() {
            if let Some(heir) = seat.heir
                && heir.phase == Phase::Starting
            {
                self.wake_after(heir.created, self.pool.update.progress_deadline.get());
            }
            return;
        }
        let template = &self.pool.template_hash;
        let predecessor = seat.predecessor(&self.pool.uid, template);
        let reason = match predecessor {
            _ if seat.surges => Reason::Outdated,
            Some(last) if last.phase == Phase::Failed => Reason::Failed,
            Some(last) if last.template != *template => Reason::Outdated,
            _ => Reason::SeatEmpty,
        };
        let replaces = predecessor.map(|last| last.id.clone());
        self.plan.actions.push(Action::Create(Create {
            name: instance_name(&self.pool.uid, &seat.seat.name, template, replaces.as_ref()),
            seat: seat.seat.name.clone(),
            template: template.clone(),
            replaces,
            reason,
        }));
    }

    /// Ends what a seat no longer needs.
    fn clear(&mut self, seat: &SeatView<'_>) {
        if let Some(holder) = seat.holder
            && seat.breaks
        {
            self.end(holder, Reason::Outdated);
        }
        for instance in &seat.surplus {
            let outdated = instance.template != self.pool.template_hash;
            let reason = match instance.phase {
                Phase::Starting if outdated => Reason::Outdated,
                Phase::Starting => Reason::Surplus,
                _ => Reason::Replaced,
            };
            self.end(instance, reason);
        }
        // The last of the failed stays until its successor, which is named after it, is seen: so a late repeat of the
        // successor's making meets a name that is taken.
        let kept = seat
            .wants_instance()
            .then(|| seat.predecessor(&self.pool.uid, &self.pool.template_hash))
            .flatten();
        for corpse in &seat.failed {
            if kept.is_none_or(|kept| kept.id != corpse.id) {
                self.end(corpse, Reason::Failed);
            }
        }
    }

    /// Ends an instance as soon as nobody can be sent to it any more.
    fn end(&mut self, instance: &Instance, reason: Reason) {
        let Some(document) = &self.seen.routing else { return };
        if instance.is_routed_by(document) {
            return;
        }
        let never_routed = instance.phase == Phase::Starting;
        if never_routed || (!self.publishes && self.drained(instance, document)) {
            self.plan.actions.push(Action::Delete(Delete {
                id: instance.id.clone(),
                name: instance.name.clone(),
                seat: instance.seat.clone(),
                reason,
            }));
        }
    }

    fn drained(&mut self, instance: &Instance, document: &RoutingDocument) -> bool {
        let departure = self
            .seen
            .departures
            .iter()
            .find(|departure| departure.id == instance.id);
        let epoch = departure.map_or(document.epoch, |departure| departure.epoch);
        let confirmed = self.seen.balancers.iter().all(|balancer| {
            balancer.epoch >= epoch
                && !balancer
                    .in_flight
                    .iter()
                    .any(|(name, n)| *name == instance.name && *n > 0)
        });
        let limit = self.pool.update.drain_timeout.get();
        let since = departure.map_or(self.now, |departure| departure.since);
        let done = confirmed || after(since, limit) <= self.now;
        if !done {
            self.wake_after(since, limit);
        }
        done
    }

    fn wake_after(&mut self, since: Timestamp, limit: Duration) {
        let at = after(since, limit);
        if at > self.now {
            self.plan.wake = Some(self.plan.wake.map_or(at, |wake| wake.min(at)));
        }
    }
}

/// `since` and `limit` later, or the end of time.
pub(crate) fn after(since: Timestamp, limit: Duration) -> Timestamp {
    since.checked_add(limit).unwrap_or(Timestamp::MAX)
}

#[cfg(test)]
mod tests;
