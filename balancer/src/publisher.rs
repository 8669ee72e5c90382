//! Turns a routing document into the snapshot that requests see, off the data threads, and waits until all route by it.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use lbpool_api::{RoutingDocument, pool::Algorithm, routing::RoutedMember};
use lbpool_ring::Table;
use tokio::{sync::Mutex, task::spawn_blocking, time::timeout};

use crate::{
    discovery::{
        document::{self, Addresses},
        names,
    },
    error::Error,
    policy::Policy,
    shared::{Phase, Shared},
    snapshot::{Member, Snapshot},
};

/// How long the workers may take to follow: each needs one turn of its loop.
const FOLLOW: Duration = Duration::from_secs(5);

/// A document that all workers route by.
#[derive(Clone, Debug, PartialEq)]
pub struct Published {
    /// Its epoch.
    pub epoch: u64,
    /// Digest of its table, 16 hexadecimal digits.
    pub digest: String,
    /// The share of the key space (0 to 1) that changed hands with it.
    pub moved: f64,
}

/// Who decides which of two documents is the newer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Order {
    /// Their epochs: an older document is refused.
    Epoch,
    /// Whoever publishes: what comes later is newer.
    Caller,
}

/// Serializes publishing.
#[derive(Debug)]
pub(crate) struct Publisher {
    shared: Arc<Shared>,
    last: Mutex<Option<RoutingDocument>>,
}

// === impl Publisher ===

impl Publisher {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self {
            shared,
            last: Mutex::default(),
        }
    }

    /// Cancel safe: dropped early, either nothing has changed or the workers follow on their own.
    pub(crate) async fn publish(&self, document: RoutingDocument, order: Order) -> Result<Published, Error> {
        let mut last = self.last.lock().await;
        if self.shared.phases().now() > Phase::Draining {
            return Err(Error::Ended);
        }
        let present = self.shared.snapshot();
        if last.as_ref() != Some(&document) {
            if order == Order::Epoch && document.epoch <= present.epoch {
                return Err(Error::Epoch {
                    offered: document.epoch,
                    present: present.epoch,
                });
            }
            let snapshot = Arc::new(self.compile(&document, &present).await?);
            tell(&snapshot, &present);
            *last = Some(document);
            self.shared.set_snapshot(&snapshot);
        }
        drop(last);
        self.followed().await
    }

    /// Waits until all workers route by the newest snapshot.
    async fn followed(&self) -> Result<Published, Error> {
        let snapshot = self.shared.snapshot();
        let all = async {
            loop {
                let mut acknowledged = std::pin::pin!(self.shared.acknowledged.notified());
                // Registered before the look, so that no acknowledgement falls between the two.
                acknowledged.as_mut().enable();
                if self.shared.routed().version >= snapshot.version {
                    break;
                }
                acknowledged.await;
            }
        };
        if timeout(FOLLOW, all).await.is_err() {
            return Err(Error::Stalled {
                epoch: snapshot.epoch,
                seconds: FOLLOW.as_secs(),
            });
        }
        self.shared.phases().advance(Phase::Ready);
        Ok(Published {
            epoch: snapshot.epoch,
            digest: snapshot.digest.clone(),
            moved: snapshot.moved,
        })
    }

    async fn compile(&self, document: &RoutingDocument, present: &Arc<Snapshot>) -> Result<Snapshot, Error> {
        document::check(document, Addresses::Elsewhere)?;
        let policy = Policy::compile(&document.routing)?;
        let mut addresses = Vec::with_capacity(document.members.len());
        for member in &document.members {
            addresses.push(resolve(member).await?);
        }
        let (table, moved) = self.table(document, present).await?;
        let digest = format!("{:016x}", table.digest());
        if !document.digest.is_empty() && document.digest != digest {
            return Err(Error::Digest {
                stated: document.digest.clone(),
                computed: digest,
            });
        }
        let members = document.members.iter().zip(table.members()).zip(addresses);
        let members: Box<[Member]> = members
            .map(|((member, placed), address)| self.member(member, Arc::clone(&placed.name), address))
            .collect();
        Ok(Snapshot {
            pool: document.pool.clone(),
            epoch: document.epoch,
            version: present.version + 1,
            digest,
            weight: members.iter().map(|member| u64::from(member.weight)).sum(),
            members,
            table,
            moved,
            policy,
            routing: document.routing.clone(),
            health: document.health.clone(),
        })
    }

    async fn table(&self, document: &RoutingDocument, present: &Arc<Snapshot>) -> Result<(Arc<Table>, f64), Error> {
        let algorithm = match document.routing.algorithm {
            Algorithm::Rendezvous => lbpool_ring::Algorithm::Rendezvous,
            Algorithm::Ring => lbpool_ring::Algorithm::Ring,
            Algorithm::Maglev => lbpool_ring::Algorithm::Maglev,
            Algorithm::Classroom => lbpool_ring::Algorithm::Classroom,
        };
        let members = document.members.iter();
        let members: Vec<_> = members
            .map(|m| lbpool_ring::Member::weighted(m.name.as_str(), m.weight))
            .collect();
        let same = present.is_routed()
            && present.routing.algorithm == document.routing.algorithm
            && present.table.members() == members;
        if same {
            let moved = if present.epoch == document.epoch {
                present.moved
            } else {
                0.0
            };
            return Ok((Arc::clone(&present.table), moved));
        }
        let present = Arc::clone(present);
        let build = spawn_blocking(move || {
            let table = present.table.change(algorithm, &members)?;
            let moved = if present.is_routed() {
                table.moved_from(&present.table)
            } else {
                0.0
            };
            Ok((Arc::new(table), moved))
        });
        // The runtime drops blocking work only when it ends itself.
        build.await.unwrap_or(Err(Error::Ended))
    }

    fn member(&self, member: &RoutedMember, name: Arc<str>, address: Option<SocketAddr>) -> Member {
        let pod = member.pod.as_deref().unwrap_or_else(|| member.name.as_str());
        let host = host(member);
        let target = address.map(|address| self.shared.target(&name, pod, address, (member.protocol, host)));
        Member {
            name,
            weight: member.weight,
            state: member.state,
            target,
        }
    }
}

/// The name that a member's certificate is for: what is said, or the host of its address where that is a name.
fn host(member: &RoutedMember) -> Option<&str> {
    let named = || {
        let (host, _) = document::address(member.address.as_deref()?).ok()?;
        host.parse::<std::net::IpAddr>().is_err().then_some(host)
    };
    member.host.as_deref().or_else(named)
}

fn tell(snapshot: &Snapshot, before: &Snapshot) {
    if snapshot.epoch == before.epoch {
        let vacant = snapshot.members.iter().filter(|member| member.expected().is_none());
        let vacant: Vec<_> = vacant.map(|member| &*member.name).collect();
        tracing::debug!(epoch = snapshot.epoch, ?vacant, "who is ready has changed");
        return;
    }
    tracing::info!(
        epoch = snapshot.epoch,
        digest = snapshot.digest,
        members = snapshot.members.len(),
        moved = snapshot.moved,
        "routing"
    );
}

async fn resolve(member: &RoutedMember) -> Result<Option<SocketAddr>, Error> {
    let Some(address) = &member.address else {
        return Ok(None);
    };
    if let Ok(parsed) = address.parse() {
        return Ok(Some(parsed));
    }
    let failed = |source| Error::Address {
        member: member.name.clone(),
        address: address.clone(),
        source,
    };
    let found = names::addresses(address).await;
    names::choose(found, None).map(Some).map_err(failed)
}
