//! Which members' Pods came and went, and how many there were at once.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex},
};

use serde_json::Value;
use tokio::task::JoinHandle;

use crate::{Cluster, Pod, Running, member_pods, running::selector};

/// Watches the members of a pool until it is asked.
#[derive(Debug)]
pub struct Census {
    state: Arc<Mutex<State>>,
    watch: JoinHandle<()>,
}

#[derive(Debug, Default)]
struct State {
    pods: BTreeMap<String, Pod>,
    seen: Seen,
}

/// What a census saw.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Pods that were made since it began.
    pub created: usize,
    /// Pods that were gone when it ended.
    pub deleted: usize,
    /// Most Pods at once that were not being deleted.
    pub most: usize,
    /// Fewest Pods at once that were ready and not being deleted.
    pub fewest_ready: usize,
}

impl Census {
    /// From now on.
    #[must_use]
    pub fn begin(pool: &Running, name: &str) -> Self {
        let cluster = Cluster::get();
        let path = format!(
            "{}labelSelector={}&",
            member_pods(pool.namespace()),
            selector(name, "member")
        );
        let list = cluster.api().get(path.trim_end_matches('&')).unwrap();
        let pods: BTreeMap<_, _> = list["items"]
            .as_array()
            .unwrap()
            .iter()
            .map(|pod| (Pod::new(pod).uid, Pod::new(pod)))
            .collect();
        let mut state = State {
            seen: Seen {
                fewest_ready: usize::MAX,
                ..Seen::default()
            },
            pods,
        };
        state.count();
        let state = Arc::new(Mutex::new(state));
        let (watched, api) = (state.clone(), cluster.api().clone());
        let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
        let watch = cluster.runtime().spawn(async move {
            api.watch(&path, &version, |event| {
                watched.lock().unwrap().apply(&event);
                true
            })
            .await;
        });
        Self { state, watch }
    }

    /// What was seen up to now.
    #[must_use]
    pub fn seen(&self) -> Seen {
        assert!(!self.watch.is_finished(), "the census lost its watch");
        self.state.lock().unwrap().seen.clone()
    }
}

impl Drop for Census {
    fn drop(&mut self) {
        self.watch.abort();
    }
}

impl State {
    fn apply(&mut self, event: &Value) {
        let pod = Pod::new(&event["object"]);
        match event["type"].as_str() {
            Some("ADDED") => {
                self.seen.created += 1;
                self.pods.insert(pod.uid.clone(), pod);
            }
            Some("MODIFIED") => {
                self.pods.insert(pod.uid.clone(), pod);
            }
            Some("DELETED") => {
                self.seen.deleted += 1;
                self.pods.remove(&pod.uid);
            }
            other => panic!("census: {other:?} {event}"),
        }
        self.count();
    }

    fn count(&mut self) {
        let staying = self.pods.values().filter(|pod| !pod.leaving);
        self.seen.most = self.seen.most.max(staying.clone().count());
        let ready = staying.filter(|pod| pod.ready).count();
        self.seen.fewest_ready = self.seen.fewest_ready.min(ready);
    }
}
