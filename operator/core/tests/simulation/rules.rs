//! What must hold, whatever goes wrong. Written without the code that it judges.

use std::{collections::HashMap, fmt};

use lbpool_api::{RoutingDocument, routing::RoutedMember, status::SeatState};
use lbpool_core::{Action, Instance, Observed, Phase, Plan, ValidPool};

use super::world::{Member, World};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Live instances beyond one per seat: at most maxSurge.
    Surge,
    /// At most one live instance of a seat that never had it.
    Successors,
    /// A member ends only out of the table, when all balancers confirmed or drainTimeout is over.
    Drain,
    /// No more than maxUnavailable seats are empty where the update empties one; nobody is routed to who is not ready.
    Availability,
    /// The table holds every seat that was in it and that the spec has, and those that have somebody ready: no more, no
    /// less, in order. So a replacement moves no key.
    Keys,
    /// Epochs grow by each publication.
    Epoch,
    /// A seat that has nobody gets somebody in the very next pass.
    Replacement,
    /// A pool in which all is as it should be gets no action, and its status says so.
    Silence,
    /// Once faults stop, it comes to rest.
    Settles,
}

#[derive(Clone, Debug)]
pub(crate) struct Violation {
    pub(crate) rule: Rule,
    pub(crate) step: u64,
    pub(crate) text: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} broken at step {}: {}", self.rule, self.step, self.text)
    }
}

type Broken = (Rule, String);

/// A plan against what it was made from.
pub(crate) fn plan(pool: &ValidPool, seen: &Observed, plan: &Plan) -> Result<(), Broken> {
    if is_whole(pool, seen) && !plan.actions.is_empty() {
        return Err((Rule::Silence, format!("{:?}", plan.actions)));
    }
    for action in &plan.actions {
        match action {
            Action::Publish { document, .. } => publication(pool, seen, document)?,
            Action::Delete(delete) => deletion(pool, seen, delete.id.0.as_str())?,
            Action::Create(_) => {}
        }
    }
    for seat in &pool.seats {
        let host = seat.name.host();
        let nobody = !seen.instances.iter().any(|it| it.seat.host() == host && it.is_live());
        let made = |action: &Action| matches!(action, Action::Create(create) if create.seat.host() == host);
        if nobody && !plan.actions.iter().any(made) {
            return Err((Rule::Replacement, format!("{} has nobody and gets nobody", seat.name)));
        }
    }
    Ok(())
}

fn publication(pool: &ValidPool, seen: &Observed, document: &RoutingDocument) -> Result<(), Broken> {
    let last = seen.routing.as_ref();
    if document.epoch <= last.map_or(0, |last| last.epoch) {
        return Err((
            Rule::Epoch,
            format!("{} after {:?}", document.epoch, last.map(|last| last.epoch)),
        ));
    }
    let before: HashMap<_, _> = last
        .iter()
        .flat_map(|last| &last.members)
        .map(|member| (member.name.host(), member))
        .collect();
    let ready = |pod: &str| {
        seen.instances
            .iter()
            .any(|it| it.name == pod && it.phase == Phase::Ready)
    };
    let is_ready = |it: &Instance| it.phase == Phase::Ready;
    let wanted = pool.seats.iter().filter(|seat| {
        let host = seat.name.host();
        before.contains_key(&host) || seen.instances.iter().any(|it| it.seat.host() == host && is_ready(it))
    });
    let wanted: Vec<_> = wanted.map(|seat| (seat.name.as_str(), seat.weight)).collect();
    let written: Vec<_> = document
        .members
        .iter()
        .map(|member| (member.name.as_str(), member.weight))
        .collect();
    if wanted != written {
        return Err((Rule::Keys, format!("table of {written:?}, wanted {wanted:?}")));
    }
    let serving = |member: &RoutedMember| member.state == SeatState::Serving;
    if let Some(wrong) = document
        .members
        .iter()
        .find(|member| serving(member) != member.pod.as_deref().is_some_and(ready))
    {
        return Err((Rule::Availability, format!("{wrong:?} is written, but that is not so")));
    }
    let emptied = |member: &RoutedMember| {
        !serving(member)
            && before
                .get(&member.name.host())
                .is_some_and(|it| serving(it) && it.pod.as_deref().is_some_and(ready))
    };
    let empty = document.members.iter().filter(|member| !serving(member)).count();
    if document.members.iter().any(emptied) && empty > pool.update.max_unavailable as usize {
        return Err((Rule::Availability, format!("{empty} seats are empty by our own doing")));
    }
    Ok(())
}

/// The seat's side of an ending: it left the table, or has somebody else, or may be empty.
fn deletion(pool: &ValidPool, seen: &Observed, id: &str) -> Result<(), Broken> {
    let Some(instance) = seen.instances.iter().find(|it| it.id.0 == id) else {
        return Err((Rule::Drain, format!("{id} is ended, but was not seen")));
    };
    let document = seen.routing.as_ref();
    let entry = document.and_then(|document| {
        document
            .members
            .iter()
            .find(|it| it.name.host() == instance.seat.host())
    });
    let empty = entry.is_some_and(|entry| entry.pod.is_none());
    if instance.phase == Phase::Ready && empty && pool.update.max_unavailable == 0 {
        return Err((
            Rule::Availability,
            format!("{} is ready, its seat is empty, and it is ended", instance.name),
        ));
    }
    Ok(())
}

/// The fleet as it truly is.
pub(crate) fn fleet(pool: &ValidPool, world: &World) -> Result<(), Broken> {
    let mut live: HashMap<_, (usize, usize)> = HashMap::new();
    for member in world
        .members
        .iter()
        .filter(|member| member.it.is_live() && !member.asked)
    {
        let (all, fresh) = live.entry(member.it.seat.host()).or_default();
        *all += 1;
        *fresh += usize::from(!member.routed);
    }
    if let Some((seat, (_, fresh))) = live.iter().find(|(_, (_, fresh))| *fresh > 1) {
        return Err((Rule::Successors, format!("{fresh} live successors of {seat}")));
    }
    let extra: usize = live.values().map(|(all, _)| all.saturating_sub(1)).sum();
    if extra > pool.update.max_surge as usize {
        return Err((Rule::Surge, format!("{extra} live instances beyond one per seat")));
    }
    Ok(())
}

/// A member whose end begins now.
pub(crate) fn ending(pool: &ValidPool, world: &World, member: &Member) -> Result<(), Broken> {
    if !member.routed {
        return Ok(());
    }
    let name = member.it.name.as_str();
    let Some((left, epoch)) = member.left else {
        return Err((Rule::Drain, format!("{name} ends, but is in the table")));
    };
    let limit = u64::try_from(pool.update.drain_timeout.get().as_millis()).unwrap() / 200;
    let busy = world
        .balancers
        .iter()
        .any(|it| it.epoch() < epoch || it.in_flight.contains_key(name));
    if busy && world.step < left + limit {
        return Err((Rule::Drain, format!("{name} ends, but a balancer still uses it")));
    }
    Ok(())
}

/// Every seat is served by one up-to-date instance, and nothing else is there.
pub(crate) fn is_whole(pool: &ValidPool, seen: &Observed) -> bool {
    let Some(document) = &seen.routing else { return false };
    let known = seen.balancers.iter().all(|balancer| balancer.epoch <= document.epoch);
    let same = document.routing == pool.routing && document.health == pool.health;
    let sits = |entry: &RoutedMember, instance: &Instance| {
        instance.seat.host() == entry.name.host()
            && entry.pod.as_ref() == Some(&instance.name)
            && instance.phase == Phase::Ready
            && instance.template == pool.template_hash
    };
    known
        && same
        && seen.instances.len() == pool.seats.len()
        && document.members.len() == pool.seats.len()
        && document.members.iter().zip(&pool.seats).all(|(entry, seat)| {
            (&entry.name, entry.weight, entry.state) == (&seat.name, seat.weight, SeatState::Serving)
                && seen.instances.iter().any(|it| sits(entry, it))
        })
}
