//! Fills the index: one watch per kind, streaming lists, and a gate that opens when each has seen its first list.

use std::{collections::HashSet, fmt::Debug, future::Future, pin::Pin, sync::Arc, time::Duration};

use futures_util::{StreamExt as _, future::join_all};
use k8s_openapi::{
    NamespaceResourceScope,
    api::{
        apps::v1::Deployment,
        core::v1::{ConfigMap, Node, Pod, Service, ServiceAccount},
        discovery::v1::EndpointSlice,
        policy::v1::PodDisruptionBudget,
        rbac::v1::{Role, RoleBinding},
    },
};
use kube::{
    Api, Client, Resource, ResourceExt as _,
    runtime::{
        WatchStreamExt as _,
        utils::Backoff,
        watcher::{self, Event, watcher},
    },
};
use lbpool_api::names::LABEL_POOL;
use lbpool_core::build::MANAGED_BY;
use serde::{Serialize, de::DeserializeOwned};
use tokio::sync::watch;

use super::{
    index::{Index, PoolKey},
    objects,
};

/// A watch with nothing to tell ends by itself after so long and is begun again where it was: what is dead is noticed.
pub(crate) const QUIET: Duration = Duration::from_secs(25);
/// Pauses between attempts to watch.
const PAUSES: (Duration, Duration) = (Duration::from_millis(200), Duration::from_secs(3));

/// Which namespaces are watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    /// All of them.
    Cluster,
    /// These.
    Namespaces(Vec<String>),
}

/// All watches of the operator but that of the pools.
pub struct Watches {
    client: Client,
    index: Arc<Index>,
    scope: Scope,
    all: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
    gates: Arc<watch::Sender<usize>>,
}

/// Tells that a watch has seen its first list.
pub(crate) struct Gate {
    unlisted: Arc<watch::Sender<usize>>,
    open: bool,
}

/// Doubles from the first pause to the longest.
#[derive(Clone, Debug)]
struct Pauses(Duration);

// === impl Scope ===

impl Scope {
    /// The API of a kind, for each place that is watched, and which namespaces that place has.
    pub(crate) fn apis<K>(&self, client: &Client) -> Vec<(Api<K>, Option<String>)>
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>,
    {
        match self {
            Self::Cluster => vec![(Api::all(client.clone()), None)],
            Self::Namespaces(names) => names
                .iter()
                .map(|name| (Api::namespaced(client.clone(), name), Some(name.clone())))
                .collect(),
        }
    }
}

// === impl Watches ===

impl Watches {
    /// Watches for `index`. Nothing is asked before [`Watches::run`].
    #[must_use]
    pub fn new(client: &Client, index: &Arc<Index>, scope: &Scope) -> Self {
        let mut watches = Self {
            client: client.clone(),
            index: Arc::clone(index),
            scope: scope.clone(),
            all: Vec::new(),
            gates: Arc::new(watch::Sender::new(0)),
        };
        watches.pods();
        watches.nodes();
        watches.objects::<ServiceAccount>(LABEL_POOL);
        watches.objects::<Role>(LABEL_POOL);
        watches.objects::<RoleBinding>(LABEL_POOL);
        watches.objects::<ConfigMap>(LABEL_POOL);
        watches.objects::<Service>(LABEL_POOL);
        watches.objects::<Deployment>(LABEL_POOL);
        watches.objects::<PodDisruptionBudget>(LABEL_POOL);
        watches
    }

    /// Watches the `EndpointSlices` that are of our making too: only where members are no Pods there are any.
    pub fn add_slices(&mut self) {
        let (label, by) = MANAGED_BY;
        self.objects::<EndpointSlice>(&format!("{LABEL_POOL},{label}={by}"));
    }

    /// Tells when every watch has seen its first list: no pass may come before.
    #[must_use]
    pub fn listed(&self) -> watch::Receiver<usize> {
        self.gates.subscribe()
    }

    /// Watches for ever.
    pub async fn run(self) {
        join_all(self.all).await;
    }

    fn pods(&mut self) {
        for (api, place) in self.scope.apis::<Pod>(&self.client) {
            let index = Arc::clone(&self.index);
            let mut listed = HashSet::new();
            let on_event = move |event: Event<Pod>| match event {
                Event::Init => listed.clear(),
                Event::InitApply(pod) => {
                    listed.insert(pod.uid().unwrap_or_default());
                    index.apply_pod(&pod);
                }
                Event::InitDone => index.retain_pods(covers(place.as_deref()), &std::mem::take(&mut listed)),
                Event::Apply(pod) => index.apply_pod(&pod),
                Event::Delete(pod) => index.delete_pod(&pod),
            };
            self.all
                .push(Box::pin(follow(api, LABEL_POOL, Gate::new(&self.gates), on_event)));
        }
    }

    fn nodes(&mut self) {
        let watched = Arc::clone(&self.index);
        let mut listed = HashSet::new();
        let on_event = move |event: Event<Node>| match event {
            Event::Init => listed.clear(),
            Event::InitApply(node) => {
                listed.insert(node.name_any());
                watched.apply_node(&node);
            }
            Event::InitDone => watched.retain_nodes(&std::mem::take(&mut listed)),
            Event::Apply(node) => watched.apply_node(&node),
            Event::Delete(node) => watched.delete_node(&node),
        };
        let api = Api::all(self.client.clone());
        let gate = Gate::new(&self.gates);
        self.all.push(Box::pin(follow(api, "", gate, on_event)));
        let minded = Arc::clone(&self.index);
        self.all.push(Box::pin(async move { minded.mind_nodes().await }));
    }

    fn objects<K>(&mut self, labels: &str)
    where
        K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
            + k8s_openapi::Resource
            + Clone
            + Debug
            + DeserializeOwned
            + Serialize
            + Send
            + 'static,
    {
        for (api, place) in self.scope.apis::<K>(&self.client) {
            let index = Arc::clone(&self.index);
            let mut listed = HashSet::new();
            let kind = <K as k8s_openapi::Resource>::KIND;
            let set = move |index: &Index, object: &K, there: bool| {
                let place = place_of(object)?;
                index.set_object(&place.0, kind, &place.1, there.then(|| objects::look(object)));
                Some(place)
            };
            let on_event = move |event: Event<K>| match event {
                Event::Init => listed.clear(),
                Event::InitApply(object) => listed.extend(set(&index, &object, true)),
                Event::InitDone => {
                    index.retain_objects(kind, covers(place.as_deref()), &std::mem::take(&mut listed));
                }
                Event::Apply(object) => _ = set(&index, &object, true),
                Event::Delete(object) => _ = set(&index, &object, false),
            };
            let (labels, gate) = (labels.to_owned(), Gate::new(&self.gates));
            self.all
                .push(Box::pin(async move { follow(api, &labels, gate, on_event).await }));
        }
    }
}

impl Debug for Watches {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watches")
            .field("watches", &self.all.len())
            .finish_non_exhaustive()
    }
}

fn covers(place: Option<&str>) -> impl Fn(&str) -> bool + use<'_> {
    move |namespace| place.is_none_or(|place| place == namespace)
}

fn place_of<K: Resource>(object: &K) -> Option<(PoolKey, String)> {
    let pool = object.labels().get(LABEL_POOL)?;
    Some((PoolKey::new(&object.namespace()?, pool), object.name_any()))
}

// === following ===

/// Hands each event of a watch to `on_event`, for ever. What fails is tried again, soon.
pub(crate) async fn follow<K>(api: Api<K>, labels: &str, mut gate: Gate, mut on_event: impl FnMut(Event<K>))
where
    K: Resource<DynamicType: Default + Clone> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let mut lists = Lists::Streamed;
    loop {
        let events = watcher(api.clone(), lists.config(labels)).backoff(Pauses::new());
        let mut events = std::pin::pin!(events);
        while let Some(event) = events.next().await {
            match event {
                Ok(event) => {
                    let listed = matches!(event, Event::InitDone);
                    on_event(event);
                    if listed {
                        gate.open();
                    }
                }
                Err(error) if lists == Lists::Streamed && refuses_streams(&error) => {
                    lists = Lists::Paged;
                    break;
                }
                Err(error) => {
                    let kind = K::kind(&K::DynamicType::default()).into_owned();
                    tracing::warn!(kind, error = chain(&error), "a watch ended, begun again");
                }
            }
        }
    }
}

/// How a watch gets what is there at its begin.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Lists {
    /// As events of the watch itself, which takes a tenth of the memory: Kubernetes 1.32, and 1.34 and later.
    Streamed,
    /// In pages.
    Paged,
}

impl Lists {
    fn config(self, labels: &str) -> watcher::Config {
        let config = watcher::Config::default()
            .timeout(u32::try_from(QUIET.as_secs()).unwrap_or(u32::MAX))
            .labels(labels);
        match self {
            Self::Streamed => config.streaming_lists(),
            Self::Paged => config.page_size(100),
        }
    }
}

/// An API server that does not know streaming lists says that the request is invalid.
fn refuses_streams(error: &watcher::Error) -> bool {
    let watcher::Error::WatchStartFailed(kube::Error::Api(status)) = error else {
        return false;
    };
    matches!(status.code, 400 | 403 | 422) && status.message.contains("sendInitialEvents")
}

/// An error with its causes, in one line.
pub(crate) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

// === impl Gate ===

impl Gate {
    pub(crate) fn new(unlisted: &Arc<watch::Sender<usize>>) -> Self {
        unlisted.send_modify(|count| *count += 1);
        Self {
            unlisted: Arc::clone(unlisted),
            open: false,
        }
    }

    fn open(&mut self) {
        if !self.open {
            self.open = true;
            self.unlisted.send_modify(|count| *count -= 1);
        }
    }
}

// === impl Pauses ===

impl Pauses {
    const fn new() -> Self {
        Self(PAUSES.0)
    }
}

impl Iterator for Pauses {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let now = self.0;
        self.0 = (now * 2).min(PAUSES.1);
        Some(now)
    }
}

impl Backoff for Pauses {
    fn reset(&mut self) {
        self.0 = PAUSES.0;
    }
}
