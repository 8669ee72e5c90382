//! A driver as `lbpool_core::observed` asks for: it remembers what it asked for until that is seen or can not be any more.

use std::collections::BTreeMap;

use jiff::Timestamp;
use lbpool_api::RoutingDocument;
use lbpool_core::{
    Action, Balancing, Departure, Instance, InstanceId, Observed, Phase, Plan, ValidPool, departures, plan::Delete,
};

use super::{
    rng::Rng,
    world::{DELAY, LAG, Request, World},
};

pub(crate) type Planner = fn(&ValidPool, &Observed, Timestamp) -> Plan;

#[derive(Default)]
pub(crate) struct Driver {
    /// Made, but not seen yet: until which step it may still turn up.
    making: BTreeMap<String, (u64, Instance)>,
    /// Told to end, but not seen to: asked again until it is.
    ending: BTreeMap<InstanceId, Delete>,
    /// Sent, outcome unknown.
    publishing: Option<RoutingDocument>,
    departures: Vec<Departure>,
    /// What it sees is no older than this.
    looked_at: u64,
    down_until: u64,
}

impl Driver {
    /// The process ends and another one starts with nothing but what it finds, once no request of the first is left.
    pub(crate) fn restart(&mut self, step: u64) {
        let down_until = step + DELAY + LAG + 1;
        *self = Self {
            down_until,
            looked_at: down_until,
            ..Self::default()
        };
    }

    pub(crate) fn is_down(&self, step: u64) -> bool {
        step < self.down_until
    }

    /// Nothing of its own is on its way.
    pub(crate) fn is_idle(&self) -> bool {
        self.making.is_empty() && self.ending.is_empty() && self.publishing.is_none()
    }

    pub(crate) fn observe(&mut self, world: &World, rng: &mut Rng, faults: bool) -> Observed {
        let lag = if faults { rng.below(LAG + 1) } else { 0 };
        self.looked_at = self.looked_at.max(world.step.saturating_sub(lag));
        let mut instances = world.instances(world.step - self.looked_at).to_vec();
        self.making
            .retain(|name, (until, _)| *until > world.step && instances.iter().all(|it| it.name != *name));
        self.ending
            .retain(|id, _| instances.iter().any(|it| it.id == *id && it.phase != Phase::Ending));
        for instance in &mut instances {
            if self.ending.contains_key(&instance.id) {
                instance.phase = Phase::Ending;
            }
        }
        instances.extend(self.making.values().map(|(_, instance)| instance.clone()));
        if faults {
            let turn = usize::try_from(rng.below(instances.len() as u64 + 1)).unwrap();
            instances.rotate_left(turn);
        }
        let routing = world.document.clone();
        self.departures = departures(&self.departures, &instances, routing.as_ref(), world.now());
        let balancers = world.reports(|| if faults { rng.below(LAG + 1) } else { 0 });
        Observed {
            instances,
            balancers,
            routing,
            departures: self.departures.clone(),
            balancing: Balancing::default(),
        }
    }

    /// Sends again what was not answered. True while it must not plan: a publication's outcome is not known.
    pub(crate) fn settle(&mut self, world: &mut World, rng: &mut Rng, faults: bool) -> bool {
        for delete in self.ending.values() {
            if !faults || rng.chance(300) {
                world.send(Request::Delete(delete.clone()), rng, faults);
            }
        }
        let Some(document) = &self.publishing else { return false };
        if document.epoch <= world.epoch() {
            self.publishing = None;
            return false;
        }
        world.send(Request::Publish(document.clone()), rng, faults);
        true
    }

    pub(crate) fn apply(&mut self, plan: Plan, world: &mut World, rng: &mut Rng, faults: bool) {
        for action in plan.actions {
            match action {
                Action::Publish { document, .. } => {
                    self.publishing = Some(document.clone());
                    world.send(Request::Publish(document), rng, faults);
                }
                Action::Create(create) => {
                    let instance = Instance {
                        id: InstanceId(format!("asked:{}", create.name)),
                        name: create.name.clone(),
                        seat: create.seat.clone(),
                        template: create.template.clone(),
                        phase: Phase::Starting,
                        address: None,
                        created: world.now(),
                        trouble: None,
                    };
                    self.making
                        .insert(create.name.clone(), (world.step + DELAY + LAG + 1, instance));
                    world.send(Request::Create(create), rng, faults);
                }
                Action::Delete(delete) if delete.id.0.starts_with("asked:") => {}
                Action::Delete(delete) => {
                    for member in world.members.iter_mut().filter(|member| member.it.id == delete.id) {
                        member.asked = true;
                    }
                    self.ending.insert(delete.id.clone(), delete.clone());
                    world.send(Request::Delete(delete), rng, faults);
                }
            }
        }
    }
}
