//! The spec, checked: from here on nothing is in doubt.
//!
//! What the resource's schema and its CEL rules refuse in a cluster is refused here too, since a file on one machine
//! meets no API server; and what no schema can say (a named port, a limit of an algorithm) is said here alone.

mod routing;
mod spec;

use k8s_openapi::api::core::v1::PodTemplateSpec;
use lbpool_api::{
    LoadBalancerPool,
    pool::{Balancer, Health, Routing, Update},
};

use crate::{
    fingerprint::template_hash,
    seats::{Seat, seats},
};

/// A pool whose spec holds what the rest relies on. Made by [`validate`] only.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidPool {
    /// Name of the pool.
    pub name: String,
    /// Its namespace; `default` where the file names none.
    pub namespace: String,
    /// Its UID; where none was given, `<namespace>/<name>`.
    pub uid: String,
    /// Generation of the spec; 1 where none was given.
    pub generation: i64,
    /// The seats, in order: named members, then ordinals without the retired.
    pub seats: Vec<Seat>,
    /// What a member runs.
    pub template: PodTemplateSpec,
    /// Hash of what a change of which must roll the members: the template, the port, and what they speak there ([`crate::protocol`]).
    pub template_hash: String,
    /// Where members listen, as a number.
    pub port: u16,
    /// How a request finds its member.
    pub routing: Routing,
    /// How a member is found to be well.
    pub health: Health,
    /// How a new template replaces the old one.
    pub update: Update,
    /// The balancers in front of the pool.
    pub balancer: Balancer,
}

/// Everything that is wrong with a spec, at least one problem.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", .problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
pub struct Invalid {
    /// What is wrong, in the order of the fields.
    pub problems: Vec<Problem>,
}

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Problem {
    /// Path of the field, such as `spec.members[1].name`.
    pub path: String,
    /// What is wrong and what was expected.
    pub message: String,
}

/// What was found wrong so far.
#[derive(Default)]
struct Problems(Vec<Problem>);

/// Checks a pool.
///
/// # Errors
/// All that is wrong with it, by field path.
pub fn validate(pool: &LoadBalancerPool) -> Result<ValidPool, Invalid> {
    let mut problems = Problems::default();
    let name = pool.metadata.name.as_deref().unwrap_or_default();
    spec::name(name, &mut problems);
    spec::seats(&pool.spec, &mut problems);
    spec::template(&pool.spec, &mut problems);
    let port = spec::port(&pool.spec, &mut problems);
    routing::routing(&pool.spec, &mut problems);
    spec::health(&pool.spec.health, &mut problems);
    spec::update(&pool.spec.update, &mut problems);
    spec::balancer(&pool.spec.balancer, &mut problems);
    let template_hash = template_hash(&pool.spec.template, port, pool.spec.app_protocol.into())
        .map_err(|error| problems.add("spec.template", format!("can not be written as JSON: {error}")))
        .unwrap_or_default();
    if !problems.0.is_empty() {
        return Err(Invalid { problems: problems.0 });
    }
    let namespace = pool.metadata.namespace.clone().unwrap_or_else(|| "default".to_owned());
    Ok(ValidPool {
        name: name.to_owned(),
        uid: pool
            .metadata
            .uid
            .clone()
            .unwrap_or_else(|| format!("{namespace}/{name}")),
        namespace,
        generation: pool.metadata.generation.unwrap_or(1),
        seats: seats(name, &pool.spec),
        template: pool.spec.template.clone(),
        template_hash,
        port,
        routing: pool.spec.routing.clone(),
        health: pool.spec.health.clone(),
        update: pool.spec.update.clone(),
        balancer: pool.spec.balancer.clone(),
    })
}

// === impl Problems ===

impl Problems {
    fn add(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.0.push(Problem {
            path: path.into(),
            message: message.into(),
        });
    }

    /// A number that must lie within limits.
    fn within<N: PartialOrd + std::fmt::Display + Copy>(&mut self, path: &str, value: N, from: N, to: N) {
        if value < from || value > to {
            self.add(path, format!("is {value}, must be {from} to {to}"));
        }
    }

    /// A text or list whose length must lie within limits.
    fn length(&mut self, path: &str, length: usize, from: usize, to: usize) {
        if length < from || length > to {
            self.add(path, format!("has length {length}, must have {from} to {to}"));
        }
    }
}

#[cfg(test)]
mod tests;
