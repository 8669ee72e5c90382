//! Routing documents from a cluster: a pool's ConfigMap and the EndpointSlices of its members, watched and nothing else.
//!
//! Two watches feed an [`Index`]; what follows from it is routed by at once. While the API server does not answer, routing
//! goes on by what is known; a balancer that starts in such a time routes by the snapshot that it keeps on disk.

pub mod client;
mod slice;
mod watch;

use std::{
    convert::Infallible,
    path::PathBuf,
    pin::pin,
    sync::{Arc, atomic::Ordering::Relaxed},
    time::Duration,
};

use kube::Client;
use lbpool_api::RoutingDocument;
use tokio::{
    sync::{mpsc, watch as latest},
    time::{Instant, sleep_until},
};

use super::{
    document::{self, Addresses, Problems},
    index::{Found, Index, Offer, Resolved},
    stored,
};
use crate::{Balancer, Error, metrics::ClusterCounts, stats::bucket};
use watch::{Ears, Event, Heard, Watches};

/// How long a start waits for the API server before it routes by what else is known.
const PATIENCE: Duration = Duration::from_secs(2);
/// The pause before watches are started anew that ended by a bug.
const AGAIN: Duration = Duration::from_secs(1);
/// Events that wait while a document is put into use.
const EVENTS: usize = 1024;
/// The key of the ConfigMap that holds the document.
pub const KEY: &str = "routing.json";

/// Which pool is served, and where its snapshot is kept.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Name of the pool.
    pub pool: String,
    /// Its namespace.
    pub namespace: String,
    /// The snapshot's file. `None`: there is none.
    pub snapshot: Option<PathBuf>,
}

/// Why a ConfigMap holds no routing document that can be used.
#[derive(Debug, thiserror::Error)]
enum Unusable {
    #[error("it has no key {KEY}")]
    Key,
    #[error("{KEY}: {0}")]
    Parse(#[from] serde_json::Error),
    #[error("{KEY}: {0}")]
    Wrong(#[from] Problems),
    #[error("{KEY}: epoch must be 1 or more")]
    Epoch,
    #[error("{KEY}: it is of pool {0:?}")]
    Pool(String),
}

/// Follows a pool in a cluster.
struct Follower<'a> {
    balancer: &'a Balancer,
    settings: Settings,
    counts: Arc<ClusterCounts>,
    index: Index,
    /// What is routed by.
    routed: Option<RoutingDocument>,
    /// Whether the first list of slices is known.
    listed: bool,
    /// When what else is known is routed by, although lists are missing. `None`: that is over.
    patience: Option<Instant>,
    /// When to look again although nothing was heard.
    again: Option<Instant>,
    /// When the first event was heard that is not routed by yet.
    since: Option<Instant>,
    snapshots: latest::Sender<Option<Found>>,
}

/// Routes by what the cluster says, for as long as it is polled.
pub async fn follow(client: Client, settings: Settings, counts: Arc<ClusterCounts>, balancer: &Balancer) -> Infallible {
    let (heard, events) = mpsc::channel(EVENTS);
    let mut watches = Watches::new(Ears {
        client,
        settings: settings.clone(),
        counts: Arc::clone(&counts),
        to: heard,
    });
    watches.start(Duration::ZERO);
    let (snapshots, receiver) = latest::channel(None);
    let writer = {
        let (file, counts) = (settings.snapshot.clone(), Arc::clone(&counts));
        async move {
            if let Some(file) = file {
                stored::write(file, receiver, &counts).await;
            }
            std::future::pending::<Infallible>().await
        }
    };
    let mut follower = Follower {
        balancer,
        settings,
        counts,
        index: Index::default(),
        routed: None,
        listed: false,
        patience: Some(Instant::now() + PATIENCE),
        again: None,
        since: None,
        snapshots,
    };
    let (mut writer, mut following) = (pin!(writer), pin!(follower.run(events)));
    loop {
        tokio::select! {
            never = &mut writer => match never {},
            never = &mut following => match never {},
            () = watches.ended() => watches.start(AGAIN),
        }
    }
}

// === impl Follower ===

impl Follower<'_> {
    async fn run(&mut self, mut events: mpsc::Receiver<Heard>) -> Infallible {
        loop {
            tokio::select! {
                heard = events.recv() => match heard {
                    Some(heard) => self.note(heard),
                    None => std::future::pending().await,
                },
                () = at(self.again) => {}
                () = at(self.patience) => self.lose_patience(),
            }
            // What came while a document was put into use is one change.
            while let Ok(heard) = events.try_recv() {
                self.note(heard);
            }
            if self.listed || self.patience.is_none() {
                self.route().await;
            }
        }
    }

    fn note(&mut self, Heard { event, at }: Heard) {
        self.since.get_or_insert(at);
        match event {
            Event::Document { uid, text } => self.offer(uid, text.as_deref(), at),
            Event::NoDocument => tracing::warn!(
                "ConfigMap {}-routing is not there: routing stays as it is",
                self.settings.pool
            ),
            Event::Slices(all) => {
                self.index.reset(all);
                self.listed = true;
            }
            Event::Slice(name, endpoints) => self.index.apply(name, endpoints),
            Event::NoSlice(name) => self.index.delete(&name),
            // The API server does not answer: whatever else is known is better than to wait.
            Event::Failed => {
                if self.patience.is_some() {
                    self.lose_patience();
                }
            }
        }
    }

    fn offer(&mut self, uid: String, text: Option<&str>, now: Instant) {
        let document = match parse(text, &self.settings.pool) {
            Ok(document) => document,
            Err(error) => return self.refuse(&error),
        };
        let epoch = document.epoch;
        match self.index.offer(Found { uid, document }, now) {
            Offer::Taken | Offer::Same => {}
            Offer::Older(present) => {
                self.counts.older.inc();
                tracing::warn!(
                    epoch,
                    present,
                    "the routing document is older than the present one: ignored"
                );
            }
        }
    }

    fn refuse(&self, error: &dyn std::error::Error) {
        self.counts.refused.inc();
        tracing::error!("routing document refused, the routing stays as it was: {error}");
    }

    /// Goes on with what is known by now: the document without slices, or the snapshot of an earlier life.
    fn lose_patience(&mut self) {
        self.patience = None;
        let (None, Some(file)) = (self.index.found(), &self.settings.snapshot) else {
            return;
        };
        match stored::load(file, &self.settings.pool) {
            Ok(None) => {}
            Ok(Some(found)) => {
                tracing::warn!(file = %file.display(), epoch = found.document.epoch,
                    "the API server does not tell: routing by the snapshot");
                self.index.resume(found);
            }
            Err(error) => tracing::warn!("snapshot {} is not used: it {error}", file.display()),
        }
    }

    /// Routes by what follows from all that is known.
    async fn route(&mut self) {
        let since = self.since.take();
        while let Some(resolved) = self.index.resolve(Instant::now()) {
            let Resolved {
                document,
                doubted,
                again,
            } = resolved;
            self.again = again;
            self.doubt(&doubted);
            if self.routed.as_ref() == Some(&document) {
                self.index.accept();
                self.balancer.shared().suspect_pods(&doubted);
                return;
            }
            match self.balancer.replace(document.clone()).await {
                Ok(_) => {}
                // The workers have it, or will in a moment.
                Err(error @ Error::Stalled { .. }) => tracing::error!("{error}"),
                Err(Error::Ended) => return,
                Err(error) => {
                    self.refuse(&error);
                    if self.index.reject() {
                        continue;
                    }
                    return;
                }
            }
            self.index.accept();
            self.balancer.shared().suspect_pods(&doubted);
            self.tell(document, since);
            return;
        }
    }

    /// Tells once when slices begin to be doubted, and when that is over.
    fn doubt(&self, doubted: &[String]) {
        let before = self.counts.doubted.swap(doubted.len() as u64, Relaxed);
        if before == 0 && !doubted.is_empty() {
            tracing::warn!(
                pods = ?doubted,
                "the endpoints of most members are not ready at once, or that of the last one: the routing document's word counts, ejection and probes go on"
            );
        } else if before > 0 && doubted.is_empty() {
            tracing::info!("most members' endpoints are ready again: they decide who serves");
        }
    }

    fn tell(&mut self, document: RoutingDocument, since: Option<Instant>) {
        // The first one waits for both lists: it is a start and no change.
        if let (Some(since), Some(_)) = (since, &self.routed) {
            let delay = since.elapsed();
            let micros = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
            self.counts.delay[bucket(micros)].inc();
            self.counts.delay_sum.add(micros);
            tracing::debug!(epoch = document.epoch, ?delay, "event to routed");
        }
        if self.routed.as_ref().is_none_or(|routed| routed.epoch != document.epoch) {
            self.counts.routed.inc();
        }
        if let Some(kept) = self.index.keep(&document) {
            self.snapshots.send_if_modified(|last| {
                let changed = last.as_ref() != Some(&kept);
                *last = Some(kept);
                changed
            });
        }
        self.routed = Some(document);
    }
}

async fn at(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => std::future::pending().await,
    }
}

/// The document that a program wrote: fields that a newer one of its kind knows are passed over.
fn parse(text: Option<&str>, pool: &str) -> Result<RoutingDocument, Unusable> {
    let document: RoutingDocument = serde_json::from_str(text.ok_or(Unusable::Key)?)?;
    document::check(&document, Addresses::Elsewhere)?;
    if document.epoch == 0 {
        return Err(Unusable::Epoch);
    }
    if document.pool != pool {
        return Err(Unusable::Pool(document.pool));
    }
    Ok(document)
}
