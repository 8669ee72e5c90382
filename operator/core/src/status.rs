//! The status that follows from a pass.

mod balancing;
mod conditions;

use std::collections::HashMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lbpool_api::{
    MemberName, PoolStatus,
    names::{LABEL_MEMBER, LABEL_POOL},
    status::{ConditionType, MemberStatus, SeatState},
};

use crate::{
    Instance, Observed, Phase, Plan, ValidPool,
    plan::{Census, SeatView},
    validate::Invalid,
};

pub(crate) use balancing::MOUNT;

/// The status to report; transition times of `last` are kept where nothing changed.
///
/// `seen` is what was observed, `plan` what followed from it: best both after the actions were applied. Epoch and digest
/// are those of the published document.
#[must_use]
pub fn status(pool: &ValidPool, seen: &Observed, plan: &Plan, last: &PoolStatus, now: Timestamp) -> PoolStatus {
    let census = Census::take(pool, seen);
    let serving = |seat: &&SeatView<'_>| is_serving(seat);
    let ready = census.seats.iter().filter(serving).count();
    let updated = census
        .seats
        .iter()
        .filter(|seat| sitting(seat).is_some_and(|it| it.template == pool.template_hash));
    let mut status = PoolStatus {
        observed_generation: Some(pool.generation),
        replicas: count(census.seats.len()),
        ready_replicas: count(ready),
        updated_replicas: count(updated.count()),
        // Balancers carry the pool's label too, but no member's.
        selector: format!("{LABEL_POOL}={},{LABEL_MEMBER}", pool.name),
        epoch: seen
            .routing
            .as_ref()
            .map_or(0, |routing| i64::try_from(routing.epoch).unwrap_or(i64::MAX)),
        digest: seen
            .routing
            .as_ref()
            .map(|routing| routing.digest.clone())
            .unwrap_or_default(),
        members: members(&census, seen, last, now),
        ready: format!("{ready}/{}", census.seats.len()),
        conditions: last.conditions.clone(),
    };
    let found = conditions::Found::of(pool, &census, seen, plan, now);
    for (kind, condition) in [
        (ConditionType::Ready, found.ready()),
        (ConditionType::Progressing, found.progressing()),
        (ConditionType::Degraded, found.degraded()),
    ] {
        set_condition(
            &mut status,
            kind,
            condition.holds,
            condition.reason,
            &condition.message,
            now,
        );
    }
    status
}

/// The status of a pool whose new spec was refused: what ran goes on running, and Degraded says what is wrong.
#[must_use]
pub fn refused(invalid: &Invalid, generation: i64, last: &PoolStatus, now: Timestamp) -> PoolStatus {
    let mut status = PoolStatus {
        observed_generation: Some(generation),
        ..last.clone()
    };
    let message = format!("the spec is not used: {invalid}");
    set_condition(&mut status, ConditionType::Degraded, true, "InvalidSpec", &message, now);
    status
}

/// Sets one condition. Its transition time is kept where it holds, or does not, as before.
pub fn set_condition(
    status: &mut PoolStatus,
    kind: ConditionType,
    holds: bool,
    reason: &str,
    message: &str,
    now: Timestamp,
) {
    let holds = if holds { "True" } else { "False" };
    let place = status
        .conditions
        .iter()
        .position(|condition| condition.type_ == kind.as_str());
    let since = place
        .map(|at| &status.conditions[at])
        .filter(|before| before.status == holds)
        .map_or(Time(now), |before| before.last_transition_time.clone());
    let condition = Condition {
        type_: kind.as_str().to_owned(),
        status: holds.to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
        observed_generation: status.observed_generation,
        last_transition_time: since,
    };
    match place {
        Some(at) => status.conditions[at] = condition,
        None => status.conditions.push(condition),
    }
}

/// The seats in order, then those that leave.
fn members(census: &Census<'_>, seen: &Observed, last: &PoolStatus, now: Timestamp) -> Vec<MemberStatus> {
    let before: HashMap<_, _> = last.members.iter().map(|member| (member.name.host(), member)).collect();
    let report = |name: &MemberName, weight, pod: Option<String>, state| {
        let kept = before
            .get(&name.host())
            .filter(|before| before.state == state)
            .and_then(|it| it.since.clone());
        MemberStatus {
            name: name.clone(),
            weight,
            pod,
            state,
            since: Some(kept.unwrap_or(Time(now))),
        }
    };
    let seats = census.seats.iter().map(|seat| {
        let state = match seat.routed {
            None => SeatState::Joining,
            Some(_) if is_serving(seat) => SeatState::Serving,
            Some(_) => SeatState::Vacant,
        };
        let pod = sitting(seat).or(seat.holder).or(seat.heir).map(|it| it.name.clone());
        report(&seat.seat.name, seat.seat.weight, pod, state)
    });
    let mut leaving: Vec<&Instance> = seen
        .instances
        .iter()
        .filter(|it| {
            it.phase != Phase::Failed && census.seats.iter().all(|seat| seat.seat.name.host() != it.seat.host())
        })
        .collect();
    leaving.sort_by_key(|instance| (instance.seat.host(), instance.created));
    leaving.dedup_by_key(|instance| instance.seat.host());
    let leaving = leaving.into_iter().map(|instance| {
        let weight = before.get(&instance.seat.host()).map_or(1, |before| before.weight);
        report(&instance.seat, weight, Some(instance.name.clone()), SeatState::Draining)
    });
    seats.chain(leaving).collect()
}

/// The instance that the published document names for a seat.
fn sitting<'a>(seat: &SeatView<'a>) -> Option<&'a Instance> {
    let pod = seat.routed?.pod.as_deref()?;
    seat.all.iter().copied().find(|instance| instance.name == pod)
}

/// Requests are sent to it, and it is ready.
fn is_serving(seat: &SeatView<'_>) -> bool {
    let routed = seat.routed.is_some_and(|member| member.state == SeatState::Serving);
    routed && sitting(seat).is_some_and(|it| it.phase == Phase::Ready)
}

fn count(n: usize) -> i32 {
    i32::try_from(n).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests;
