//! What a change of a pool would do: its steps, the keys that move, and who carries which share of them afterwards.
//!
//! The steps are the planner's own (see [`lbpool_core::forecast()`]); the shares come from the tables that balancers would
//! build. Nothing is changed by asking.

mod routes;

use std::sync::Arc;

use jiff::Timestamp;
use lbpool_api::{LoadBalancerPool, MemberName, RoutingDocument};
use lbpool_core::{
    Action, Forecast, Instance, Observed, Phase, ValidPool,
    diff::{Change, diff},
    forecast, validate,
};
use lbpool_ring::Table;
use serde::{Deserialize, Serialize};

use crate::{Error, controller::table as tables};

pub use routes::{Turn, Way};

/// What a change would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outlook {
    /// Name of the pool.
    pub pool: String,
    /// The fields of the spec that change.
    pub changes: Vec<Change>,
    /// What would be done, in order.
    pub steps: Vec<Step>,
    /// What is routed by now.
    pub before: Side,
    /// What would be routed by at the end.
    pub after: Side,
    /// The share of the keys, 0 to 1, whose owner at the end is another seat than now. Exact, but for a change of the algorithm:
    /// an estimate from 262,144 keys then.
    pub moved: f64,
    /// The seats, those that leave included, and their shares of the keys.
    pub members: Vec<Load>,
    /// What a person should know beside that.
    pub notes: Vec<String>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Step {
    /// A member is started.
    Start {
        /// The pass that does it, from 1 on: steps of one pass are done at the same time.
        pass: usize,
        /// Its seat.
        seat: MemberName,
        /// Its name.
        pod: String,
        /// Whose seat it will take.
        replaces: Option<String>,
        /// Why, from a closed set.
        reason: String,
    },
    /// Balancers get another table, or other members in it.
    Route {
        /// The pass that does it.
        pass: usize,
        /// The document's epoch.
        epoch: u64,
        /// What changes in it.
        turns: Vec<Turn>,
        /// The share of the keys, 0 to 1, whose owner changes by it.
        moved: f64,
        /// Why, from a closed set.
        reason: String,
    },
    /// A member is told to end; nothing is in flight on it then.
    End {
        /// The pass that does it.
        pass: usize,
        /// Its seat.
        seat: MemberName,
        /// Its name.
        pod: String,
        /// Why, from a closed set.
        reason: String,
    },
}

/// What is routed by, before or after.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Side {
    /// Epoch of the routing document; 0 where there is none.
    pub epoch: u64,
    /// Digest of the table.
    pub digest: String,
    /// The algorithm.
    pub algorithm: String,
    /// Number of seats in the table.
    pub seats: usize,
}

/// A seat's part in the load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Load {
    /// The seat.
    pub seat: MemberName,
    /// Its weight: at the end, or now where it leaves.
    pub weight: u32,
    /// Its share of the keys now, 0 to 1; null where it is not in the table.
    pub before: Option<f64>,
    /// Its share of the keys at the end, 0 to 1; null where it is not in the table.
    pub after: Option<f64>,
}

/// What an outlook is made of: the pool as it is and as it would be, and what is there now.
#[derive(Clone, Debug)]
pub struct Prospect {
    now: LoadBalancerPool,
    next: LoadBalancerPool,
    seen: Observed,
}

// === impl Prospect ===

impl Prospect {
    /// From what runs.
    #[must_use]
    pub const fn new(now: LoadBalancerPool, next: LoadBalancerPool, seen: Observed) -> Self {
        Self { now, next, seen }
    }

    /// From a pool that runs nowhere: as if it ran and had settled.
    ///
    /// # Errors
    /// Where it is not valid.
    pub fn settled(now: LoadBalancerPool, next: LoadBalancerPool) -> Result<Self, Error> {
        let seen = forecast(&validate(&now)?, &Observed::default(), Timestamp::UNIX_EPOCH).end;
        Ok(Self { now, next, seen })
    }

    /// Looks ahead. Builds tables, which takes milliseconds to seconds: not for a thread that serves requests.
    ///
    /// # Errors
    /// Where the pool as it would be is not valid, or one of its tables can not be built.
    pub fn outlook(&self) -> Result<Outlook, Error> {
        let valid = validate(&self.next)?;
        let ahead = forecast(&valid, &self.seen, Timestamp::now());
        let before = table(self.seen.routing.as_ref())?.map(Arc::new);
        let mut walk = Walk {
            pods: &self.seen.instances,
            last: self.seen.routing.as_ref(),
            table: before.clone(),
            steps: Vec::new(),
        };
        for (pass, actions) in (1..).zip(&ahead.passes) {
            for action in actions {
                walk.take(pass, action)?;
            }
        }
        let Walk {
            steps, table: after, ..
        } = walk;
        let moved = match (&before, &after) {
            (Some(before), Some(after)) => after.moved_from(before),
            _ => 0.0,
        };
        Ok(Outlook {
            pool: valid.name.clone(),
            changes: diff(&self.now.spec, &self.next.spec),
            before: side(self.seen.routing.as_ref(), before.as_deref()),
            after: side(ahead.end.routing.as_ref(), after.as_deref()),
            moved,
            members: loads(before.as_deref(), after.as_deref()),
            notes: self.notes(&valid, &ahead, &steps),
            steps,
        })
    }

    fn notes(&self, valid: &ValidPool, ahead: &Forecast, steps: &[Step]) -> Vec<String> {
        let mut notes = Vec::new();
        let (was, is) = (&self.now.spec.routing, &self.next.spec.routing);
        if was.key != is.key {
            notes.push(
                "routing.key changes: requests are looked up by another key, so most of them change their member, whatever \
                 the share of the key space that moves"
                    .to_owned(),
            );
        }
        let names = |instances: Vec<&Instance>| {
            let names: Vec<&str> = instances.iter().map(|it| it.name.as_str()).collect();
            names.join(", ")
        };
        let unready: Vec<_> = self
            .seen
            .instances
            .iter()
            .filter(|it| it.phase == Phase::Unready)
            .collect();
        if !unready.is_empty() {
            notes.push(format!("not ready now, and taken to stay so: {}", names(unready)));
        }
        let vacant = steps
            .iter()
            .any(|step| matches!(step, Step::Route { turns, .. } if turns.iter().any(|turn| turn.way == Way::Empties)));
        if vacant {
            let policy = is.when_away.policy;
            notes.push(format!(
                "while a seat is empty, routing.whenAway decides about its keys: {policy:?}"
            ));
        }
        let old: Vec<_> = ahead
            .end
            .instances
            .iter()
            .filter(|it| it.is_live() && it.template != valid.template_hash)
            .collect();
        if !old.is_empty() && valid.update.paused {
            notes.push(format!(
                "update.paused is set: {} would go on with the old template",
                names(old)
            ));
        }
        if !ahead.settled {
            notes.push("there is more to do than was looked ahead".to_owned());
        }
        notes
    }
}

/// The actions, one after the other, and the table as it becomes.
struct Walk<'a> {
    pods: &'a [Instance],
    last: Option<&'a RoutingDocument>,
    table: Option<Arc<Table>>,
    steps: Vec<Step>,
}

// === impl Walk ===

impl<'a> Walk<'a> {
    fn take(&mut self, pass: usize, action: &'a Action) -> Result<(), Error> {
        let step = match action {
            Action::Create(create) => {
                let replaced = create.replaces.as_ref();
                let found = self.pods.iter().find(|it| Some(&it.id) == replaced);
                Step::Start {
                    pass,
                    seat: create.seat.clone(),
                    pod: create.name.clone(),
                    replaces: found.map(|it| it.name.clone()),
                    reason: create.reason.as_str().to_owned(),
                }
            }
            Action::Delete(delete) => Step::End {
                pass,
                seat: delete.seat.clone(),
                pod: delete.name.clone(),
                reason: delete.reason.as_str().to_owned(),
            },
            Action::Publish { document, reason } => {
                let moved = self.route(document)?;
                let turns = routes::turns(self.last, document);
                self.last = Some(document);
                Step::Route {
                    pass,
                    epoch: document.epoch,
                    turns,
                    moved,
                    reason: reason.as_str().to_owned(),
                }
            }
        };
        self.steps.push(step);
        Ok(())
    }

    /// Goes on to the table of this document: the share of the keys that move by it.
    fn route(&mut self, document: &RoutingDocument) -> Result<f64, Error> {
        let (algorithm, members) = tables::parts(document);
        let same = |table: &Arc<Table>| table.algorithm() == algorithm && table.members() == members;
        if self.table.as_ref().is_some_and(same) {
            return Ok(0.0);
        }
        let built = match &self.table {
            Some(before) => before.change(algorithm, &members),
            None => Table::build_with(algorithm, &members),
        };
        let epoch = document.epoch;
        let table = built.map_err(|source| Error::Table { epoch, source })?;
        let moved = self.table.as_ref().map_or(0.0, |before| table.moved_from(before));
        self.table = Some(Arc::new(table));
        Ok(moved)
    }
}

fn table(document: Option<&RoutingDocument>) -> Result<Option<Table>, Error> {
    let Some(document) = document else { return Ok(None) };
    let (algorithm, members) = tables::parts(document);
    let epoch = document.epoch;
    let built = Table::build_with(algorithm, &members);
    built.map(Some).map_err(|source| Error::Table { epoch, source })
}

fn side(document: Option<&RoutingDocument>, table: Option<&Table>) -> Side {
    let (Some(document), Some(table)) = (document, table) else {
        return Side::default();
    };
    Side {
        epoch: document.epoch,
        digest: format!("{:016x}", table.digest()),
        algorithm: table.algorithm().to_string(),
        seats: table.members().len(),
    }
}

/// The seats at the end, in order, then those that leave.
fn loads(before: Option<&Table>, after: Option<&Table>) -> Vec<Load> {
    let shares = |table: Option<&Table>| -> Vec<(MemberName, u32, f64)> {
        let Some(table) = table else { return Vec::new() };
        let members = table.members().iter().zip(table.shares());
        members
            .filter_map(|(member, share)| Some((member.name.parse().ok()?, member.weight, share)))
            .collect()
    };
    let (was, is) = (shares(before), shares(after));
    let find = |list: &[(MemberName, u32, f64)], name: &MemberName| {
        list.iter()
            .find(|(other, ..)| other.host() == name.host())
            .map(|(.., share)| *share)
    };
    let stays = is.iter().map(|(seat, weight, share)| Load {
        seat: seat.clone(),
        weight: *weight,
        before: find(&was, seat),
        after: Some(*share),
    });
    let leaves = was
        .iter()
        .filter(|(seat, ..)| find(&is, seat).is_none())
        .map(|(seat, weight, share)| Load {
            seat: seat.clone(),
            weight: *weight,
            before: Some(*share),
            after: None,
        });
    stays.chain(leaves).collect()
}

#[cfg(test)]
mod tests;
