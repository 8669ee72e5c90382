//! What a pool is made of in a cluster, each object as one value: the members' Pods and what surrounds them.
//!
//! Every object carries the pool's label and an owner reference, so that deleting the pool removes all of them.

mod access;
mod balancer;
mod budget;
mod pod;
mod service;

use std::collections::BTreeMap;

use k8s_openapi::{
    api::{
        apps::v1::Deployment,
        core::v1::{Container, EnvVar, Service, ServiceAccount},
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta, OwnerReference},
};
use lbpool_api::names::{API_VERSION, KIND, LABEL_POOL, LABEL_ROLE};

pub use pod::pod;

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
    /// How many members may be evicted at once.
    pub members_budget: PodDisruptionBudget,
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
        members_budget: budget::members(pool),
        balancers_budget: budget::balancers(pool),
    }
}

/// The reference to the pool that every object of it carries.
#[must_use]
pub fn owner(pool: &ValidPool) -> OwnerReference {
    OwnerReference {
        api_version: API_VERSION.to_owned(),
        kind: KIND.to_owned(),
        name: pool.name.clone(),
        uid: pool.uid.clone(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Labels of every object of a pool.
#[must_use]
pub fn labels(pool: &ValidPool) -> BTreeMap<String, String> {
    pairs([
        (LABEL_POOL, pool.name.as_str()),
        ("app.kubernetes.io/managed-by", "lbpool"),
        ("app.kubernetes.io/instance", pool.name.as_str()),
    ])
}

fn meta(pool: &ValidPool, name: String) -> ObjectMeta {
    ObjectMeta {
        name: Some(name),
        namespace: Some(pool.namespace.clone()),
        labels: Some(labels(pool)),
        owner_references: Some(vec![owner(pool)]),
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
