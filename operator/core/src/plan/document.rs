//! The routing document that should be published.

use lbpool_api::{RoutingDocument, routing::RoutedMember, status::SeatState};

use super::{Census, Reason, SeatView};
use crate::{Observed, Phase, ValidPool, protocol};

/// The next document, where it differs from the published one.
pub(super) fn next(pool: &ValidPool, seen: &Observed, census: &Census<'_>) -> Option<(RoutingDocument, Reason)> {
    let last = seen.routing.as_ref();
    let members: Vec<_> = census.seats.iter().filter_map(entry).collect();
    // The first document comes before the first member, so that balancers know the policy. A balancer ahead of us has
    // seen documents that are lost: it would ignore ours until we are past it.
    let known = last.map_or(0, |last| last.epoch);
    let ahead = seen.balancers.iter().map(|balancer| balancer.epoch).max().unwrap_or(0);
    let reason = match last {
        Some(last) if last.members == members && ahead <= known => {
            if last.pool == pool.name && last.routing == pool.routing && last.health == pool.health {
                return None;
            }
            Reason::Policy
        }
        _ => Reason::Membership,
    };
    let document = RoutingDocument {
        pool: pool.name.clone(),
        epoch: known.max(ahead) + 1,
        digest: String::new(),
        members,
        routing: pool.routing.clone(),
        health: pool.health.clone(),
    };
    Some((document, reason))
}

/// A seat's entry: none before anybody was ready in it, vacant while nobody is.
fn entry(seat: &SeatView<'_>) -> Option<RoutedMember> {
    let holder = seat.holder.filter(|_| !seat.breaks);
    let ready = holder.is_some_and(|holder| holder.phase == Phase::Ready);
    if seat.routed.is_none() && !ready {
        return None;
    }
    Some(RoutedMember {
        name: seat.seat.name.clone(),
        weight: seat.seat.weight,
        pod: holder.map(|holder| holder.name.clone()),
        address: holder
            .and_then(|holder| holder.address)
            .map(|address| address.to_string()),
        // Of the one that sits there, not of the spec: until it is replaced it speaks what it was made to speak.
        protocol: holder.map(|holder| protocol(&holder.template)).unwrap_or_default(),
        host: None,
        state: if ready { SeatState::Serving } else { SeatState::Vacant },
    })
}
