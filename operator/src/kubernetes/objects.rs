//! What surrounds the members of one pool, kept as the pool says: applied where it is missing or was changed by others.

use std::{collections::HashMap, fmt::Debug};

use k8s_openapi::NamespaceResourceScope;
use kube::{
    Api, Resource, ResourceExt as _,
    api::{Patch, PatchParams},
};
use lbpool_core::build::Surroundings;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use xxhash_rust::xxh3::xxh3_64;

use super::{Access, PoolKey, access::WRITER};
use crate::fleet;

/// What was applied of each object, by kind and name.
#[derive(Debug, Default)]
pub(crate) struct Objects {
    applied: HashMap<(&'static str, String), Applied>,
}

/// An object as it was applied last.
#[derive(Debug)]
struct Applied {
    /// What was wanted.
    wanted: u64,
    /// How it looked after that.
    made: u64,
    /// How it looked before.
    before: Option<u64>,
    /// The result was seen: how it looked before counts no more.
    shown: bool,
}

// === impl Objects ===

impl Objects {
    /// Applies what is missing, was changed, or is wanted otherwise than before. No call where all is as it should be.
    pub(crate) async fn provide(&mut self, access: &Access, wanted: Surroundings) -> Result<(), fleet::Error> {
        // Without `..`: an object that nobody applies does not compile.
        let Surroundings {
            account,
            role,
            binding,
            members,
            users,
            balancers,
            members_budget,
            balancers_budget,
        } = wanted;
        self.apply(access, &account).await?;
        self.apply(access, &role).await?;
        self.apply(access, &binding).await?;
        self.apply(access, &members).await?;
        self.apply(access, &users).await?;
        self.apply(access, &balancers).await?;
        if let Some(budget) = members_budget {
            self.apply(access, &budget).await?;
        }
        self.apply(access, &balancers_budget).await
    }

    pub(crate) async fn apply<K>(&mut self, access: &Access, object: &K) -> Result<(), fleet::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize,
    {
        let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
        let kind = <K as k8s_openapi::Resource>::KIND;
        let pool = object
            .labels()
            .get(lbpool_api::names::LABEL_POOL)
            .cloned()
            .unwrap_or_default();
        let seen = access.index.object(&PoolKey::new(&namespace, &pool), kind, &name);
        let wanted = look(object);
        let at = (kind, name.clone());
        if self
            .applied
            .get_mut(&at)
            .is_some_and(|applied| applied.holds(wanted, seen))
        {
            return Ok(());
        }
        let _turn = access.turn().await;
        let params = PatchParams::apply(WRITER).force();
        let made = Api::<K>::namespaced(access.client.clone(), &namespace)
            .patch(&name, &params, &Patch::Apply(object))
            .await
            .map_err(|source| fleet::Error::Api {
                verb: "apply",
                object: format!("{kind} {name}"),
                source: source.into(),
            })?;
        tracing::debug!(namespace, kind, name, "applied");
        let applied = Applied {
            wanted,
            made: look(&made),
            before: seen,
            shown: false,
        };
        self.applied.insert(at, applied);
        Ok(())
    }
}

impl Objects {
    /// Deletes an object that is not wanted any more. One that is gone is no error.
    #[cfg(feature = "docker")]
    pub(crate) async fn remove<K>(&mut self, access: &Access, namespace: &str, name: &str) -> Result<(), fleet::Error>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + DeserializeOwned,
    {
        let kind = <K as k8s_openapi::Resource>::KIND;
        self.applied.remove(&(kind, name.to_owned()));
        let _turn = access.turn().await;
        let api = Api::<K>::namespaced(access.client.clone(), namespace);
        match api.delete(name, &kube::api::DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
            Err(source) => Err(fleet::Error::Api {
                verb: "delete",
                object: format!("{kind} {name}"),
                source: source.into(),
            }),
        }
    }
}

impl Applied {
    fn holds(&mut self, wanted: u64, seen: Option<u64>) -> bool {
        if self.wanted != wanted {
            return false;
        }
        self.shown |= seen == Some(self.made);
        seen == Some(self.made) || (!self.shown && seen == self.before)
    }
}

/// A number that changes when what we write of an object is changed by anybody, and when little else is.
pub(crate) fn look<K: Serialize + Resource>(object: &K) -> u64 {
    let mut value = serde_json::to_value(object).unwrap_or_default();
    if value.get("kind").is_some_and(|kind| kind == "ConfigMap") {
        // Its content is compared by who writes it.
        return version(object.resource_version().as_deref().unwrap_or_default());
    }
    if let Value::Object(fields) = &mut value {
        fields.remove("status");
        if let Some(Value::Object(meta)) = fields.get_mut("metadata") {
            meta.retain(|field, _| matches!(field.as_str(), "labels" | "annotations" | "ownerReferences"));
            if let Some(Value::Object(annotations)) = meta.get_mut("annotations") {
                annotations.retain(|key, _| !key.starts_with("deployment.kubernetes.io/"));
                if annotations.is_empty() {
                    meta.remove("annotations");
                }
            }
        }
    }
    // serde_json's map is sorted or keeps an order that the type gives: the same for the same type.
    xxh3_64(value.to_string().as_bytes())
}

/// The number of a resource version.
pub(crate) fn version(version: &str) -> u64 {
    xxh3_64(version.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_applied_holds_until_somebody_changes_it() {
        let mut applied = Applied {
            wanted: 1,
            made: 20,
            before: None,
            shown: false,
        };
        assert!(applied.holds(1, None), "not seen yet");
        assert!(!applied.holds(2, None), "another wish");
        assert!(applied.holds(1, Some(20)));
        assert!(!applied.holds(1, None), "deleted");
        assert!(!applied.holds(1, Some(21)), "edited");
    }

    #[test]
    fn an_object_looks_the_same_whatever_its_status_and_its_counters_say() {
        let service = |more: serde_json::Value| {
            let mut service = serde_json::json!({
                "metadata": {"name": "a", "labels": {"x": "y"}},
                "spec": {"ports": [{"port": 80}]},
            });
            for (path, value) in more.as_object().unwrap() {
                *service.pointer_mut(path).unwrap() = value.clone();
            }
            look::<k8s_openapi::api::core::v1::Service>(&serde_json::from_value(service).unwrap())
        };
        let plain = service(serde_json::json!({}));
        assert_eq!(
            plain,
            service(
                serde_json::json!({"/metadata": {"name": "a", "labels": {"x": "y"}, "resourceVersion": "7", "annotations": {"deployment.kubernetes.io/revision": "3"}}})
            )
        );
        assert_ne!(plain, service(serde_json::json!({"/spec/ports/0/port": 81})));
        assert_ne!(plain, service(serde_json::json!({"/metadata/labels/x": "z"})));
    }
}
