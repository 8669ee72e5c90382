//! A controller for each pool of the cluster.

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures_util::future::join_all;
use kube::{
    Api, ResourceExt as _,
    runtime::events::{Recorder, Reporter as Source},
};
use lbpool_api::LoadBalancerPool;
use tokio::{
    sync::{Semaphore, mpsc, watch},
    task::{AbortHandle, JoinSet},
    time::timeout,
};
use tracing::Instrument as _;

use super::{
    Access, KubernetesBalancers, PoolKey,
    access::WRITER,
    inbox::{Guarded, Inbox},
    report::Reporter,
    site::{Pools, Site},
    watch::{Gate, Scope, follow},
};
use crate::{
    Controller, PoolHandle,
    controller::{Bounds, Notice},
};

/// Passes that may be under way at the same time.
const PASSES: usize = 16;
/// What happens within so long is looked at once.
const DEBOUNCE: Duration = Duration::from_millis(20);
/// Notices of one pool that wait to be written; further ones are left out.
const NOTICES: usize = 32;
/// How long passes that are under way may take to finish at the end.
const END: Duration = Duration::from_secs(5);

/// Runs a controller for each pool.
pub struct Manager<S> {
    access: Access,
    scope: Scope,
    site: S,
    /// Which pools there are, those that can not be read included.
    present: watch::Sender<Pools>,
    recorder: Recorder,
    passes: Arc<Semaphore>,
    pools: HashMap<PoolKey, Running>,
    tasks: JoinSet<()>,
    stop: watch::Sender<bool>,
}

/// A pool that is driven.
struct Running {
    uid: String,
    handle: PoolHandle,
    task: AbortHandle,
}

// === impl Manager ===

impl<S: Site> Manager<S> {
    /// A manager of the pools in `scope`, whose members run at `site`. `identity` is who it says it is in Events.
    #[must_use]
    pub fn new(access: Access, scope: Scope, site: S, identity: String) -> Self {
        let source = Source {
            controller: WRITER.to_owned(),
            instance: Some(identity),
        };
        Self {
            recorder: Recorder::new(access.client.clone(), source),
            access,
            scope,
            site,
            present: watch::Sender::default(),
            passes: Arc::new(Semaphore::new(PASSES)),
            pools: HashMap::new(),
            tasks: JoinSet::new(),
            stop: watch::Sender::new(false),
        }
    }

    /// Drives all pools until `stop`: passes that are under way are finished, members stay. No pass runs before every
    /// index has seen its first list.
    pub async fn run(mut self, mut listed: watch::Receiver<usize>, stop: impl Future<Output = ()>) {
        let mut stop = std::pin::pin!(stop);
        tokio::select! {
            () = &mut stop => return,
            _ = listed.wait_for(|unlisted| *unlisted == 0) => {}
        }
        let inbox = Inbox::default();
        let gates = Arc::new(watch::Sender::new(0));
        let follows = self
            .scope
            .apis::<Guarded>(&self.access.client)
            .into_iter()
            .map(|(api, _): (Api<Guarded>, _)| {
                let mut feed = inbox.feed();
                follow(api, "", Gate::new(&gates), move |event| feed.take(event))
            });
        let mut follows = std::pin::pin!(join_all(follows.collect::<Vec<_>>()));
        let mut unlisted = gates.subscribe();
        let tended = self
            .site
            .clone()
            .tend(self.access.clone(), self.scope.clone(), self.present.subscribe());
        let mut tended = std::pin::pin!(tended);
        loop {
            let complete = self.present.borrow().complete;
            tokio::select! {
                () = &mut stop => break,
                _ = &mut follows => break,
                () = &mut tended => break,
                news = inbox.take() => self.take(news),
                // What a first list had is in the inbox before its gate opens.
                () = async { _ = unlisted.wait_for(|unlisted| *unlisted == 0).await }, if !complete => {
                    self.take(inbox.taken());
                    self.present.send_modify(|present| present.complete = true);
                }
                Some(ended) = self.tasks.join_next(), if !self.tasks.is_empty() => {
                    if let Err(error) = ended && error.is_panic() {
                        tracing::error!(%error, "the controller of a pool failed: the operator ends, to be started anew");
                        break;
                    }
                }
            }
        }
        self.stop.send_replace(true);
        let ended = async { while self.tasks.join_next().await.is_some() {} };
        if timeout(END, ended).await.is_err() {
            tracing::warn!("passes are cut: they took too long to finish");
        }
    }

    fn take(&mut self, news: HashMap<PoolKey, Option<Guarded>>) {
        for (key, pool) in news {
            match pool {
                Some(pool) => self.apply(key, pool),
                None => self.remove(&key),
            }
        }
        self.access.metrics.pools(self.pools.len());
    }

    fn apply(&mut self, key: PoolKey, pool: Guarded) {
        let uid = pool.uid().unwrap_or_default();
        // Before anything runs for it: what has no pool that is known may be ended.
        self.present.send_if_modified(|present| present.insert(&key, &uid));
        let pool = match pool.0 {
            Ok(pool) => pool,
            Err(error) => {
                // What runs goes on as it was; the next edit is looked at again.
                tracing::warn!(pool = %key, error = %error.error, "a pool can not be read and is left alone");
                self.access.metrics.failure(crate::Category::Spec);
                return;
            }
        };
        match self.pools.get(&key) {
            Some(running) if running.uid == uid => running.handle.replace(pool),
            _ => {
                self.let_go(&key);
                self.start(key, uid, pool);
            }
        }
    }

    fn start(&mut self, key: PoolKey, uid: String, pool: LoadBalancerPool) {
        tracing::info!(pool = %key, "taken on");
        let handle = PoolHandle::follow(pool);
        let (notices, told) = mpsc::channel::<Notice>(NOTICES);
        let fleet = self
            .site
            .fleet(self.access.clone(), key.clone(), uid.clone(), notices.clone());
        let balancers = KubernetesBalancers::new(self.access.clone(), key.clone(), uid.clone());
        let controller = Controller::new(handle.clone(), fleet, balancers)
            .with_metrics(self.access.metrics.clone())
            .with_bounds(Bounds {
                passes: Arc::clone(&self.passes),
                debounce: DEBOUNCE,
            })
            .with_notices(notices);
        let reporter = Reporter::new(self.access.clone(), self.recorder.clone(), handle.clone());
        let mut stop = self.stop.subscribe();
        // Each line of the log about a pool names it.
        let span = tracing::info_span!("pool", name = %key);
        let drive = async move {
            let stopped = async move { _ = stop.wait_for(|stop| *stop).await };
            tokio::select! {
                () = controller.run(stopped) => {}
                () = reporter.run(told) => {}
            }
        };
        let task = self.tasks.spawn(drive.instrument(span));
        self.pools.insert(key, Running { uid, handle, task });
    }

    fn remove(&mut self, key: &PoolKey) {
        self.let_go(key);
        self.present.send_if_modified(|present| present.remove(key));
    }

    fn let_go(&mut self, key: &PoolKey) {
        if let Some(running) = self.pools.remove(key) {
            tracing::info!(pool = %key, "let go");
            running.task.abort();
        }
    }
}

impl<S> std::fmt::Debug for Manager<S> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Manager")
            .field("pools", &self.pools.len())
            .finish_non_exhaustive()
    }
}
