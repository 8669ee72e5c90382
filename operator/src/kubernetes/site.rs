//! Where the members of a cluster's pools run: in it, unless another site is chosen.

use std::collections::HashMap;

use tokio::sync::{mpsc, watch};

use super::{Access, PoolKey, Scope, Watches};
use crate::{Fleet, controller::Notice, fleet::kubernetes::KubernetesFleet};

/// Where members run: makes the fleet of each pool, and sees to what belongs to none.
pub trait Site: Clone + Send + Sync + 'static {
    /// What runs the members of one pool.
    type Fleet: Fleet + 'static;

    /// The fleet of the pool that has this UID. Dropped, it leaves the members: the next one over the same pool goes on
    /// with them.
    fn fleet(&self, access: Access, key: PoolKey, uid: String, notices: mpsc::Sender<Notice>) -> Self::Fleet;

    /// Adds what has to be watched for its fleets.
    fn watch(&self, _watches: &mut Watches) {}

    /// Runs as long as pools are driven: ends members of pools that are gone, where the cluster does not. `pools` are those
    /// that there are; a pool is among them before its fleet is made, and is taken out after its controller was stopped.
    fn tend(
        self,
        _access: Access,
        _scope: Scope,
        _pools: watch::Receiver<Pools>,
    ) -> impl Future<Output = ()> + Send + 'static {
        std::future::pending()
    }
}

/// Which pools there are.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pools {
    /// All of them have been listed: one that is not here is gone.
    pub complete: bool,
    uids: HashMap<PoolKey, String>,
}

/// Members as Pods: the cluster runs them, and ends them with their pool.
#[derive(Clone, Copy, Debug, Default)]
pub struct Pods;

// === impl Pools ===

impl Pools {
    /// Whether there is a pool of this UID.
    #[must_use]
    pub fn has(&self, uid: &str) -> bool {
        self.uids.values().any(|known| known == uid)
    }

    pub(crate) fn insert(&mut self, key: &PoolKey, uid: &str) -> bool {
        self.uids.insert(key.clone(), uid.to_owned()).as_deref() != Some(uid)
    }

    pub(crate) fn remove(&mut self, key: &PoolKey) -> bool {
        self.uids.remove(key).is_some()
    }
}

// === impl Site for Pods ===

impl Site for Pods {
    type Fleet = KubernetesFleet;

    fn fleet(&self, access: Access, key: PoolKey, uid: String, notices: mpsc::Sender<Notice>) -> KubernetesFleet {
        KubernetesFleet::new(access, key, uid, notices)
    }
}
