//! What a pool will do: [`plan()`](crate::plan()) itself, run against a fleet that does what it is told.
//!
//! No second planner: the steps are what the driver's own would decide, one pass after the other. Assumed is that nothing
//! goes wrong: what is made gets ready, balancers follow at once, requests in flight end, and what is told to end does. What
//! starts gets ready together, as the driver waits a moment for it. A member that is not ready now stays so.

use jiff::{SignedDuration, Timestamp};

use crate::{Action, Instance, InstanceId, Observed, Phase, ValidPool, departures, plan};

/// What will be done, and what there is afterwards.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Forecast {
    /// The actions of each pass that has some, in order.
    pub passes: Vec<Vec<Action>>,
    /// What there is when nothing is left to do.
    pub end: Observed,
    /// Whether there is nothing left to do. False: it goes on for longer than was looked.
    pub settled: bool,
}

/// Looks ahead from `seen` to when `pool` has settled.
///
/// The names of instances are those that will be made, as far as what they replace is there already; an instance that
/// replaces one of this forecast is named after an identity that nobody knows yet.
#[must_use]
pub fn forecast(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Forecast {
    // A seat that is rolled takes three passes: make, hand over, end. Twice that, and something is odd.
    let most = 64 + 8 * (pool.seats.len() + seen.instances.len());
    let mut world = World {
        seen: seen.clone(),
        now,
        made: 0,
    };
    let mut passes = Vec::new();
    let mut settled = false;
    for _ in 0..most {
        let actions = world.pass(pool);
        let idle = actions.is_empty();
        if !idle {
            passes.push(actions);
        }
        if !world.live() && idle {
            settled = true;
            break;
        }
    }
    Forecast {
        passes,
        end: world.seen,
        settled,
    }
}

/// A fleet and balancers that do what they are told.
struct World {
    seen: Observed,
    now: Timestamp,
    made: i64,
}

// === impl World ===

impl World {
    fn pass(&mut self, pool: &ValidPool) -> Vec<Action> {
        let Observed {
            instances,
            routing,
            departures: known,
            ..
        } = &self.seen;
        self.seen.departures = departures(known, instances, routing.as_ref(), self.now);
        let actions = plan(pool, &self.seen, self.now).actions;
        for action in &actions {
            self.apply(action);
        }
        actions
    }

    fn apply(&mut self, action: &Action) {
        match action {
            Action::Publish { document, .. } => self.seen.routing = Some(document.clone()),
            Action::Create(create) => {
                if self.seen.instances.iter().any(|it| it.name == create.name) {
                    return;
                }
                self.made += 1;
                // Later ones are younger.
                let age = SignedDuration::from_millis(self.made);
                self.seen.instances.push(Instance {
                    // A name is used once, also by a forecast that goes on from the end of another.
                    id: InstanceId(format!("forecast:{}", create.name)),
                    name: create.name.clone(),
                    seat: create.seat.clone(),
                    template: create.template.clone(),
                    phase: Phase::Starting,
                    address: None,
                    created: self.now.checked_add(age).unwrap_or(self.now),
                    trouble: None,
                });
            }
            Action::Delete(delete) => {
                for instance in self.seen.instances.iter_mut().filter(|it| it.id == delete.id) {
                    instance.phase = Phase::Ending;
                }
            }
        }
    }

    /// Time passes: whether that changed anything.
    fn live(&mut self) -> bool {
        let Observed {
            instances,
            balancers,
            routing,
            ..
        } = &mut self.seen;
        let before = instances.len();
        instances.retain(|it| it.phase != Phase::Ending);
        let mut changed = instances.len() != before;
        for instance in instances.iter_mut().filter(|it| it.phase == Phase::Starting) {
            instance.phase = Phase::Ready;
            changed = true;
        }
        let epoch = routing.as_ref().map_or(0, |document| document.epoch);
        for balancer in balancers {
            changed |= balancer.epoch != epoch || !balancer.in_flight.is_empty();
            balancer.epoch = epoch;
            balancer.in_flight.clear();
        }
        changed
    }
}

#[cfg(test)]
mod tests;
