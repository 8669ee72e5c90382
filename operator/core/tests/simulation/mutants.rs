//! Plans that are wrong on purpose, each in one way: a rule that no mutant breaks would prove nothing.

use jiff::Timestamp;
use lbpool_api::status::SeatState;
use lbpool_core::{
    Action, Instance, Observed, Phase, Plan, Reason, ValidPool, plan,
    plan::{Create, Delete, instance_name},
};

use super::{driver::Planner, rules::Rule};

pub(crate) const MUTANTS: &[(&str, Rule, Planner)] = &[
    ("ends members without waiting for balancers", Rule::Drain, no_drain),
    ("ends members that are in the table", Rule::Drain, ends_routed),
    ("makes all successors at once", Rule::Surge, surges_everywhere),
    ("names successors by the clock", Rule::Successors, names_by_clock),
    ("takes vacant seats out of the table", Rule::Keys, drops_vacant),
    ("joins seats before anybody is ready", Rule::Keys, joins_early),
    ("empties all outdated seats at once", Rule::Availability, empties_all),
    (
        "routes to members that are not ready",
        Rule::Availability,
        routes_blindly,
    ),
    ("publishes under the old epoch", Rule::Epoch, keeps_epoch),
    ("replaces nobody who failed", Rule::Replacement, replaces_nobody),
    ("publishes in every pass", Rule::Silence, never_silent),
    ("never ends an old member", Rule::Settles, ends_nobody),
];

fn delete(instance: &Instance) -> Action {
    Action::Delete(Delete {
        id: instance.id.clone(),
        name: instance.name.clone(),
        seat: instance.seat.clone(),
        reason: Reason::Surplus,
    })
}

fn no_drain(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let blind = Observed {
        balancers: Vec::new(),
        ..seen.clone()
    };
    plan(pool, &blind, now)
}

fn ends_routed(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    let gone = |it: &&Instance| pool.seats.iter().all(|seat| seat.name.host() != it.seat.host());
    plan.actions.extend(seen.instances.iter().filter(gone).map(delete));
    plan
}

fn surges_everywhere(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut greedy = pool.clone();
    greedy.update.max_surge = 1_024;
    plan(&greedy, seen, now)
}

fn names_by_clock(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    let again = seen
        .instances
        .iter()
        .filter(|it| it.phase == Phase::Starting && pool.update.max_surge > 1)
        .map(|it| {
            Action::Create(Create {
                name: instance_name(&now.to_string(), &it.seat, &it.template, Some(&it.id)),
                seat: it.seat.clone(),
                template: it.template.clone(),
                replaces: Some(it.id.clone()),
                reason: Reason::SeatEmpty,
            })
        });
    plan.actions.extend(again);
    plan
}

fn drops_vacant(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    for action in &mut plan.actions {
        if let Action::Publish { document, .. } = action {
            document.members.retain(|member| member.state == SeatState::Serving);
        }
    }
    plan
}

fn joins_early(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut early = seen.clone();
    for instance in &mut early.instances {
        if instance.phase == Phase::Starting {
            instance.phase = Phase::Ready;
        }
    }
    plan(pool, &early, now)
}

fn empties_all(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut greedy = pool.clone();
    (greedy.update.max_surge, greedy.update.max_unavailable) = (0, 1_024);
    plan(&greedy, seen, now)
}

fn routes_blindly(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    for action in &mut plan.actions {
        if let Action::Publish { document, .. } = action {
            for member in &mut document.members {
                member.state = SeatState::Serving;
            }
        }
    }
    plan
}

fn keeps_epoch(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    for action in &mut plan.actions {
        if let (Action::Publish { document, .. }, Some(last)) = (action, &seen.routing) {
            document.epoch = last.epoch;
        }
    }
    plan
}

fn replaces_nobody(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    plan.actions
        .retain(|action| !matches!(action, Action::Create(create) if create.reason == Reason::Failed));
    plan
}

fn never_silent(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    if let (true, Some(last)) = (plan.actions.is_empty(), &seen.routing) {
        let mut document = last.clone();
        document.epoch += 1;
        plan.actions.push(Action::Publish {
            document,
            reason: Reason::Policy,
        });
    }
    plan
}

fn ends_nobody(pool: &ValidPool, seen: &Observed, now: Timestamp) -> Plan {
    let mut plan = plan(pool, seen, now);
    plan.actions.retain(|action| !matches!(action, Action::Delete(_)));
    plan
}
