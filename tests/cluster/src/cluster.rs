//! The cluster that all tests share: KUBECONFIG's.

use std::{env, path::Path, sync::OnceLock, time::Duration};

use serde_json::Value;
use tokio::runtime::Runtime;

use crate::{Api, Harness, wait_for};

/// Longer than it takes until a node is heard of, or missed.
const NODES: Duration = Duration::from_secs(90);

/// The cluster of a run.
#[derive(Debug)]
pub struct Cluster {
    runtime: Runtime,
    api: Api,
    harness: Option<Harness>,
}

impl Cluster {
    /// The cluster of this run.
    #[must_use]
    pub fn get() -> &'static Self {
        static CLUSTER: OnceLock<Cluster> = OnceLock::new();
        CLUSTER.get_or_init(|| {
            // One thread beside the test's own: for watches.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let api = runtime.block_on(Api::connect());
            let harness = env::var_os("LBPOOL_CLUSTER").map(|command| Harness::new(Path::new(&command)));
            Self { runtime, api, harness }
        })
    }

    /// The API server.
    #[must_use]
    pub const fn api(&self) -> &Api {
        &self.api
    }

    /// Where futures run.
    #[must_use]
    pub const fn runtime(&self) -> &Runtime {
        &self.runtime
    }

    /// The harness, where the cluster is one of its own.
    #[must_use]
    pub const fn harness(&self) -> Option<&Harness> {
        self.harness.as_ref()
    }

    /// Waits until the API server takes these nodes for ready, or for not ready.
    pub fn nodes_turn(&self, ready: bool, nodes: &[&str]) {
        let is_ready = |node: &str| {
            let node = self.api().get(&format!("/api/v1/nodes/{node}"))?;
            let conditions = node["status"]["conditions"].as_array();
            let holds = |it: &Value| it["type"] == "Ready" && it["status"] == "True";
            Ok::<_, String>(conditions.is_some_and(|conditions| conditions.iter().any(holds)))
        };
        wait_for(&format!("{nodes:?} turn ready: {ready}"), NODES, || {
            let now = nodes.iter().map(|node| is_ready(node)).collect::<Result<Vec<_>, _>>()?;
            if now.iter().all(|now| *now == ready) {
                Ok(())
            } else {
                Err(format!("{now:?}"))
            }
        });
    }

    /// The harness; without one the test is skipped, and says so.
    #[must_use]
    pub fn harness_or_skip(&self, test: &str) -> Option<&Harness> {
        if self.harness.is_none() {
            println!(
                "{test}: SKIPPED, it breaks nodes or processes, which only the cluster of tests/cluster/harness lets it do"
            );
        }
        self.harness()
    }
}

/// A setting in seconds.
#[must_use]
pub fn seconds(name: &str, default: u64) -> std::time::Duration {
    let seconds = env::var_os(name).map_or(default, |text| {
        text.to_str()
            .and_then(|text| text.parse().ok())
            .unwrap_or_else(|| panic!("{name}={}", text.display()))
    });
    std::time::Duration::from_secs(seconds)
}
