//! The sample pool that comes with an installation: made once, from a `ConfigMap`, and left alone from then on.
//!
//! kubectl and helm look up the kinds of all objects before they apply the first one, so a pool can not come in one go
//! with the definition of its kind. It comes as text instead, and a Job of the installation makes it as soon as the API
//! server knows the kind.

use std::time::Duration;

use k8s_openapi::{api::core::v1::ConfigMap, apimachinery::pkg::apis::meta::v1::OwnerReference};
use kube::{
    Api, Client, ResourceExt as _,
    api::{ApiResource, DynamicObject, PostParams},
};
use lbpool_api::LoadBalancerPool;
use tokio::time::{sleep, timeout};
use tracing::info;

/// Key of the `ConfigMap` that holds the pool.
const KEY: &str = "pool.yaml";
/// A definition is served a second after it was made; a role is known to all API servers soon after that.
const AGAIN: Duration = Duration::from_secs(1);
/// Then the Job's Pod gives up, and its next one tries.
const WITHIN: Duration = Duration::from_mins(5);

/// What [`create`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The pool was made.
    Created,
    /// There was one of its name, which was not touched.
    Present,
}

/// Why there is no pool.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The `ConfigMap` has no pool.
    #[error("the ConfigMap {name} has no key {KEY}")]
    Empty {
        /// Its name.
        name: String,
    },
    /// What it has is no object.
    #[error("{KEY} of the ConfigMap {name} is no object")]
    Malformed {
        /// Its name.
        name: String,
        /// Why.
        source: serde_yaml::Error,
    },
    /// The API server refused it.
    #[error("the API server refused")]
    Refused(#[from] Box<kube::Error>),
    /// It took too long.
    #[error("not made after {within:?}; last: {last}")]
    Late {
        /// How long it was tried.
        within: Duration,
        /// What the last try said.
        last: String,
    },
}

/// Makes the pool that the `ConfigMap` `name` of `namespace` holds, in the same namespace and owned by it. Where there
/// is a pool of that name already, it stays as it is.
///
/// Waits for the `ConfigMap`, for the pool's kind and for the permission.
///
/// # Errors
/// Where the pool is refused, or none of what is waited for comes within five minutes.
pub async fn create(client: Client, namespace: &str, name: &str) -> Result<Outcome, Error> {
    let mut last = String::from("nothing was answered");
    let tries = async {
        loop {
            match attempt(client.clone(), namespace, name).await {
                Err(error) if error.may_pass() => {
                    let text = error.chain();
                    if text != last {
                        info!(reason = text, "the pool can not be made yet");
                    }
                    last = text;
                    sleep(AGAIN).await;
                }
                ended => break ended,
            }
        }
    };
    match timeout(WITHIN, tries).await {
        Ok(ended) => ended,
        Err(_) => Err(Error::Late { within: WITHIN, last }),
    }
}

async fn attempt(client: Client, namespace: &str, name: &str) -> Result<Outcome, Error> {
    let config_map = Api::<ConfigMap>::namespaced(client.clone(), namespace)
        .get(name)
        .await
        .map_err(Box::new)?;
    let pool = pool(&config_map)?;
    let kind = ApiResource::erase::<LoadBalancerPool>(&());
    let pools = Api::<DynamicObject>::namespaced_with(client, namespace, &kind);
    match pools.create(&PostParams::default(), &pool).await {
        Ok(_) => Ok(Outcome::Created),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Outcome::Present),
        Err(error) => Err(Box::new(error).into()),
    }
}

/// The pool as written: what it leaves out is for the API server to fill in.
fn pool(config_map: &ConfigMap) -> Result<DynamicObject, Error> {
    let name = config_map.name_any();
    let text = config_map.data.as_ref().and_then(|data| data.get(KEY));
    let text = text.ok_or_else(|| Error::Empty { name: name.clone() })?;
    let parsed = serde_yaml::from_str::<DynamicObject>(text);
    let mut pool = parsed.map_err(|source| Error::Malformed {
        name: name.clone(),
        source,
    })?;
    pool.metadata.namespace = config_map.namespace();
    pool.metadata.owner_references = Some(vec![OwnerReference {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name,
        uid: config_map.uid().unwrap_or_default(),
        ..OwnerReference::default()
    }]);
    Ok(pool)
}

// === impl Error ===

impl Error {
    /// It may be another answer a second later: everything but a pool that is wrong.
    fn may_pass(&self) -> bool {
        match self {
            Self::Refused(error) => !matches!(&**error, kube::Error::Api(status) if matches!(status.code, 400 | 422)),
            Self::Empty { .. } | Self::Malformed { .. } | Self::Late { .. } => false,
        }
    }

    /// What to log: an API server's own words without the structure around them.
    fn chain(&self) -> String {
        match self {
            Self::Refused(error) => match &**error {
                kube::Error::Api(status) => format!("{self}: {} ({})", status.message, status.code),
                other => format!("{self}: {other}"),
            },
            other => other.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config_map(text: &str) -> ConfigMap {
        serde_yaml::from_str(text).unwrap()
    }

    #[test]
    fn the_pool_is_owned_by_its_config_map_and_keeps_what_is_written() {
        let pool = pool(&config_map(
            "metadata: {name: shelf, namespace: trial, uid: u-1}\n\
             data:\n  pool.yaml: |\n    apiVersion: lbpool.dev/v1alpha1\n    kind: LoadBalancerPool\n    metadata: {name: books}\n    \
             spec: {replicas: 2}\n",
        ))
        .unwrap();
        assert_eq!(pool.name_any(), "books");
        assert_eq!(pool.namespace().as_deref(), Some("trial"));
        assert_eq!(pool.data, serde_json::json!({"spec": {"replicas": 2}}));
        let owner = &pool.owner_references()[0];
        assert_eq!((owner.name.as_str(), owner.uid.as_str()), ("shelf", "u-1"));
        assert_eq!(owner.controller, None, "the operator's references are the pool's own");
    }

    #[test]
    fn a_config_map_without_a_pool_is_not_tried_again() {
        for text in [
            "metadata: {name: shelf}",
            "metadata: {name: shelf}\ndata: {pool.yaml: '- a list'}",
        ] {
            let error = pool(&config_map(text)).unwrap_err();
            assert!(!error.may_pass(), "{error}");
        }
    }

    #[test]
    fn what_a_later_answer_may_mend_is_tried_again() {
        let refused = |code| {
            let status = kube::core::Status::failure("said so", "Because").with_code(code);
            Error::from(Box::new(kube::Error::Api(status.boxed())))
        };
        assert!(refused(404).may_pass(), "the kind is not served yet");
        assert!(refused(403).may_pass(), "the role is not known yet");
        assert!(!refused(422).may_pass(), "the pool is wrong");
        assert_eq!(refused(422).chain(), "the API server refused: said so (422)");
    }
}
