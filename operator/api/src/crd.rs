//! The `CustomResourceDefinition`: what `lbpool crd` prints and `deploy/00-crd.yaml` holds.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Value, json};

use crate::LoadBalancerPool;

/// The definition as JSON, for an API server.
///
/// # Errors
/// Never for the types of this crate: what they generate can be written as JSON, which its tests show.
pub fn json() -> Result<Value, serde_json::Error> {
    let definition: CustomResourceDefinition = LoadBalancerPool::crd();
    let mut definition = serde_json::to_value(definition)?;
    mend(&mut definition);
    for version in definition
        .pointer_mut("/spec/versions")
        .and_then(Value::as_array_mut)
        .into_iter()
        .flatten()
    {
        set_list_types(version);
    }
    Ok(definition)
}

/// The definition as YAML, for people and `kubectl apply -f`.
///
/// # Errors
/// As [`json`].
pub fn yaml() -> Result<String, Error> {
    Ok(serde_yaml::to_string(&json()?)?)
}

/// Why a definition could not be written.
#[derive(Debug, thiserror::Error)]
#[error("the resource's definition can not be written")]
pub enum Error {
    /// As JSON.
    Json(#[from] serde_json::Error),
    /// As YAML.
    Yaml(#[from] serde_yaml::Error),
}

/// `nullable` goes: without it an API server drops a null before it fills in defaults, with it the null is stored, in
/// place of a default too. Whole limits are written as whole numbers.
fn mend(value: &mut Value) {
    match value {
        #[expect(clippy::cast_possible_truncation, reason = "limits are small")]
        Value::Number(number)
            if number
                .as_f64()
                .is_some_and(|limit| limit.fract() == 0.0 && limit.abs() < 1e9) =>
        {
            *value = json!(number.as_f64().unwrap_or_default() as i64);
        }
        Value::Object(object) => {
            object.remove("nullable");
            object.values_mut().for_each(mend);
        }
        Value::Array(items) => items.iter_mut().for_each(mend),
        _ => {}
    }
}

/// What the status' types can not say about their lists: who applies `members` owns all of it, conditions are merged.
fn set_list_types(version: &mut Value) {
    let Some(status) = version.pointer_mut("/schema/openAPIV3Schema/properties/status/properties") else {
        return;
    };
    for (list, types) in [
        ("members", json!({"x-kubernetes-list-type": "atomic"})),
        (
            "conditions",
            json!({"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["type"]}),
        ),
    ] {
        if let (Some(Value::Object(schema)), Value::Object(types)) = (status.get_mut(list), types) {
            schema.extend(types);
        }
    }
}
