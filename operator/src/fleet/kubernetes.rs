//! Members as Pods of a cluster.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
    time::Duration,
};

use k8s_openapi::api::core::v1::Pod;
use kube::{
    Api, ResourceExt as _,
    api::{DeleteParams, PostParams, Preconditions},
};
use lbpool_api::names::LABEL_POOL;
use lbpool_core::{
    Instance, ValidPool, build,
    plan::{Create, Delete},
};
use tokio::sync::{Mutex, Notify, mpsc};

use super::{Created, Error, Fleet};
use crate::{
    controller::Notice,
    kubernetes::{Access, Objects, PoolKey},
};

/// The Pods of one pool. They outlive this process, and end with the pool.
#[derive(Debug)]
pub struct KubernetesFleet {
    access: Access,
    key: PoolKey,
    uid: String,
    changed: Arc<Notify>,
    objects: Mutex<Objects>,
    notices: mpsc::Sender<Notice>,
    /// Strangers that were told of.
    strangers: Mutex<Vec<String>>,
    /// The port that members listen at, as the pool said last.
    port: AtomicU16,
}

impl KubernetesFleet {
    /// The Pods of the pool that has this UID.
    #[must_use]
    pub fn new(access: Access, key: PoolKey, uid: String, notices: mpsc::Sender<Notice>) -> Self {
        let changed = access.index.changes(&key);
        Self {
            access,
            key,
            uid,
            changed,
            objects: Mutex::default(),
            notices,
            strangers: Mutex::default(),
            port: AtomicU16::new(0),
        }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.access.client.clone(), &self.key.namespace)
    }

    /// Pods that look like the pool's and are not its own are told of once, and left alone.
    async fn tell_of(&self, strangers: Vec<String>) {
        let mut told = self.strangers.lock().await;
        for stranger in strangers.iter().filter(|stranger| !told.contains(stranger)) {
            let note = format!(
                "Pod {stranger} has the pool's labels and another owner: it is left alone and gets no requests"
            );
            tracing::warn!(pod = stranger, note, "a stranger");
            // Full: the log has it.
            _ = self.notices.try_send(Notice {
                warning: true,
                reason: "Stranger",
                note,
            });
        }
        *told = strangers;
    }

    /// The name is taken: by what was asked for before, or by somebody else.
    async fn taken(&self, name: &str) -> Result<Created, Error> {
        let found = self.pods().get_opt(name).await.map_err(failed("get", name))?;
        let Some(pod) = found else { return Ok(Created::Exists) };
        // One that somebody took the labels off to look at it keeps the name, but is in no seat any more.
        let ours = pod.owner_references().iter().any(|owner| owner.uid == self.uid);
        let labelled = pod.labels().get(LABEL_POOL).is_some_and(|pool| *pool == self.key.name);
        if ours && labelled {
            self.access.index.apply_pod(&pod);
            Ok(Created::Exists)
        } else {
            Err(Error::Stranger { name: name.to_owned() })
        }
    }
}

impl Fleet for KubernetesFleet {
    fn check(&self, _: &ValidPool) -> Result<(), Error> {
        Ok(())
    }

    async fn provide(&self, pool: &ValidPool) -> Result<(), Error> {
        self.port.store(pool.port, Relaxed);
        let wanted = build::surroundings(pool, &self.access.settings);
        self.objects.lock().await.provide(&self.access, wanted).await
    }

    async fn observe(&self) -> Result<Vec<Instance>, Error> {
        let port = self.port.load(Relaxed);
        let members = self.access.index.members(&self.key, &self.uid, port);
        self.tell_of(members.strangers).await;
        Ok(members.instances)
    }

    async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Created, Error> {
        let pod = build::pod(pool, create);
        let answer = {
            let _turn = self.access.turn().await;
            self.pods().create(&PostParams::default(), &pod).await
        };
        match answer {
            Ok(pod) => {
                self.access.index.apply_pod(&pod);
                Ok(Created::New)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => self.taken(&create.name).await,
            Err(error) => Err(failed("create", &create.name)(error)),
        }
    }

    async fn delete(&self, delete: &Delete, _: Duration) -> Result<(), Error> {
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: Some(delete.id.0.clone()),
                resource_version: None,
            }),
            ..DeleteParams::default()
        };
        let answer = {
            let _turn = self.access.turn().await;
            self.pods().delete(&delete.name, &params).await
        };
        // Gone, or a namesake sits there: what was to end has ended.
        let gone = match answer {
            Ok(_) => false,
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => true,
            Err(error) => return Err(failed("delete", &delete.name)(error)),
        };
        self.access.index.end_pod(&self.key, &delete.name, &delete.id.0, gone);
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn shutdown(&self, _: Duration) {}
}

fn failed(verb: &'static str, name: &str) -> impl FnOnce(kube::Error) -> Error {
    let object = format!("Pod {name}");
    move |source| Error::Api {
        verb,
        object,
        source: source.into(),
    }
}
