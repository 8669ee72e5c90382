//! A running pool as the commands see it: read it, edit it, wait for it.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use lbpool_api::{LoadBalancerPool, PoolSpec, PoolStatus, status::ConditionType};
use lbpool_core::{Observed, ValidPool, validate};
use tokio::{
    sync::{Notify, watch},
    time::timeout,
};

use crate::{Error, Prospect, fleet};

type Check = dyn Fn(&ValidPool) -> Result<(), fleet::Error> + Send + Sync;

/// Reads and edits a pool while its controller runs. Clones speak of the same pool.
#[derive(Clone)]
pub struct PoolHandle {
    shared: Arc<Shared>,
}

struct Shared {
    pool: watch::Sender<Arc<LoadBalancerPool>>,
    /// The newest generation whose routing is published.
    routed: watch::Sender<Routed>,
    /// Wakes the controller after an edit.
    edited: Notify,
    /// One edit at a time, so that of two each sees what the other did.
    editing: Mutex<()>,
    check: Box<Check>,
    /// What the last pass saw, for those who ask what a change would do; not kept of pools in a cluster, where nobody asks here.
    seen: Option<Mutex<Arc<Observed>>>,
}

/// How far the routing has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Routed {
    generation: i64,
    ended: bool,
}

// === impl PoolHandle ===

impl PoolHandle {
    /// Takes a pool for the first time: checked, with what an API server would have filled in.
    pub(crate) fn new(mut pool: LoadBalancerPool, check: Box<Check>) -> Result<Self, Error> {
        let metadata = &mut pool.metadata;
        metadata.namespace.get_or_insert_with(|| "default".to_owned());
        metadata.uid.get_or_insert_with(fleet::process::unique_id);
        metadata.generation.get_or_insert(1);
        metadata
            .creation_timestamp
            .get_or_insert_with(|| Time(Timestamp::now()));
        pool.status = None;
        check(&validate(&pool)?).map_err(Error::Unfit)?;
        let shared = Shared {
            pool: watch::Sender::new(Arc::new(pool)),
            routed: watch::Sender::new(Routed::default()),
            edited: Notify::new(),
            editing: Mutex::new(()),
            check,
            seen: Some(Mutex::default()),
        };
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    /// A pool that an API server keeps: taken as it is, and only [`PoolHandle::replace`] changes it.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn follow(pool: LoadBalancerPool) -> Self {
        let shared = Shared {
            pool: watch::Sender::new(Arc::new(pool)),
            routed: watch::Sender::new(Routed::default()),
            edited: Notify::new(),
            editing: Mutex::new(()),
            check: Box::new(|_| Ok(())),
            seen: None,
        };
        Self {
            shared: Arc::new(shared),
        }
    }

    /// Takes the pool as the API server has it now. Its status is ours: what was reported last stays.
    #[cfg(feature = "kubernetes")]
    pub(crate) fn replace(&self, mut pool: LoadBalancerPool) {
        let edited = self.shared.pool.send_if_modified(|present| {
            let edited = present.metadata.generation != pool.metadata.generation;
            pool.status.clone_from(&present.status);
            *present = Arc::new(pool);
            edited
        });
        if edited {
            self.shared.edited.notify_one();
        }
    }

    /// The pool as it is, with its status.
    #[must_use]
    pub fn get(&self) -> Arc<LoadBalancerPool> {
        Arc::clone(&self.shared.pool.borrow())
    }

    /// Follows the pool: its spec and its status.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<LoadBalancerPool>> {
        self.shared.pool.subscribe()
    }

    /// Gives the pool another spec. Returns the generation of what is in force afterwards: one more where the spec
    /// changed.
    ///
    /// # Errors
    /// Where the spec is wrong or its template can not be run here; the old one stays in force then.
    pub fn apply(&self, spec: PoolSpec) -> Result<i64, Error> {
        self.edit(|_| Ok(spec))
    }

    /// Gives the pool the spec that `edit` makes of the present one. Edits come one after the other: none is lost.
    ///
    /// # Errors
    /// What `edit` says; and as for [`PoolHandle::apply`].
    pub fn edit<E: From<Error>>(&self, edit: impl FnOnce(&LoadBalancerPool) -> Result<PoolSpec, E>) -> Result<i64, E> {
        let _one_at_a_time = lock(&self.shared.editing);
        let now = self.get();
        let generation = now.metadata.generation.unwrap_or(1);
        let spec = edit(&now)?;
        if spec == now.spec {
            return Ok(generation);
        }
        let mut next = self.checked(&now, spec)?;
        // The status may have been written meanwhile: only the rest is ours.
        self.shared.pool.send_modify(|pool| {
            next.status.clone_from(&pool.status);
            *pool = Arc::new(next);
        });
        self.shared.edited.notify_one();
        Ok(generation + 1)
    }

    /// What the edit would do, without doing it. From what the last pass saw: what is under way is part of it.
    ///
    /// # Errors
    /// As for [`PoolHandle::edit`].
    pub fn prospect<E: From<Error>>(
        &self,
        edit: impl FnOnce(&LoadBalancerPool) -> Result<PoolSpec, E>,
    ) -> Result<Prospect, E> {
        let now = self.get();
        let next = self.checked(&now, edit(&now)?)?;
        let seen = self.shared.seen.as_ref().map(|seen| Arc::clone(&lock(seen)));
        let seen = seen.map(|seen| Observed::clone(&seen)).unwrap_or_default();
        Ok(Prospect::new(LoadBalancerPool::clone(&now), next, seen))
    }

    /// The pool with another spec, if that is right and can be run here.
    fn checked(&self, now: &LoadBalancerPool, spec: PoolSpec) -> Result<LoadBalancerPool, Error> {
        let mut next = now.clone();
        next.spec = spec;
        next.metadata.generation = Some(now.metadata.generation.unwrap_or(1) + 1);
        (self.shared.check)(&validate(&next)?).map_err(Error::Unfit)?;
        Ok(next)
    }

    /// Waits until requests are routed by this generation or a later one: its policy is published, and its members
    /// have joined and the others left the table. Returns at once where that is so already.
    ///
    /// # Errors
    /// Where it takes longer than `within`: the change stays accepted, and the message says what it waits for.
    pub async fn routed(&self, generation: i64, within: Duration) -> Result<(), Error> {
        let mut routed = self.shared.routed.subscribe();
        let arrived = routed.wait_for(|routed| routed.ended || routed.generation >= generation);
        match timeout(within, arrived).await {
            Ok(Ok(routed)) if routed.generation >= generation => Ok(()),
            Ok(_) => Err(Error::Ended),
            Err(_) => Err(Error::NotRouted {
                generation,
                within,
                state: self.state(),
            }),
        }
    }

    /// What a person would say about the pool's state: the message of its Ready condition.
    fn state(&self) -> String {
        let pool = self.get();
        let conditions = pool.status.iter().flat_map(|status| &status.conditions);
        let troubles = conditions.filter(|condition| match condition.type_.as_str() {
            kind if kind == ConditionType::Ready.as_str() => condition.status != "True",
            kind if kind == ConditionType::Degraded.as_str() => condition.status == "True",
            _ => false,
        });
        let texts: Vec<&str> = troubles.map(|condition| condition.message.as_str()).collect();
        if texts.is_empty() {
            "its members are still joining or leaving".to_owned()
        } else {
            texts.join("; ")
        }
    }

    // === the controller's side ===

    pub(crate) async fn edited(&self) {
        self.shared.edited.notified().await;
    }

    pub(crate) fn report_seen(&self, seen: &Observed) {
        if let Some(last) = &self.shared.seen {
            *lock(last) = Arc::new(seen.clone());
        }
    }

    /// Writes the status; watchers hear of it only where it changed.
    pub(crate) fn report(&self, status: PoolStatus) {
        self.shared.pool.send_if_modified(|pool| {
            let changed = pool.status.as_ref() != Some(&status);
            if changed {
                Arc::make_mut(pool).status = Some(status);
            }
            changed
        });
    }

    pub(crate) fn report_routed(&self, generation: i64) {
        self.shared.routed.send_if_modified(|routed| {
            let further = generation > routed.generation;
            routed.generation = routed.generation.max(generation);
            further
        });
    }

    pub(crate) fn report_end(&self) {
        self.shared.routed.send_modify(|routed| routed.ended = true);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl std::fmt::Debug for PoolHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PoolHandle")
            .field("pool", &self.get().metadata.name)
            .finish_non_exhaustive()
    }
}
