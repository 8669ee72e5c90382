//! A cluster: the API server says who the members are, and the assignment's API edits the pool there.

use std::{convert::Infallible, sync::Arc};

use anyhow::Context as _;
use kube::{Client, Config};
use lbpool_balancer::{
    Balancer, Shared,
    admin::{Extra, assignment::Assignment},
    discovery::kubernetes::{self, Settings, client},
    metrics::ClusterCounts,
};

use super::Cluster as Wanted;

/// A cluster that can be talked to, as far as files and environment tell.
pub struct Cluster {
    own: Client,
    nobody: Client,
    settings: Settings,
    counts: Arc<ClusterCounts>,
}

// === impl Cluster ===

impl Cluster {
    /// Finds out how to reach the API server: from the Pod's service account, or from a kubeconfig.
    pub async fn open(wanted: Wanted) -> anyhow::Result<Self> {
        let config = Config::infer()
            .await
            .context("no cluster is known: neither a service account's files nor a kubeconfig is there")?;
        let settings = Settings {
            pool: wanted.pool,
            namespace: wanted.namespace.unwrap_or_else(|| config.default_namespace.clone()),
            snapshot: wanted.snapshot,
        };
        let unusable = "the API server's certificate or the credentials can not be used";
        Ok(Self {
            nobody: client::nobody(&config).context(unusable)?,
            own: client::own(config).context(unusable)?,
            settings,
            counts: Arc::default(),
        })
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<ClusterCounts> {
        Arc::clone(&self.counts)
    }

    /// What the admin listener serves in a cluster.
    pub fn extra(&self, shared: Arc<Shared>) -> Extra {
        Assignment::new(self.nobody.clone(), &self.settings, shared).routes()
    }

    /// Routes by what the cluster says, for as long as it is polled.
    pub async fn follow(self, balancer: &Balancer) -> Infallible {
        kubernetes::follow(self.own, self.settings, self.counts, balancer).await
    }
}
