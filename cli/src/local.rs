//! The balancer of this process, as the controller and those who ask about the pool see it.

use std::{collections::HashMap, fs, net::SocketAddr, path::PathBuf, sync::Arc, time::Duration};

use lbpool_api::RoutingDocument;
use lbpool_balancer::{Balancer, Error, Shared};
use lbpool_core::BalancerReport;
use lbpool_daemon::Shutdown;
use lbpool_operator::{Balancers, PoolHandle, balancers::Refused};
use serde::Deserialize;
use tokio::sync::RwLock;

use crate::{
    control::{Details, Seat},
    runtime::Record,
};

/// The balancer of this process: published to until it is shut down.
#[derive(Clone)]
pub struct Local {
    balancer: Arc<RwLock<Option<Balancer>>>,
    shared: Arc<Shared>,
    address: SocketAddr,
}

/// Everything that is known about the running pool.
pub struct Pool {
    /// Reads and edits it.
    pub handle: PoolHandle,
    /// Its balancer.
    pub balancer: Arc<Shared>,
    /// Ends it.
    pub shutdown: Shutdown,
    /// What others find it by.
    pub record: Record,
    /// Where the fleet writes its members down.
    pub members: PathBuf,
}

/// A member as the fleet writes it down.
#[derive(Deserialize)]
struct Process {
    name: String,
    pid: u32,
}

// === impl Local ===

impl Local {
    /// Over a running balancer.
    pub fn new(balancer: Balancer) -> Self {
        Self {
            shared: balancer.shared(),
            address: balancer.local_addr(),
            balancer: Arc::new(RwLock::new(Some(balancer))),
        }
    }

    /// Where clients reach it.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops accepting and finishes what is in flight, for at most `grace`.
    pub async fn shutdown(&self, grace: Duration) {
        let balancer = self.balancer.write().await.take();
        if let Some(balancer) = balancer {
            balancer.shutdown(grace).await;
        }
    }
}

impl Balancers for Local {
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        let refused = |error: Error| Refused(Box::new(error));
        match &*self.balancer.read().await {
            Some(balancer) => balancer.publish(document.clone()).await.map(drop).map_err(refused),
            None => Err(refused(Error::Ended)),
        }
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        let report = self.shared.report();
        vec![BalancerReport {
            name: report.name,
            epoch: report.epoch,
            in_flight: report.in_flight,
        }]
    }
}

// === impl Pool ===

impl Pool {
    /// What the resource does not say.
    pub fn details(&self) -> Details {
        let pool = self.handle.get();
        let snapshot = self.balancer.snapshot();
        let targets = self.balancer.targets();
        let pids = self.pids();
        let status = pool.status.as_ref();
        let seats = status.into_iter().flat_map(|status| &status.members).map(|member| {
            let pod = member.pod.as_deref();
            let routed = snapshot
                .members
                .iter()
                .find(|routed| *routed.name == *member.name.as_str());
            let target = routed.and_then(|routed| routed.target.as_ref());
            let on_it = targets.iter().filter(|target| Some(&**target.pod()) == pod);
            Seat {
                name: member.name.to_string(),
                weight: member.weight,
                state: Some(member.state),
                pod: member.pod.clone(),
                pid: pod.and_then(|pod| pids.get(pod).copied()),
                address: target
                    .filter(|target| Some(&**target.pod()) == pod)
                    .map(|target| target.address()),
                in_flight: on_it.map(|target| target.in_flight()).sum(),
            }
        });
        Details {
            record: self.record.clone(),
            requests: self.balancer.requests(),
            seats: seats.collect(),
        }
    }

    fn pids(&self) -> HashMap<String, u32> {
        let files = fs::read_dir(&self.members).into_iter().flatten().flatten();
        let texts = files.filter_map(|file| fs::read(file.path()).ok());
        let processes = texts.filter_map(|text| serde_json::from_slice::<Process>(&text).ok());
        processes.map(|process| (process.name, process.pid)).collect()
    }
}
