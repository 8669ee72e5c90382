//! What the balancers of a pool may do: read its routing document, by name, and EndpointSlices.

use k8s_openapi::api::{
    core::v1::ServiceAccount,
    rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject},
};
use lbpool_api::names::{balancer_name, routing_config_map};

use super::meta;
use crate::ValidPool;

pub(super) fn account(pool: &ValidPool) -> ServiceAccount {
    ServiceAccount {
        metadata: meta(pool, balancer_name(&pool.name)),
        ..ServiceAccount::default()
    }
}

/// A Role of the pool's own instead of a ClusterRole for all: a balancer faces users, and must not read what other
/// ConfigMaps of its namespace hold. EndpointSlices have generated names and can not be listed by name.
pub(super) fn role(pool: &ValidPool) -> Role {
    Role {
        metadata: meta(pool, balancer_name(&pool.name)),
        rules: Some(vec![
            reading("", "configmaps", Some(routing_config_map(&pool.name))),
            reading("discovery.k8s.io", "endpointslices", None),
        ]),
    }
}

pub(super) fn binding(pool: &ValidPool) -> RoleBinding {
    RoleBinding {
        metadata: meta(pool, balancer_name(&pool.name)),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".to_owned(),
            kind: "Role".to_owned(),
            name: balancer_name(&pool.name),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".to_owned(),
            name: balancer_name(&pool.name),
            namespace: Some(pool.namespace.clone()),
            api_group: None,
        }]),
    }
}

fn reading(group: &str, resource: &str, name: Option<String>) -> PolicyRule {
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: name.map(|name| vec![name]),
        verbs: ["get", "list", "watch"].map(str::to_owned).to_vec(),
        ..PolicyRule::default()
    }
}
