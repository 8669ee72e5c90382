//! Fixtures of the unit tests.

use lbpool_api::LoadBalancerPool;

use crate::{ValidPool, validate};

/// The pool `web` with a template of one container; `spec` is YAML in braces, whose fields win.
pub(crate) fn pool(spec: &str) -> LoadBalancerPool {
    let mut pool: serde_json::Value = serde_json::json!({
        "apiVersion": "lbpool.dev/v1alpha1",
        "kind": "LoadBalancerPool",
        "metadata": {"name": "web", "uid": "u-1", "generation": 4},
        "spec": {"replicas": 3, "template": {"spec": {"containers": [{"name": "main", "image": "v1"}]}}},
    });
    let spec: serde_json::Map<String, serde_json::Value> = serde_yaml::from_str(spec).unwrap();
    for (field, value) in spec {
        pool["spec"][field] = value;
    }
    serde_json::from_value(pool).unwrap()
}

/// The same, checked.
pub(crate) fn valid(spec: &str) -> ValidPool {
    validate(&pool(spec)).unwrap()
}
