//! The balancers of a pool in a cluster: told by a ConfigMap, asked at their admin port.

use std::{
    collections::BTreeMap,
    net::{IpAddr, SocketAddr},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, ResourceExt as _, api::PostParams};
use lbpool_api::{
    RoutingDocument,
    names::{ADMIN_PORT, ROUTING_KEY, routing_config_map},
};
use lbpool_core::{BalancerReport, Balancing, build};
use serde::Deserialize;
use tokio::{net::TcpStream, time::timeout};

use super::{Access, Asks, PoolKey, objects};
use crate::{Balancers, balancers::Refused};

/// How long a balancer may take to answer.
const ANSWER: Duration = Duration::from_secs(1);
/// Largest answer: a table of 1,024 seats has a fifth of it.
const ANSWER_MAX: usize = 1 << 20;
/// Our own versions of the ConfigMap that the watch may still show.
const KEPT: usize = 8;

/// The balancers of one pool.
#[derive(Debug)]
pub struct KubernetesBalancers {
    access: Access,
    key: PoolKey,
    uid: String,
    stored: Mutex<Stored>,
}

/// What is known of the ConfigMap.
#[derive(Debug, Default)]
struct Stored {
    /// As it was read or written last: a write of it is refused where somebody else wrote meanwhile.
    version: Option<String>,
    /// Versions that are of our making, or that we have read: the last ones.
    known: Vec<u64>,
    /// The watch has shown one of them: from then on it is missed where it is gone.
    shown: bool,
}

/// Why a balancer does not tell.
type Failure = Box<dyn std::error::Error + Send + Sync>;

/// What a balancer says at `/v1/table`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TableView {
    epoch: u64,
    in_flight: BTreeMap<String, u64>,
}

// === impl KubernetesBalancers ===

impl KubernetesBalancers {
    /// The balancers of the pool that has this UID.
    #[must_use]
    pub fn new(access: Access, key: PoolKey, uid: String) -> Self {
        Self {
            access,
            key,
            uid,
            stored: Mutex::default(),
        }
    }

    fn with<T>(&self, work: impl FnOnce(&mut Stored) -> T) -> T {
        work(&mut self.stored.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn api(&self) -> Api<ConfigMap> {
        Api::namespaced(self.access.client.clone(), &self.key.namespace)
    }

    fn name(&self) -> String {
        routing_config_map(&self.key.name)
    }

    /// Asks a balancer for its table, from outside of the cluster's network.
    async fn table_by_api_server(&self, pod: &str) -> Result<TableView, Failure> {
        let namespace = &self.key.namespace;
        let path = format!("/api/v1/namespaces/{namespace}/pods/{pod}:{ADMIN_PORT}/proxy/v1/table");
        let request = Request::get(path).body(Vec::new())?;
        Ok(self.access.client.request(request).await?)
    }
}

impl Balancers for KubernetesBalancers {
    /// Returns when the document is stored. Where somebody else has written meanwhile (a leader that was replaced) it is
    /// refused: the version that was read is part of the write.
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        let text = serde_json::to_string(document).map_err(|error| Refused(error.into()))?;
        let mut map = build::routing(&self.key.namespace, &self.key.name, &self.uid, text);
        map.metadata.resource_version = self.with(|stored| stored.version.clone());
        let params = PostParams::default();
        let _turn = self.access.turn().await;
        let answer = if map.metadata.resource_version.is_some() {
            self.api().replace(&self.name(), &params, &map).await
        } else {
            self.api().create(&params, &map).await
        };
        match answer {
            Ok(map) => {
                self.with(|stored| stored.take(&map));
                Ok(())
            }
            Err(error) => Err(Refused(error.into())),
        }
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        let balancers = self.access.index.balancers(&self.key);
        let reports = balancers.into_iter().map(|(name, ip)| async move {
            let table = async {
                match self.access.asks {
                    Asks::Directly => table(ip).await,
                    Asks::ThroughApiServer => self.table_by_api_server(&name).await,
                }
            };
            let answer = timeout(ANSWER, table).await;
            match answer {
                Ok(Ok(table)) => BalancerReport {
                    name,
                    epoch: table.epoch,
                    in_flight: table.in_flight.into_iter().collect(),
                },
                Ok(Err(error)) => silent(name, &error),
                Err(_) => silent(name, &"no answer in time"),
            }
        });
        join_all(reports).await
    }

    fn balancing(&self) -> Balancing {
        self.access.index.balancing(&self.key)
    }

    async fn stored(&self, _: Option<RoutingDocument>) -> Result<Option<RoutingDocument>, Refused> {
        let refused = |error: Box<dyn std::error::Error + Send + Sync>| Refused(error);
        let found = self
            .api()
            .get_opt(&self.name())
            .await
            .map_err(|error| refused(error.into()))?;
        self.with(|stored| *stored = Stored::default());
        let Some(map) = found else { return Ok(None) };
        let ours = map.owner_references().iter().any(|owner| owner.uid == self.uid);
        if !ours {
            return Err(refused(
                format!("ConfigMap {} is not of this pool: delete it", self.name()).into(),
            ));
        }
        self.with(|stored| stored.take(&map));
        let text = map.data.as_ref().and_then(|data| data.get(ROUTING_KEY));
        // What is no document is written anew: balancers that are ahead tell which epoch is next.
        Ok(text.and_then(|text| serde_json::from_str(text).ok()))
    }

    fn is_current(&self) -> bool {
        let seen = self.access.index.object(&self.key, "ConfigMap", &self.name());
        self.with(|stored| match seen {
            Some(version) => {
                stored.shown = stored.known.contains(&version);
                stored.shown
            }
            None => !stored.shown,
        })
    }
}

impl Stored {
    fn take(&mut self, map: &ConfigMap) {
        self.version = map.resource_version();
        if self.known.len() == KEPT {
            self.known.remove(0);
        }
        self.known
            .push(objects::version(self.version.as_deref().unwrap_or_default()));
    }
}

fn silent(name: String, error: &dyn std::fmt::Display) -> BalancerReport {
    tracing::debug!(balancer = name, %error, "a balancer does not tell what it routes by");
    BalancerReport {
        name,
        ..BalancerReport::default()
    }
}

/// Asks a balancer for its table.
async fn table(ip: IpAddr) -> Result<TableView, Failure> {
    let address = SocketAddr::new(ip, ADMIN_PORT);
    let stream = TcpStream::connect(address).await?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
    let exchange = async move {
        let request = Request::get("/v1/table")
            .header(header::HOST, address.to_string())
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())?;
        let answer = sender.send_request(request).await?;
        if !answer.status().is_success() {
            return Err(format!("status {}", answer.status()).into());
        }
        let body = Limited::new(answer.into_body(), ANSWER_MAX).collect().await?;
        Ok(serde_json::from_slice(&body.to_bytes())?)
    };
    // The connection carries the exchange: it ends first only where it fails.
    tokio::pin!(connection, exchange);
    tokio::select! {
        answer = &mut exchange => answer,
        ended = &mut connection => {
            ended?;
            exchange.await
        }
    }
}
