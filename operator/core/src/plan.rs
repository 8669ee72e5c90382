//! What to do next, and why: a pure function of the pool, what was seen, and the time.

use jiff::Timestamp;
use lbpool_api::{MemberName, RoutingDocument};

use crate::{InstanceId, Observed, ValidPool};

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
    /// The instance that it will take the seat of.
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
    let _ = (pool, seen, now);
    Plan::default()
}

/// Name of an instance: `<seat in lower case>-<5 characters>`, a function of pool UID, seat, template hash and the
/// identity of the instance that it replaces. Whatever is repeated yields the same name, and the fleet refuses it.
#[must_use]
pub fn instance_name(pool_uid: &str, seat: &MemberName, template: &str, replaces: Option<&InstanceId>) -> String {
    let _ = (pool_uid, template, replaces);
    seat.host().into_owned()
}
