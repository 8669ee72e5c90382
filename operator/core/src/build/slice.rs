//! The EndpointSlices of members that are no Pods: written by the operator, for a Service that selects nothing.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::IpAddr,
};

use k8s_openapi::{
    api::{
        core::v1::{ObjectReference, Service},
        discovery::v1::{Endpoint, EndpointConditions, EndpointPort, EndpointSlice},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use lbpool_api::names::members_service;

use super::{meta, service};
use crate::{Instance, Phase, ValidPool};

/// What one slice holds at most: as many as the control plane's own have.
pub const ENDPOINTS_MAX: usize = 100;
/// Label of a slice, and its value on ours: the control plane leaves slices that others write alone.
pub const MANAGED_BY: (&str, &str) = ("endpointslice.kubernetes.io/managed-by", "lbpool.dev");
/// Label of a slice: the Service that it belongs to.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";

/// Which endpoint is in which slice. One never moves from a slice to another: between two writes it would be in none, and
/// balancers would take its member for gone. So the order depends on what was before, and a change rewrites one slice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Slices(BTreeMap<Place, Shelf>);

/// A slice: what its addresses are, and a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    v6: bool,
    number: usize,
}

/// What is in it: ids of instances, all of which listen on one port.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Shelf {
    port: u16,
    ids: BTreeSet<String>,
}

/// What to write.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// All slices that there should be.
    pub slices: Vec<EndpointSlice>,
    /// Names of those that held something before and hold nothing now.
    pub gone: Vec<String>,
}

/// The members' Service where they are no Pods.
pub(super) fn members_without_pods(pool: &ValidPool) -> Service {
    let mut service = service::members(pool);
    if let Some(spec) = &mut service.spec {
        spec.selector = None;
    }
    service
}

// === impl Slices ===

impl Slices {
    /// What slices of an earlier time hold. Those that are not of our making, or make no sense, are left out.
    #[must_use]
    pub fn found(pool: &str, slices: &[EndpointSlice]) -> Self {
        let shelf = |slice: &EndpointSlice| {
            let place = Place::of(pool, slice.metadata.name.as_deref()?)?;
            let port = slice.ports.iter().flatten().find_map(|port| port.port)?;
            let ids = slice
                .endpoints
                .iter()
                .filter_map(|it| it.target_ref.as_ref()?.uid.clone());
            let port = u16::try_from(port).ok()?;
            Some((
                place,
                Shelf {
                    port,
                    ids: ids.collect(),
                },
            ))
        };
        Self(slices.iter().filter_map(shelf).collect())
    }

    /// Where `instances` are reached, as the control plane would write it for Pods: an endpoint for each that has an address
    /// and has not ended, with the seat as hostname.
    #[must_use]
    pub fn place(&mut self, pool: &ValidPool, instances: &[Instance]) -> Placed {
        let mut reached: Vec<(&Instance, IpAddr, u16)> = instances
            .iter()
            .filter(|it| it.phase != Phase::Failed)
            .filter_map(|it| it.address.map(|at| (it, at.ip(), at.port())))
            .collect();
        reached.sort_by(|(a, ..), (b, ..)| (a.seat.host(), &a.name).cmp(&(b.seat.host(), &b.name)));
        let before: Vec<Place> = self.0.keys().copied().collect();
        for (place, shelf) in &mut self.0 {
            let stays = |id: &str| {
                let mut all = reached.iter();
                all.any(|(it, ip, port)| it.id.0 == id && ip.is_ipv6() == place.v6 && *port == shelf.port)
            };
            shelf.ids.retain(|id| stays(id));
        }
        let placed: HashSet<String> = self.0.values().flat_map(|shelf| shelf.ids.iter().cloned()).collect();
        for (instance, ip, port) in reached.iter().filter(|(it, ..)| !placed.contains(&it.id.0)) {
            self.shelf(ip.is_ipv6(), *port).ids.insert(instance.id.0.clone());
        }
        self.0.retain(|_, shelf| !shelf.ids.is_empty());
        let gone = before.into_iter().filter(|place| !self.0.contains_key(place));
        let slice = |(place, shelf): (&Place, &Shelf)| {
            let inside = reached.iter().filter(|(it, ..)| shelf.ids.contains(&it.id.0));
            EndpointSlice {
                metadata: labelled(pool, *place),
                address_type: if place.v6 { "IPv6" } else { "IPv4" }.to_owned(),
                endpoints: inside.map(|(it, ip, _)| endpoint(pool, it, *ip)).collect(),
                ports: Some(vec![EndpointPort {
                    name: Some("member".to_owned()),
                    port: Some(i32::from(shelf.port)),
                    protocol: Some("TCP".to_owned()),
                    ..EndpointPort::default()
                }]),
            }
        };
        Placed {
            gone: gone.map(|place| place.name(&pool.name)).collect(),
            slices: self.0.iter().map(slice).collect(),
        }
    }

    /// The first slice for such endpoints that has room, or a new one.
    fn shelf(&mut self, v6: bool, port: u16) -> &mut Shelf {
        let fits =
            |place: &Place, shelf: &Shelf| place.v6 == v6 && shelf.port == port && shelf.ids.len() < ENDPOINTS_MAX;
        let found = self
            .0
            .iter()
            .find(|(place, shelf)| fits(place, shelf))
            .map(|(place, _)| *place);
        let place = found.unwrap_or_else(|| {
            let free = |number: &usize| !self.0.contains_key(&Place { v6, number: *number });
            // One more than there are slices: one of these is free.
            let number = (0..=self.0.len()).find(free).unwrap_or_default();
            Place { v6, number }
        });
        let ids = BTreeSet::new();
        self.0.entry(place).or_insert(Shelf { port, ids })
    }
}

// === impl Place ===

impl Place {
    fn name(self, pool: &str) -> String {
        let family = if self.v6 { "ipv6" } else { "ipv4" };
        format!("{}-{family}-{}", members_service(pool), self.number)
    }

    fn of(pool: &str, name: &str) -> Option<Self> {
        let rest = name.strip_prefix(&members_service(pool))?;
        let (v6, number) = match rest.strip_prefix("-ipv4-") {
            Some(number) => (false, number),
            None => (true, rest.strip_prefix("-ipv6-")?),
        };
        let number = number.parse().ok()?;
        Some(Self { v6, number })
    }
}

fn labelled(pool: &ValidPool, place: Place) -> ObjectMeta {
    let mut metadata = meta(pool, place.name(&pool.name));
    metadata.labels.get_or_insert_with(BTreeMap::new).extend([
        (SERVICE_NAME.to_owned(), members_service(&pool.name)),
        (MANAGED_BY.0.to_owned(), MANAGED_BY.1.to_owned()),
    ]);
    metadata
}

fn endpoint(pool: &ValidPool, instance: &Instance, ip: IpAddr) -> Endpoint {
    let ready = instance.phase == Phase::Ready;
    Endpoint {
        addresses: vec![ip.to_string()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(ready),
            terminating: Some(instance.phase == Phase::Ending),
        }),
        hostname: Some(instance.seat.host().into_owned()),
        // There is no such Pod: balancers pair the name with the one in the routing document.
        target_ref: Some(ObjectReference {
            kind: Some("Pod".to_owned()),
            name: Some(instance.name.clone()),
            namespace: Some(pool.namespace.clone()),
            uid: Some(instance.id.0.clone()),
            ..ObjectReference::default()
        }),
        ..Endpoint::default()
    }
}

#[cfg(test)]
mod tests;
