//! What the cluster is told of a pool's containers.

use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::{Api, api::ListParams};
use lbpool_api::names::members_service;
use lbpool_core::{
    Instance, ValidPool,
    build::{MANAGED_BY, Placed, SERVICE_NAME, Slices, Surroundings},
};

use crate::{
    fleet,
    kubernetes::{Access, Objects},
};

/// What was written.
#[derive(Debug, Default)]
pub(super) struct Around {
    objects: Objects,
    /// Nothing before it was asked what an earlier process has written.
    slices: Option<Slices>,
    /// Slices that hold nothing any more and were not deleted yet.
    gone: Vec<String>,
}

impl Around {
    /// What members and balancers need beside where members are.
    pub async fn provide(&mut self, access: &Access, wanted: Surroundings) -> Result<(), fleet::Error> {
        self.objects.provide(access, wanted).await
    }

    /// Writes where `members` are, in as few calls as it takes: none where nothing changed.
    pub async fn write(&mut self, access: &Access, pool: &ValidPool, members: &[Instance]) -> Result<(), fleet::Error> {
        let slices = match &mut self.slices {
            Some(slices) => slices,
            unknown => unknown.insert(found(access, pool).await?),
        };
        let Placed { slices, gone } = slices.place(pool, members);
        let is_wanted = |name: &String| slices.iter().any(|slice| slice.metadata.name.as_ref() == Some(name));
        self.gone.extend(gone);
        self.gone.retain(|name| !is_wanted(name));
        for slice in &slices {
            self.objects.apply(access, slice).await?;
        }
        while let Some(name) = self.gone.last() {
            self.objects
                .remove::<EndpointSlice>(access, &pool.namespace, name)
                .await?;
            self.gone.pop();
        }
        Ok(())
    }
}

/// The slices that an earlier process has written.
async fn found(access: &Access, pool: &ValidPool) -> Result<Slices, fleet::Error> {
    let (label, by) = MANAGED_BY;
    let labels = format!("{SERVICE_NAME}={},{label}={by}", members_service(&pool.name));
    let found = Api::<EndpointSlice>::namespaced(access.client.clone(), &pool.namespace)
        .list(&ListParams::default().labels(&labels))
        .await
        .map_err(|source| fleet::Error::Api {
            verb: "list",
            object: format!("EndpointSlices of {}", pool.name),
            source: source.into(),
        })?;
    Ok(Slices::found(&pool.name, &found.items))
}
