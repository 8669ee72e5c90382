//! How the API server is reached: one client, and a bound on what is written at the same time.

use std::{sync::Arc, time::Duration};

use kube::{Client, Config, client::ClientBuilder};
use lbpool_core::build::Settings;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::{calls::Calls, index::Index};
use crate::Metrics;

/// Who is named as the writer of fields and as the source of Events.
pub const WRITER: &str = "lbpool-operator";
/// Until a connection to the API server is there.
const CONNECT: Duration = Duration::from_secs(5);
/// Without a byte for so long a connection counts as dead: above the time after which a quiet watch ends by itself.
const READ: Duration = Duration::from_secs(super::watch::QUIET.as_secs() + 5);

/// What everything that talks to the API server shares.
#[derive(Clone)]
pub struct Access {
    /// The client.
    pub client: Client,
    /// What was seen.
    pub index: Arc<Index>,
    /// What is counted.
    pub metrics: Metrics,
    /// What the operator was told.
    pub settings: Settings,
    /// How Pods are asked.
    pub asks: Asks,
    writes: Arc<Semaphore>,
}

/// How Pods are asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asks {
    /// At their address: in the cluster's network.
    Directly,
    /// By way of the API server: from outside their addresses lead nowhere.
    ThroughApiServer,
}

/// A client for the API server that `config` names; its calls are counted in `metrics`, and `index` learns when it was away.
///
/// # Errors
/// Where the configuration can not be used.
pub fn connect(mut config: Config, metrics: &Metrics, index: &Arc<Index>) -> kube::Result<Client> {
    config.connect_timeout = Some(CONNECT);
    config.read_timeout = Some(READ);
    config.write_timeout = Some(READ);
    Ok(ClientBuilder::try_from(config)?
        .with_layer(&Calls::new(metrics.clone(), Arc::clone(index)))
        .build())
}

// === impl Access ===

impl Access {
    /// At most `writes` requests that change something are under way at the same time: a client without such a bound
    /// starves everyone else of the API server when many Pods are missing.
    #[must_use]
    pub fn new(
        (client, asks): (Client, Asks),
        index: Arc<Index>,
        metrics: Metrics,
        settings: Settings,
        writes: usize,
    ) -> Self {
        Self {
            client,
            asks,
            index,
            metrics,
            settings,
            writes: Arc::new(Semaphore::new(writes.max(1))),
        }
    }

    /// The right to write. It is never closed, so that it is always given.
    pub(crate) async fn turn(&self) -> Option<SemaphorePermit<'_>> {
        self.writes.acquire().await.ok()
    }
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Access")
            .field("settings", &self.settings)
            .finish_non_exhaustive()
    }
}
