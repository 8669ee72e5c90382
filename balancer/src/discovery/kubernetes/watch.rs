//! The two watches, each a task: what is heard goes to the follower with the time when it was heard.

use std::{
    fmt::Debug,
    hash::{BuildHasher as _, RandomState},
    pin::pin,
    sync::Arc,
    time::Duration,
};

use futures_util::StreamExt as _;
use k8s_openapi::api::{core::v1::ConfigMap, discovery::v1::EndpointSlice};
use kube::{
    Api, Client, Resource,
    runtime::{watcher, watcher::Event as Watched},
};
use serde::de::DeserializeOwned;
use tokio::{
    sync::mpsc::Sender,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{KEY, Settings, slice};
use crate::{discovery::index::Endpoint, metrics::ClusterCounts, stats::Count};

/// The pause after the first failure, which doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(100);
/// The longest pause: so much later than the API server is back, we are.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Time between two lines in the log about the same trouble.
const QUIET: Duration = Duration::from_secs(30);
/// Seconds after which the API server ends a watch, to be started again where it was. A connection that is dead is found
/// out long before: see `client`.
const WATCH: u32 = 240;

/// What a watch needs.
#[derive(Clone)]
pub(super) struct Ears {
    pub client: Client,
    pub settings: Settings,
    pub counts: Arc<ClusterCounts>,
    /// Where it tells what it heard.
    pub to: Sender<Heard>,
}

/// Both watches.
pub(super) struct Watches {
    ears: Ears,
    tasks: JoinSet<()>,
}

/// What was heard, and when.
#[derive(Debug)]
pub(super) struct Heard {
    pub event: Event,
    pub at: Instant,
}

/// What was heard.
#[derive(Debug)]
pub(super) enum Event {
    /// The ConfigMap is there or was changed.
    Document { uid: String, text: Option<String> },
    /// The ConfigMap is not there.
    NoDocument,
    /// These slices are all.
    Slices(Vec<(String, Vec<Endpoint>)>),
    /// A slice is new or was changed.
    Slice(String, Vec<Endpoint>),
    /// A slice is gone.
    NoSlice(String),
    /// The API server refused, or did not answer.
    Failed,
}

// === impl Watches ===

impl Watches {
    /// Not started yet.
    pub fn new(ears: Ears) -> Self {
        let tasks = JoinSet::new();
        Self { ears, tasks }
    }

    /// Starts both, behind a pause.
    pub fn start(&mut self, pause: Duration) {
        let (one, other) = (self.ears.clone(), self.ears.clone());
        self.tasks.spawn(async move {
            sleep(pause).await;
            document(one).await;
        });
        self.tasks.spawn(async move {
            sleep(pause).await;
            slices(other).await;
        });
    }

    /// Waits until one of them ends, which is a bug: both are ended then.
    pub async fn ended(&mut self) {
        if let Some(Err(error)) = self.tasks.join_next().await {
            tracing::error!(%error, "a watch was lost to a bug: both are started anew");
        }
        self.tasks.shutdown().await;
    }
}

/// Watches the pool's ConfigMap, by name: a role may be restricted to it.
async fn document(ears: Ears) {
    let Ears {
        client,
        settings,
        counts,
        to,
    } = ears;
    let maps = Api::<ConfigMap>::namespaced(client, &settings.namespace);
    let name = format!("metadata.name={}-routing", settings.pool);
    let config = watcher::Config::default().fields(&name).timeout(WATCH);
    let mut is_there = false;
    let hear = move |event| match event {
        Watched::Init => {
            is_there = false;
            None
        }
        Watched::InitApply(map) | Watched::Apply(map) => {
            is_there = true;
            Some(found(map))
        }
        Watched::InitDone if is_there => None,
        Watched::InitDone | Watched::Delete(_) => Some(Event::NoDocument),
    };
    follow(maps, config, "routing document", &counts.document_errors, hear, &to).await;
}

/// Watches the slices of the members' Service.
async fn slices(ears: Ears) {
    let Ears {
        client,
        settings,
        counts,
        to,
    } = ears;
    let slices = Api::<EndpointSlice>::namespaced(client, &settings.namespace);
    let label = format!("kubernetes.io/service-name={}-members", settings.pool);
    let config = watcher::Config::default().labels(&label).timeout(WATCH);
    let mut all = Vec::new();
    let hear = move |event| match event {
        Watched::Init => {
            all.clear();
            None
        }
        Watched::InitApply(one) => {
            all.push(slice::endpoints(&one));
            None
        }
        Watched::InitDone => Some(Event::Slices(std::mem::take(&mut all))),
        Watched::Apply(one) => {
            let (name, endpoints) = slice::endpoints(&one);
            Some(Event::Slice(name, endpoints))
        }
        Watched::Delete(one) => Some(Event::NoSlice(one.metadata.name.unwrap_or_default())),
    };
    follow(slices, config, "endpoints", &counts.endpoint_errors, hear, &to).await;
}

fn found(mut map: ConfigMap) -> Event {
    Event::Document {
        uid: map.metadata.uid.take().unwrap_or_default(),
        text: map.data.as_mut().and_then(|data| data.remove(KEY)),
    }
}

/// Plain lists, not streamed ones: the two are of some objects each, and every server has them.
async fn follow<K>(
    api: Api<K>,
    config: watcher::Config,
    what: &str,
    errors: &Count,
    mut hear: impl FnMut(Watched<K>) -> Option<Event>,
    to: &Sender<Heard>,
) where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let mut events = pin!(watcher(api, config));
    let mut pause = FIRST_PAUSE;
    let mut told: Option<Instant> = None;
    while let Some(event) = events.next().await {
        let event = match event {
            Ok(event) => {
                // The begin of a list is no success: it was not asked for yet.
                if !matches!(event, Watched::Init) {
                    pause = FIRST_PAUSE;
                    if told.take().is_some() {
                        tracing::info!("{what}: heard of again");
                    }
                }
                hear(event)
            }
            Err(error) => {
                errors.inc();
                if told.is_none_or(|told| told.elapsed() >= QUIET) {
                    told = Some(Instant::now());
                    tracing::warn!("{what}: nothing is heard, routing stays as it is: {}", explain(&error));
                } else {
                    tracing::debug!("{what}: {error}");
                }
                sleep(spread(pause)).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
                Some(Event::Failed)
            }
        };
        let at = Instant::now();
        if let Some(event) = event
            && to.send(Heard { event, at }).await.is_err()
        {
            return;
        }
    }
}

/// Half of a pause to all of it: balancers that lost the same API server do not come back at the same instant.
fn spread(pause: Duration) -> Duration {
    let share = u32::try_from(RandomState::new().hash_one(pause) % 512).unwrap_or_default();
    pause / 2 + pause * share / 1024
}

/// An error and its causes, each once.
fn explain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let more = error.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = error.source();
    }
    text
}
