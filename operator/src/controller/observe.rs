//! The first step: all that a decision may depend on.

use jiff::Timestamp;
use lbpool_api::{RoutingDocument, pool::Health};
use lbpool_core::{Departure, Observed, Phase, departures};

use crate::{Balancers, Error, Fleet};

/// What the controller remembers between passes.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// What the balancers route by.
    pub routing: Option<RoutingDocument>,
    /// What they may route by: it was handed out, and nobody knows whether it arrived.
    pub unconfirmed: Option<RoutingDocument>,
    /// A publication failed: balancers may be ahead of what we know, and would refuse our next epoch.
    pub doubt: bool,
    /// Whether `routing` was read from where it is stored.
    pub read: bool,
    /// How members are probed.
    pub health: Option<Health>,
    /// Since when instances are out of the document.
    pub departures: Vec<Departure>,
}

pub(super) async fn observe(
    fleet: &impl Fleet,
    balancers: &impl Balancers,
    memory: &mut Memory,
    now: Timestamp,
) -> Result<Observed, Error> {
    let mut instances = fleet.observe().await.map_err(Error::Observe)?;
    if !memory.read || !balancers.is_current() {
        memory.read = false;
        memory.routing = balancers.stored(memory.routing.take()).await.map_err(Error::Stored)?;
        memory.read = true;
    }
    // Only what was ready is routed to: whoever was restarted meanwhile learns from the document who was.
    for instance in &mut instances {
        let routed = memory
            .routing
            .as_ref()
            .is_some_and(|document| instance.is_routed_by(document));
        if routed && instance.phase == Phase::Starting {
            instance.phase = Phase::Unready;
        }
    }
    memory.departures = departures(&memory.departures, &instances, memory.routing.as_ref(), now);
    // Reports matter for what leaves, and for epochs that we may not know; a settled pool asks nobody.
    let ask = memory.doubt || memory.routing.is_none() || !memory.departures.is_empty();
    let balancing = balancers.balancing();
    let balancers = if ask { balancers.reports().await } else { Vec::new() };
    Ok(Observed {
        instances,
        balancers,
        routing: memory.routing.clone(),
        departures: memory.departures.clone(),
        balancing,
    })
}
