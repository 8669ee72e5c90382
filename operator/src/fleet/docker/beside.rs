//! Members as containers beside a cluster: the pool is the cluster's, its members are an engine's, on a network that the
//! cluster's nodes reach (kind's own).
//!
//! Everything around the members is as ever, but for their Service, which selects nothing: its EndpointSlices are written
//! here, so that balancers find members that are no Pods. The cluster knows nothing of the containers: when a pool is gone,
//! [`Beside`] ends those of its UID.

mod around;
mod ends;

use std::{path::PathBuf, sync::Arc, time::Duration};

use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, ResourceExt as _};
use lbpool_core::{
    Instance, ValidPool, build,
    plan::{Create, Delete},
};
use tokio::{
    sync::{Mutex, Notify, OnceCell, mpsc, watch},
    task::JoinSet,
    time::sleep,
};

use self::around::Around;
use super::{DockerConfig, DockerFleet, Endpoint, Error, Network, Owner, Place, Publish, Reach, recipe};
use crate::{
    controller::Notice,
    fleet::{self, Created, Fleet},
    kubernetes::{Access, PoolKey, Pools, Scope, Site, Watches, chain},
};

/// Pause before slices that could not be written are tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// The namespace that every cluster has, and whose UID is taken for the cluster's own.
const SYSTEM: &str = "kube-system";

/// The engine that members of a cluster's pools run on.
#[derive(Clone, Debug)]
pub struct Beside {
    /// Where it is.
    endpoint: Endpoint,
    /// Its network that the nodes reach.
    network: String,
    /// Where members' output is kept: a folder per pool.
    logs: PathBuf,
    /// Which cluster it is, once that is known.
    cluster: Arc<OnceCell<String>>,
}

/// The containers of one pool. They outlive this process, and end with the pool.
#[derive(Debug)]
pub struct BesideFleet {
    inner: Arc<Inner>,
    /// Something may look different from the last look.
    changed: Arc<Notify>,
    /// The task that tells the cluster what became of containers.
    _teller: JoinSet<()>,
}

#[derive(Debug)]
struct Inner {
    access: Access,
    key: PoolKey,
    uid: String,
    beside: Beside,
    /// Something that the cluster has of the pool was changed.
    objects_changed: Arc<Notify>,
    /// Reached at the first pass that finds the engine there.
    containers: OnceCell<DockerFleet>,
    /// As the pool was last seen.
    pool: watch::Sender<Option<Box<ValidPool>>>,
    around: Mutex<Around>,
}

// === impl Beside ===

impl Beside {
    /// Members on `network` of the engine at `endpoint`; their output is kept below `logs`.
    #[must_use]
    pub fn new(endpoint: Endpoint, network: String, logs: PathBuf) -> Self {
        Self {
            endpoint,
            network,
            logs,
            cluster: Arc::default(),
        }
    }

    /// Who runs the containers: the cluster. Not this process, nor this machine: whoever drives the cluster's pools next goes
    /// on with them. The UID of `kube-system` is what a cluster is known by: it has no other name that lasts.
    async fn by(&self, access: &Access) -> Result<&str, fleet::Error> {
        let ask = || async {
            let found = Api::<Namespace>::all(access.client.clone()).get(SYSTEM).await;
            let found = found.map_err(|source| fleet::Error::Api {
                verb: "get",
                object: format!("Namespace {SYSTEM}"),
                source: source.into(),
            })?;
            Ok(format!("cluster {}", found.uid().unwrap_or_default()))
        };
        self.cluster.get_or_try_init(ask).await.map(String::as_str)
    }
}

impl Site for Beside {
    type Fleet = BesideFleet;

    fn fleet(&self, access: Access, key: PoolKey, uid: String, _: mpsc::Sender<Notice>) -> BesideFleet {
        let inner = Arc::new(Inner {
            objects_changed: access.index.changes(&key),
            access,
            key,
            uid,
            beside: self.clone(),
            containers: OnceCell::new(),
            pool: watch::Sender::new(None),
            around: Mutex::default(),
        });
        let changed = Arc::new(Notify::new());
        let mut teller = JoinSet::new();
        teller.spawn(Arc::clone(&inner).follow(Arc::clone(&changed)));
        BesideFleet {
            inner,
            changed,
            _teller: teller,
        }
    }

    fn watch(&self, watches: &mut Watches) {
        watches.add_slices();
    }

    async fn tend(self, access: Access, scope: Scope, pools: watch::Receiver<Pools>) {
        ends::run(self, access, scope, pools).await;
    }
}

// === impl Inner ===

impl Inner {
    /// Writes where members are as soon as that changes, and then lets the controller look. As in a cluster, endpoints follow
    /// members also while a spec that is wrong keeps the controller from looking.
    async fn follow(self: Arc<Self>, changed: Arc<Notify>) {
        loop {
            match self.containers.get() {
                Some(containers) => tokio::select! {
                    () = containers.changed() => {}
                    () = self.objects_changed.notified() => {}
                },
                // Rung too when the engine is reached.
                None => self.objects_changed.notified().await,
            }
            while let Some(containers) = self.containers.get() {
                let told = async { self.tell(&containers.observe().await?).await };
                let Err(error) = told.await else { break };
                tracing::warn!(error = chain(&error), "where members are was not written, tried again");
                changed.notify_one();
                sleep(AGAIN).await;
            }
            changed.notify_one();
        }
    }

    fn owner(&self, by: String) -> Owner {
        Owner {
            pool: self.key.name.clone(),
            namespace: self.key.namespace.clone(),
            uid: Some(self.uid.clone()),
            by,
        }
    }

    /// The containers, from the first time on that the engine answers.
    async fn reached(&self, pool: &ValidPool) -> Result<&DockerFleet, fleet::Error> {
        let reach = || async {
            let by = self.beside.by(&self.access).await?.to_owned();
            let config = DockerConfig {
                endpoint: self.beside.endpoint.clone(),
                owner: self.owner(by),
                network: Network {
                    name: self.beside.network.clone(),
                    make: false,
                },
                // Balancers are on the nodes: a port of this machine's loopback is nothing to them.
                publish: Publish::Routed,
                image_first: false,
                log_dir: self.beside.logs.join(&self.key.namespace).join(&self.key.name),
                terminal: None,
                pulling: watch::Sender::new(None),
            };
            DockerFleet::start(config, pool).await
        };
        if let Some(containers) = self.containers.get() {
            return Ok(containers);
        }
        let containers = self.containers.get_or_try_init(reach).await?;
        self.objects_changed.notify_one();
        Ok(containers)
    }

    fn containers(&self) -> Result<&DockerFleet, fleet::Error> {
        let away = || Error::Away {
            endpoint: self.beside.endpoint.to_string(),
            why: "it was not reached so far".to_owned(),
        };
        self.containers.get().ok_or_else(|| away().into())
    }

    /// Writes where `members` are, as far as that is not written yet.
    async fn tell(&self, members: &[Instance]) -> Result<(), fleet::Error> {
        let pool = self.pool.borrow().clone();
        if let Some(pool) = pool {
            let mut around = self.around.lock().await;
            around.write(&self.access, &pool, members).await?;
        }
        Ok(())
    }

    fn check(&self, pool: &ValidPool) -> Result<(), fleet::Error> {
        let place = Place {
            network: &self.beside.network,
            reach: Reach::Network,
            owner: &self.owner(String::new()),
        };
        recipe(pool, &place).map(drop)
    }
}

// === impl Fleet for BesideFleet ===

impl Fleet for BesideFleet {
    fn check(&self, pool: &ValidPool) -> Result<(), fleet::Error> {
        self.inner.check(pool)
    }

    /// A template that can not be run is told of, and keeps nothing from being done for the members that run.
    async fn provide(&self, pool: &ValidPool) -> Result<(), fleet::Error> {
        let inner = &self.inner;
        inner.pool.send_replace(Some(Box::new(pool.clone())));
        let fits = inner.check(pool);
        let wanted = build::surroundings_without_pods(pool, &inner.access.settings);
        // Boxed: it holds all of the objects, and what awaits it would be as large.
        Box::pin(inner.around.lock().await.provide(&inner.access, wanted)).await?;
        inner.reached(pool).await?.provide(pool).await?;
        fits
    }

    /// A member is where balancers look before the routing document names it: what is seen here is written before.
    async fn observe(&self) -> Result<Vec<Instance>, fleet::Error> {
        let members = self.inner.containers()?.observe().await?;
        self.inner.tell(&members).await?;
        Ok(members)
    }

    async fn probe(&self, pool: &ValidPool) -> Result<(), fleet::Error> {
        self.inner.containers()?.probe(pool).await
    }

    async fn create(&self, pool: &ValidPool, create: &Create) -> Result<Created, fleet::Error> {
        self.inner.containers()?.create(pool, create).await
    }

    async fn delete(&self, delete: &Delete, grace: Duration) -> Result<(), fleet::Error> {
        self.inner.containers()?.delete(delete, grace).await
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn shutdown(&self, _: Duration) {}
}
