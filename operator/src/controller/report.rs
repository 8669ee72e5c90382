//! The last step: what people are told.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use lbpool_api::{
    PoolStatus, RoutingDocument,
    status::{ConditionType, MemberStatus},
};
use lbpool_core::ValidPool;

use super::apply::Applied;

/// Whether `document` is what the spec asks for: its policy, and exactly its seats in the table.
pub(super) fn is_routed(pool: &ValidPool, document: &RoutingDocument) -> bool {
    document.routing == pool.routing
        && document.health == pool.health
        && document.members.len() == pool.seats.len()
        && document
            .members
            .iter()
            .zip(&pool.seats)
            .all(|(member, seat)| member.name == seat.name && member.weight == seat.weight)
}

/// Says in the status what could not be done: what the pure part can not know. `last` is the status as it was reported.
pub(super) fn degrade(
    mut status: PoolStatus,
    last: Option<&PoolStatus>,
    applied: &Applied,
    now: Timestamp,
) -> PoolStatus {
    let Some((reason, message)) = trouble(applied) else {
        return status;
    };
    let kind = ConditionType::Degraded.as_str();
    let was = last
        .into_iter()
        .flat_map(|last| &last.conditions)
        .find(|condition| condition.type_ == kind);
    let since = was
        .filter(|was| was.status == "True")
        .map_or(Time(now), |was| was.last_transition_time.clone());
    let condition = Condition {
        type_: kind.to_owned(),
        status: "True".to_owned(),
        reason,
        message,
        last_transition_time: since,
        observed_generation: status.observed_generation,
    };
    status.conditions.retain(|condition| condition.type_ != kind);
    status.conditions.push(condition);
    status
}

fn trouble(applied: &Applied) -> Option<(String, String)> {
    let failures = applied
        .failures
        .iter()
        .map(|error| (error.category().as_str(), error.chain()));
    let waits = applied.waits.iter().map(|wait| {
        (
            "BackOff",
            format!("{} {}, next start at {:.0}", wait.seat, wait.why, wait.until),
        )
    });
    let mut troubles = failures.chain(waits);
    let (reason, first) = troubles.next()?;
    let more = troubles.count();
    let message = if more == 0 {
        first
    } else {
        format!("{first} (and {more} more)")
    };
    Some((reason.to_owned(), message))
}

/// Logs what became of each seat.
pub(super) fn log_changes(before: Option<&PoolStatus>, after: &PoolStatus) {
    let before = before.map(|status| status.members.as_slice()).unwrap_or_default();
    let of = |members: &[MemberStatus], member: &MemberStatus| {
        members
            .iter()
            .find(|other| other.name == member.name)
            .map(|other| other.state)
    };
    for member in &after.members {
        let was = of(before, member);
        if was != Some(member.state) {
            let from = was.map_or("none", lbpool_api::status::SeatState::as_str);
            tracing::info!(seat = %member.name, from, to = member.state.as_str(), instance = member.pod, "seat changed");
        }
    }
}
