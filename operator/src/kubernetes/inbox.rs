//! Pools that changed and were not looked at yet: the newest of each, so that it never holds more than there are pools.

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, PoisonError},
};

use kube::{Resource as _, ResourceExt as _, core::DeserializeGuard, runtime::watcher::Event};
use lbpool_api::LoadBalancerPool;
use tokio::sync::Notify;

use super::PoolKey;

/// A pool as it came, readable or not.
pub(super) type Guarded = DeserializeGuard<LoadBalancerPool>;

/// What the watch of pools leaves for the manager.
#[derive(Debug, Default)]
pub(super) struct Inbox {
    waiting: Mutex<HashMap<PoolKey, Option<Guarded>>>,
    arrived: Notify,
}

/// One watch's side of it: knows what it has told of, so that what is missing from a new list is told as gone.
pub(super) struct Feed<'a> {
    inbox: &'a Inbox,
    present: HashSet<PoolKey>,
    listed: HashSet<PoolKey>,
}

// === impl Inbox ===

impl Inbox {
    pub(super) fn feed(&self) -> Feed<'_> {
        Feed {
            inbox: self,
            present: HashSet::new(),
            listed: HashSet::new(),
        }
    }

    /// Waits for changes and takes all of them; `None` is a pool that is gone.
    pub(super) async fn take(&self) -> HashMap<PoolKey, Option<Guarded>> {
        loop {
            let arrived = self.arrived.notified();
            let taken = self.taken();
            if !taken.is_empty() {
                return taken;
            }
            arrived.await;
        }
    }

    /// Takes all changes that have come so far.
    pub(super) fn taken(&self) -> HashMap<PoolKey, Option<Guarded>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, key: PoolKey, pool: Option<Guarded>) {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.insert(key, pool);
        self.arrived.notify_one();
    }
}

// === impl Feed ===

impl Feed<'_> {
    pub(super) fn take(&mut self, event: Event<Guarded>) {
        match event {
            Event::Init => self.listed.clear(),
            Event::InitApply(pool) => {
                self.listed.insert(key(&pool));
                self.apply(pool);
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                for gone in self.present.extract_if(|key| !listed.contains(key)) {
                    self.inbox.put(gone, None);
                }
            }
            Event::Apply(pool) => self.apply(pool),
            Event::Delete(pool) => {
                let key = key(&pool);
                self.present.remove(&key);
                self.inbox.put(key, None);
            }
        }
    }

    fn apply(&mut self, pool: Guarded) {
        let key = key(&pool);
        self.present.insert(key.clone());
        // The garbage collector removes what a pool has that is being deleted.
        let there = pool.meta().deletion_timestamp.is_none();
        self.inbox.put(key, there.then_some(pool));
    }
}

fn key(pool: &Guarded) -> PoolKey {
    PoolKey::new(&pool.namespace().unwrap_or_default(), &pool.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(name: &str) -> Guarded {
        let pool = serde_json::json!({
            "apiVersion": "lbpool.dev/v1alpha1", "kind": "LoadBalancerPool",
            "metadata": {"name": name, "namespace": "a"},
            "spec": {"template": {"spec": {"containers": [{"name": "main"}]}}},
        });
        serde_json::from_value(pool).unwrap()
    }

    #[tokio::test]
    async fn what_is_missing_from_a_new_list_is_gone() {
        let inbox = Inbox::default();
        let mut feed = inbox.feed();
        for event in [
            Event::Init,
            Event::InitApply(pool("x")),
            Event::InitApply(pool("y")),
            Event::InitDone,
        ] {
            feed.take(event);
        }
        assert_eq!(inbox.take().await.len(), 2);
        for event in [
            Event::Init,
            Event::InitApply(pool("y")),
            Event::InitDone,
            Event::Apply(pool("z")),
        ] {
            feed.take(event);
        }
        let told = inbox.take().await;
        let there = |name: &str| told.get(&PoolKey::new("a", name)).map(Option::is_some);
        assert_eq!(
            (there("x"), there("y"), there("z")),
            (Some(false), Some(true), Some(true))
        );
    }

    #[tokio::test]
    async fn of_several_changes_of_a_pool_the_last_one_counts() {
        let inbox = Inbox::default();
        let mut feed = inbox.feed();
        feed.take(Event::Apply(pool("x")));
        feed.take(Event::Delete(pool("x")));
        assert!(inbox.take().await[&PoolKey::new("a", "x")].is_none());
    }
}
