//! What is true: the fleet, the balancers, the published document, and requests on their way.

use std::{collections::BTreeMap, rc::Rc};

use jiff::Timestamp;
use lbpool_api::{RoutingDocument, status::SeatState};
use lbpool_core::{
    BalancerReport, Instance, InstanceId, Phase,
    plan::{Create, Delete},
};

use super::rng::Rng;

/// A request takes effect within so many steps, or never.
pub(crate) const DELAY: u64 = 6;
/// What is observed is at most so many steps old.
pub(crate) const LAG: u64 = 5;
/// A step, in milliseconds.
const STEP: i64 = 200;
const BALANCERS: usize = 2;

pub(crate) struct World {
    pub(crate) step: u64,
    pub(crate) members: Vec<Member>,
    pub(crate) document: Option<RoutingDocument>,
    pub(crate) balancers: Vec<Balancer>,
    /// Templates that never get ready.
    pub(crate) bad: Vec<String>,
    requests: Vec<(u64, Request)>,
    /// The fleet and the balancers as they were in the last steps, oldest first.
    past: Vec<(Rc<Vec<Instance>>, Vec<BalancerReport>)>,
    made: u64,
}

/// An instance, and what only the fleet knows of it.
pub(crate) struct Member {
    pub(crate) it: Instance,
    /// The driver asked for its end.
    pub(crate) asked: bool,
    /// A published document named it.
    pub(crate) routed: bool,
    /// When documents stopped naming it, and the first epoch without it.
    pub(crate) left: Option<(u64, u64)>,
    gone_at: Option<u64>,
}

#[derive(Default)]
pub(crate) struct Balancer {
    document: Option<RoutingDocument>,
    pub(crate) in_flight: BTreeMap<String, u64>,
    silent_until: u64,
}

#[derive(Clone)]
pub(crate) enum Request {
    Publish(RoutingDocument),
    Create(Create),
    Delete(Delete),
}

/// What took effect in a step.
pub(crate) enum Effect {
    Published,
    Refused,
    Made,
    Exists,
    /// The end of this member began; its place in `members`.
    Ended(usize),
    Nothing,
}

// === impl World ===

impl World {
    pub(crate) fn new() -> Self {
        Self {
            step: 0,
            members: Vec::new(),
            document: None,
            balancers: (0..BALANCERS).map(|_| Balancer::default()).collect(),
            bad: Vec::new(),
            requests: Vec::new(),
            past: Vec::new(),
            made: 0,
        }
    }

    pub(crate) fn now(&self) -> Timestamp {
        at(self.step)
    }

    pub(crate) fn epoch(&self) -> u64 {
        self.document.as_ref().map_or(0, |document| document.epoch)
    }

    /// Sends a request: in a calm world it takes effect in this step, in another it may be lost, late, or there twice.
    pub(crate) fn send(&mut self, request: Request, rng: &mut Rng, faults: bool) {
        if !faults {
            self.requests.push((self.step, request));
            return;
        }
        if rng.chance(150) {
            return;
        }
        if rng.chance(150) {
            self.requests.push((self.step + rng.below(DELAY), request.clone()));
        }
        let delay = if rng.chance(500) { 0 } else { rng.below(DELAY) };
        self.requests.push((self.step + delay, request));
    }

    /// The requests that take effect now, in any order.
    pub(crate) fn due(&mut self, rng: &mut Rng) -> Vec<Request> {
        let mut due = Vec::new();
        let step = self.step;
        self.requests.retain(|(at, request)| {
            let now = *at <= step;
            if now {
                due.push(request.clone());
            }
            !now
        });
        for last in (1..due.len()).rev() {
            let other = usize::try_from(rng.below(last as u64 + 1)).unwrap();
            due.swap(last, other);
        }
        due
    }

    pub(crate) fn apply(&mut self, request: Request, rng: &mut Rng) -> Effect {
        match request {
            Request::Publish(document) => self.publish(document),
            Request::Create(create) => self.create(create),
            Request::Delete(delete) => self.delete(&delete, rng),
        }
    }

    fn publish(&mut self, document: RoutingDocument) -> Effect {
        if document.epoch <= self.epoch() {
            return Effect::Refused;
        }
        for member in &mut self.members {
            if member.it.is_routed_by(&document) {
                (member.routed, member.left) = (true, None);
            } else if member.left.is_none() {
                member.left = Some((self.step, document.epoch));
            }
        }
        self.document = Some(document);
        Effect::Published
    }

    fn create(&mut self, create: Create) -> Effect {
        if self.members.iter().any(|member| member.it.name == create.name) {
            return Effect::Exists;
        }
        self.made += 1;
        self.members.push(Member {
            it: Instance {
                id: InstanceId(format!("#{}", self.made)),
                name: create.name,
                seat: create.seat,
                template: create.template,
                phase: Phase::Starting,
                address: None,
                // Whole seconds, as in a cluster: the order of making can not be told from it.
                created: Timestamp::from_second(self.now().as_second()).unwrap(),
                trouble: None,
            },
            asked: false,
            routed: false,
            left: None,
            gone_at: None,
        });
        Effect::Made
    }

    fn delete(&mut self, delete: &Delete, rng: &mut Rng) -> Effect {
        let found = self
            .members
            .iter()
            .position(|member| member.it.id == delete.id && member.it.phase != Phase::Ending);
        let Some(place) = found else { return Effect::Nothing };
        self.end(place, rng);
        Effect::Ended(place)
    }

    /// A name is free again only after each request that uses it had its time.
    fn end(&mut self, place: usize, rng: &mut Rng) {
        self.members[place].it.phase = Phase::Ending;
        self.members[place].gone_at = Some(self.step + DELAY + 1 + rng.below(8));
    }

    /// Members start, hang, crash and go; balancers learn and work.
    pub(crate) fn live(&mut self, rng: &mut Rng, faults: bool) {
        self.members
            .retain(|member| member.gone_at.is_none_or(|at| at > self.step));
        let prompt = if faults { 250 } else { 1_000 };
        for place in 0..self.members.len() {
            let bad = self.bad.contains(&self.members[place].it.template);
            let phase = self.members[place].it.phase;
            if faults && phase != Phase::Failed && phase != Phase::Ending {
                if rng.chance(4) {
                    self.members[place].it.phase = Phase::Failed;
                    continue;
                }
                if rng.chance(2) {
                    self.end(place, rng);
                    continue;
                }
            }
            let next = match phase {
                Phase::Starting if !bad && rng.chance(prompt) => Phase::Ready,
                Phase::Unready if rng.chance(prompt) => Phase::Ready,
                Phase::Ready if faults && rng.chance(10) => Phase::Unready,
                same => same,
            };
            self.members[place].it.phase = next;
        }
        for balancer in &mut self.balancers {
            balancer.live(self.document.as_ref(), self.step, rng, faults);
        }
    }

    /// Remembers this step for those who look late.
    pub(crate) fn remember(&mut self) {
        let same = self.past.last().filter(|(last, _)| {
            last.len() == self.members.len() && last.iter().zip(&self.members).all(|(last, member)| *last == member.it)
        });
        let instances = same.map_or_else(
            || Rc::new(self.members.iter().map(|member| member.it.clone()).collect()),
            |(last, _)| last.clone(),
        );
        let reports = self
            .balancers
            .iter()
            .enumerate()
            .map(|(n, balancer)| balancer.report(n, self.step))
            .collect();
        self.past.push((instances, reports));
        if self.past.len() > usize::try_from(LAG + 1).unwrap() {
            self.past.remove(0);
        }
    }

    /// The fleet as it was so many steps ago.
    pub(crate) fn instances(&self, ago: u64) -> &[Instance] {
        &self.past[self.place(ago)].0
    }

    /// The balancers as they were, each at a moment of its own.
    pub(crate) fn reports(&self, mut ago: impl FnMut() -> u64) -> Vec<BalancerReport> {
        (0..self.balancers.len())
            .map(|n| self.past[self.place(ago())].1[n].clone())
            .collect()
    }

    fn place(&self, ago: u64) -> usize {
        (self.past.len() - 1).saturating_sub(usize::try_from(ago).unwrap())
    }
}

// === impl Balancer ===

impl Balancer {
    pub(crate) fn epoch(&self) -> u64 {
        self.document.as_ref().map_or(0, |document| document.epoch)
    }

    fn live(&mut self, published: Option<&RoutingDocument>, step: u64, rng: &mut Rng, faults: bool) {
        if faults && rng.chance(5) {
            self.silent_until = step + rng.below(40);
        }
        if let Some(published) = published
            && published.epoch > self.epoch()
            && (!faults || rng.chance(400))
        {
            self.document = Some(published.clone());
        }
        self.in_flight.retain(|_, n| {
            if rng.chance(if faults { 200 } else { 500 }) {
                *n -= 1;
            }
            *n > 0
        });
        let members = self.document.iter().flat_map(|document| &document.members);
        for member in members.filter(|member| member.state == SeatState::Serving) {
            if let Some(pod) = &member.pod
                && rng.chance(100)
            {
                *self.in_flight.entry(pod.clone()).or_default() += 1;
            }
        }
    }

    fn report(&self, n: usize, step: u64) -> BalancerReport {
        let name = format!("b-{n}");
        if self.silent_until > step {
            return BalancerReport {
                name,
                ..BalancerReport::default()
            };
        }
        let in_flight = self.in_flight.iter().map(|(pod, n)| (pod.clone(), *n)).collect();
        BalancerReport {
            name,
            epoch: self.epoch(),
            in_flight,
        }
    }
}

/// The time of a step.
pub(crate) fn at(step: u64) -> Timestamp {
    Timestamp::from_millisecond(1_000_000_000 + i64::try_from(step).unwrap() * STEP).unwrap()
}
