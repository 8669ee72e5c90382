//! How many Pods of a pool a drained node may take at once.

use k8s_openapi::{
    api::policy::v1::{PodDisruptionBudget, PodDisruptionBudgetSpec},
    apimachinery::pkg::util::intstr::IntOrString,
};
use lbpool_api::names::{ROLE_BALANCER, ROLE_MEMBER, balancer_name, members_service};

use super::{label_selector, meta};
use crate::ValidPool;

/// As many members as an update may empty, and at least one: a budget of none would keep a node from ever being drained.
pub(super) fn members(pool: &ValidPool) -> PodDisruptionBudget {
    let most = i32::try_from(pool.update.max_unavailable.max(1)).unwrap_or(i32::MAX);
    budget(pool, members_service(&pool.name), ROLE_MEMBER, most)
}

pub(super) fn balancers(pool: &ValidPool) -> PodDisruptionBudget {
    budget(pool, balancer_name(&pool.name), ROLE_BALANCER, 1)
}

fn budget(pool: &ValidPool, name: String, role: &str, most: i32) -> PodDisruptionBudget {
    PodDisruptionBudget {
        metadata: meta(pool, name),
        spec: Some(PodDisruptionBudgetSpec {
            max_unavailable: Some(IntOrString::Int(most)),
            selector: Some(label_selector(pool, role)),
            // One that is not ready serves nobody: it must not keep its node from being drained.
            unhealthy_pod_eviction_policy: Some("AlwaysAllow".to_owned()),
            ..PodDisruptionBudgetSpec::default()
        }),
        status: None,
    }
}
