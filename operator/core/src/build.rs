//! What a pool is made of in a cluster, each object as one value: the members' Pods and what surrounds them.
//!
//! Every object carries the pool's label and an owner reference, so that deleting the pool removes all of them.

mod access;
mod balancer;
mod budget;
mod pod;
mod service;
mod slice;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Container, EnvVar, Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
};
use lbpool_api::names::{API_VERSION, KIND, LABEL_POOL, LABEL_ROLE, ROUTING_KEY, routing_config_map};

pub use pod::pod;
pub use slice::{ENDPOINTS_MAX, MANAGED_BY, Placed, SERVICE_NAME, Slices};

use crate::ValidPool;

/// What the operator itself is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Image of the balancers of a pool that names none.
    pub balancer_image: String,
}

/// All that a pool needs beside its members and its routing document.
#[derive(Clone, Debug, PartialEq)]
pub struct Surroundings {
    /// What balancers run as.
    pub account: ServiceAccount,
    /// What they may read.
    pub role: Role,
    /// That they may.
    pub binding: RoleBinding,
    /// The headless Service whose EndpointSlices tell where members are.
    pub members: Service,
    /// The Service that users reach.
    pub users: Service,
    /// The balancers.
    pub balancers: Deployment,
    /// How many members may be evicted at once, where they are Pods.
    pub members_budget: Option<PodDisruptionBudget>,
    /// How many balancers may be evicted at once.
    pub balancers_budget: PodDisruptionBudget,
}

/// What `pool` needs beside its members.
#[must_use]
pub fn surroundings(pool: &ValidPool, settings: &Settings) -> Surroundings {
    Surroundings {
        account: access::account(pool),
        role: access::role(pool),
        binding: access::binding(pool),
        members: service::members(pool),
        users: service::users(pool),
        balancers: balancer::deployment(pool, settings),
        members_budget: Some(budget::members(pool)),
        balancers_budget: budget::balancers(pool),
    }
}

/// What `pool` needs where its members are no Pods: their Service selects nothing, and its EndpointSlices are written
/// beside it ([`Slices`]).
#[must_use]
pub fn surroundings_without_pods(pool: &ValidPool, settings: &Settings) -> Surroundings {
    Surroundings {
        members: slice::members_without_pods(pool),
        members_budget: None,
        ..surroundings(pool, settings)
    }
}

/// The ConfigMap that holds the routing document of a pool, `document` being its JSON. By name and UID, since it is also
/// written for a pool whose present spec is wrong.
#[must_use]
pub fn routing(namespace: &str, pool: &str, uid: &str, document: String) -> ConfigMap {
    ConfigMap {
        metadata: ObjectMeta {
            name: Some(routing_config_map(pool)),
            namespace: Some(namespace.to_owned()),
            labels: Some(labels_of(pool)),
            owner_references: Some(vec![reference(pool, uid)]),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(ROUTING_KEY.to_owned(), document)])),
        ..ConfigMap::default()
    }
}

/// The reference to the pool that every object of it carries.
fn reference(pool: &str, uid: &str) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: pool.to_owned(),
        uid: uid.to_owned(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Labels of every object of a pool.
fn labels_of(pool: &str) -> BTreeMap<String, String> {
    pairs([
        (LABEL_POOL, pool),
        ("app.kubernetes.io/managed-by", "lbpool"),
        ("app.kubernetes.io/instance", pool),
    ])
}

fn meta(pool: &ValidPool, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(pool.namespace.clone()),
        labels: Some(labels_of(&pool.name)),
        owner_references: Some(vec![reference(&pool.name, &pool.uid)]),
        ..ObjectMeta::default()
    }
}

/// What members, or balancers, are found by.
fn selector(pool: &ValidPool, role: &str) -> BTreeMap<String, String> {
    pairs([(LABEL_POOL, pool.name.as_str()), (LABEL_ROLE, role)])
}

fn label_selector(pool: &ValidPool, role: &str) -> LabelSelector {
    LabelSelector {
        match_labels: Some(selector(pool, role)),
        ..LabelSelector::default()
    }
}

fn pairs<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

/// A variable that the template does not set itself.
fn set_absent(container: &mut Container, name: &str, value: String) {
    let env = container.env.get_or_insert_default();
    if env.iter().all(|variable| variable.name != name) {
        // First: a template's own variables may refer to it.
        env.insert(
            0,
            EnvVar {
                name: name.to_owned(),
                value: Some(value),
                ..EnvVar::default()
            },
        );
    }
}

#[cfg(test)]
mod tests;
