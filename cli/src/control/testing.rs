//! A pool for tests: a real controller over members that are ready at once, or never.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use jiff::Timestamp;
use lbpool_api::RoutingDocument;
use lbpool_core::{
    BalancerReport, Instance, InstanceId, Phase, ValidPool,
    plan::{Create, Delete},
};
use lbpool_operator::{Balancers, Created, Fleet, PoolHandle, balancers::Refused, controller, fleet::Error};
use tokio::{sync::Notify, task::JoinSet};

use crate::manifest::{self, Overrides};

/// Members that are data only.
#[derive(Default)]
pub struct Paper {
    instances: Mutex<Vec<Instance>>,
    changed: Notify,
    /// Members that are made from now on never get ready.
    pub stuck: AtomicBool,
}

/// Balancers that route by the last document, and are idle.
#[derive(Default)]
struct Idle(Mutex<u64>);

/// The sample pool under control; it ends with the `JoinSet`.
pub async fn pool(replicas: i32) -> (PoolHandle, Arc<Paper>, JoinSet<()>) {
    let fleet = Arc::new(Paper::default());
    let pool = manifest::demo(Overrides {
        replicas: Some(replicas),
    })
    .unwrap();
    let (controller, handle) = controller(pool, Arc::clone(&fleet), Arc::new(Idle::default())).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(controller.run(std::future::pending()));
    handle.routed(1, Duration::from_mins(1)).await.unwrap();
    (handle, fleet, tasks)
}

// === impl Paper ===

impl Fleet for Paper {
    fn check(&self, _: &ValidPool) -> Result<(), Error> {
        Ok(())
    }

    async fn observe(&self) -> Result<Vec<Instance>, Error> {
        Ok(self.instances.lock().unwrap().clone())
    }

    async fn create(&self, _: &ValidPool, create: &Create) -> Result<Created, Error> {
        let phase = if self.stuck.load(Ordering::Relaxed) {
            Phase::Starting
        } else {
            Phase::Ready
        };
        let mut instances = self.instances.lock().unwrap();
        instances.push(Instance {
            id: InstanceId(create.name.clone()),
            name: create.name.clone(),
            seat: create.seat.clone(),
            template: create.template.clone(),
            phase,
            address: Some(SocketAddr::from(([127, 0, 0, 1], 9))),
            created: Timestamp::now(),
            trouble: None,
        });
        self.changed.notify_one();
        Ok(Created::New)
    }

    async fn delete(&self, delete: &Delete, _: Duration) -> Result<(), Error> {
        self.instances
            .lock()
            .unwrap()
            .retain(|instance| instance.id != delete.id);
        self.changed.notify_one();
        Ok(())
    }

    async fn changed(&self) {
        self.changed.notified().await;
    }

    async fn shutdown(&self, _: Duration) {}
}

// === impl Idle ===

impl Balancers for Idle {
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        *self.0.lock().unwrap() = document.epoch;
        Ok(())
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        vec![BalancerReport {
            name: "idle".to_owned(),
            epoch: *self.0.lock().unwrap(),
            in_flight: Vec::new(),
        }]
    }
}
