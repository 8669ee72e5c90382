//! A members file: read at the start, and whenever it was replaced.

use std::{
    convert::Infallible,
    path::{Path, PathBuf},
    sync::{Arc, atomic::Ordering::Relaxed},
};

use anyhow::Context as _;
use lbpool_api::RoutingDocument;
use lbpool_balancer::{
    Balancer, Published,
    discovery::{file::MembersFile, names::Names},
    metrics::FileCounts,
};
use tokio::signal::unix::{Signal, SignalKind, signal};

use super::explain;

/// A members file that was read once.
pub struct File {
    path: PathBuf,
    members: MembersFile,
    document: RoutingDocument,
    counts: Arc<FileCounts>,
    hangup: Signal,
}

/// Follows the members file.
struct Follower<'a> {
    balancer: &'a Balancer,
    file: MembersFile,
    names: Names,
    counts: Arc<FileCounts>,
    hangup: Signal,
}

// === impl File ===

impl File {
    /// Reads the file.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let hangup = signal(SignalKind::hangup()).context("can not listen for SIGHUP")?;
        let (members, document) = MembersFile::open(path)?;
        Ok(Self {
            path: path.to_owned(),
            members,
            document,
            counts: Arc::default(),
            hangup,
        })
    }

    /// What it counts.
    pub fn counts(&self) -> Arc<FileCounts> {
        Arc::clone(&self.counts)
    }

    /// Routes by what the file says, for as long as it is polled. Calls `started` once it does for the first time.
    pub async fn follow(self, balancer: &Balancer, started: impl FnOnce()) -> anyhow::Result<Infallible> {
        let mut follower = Follower {
            balancer,
            file: self.members,
            names: Names::default(),
            counts: self.counts,
            hangup: self.hangup,
        };
        let first = follower.route(self.document).await;
        first.with_context(|| self.path.display().to_string())?;
        started();
        Ok(follower.follow().await)
    }
}

// === impl Follower ===

impl Follower<'_> {
    /// Routes by what the file says, for as long as it is polled.
    async fn follow(&mut self) -> Infallible {
        loop {
            let read = tokio::select! {
                read = self.file.changed() => read,
                document = self.names.changed() => {
                    self.follow_names(document).await;
                    continue;
                }
                _ = self.hangup.recv() => self.file.reload().await,
            };
            let outcome = match read {
                Ok(Some(document)) => self.route(document).await.map(Some).inspect_err(|_| self.file.refuse()),
                Ok(None) => Ok(None),
                Err(error) => Err(error.into()),
            };
            match outcome {
                Ok(routed) => {
                    self.counts.is_refused.store(false, Relaxed);
                    if routed.is_none() {
                        tracing::info!("members file: says what is routed by already");
                    }
                }
                Err(error) => {
                    self.counts.refused.fetch_add(1, Relaxed);
                    self.counts.is_refused.store(true, Relaxed);
                    tracing::error!("members file refused, the routing stays as it was: {}", explain(&error));
                }
            }
        }
    }

    /// Routes by other addresses of the same file: what is known of the file itself stays as it is.
    async fn follow_names(&mut self, resolved: RoutingDocument) {
        let epoch = self.file.count();
        if let Err(error) = self.balancer.publish(RoutingDocument { epoch, ..resolved }).await {
            tracing::error!("new addresses of names are not used: {error}");
        }
    }

    async fn route(&mut self, document: RoutingDocument) -> anyhow::Result<Published> {
        let before = self.names.clone();
        let resolved = self.names.resolve(document).await;
        let published = self.balancer.publish(resolved).await;
        if published.is_err() {
            // Those of the document that is routed by are looked up on.
            self.names = before;
        }
        let published = published?;
        self.counts.routed.fetch_add(1, Relaxed);
        Ok(published)
    }
}
