//! What watches have seen, by pool: Pods and the objects around them, trimmed; and the nodes.
//!
//! A plain structure behind one lock, fed by [`watch`](super::watch) and by the answers to our own writes, so that what was
//! asked for a moment ago is part of what is seen.

use std::{
    collections::{HashMap, HashSet},
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use k8s_openapi::api::core::v1::{Node, Pod};
use lbpool_core::{Balancing, Instance};
use tokio::{
    sync::Notify,
    time::{Instant, sleep_until},
};

use super::{
    nodes::Nodes,
    pod::{Occupant, PodRecord, State},
};

/// A pool's place in the cluster.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PoolKey {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What was seen. Shared by all who watch and all who decide.
#[derive(Debug, Default)]
pub struct Index {
    seen: Mutex<Seen>,
    /// Wakes who waits for the next node to be given up.
    node_changed: Notify,
}

#[derive(Debug, Default)]
struct Seen {
    pools: HashMap<PoolKey, Entry>,
    nodes: Nodes,
}

#[derive(Debug, Default)]
struct Entry {
    pods: HashMap<String, PodRecord>,
    /// UIDs of Pods that were told to end: an event that was on its way does not bring them back.
    ending: HashSet<String>,
    /// What is seen of each object, by kind and name: a number that changes with what matters of it.
    objects: HashMap<(&'static str, String), u64>,
    changed: Arc<Notify>,
}

/// The Pods of a pool as a decision needs them.
#[derive(Debug, Default)]
pub(crate) struct Members {
    pub instances: Vec<Instance>,
    /// Pods with the pool's labels that are not its own.
    pub strangers: Vec<String>,
}

// === impl PoolKey ===

impl PoolKey {
    /// The pool `name` in `namespace`.
    #[must_use]
    pub fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }
}

impl std::fmt::Display for PoolKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

// === impl Index: what is read ===

impl Index {
    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells of changes to a pool's Pods and objects. For one waiter.
    pub(crate) fn changes(&self, key: &PoolKey) -> Arc<Notify> {
        Arc::clone(&self.seen().pools.entry(key.clone()).or_default().changed)
    }

    /// The members of the pool that has this UID.
    pub(crate) fn members(&self, key: &PoolKey, uid: &str, port: u16) -> Members {
        let mut seen = self.seen();
        seen.nodes.give_up(Instant::now());
        let Seen { pools, nodes } = &*seen;
        let mut members = Members::default();
        for pod in pools.get(key).into_iter().flat_map(|entry| entry.pods.values()) {
            if matches!(pod.occupant, Occupant::Balancer) {
                continue;
            }
            if pod.owner.as_deref() == Some(uid) {
                members.instances.extend(pod.instance(port, nodes));
            } else {
                members.strangers.push(pod.name.clone());
            }
        }
        members.instances.sort_by(|a, b| a.name.cmp(&b.name));
        members.strangers.sort();
        members
    }

    /// The balancers that may have requests in flight, and where they are.
    pub(crate) fn balancers(&self, key: &PoolKey) -> Vec<(String, IpAddr)> {
        let mut seen = self.seen();
        seen.nodes.give_up(Instant::now());
        let Seen { pools, nodes } = &*seen;
        let pods = pools.get(key).into_iter().flat_map(|entry| entry.pods.values());
        let alive = pods.filter(|pod| {
            pod.occupant == Occupant::Balancer
                && matches!(
                    pod.state,
                    State::Running | State::Ready | State::Doubted | State::Ending
                )
                && !pod.node.as_deref().is_some_and(|node| nodes.is_lost(node))
        });
        alive.filter_map(|pod| Some((pod.name.clone(), pod.ip?))).collect()
    }

    /// Which balancers answer requests. Those of a node that is lost are not looked at: others are on their way.
    pub(crate) fn balancing(&self, key: &PoolKey) -> Balancing {
        let mut seen = self.seen();
        seen.nodes.give_up(Instant::now());
        let Seen { pools, nodes } = &*seen;
        let mut balancing = Balancing::default();
        for pod in pools.get(key).into_iter().flat_map(|entry| entry.pods.values()) {
            let lost = || pod.node.as_deref().is_some_and(|node| nodes.is_lost(node));
            match pod.state {
                _ if pod.occupant != Occupant::Balancer => {}
                State::Ready | State::Doubted if !lost() => balancing.ready += 1,
                State::Waiting | State::Running if !lost() => balancing.unready.extend(pod.unready()),
                _ => {}
            }
        }
        balancing.unready.sort_by(|a, b| a.name.cmp(&b.name));
        balancing
    }

    /// What is seen of an object of a pool; none where there is no such object.
    pub(crate) fn object(&self, key: &PoolKey, kind: &'static str, name: &str) -> Option<u64> {
        let seen = self.seen();
        seen.pools.get(key)?.objects.get(&(kind, name.to_owned())).copied()
    }
}

// === impl Index: what is written ===

impl Index {
    /// A Pod is there, or changed.
    pub(crate) fn apply_pod(&self, pod: &Pod) {
        let Some((key, mut record)) = PodRecord::of(pod) else {
            return;
        };
        let mut seen = self.seen();
        let entry = seen.pools.entry(key).or_default();
        if entry.ending.contains(&record.uid) {
            record.state = State::Ending;
        }
        if let Some(before) = entry.pods.get(&record.name).filter(|before| before.uid == record.uid) {
            record.served |= before.served;
            if *before == record {
                return;
            }
        }
        entry.pods.insert(record.name.clone(), record);
        entry.changed.notify_one();
    }

    /// A Pod is gone.
    pub(crate) fn delete_pod(&self, pod: &Pod) {
        let Some((key, record)) = PodRecord::of(pod) else {
            return;
        };
        self.forget_pod(&key, &record.name, &record.uid);
    }

    /// A Pod was told to end, or is known to be gone.
    pub(crate) fn end_pod(&self, key: &PoolKey, name: &str, uid: &str, gone: bool) {
        if gone {
            return self.forget_pod(key, name, uid);
        }
        let mut seen = self.seen();
        let Some(entry) = seen.pools.get_mut(key) else { return };
        if let Some(record) = entry.pods.get_mut(name).filter(|record| record.uid == uid) {
            record.state = State::Ending;
            entry.ending.insert(uid.to_owned());
            entry.changed.notify_one();
        }
    }

    fn forget_pod(&self, key: &PoolKey, name: &str, uid: &str) {
        let mut seen = self.seen();
        let Some(entry) = seen.pools.get_mut(key) else { return };
        entry.ending.remove(uid);
        if entry.pods.get(name).is_some_and(|record| record.uid == uid) {
            entry.pods.remove(name);
            entry.changed.notify_one();
        }
        seen.drop_unused(key);
    }

    /// All Pods of some namespaces were listed: what is not among these UIDs is gone.
    pub(crate) fn retain_pods(&self, covers: impl Fn(&str) -> bool, uids: &HashSet<String>) {
        let mut seen = self.seen();
        for (key, entry) in seen.pools.iter_mut().filter(|(key, _)| covers(&key.namespace)) {
            let before = entry.pods.len();
            entry.pods.retain(|_, pod| uids.contains(&pod.uid));
            let Entry { pods, ending, .. } = entry;
            ending.retain(|uid| pods.values().any(|pod| pod.uid == *uid));
            if entry.pods.len() != before {
                tracing::debug!(pool = %key, gone = before - entry.pods.len(), "Pods went while nobody watched");
                entry.changed.notify_one();
            }
        }
    }

    /// An object is there, or changed, or is gone.
    pub(crate) fn set_object(&self, key: &PoolKey, kind: &'static str, name: &str, look: Option<u64>) {
        let mut seen = self.seen();
        let entry = seen.pools.entry(key.clone()).or_default();
        let at = (kind, name.to_owned());
        let before = match look {
            Some(look) => entry.objects.insert(at, look),
            None => entry.objects.remove(&at),
        };
        if before != look {
            entry.changed.notify_one();
        }
        seen.drop_unused(key);
    }

    /// All objects of a kind in some namespaces were listed: what is not among these is gone.
    pub(crate) fn retain_objects(
        &self,
        kind: &'static str,
        covers: impl Fn(&str) -> bool,
        listed: &HashSet<(PoolKey, String)>,
    ) {
        let mut seen = self.seen();
        for (key, entry) in seen.pools.iter_mut().filter(|(key, _)| covers(&key.namespace)) {
            let before = entry.objects.len();
            entry
                .objects
                .retain(|(of, name), _| *of != kind || listed.contains(&(key.clone(), name.clone())));
            if entry.objects.len() != before {
                entry.changed.notify_one();
            }
        }
    }

    /// A node is there, or changed.
    pub(crate) fn apply_node(&self, node: &Node) {
        let changed = self.seen().nodes.apply(node, Instant::now());
        if changed {
            let name = node.metadata.name.clone().unwrap_or_default();
            self.notify_node(|node| node == name);
            self.node_changed.notify_one();
        }
    }

    /// A node is gone.
    pub(crate) fn delete_node(&self, node: &Node) {
        let name = node.metadata.name.clone().unwrap_or_default();
        self.seen().nodes.delete(&name, Instant::now());
        self.notify_node(|node| node == name);
        // Where most looked away, those that are left may be lost after all, in a while.
        self.node_changed.notify_one();
    }

    /// All nodes were listed.
    pub(crate) fn retain_nodes(&self, names: &HashSet<String>) {
        self.seen().nodes.retain(names, Instant::now());
        self.notify_node(|_| true);
        self.node_changed.notify_one();
    }

    /// Whether the nodes get time to show up.
    #[cfg(test)]
    pub(crate) fn nodes_are_spared(&self) -> bool {
        !self.seen().nodes.spare(Instant::now())
    }

    /// The API server did not answer as it should, until now.
    pub(crate) fn missed_api_server(&self) {
        if self.seen().nodes.spare(Instant::now()) {
            tracing::warn!(
                "the API server was away: nodes that are not ready get some time to show up before they count as lost"
            );
        }
        self.node_changed.notify_one();
    }

    fn notify_node(&self, is: impl Fn(&str) -> bool) {
        let seen = self.seen();
        for entry in seen.pools.values() {
            let on = |pod: &PodRecord| pod.node.as_deref().is_some_and(&is);
            if entry.pods.values().any(on) {
                entry.changed.notify_one();
            }
        }
    }

    /// Tells pools when a node has been not ready for so long that its Pods are given up. Runs for ever.
    pub async fn mind_nodes(&self) {
        loop {
            let due = self.seen().nodes.next(Instant::now());
            let time = async {
                match due {
                    Some(due) => sleep_until(due).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = time => self.notify_node(|_| true),
                () = self.node_changed.notified() => {}
            }
        }
    }
}

impl Seen {
    /// Strangers with our labels come and go: their pools are not kept.
    fn drop_unused(&mut self, key: &PoolKey) {
        let unused =
            |entry: &Entry| entry.pods.is_empty() && entry.objects.is_empty() && Arc::strong_count(&entry.changed) == 1;
        if self.pools.get(key).is_some_and(unused) {
            self.pools.remove(key);
        }
    }
}

#[cfg(test)]
mod tests;
