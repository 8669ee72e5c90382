//! The spec, checked: from here on nothing is in doubt.

use k8s_openapi::api::core::v1::PodTemplateSpec;
use lbpool_api::{
    LoadBalancerPool,
    pool::{Health, Routing, Update},
};

use crate::seats::Seat;

/// A pool whose spec holds what the rest relies on. Made by [`validate`] only.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct ValidPool {
    /// Name of the pool.
    pub name: String,
    /// Its namespace; `default` where the file names none.
    pub namespace: String,
    /// Its UID; on one machine one that was made up when the pool was first applied.
    pub uid: String,
    /// Generation of the spec.
    pub generation: i64,
    /// The seats, in order: named members, then ordinals without the retired.
    pub seats: Vec<Seat>,
    /// What a member runs.
    pub template: PodTemplateSpec,
    /// Hash of what a change of which must roll the members: the template and the port.
    pub template_hash: String,
    /// Where members listen, as a number.
    pub port: u16,
    /// How a request finds its member.
    pub routing: Routing,
    /// How a member is found to be well.
    pub health: Health,
    /// How a new template replaces the old one.
    pub update: Update,
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

/// Checks a pool.
///
/// # Errors
/// All that is wrong with it, by field path.
pub fn validate(pool: &LoadBalancerPool) -> Result<ValidPool, Invalid> {
    let _ = pool;
    Err(Invalid { problems: vec![Problem { path: "spec".into(), message: "not written yet".into() }] })
}
