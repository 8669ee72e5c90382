//! A small API server: what a balancer lists, watches and changes, and the troubles of a real one.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Condvar, Mutex,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    thread,
};

use serde_json::{Value, json};

use crate::support::LONG;

/// The token that the balancer itself has.
pub const OWN: &str = "Bearer of-the-balancer";
const MAPS: &str = "/api/v1/namespaces/ns/configmaps?";
const SLICES: &str = "/apis/discovery.k8s.io/v1/namespaces/ns/endpointslices?";
const POOL: &str = "/apis/lbpool.dev/v1alpha1/namespaces/ns/loadbalancerpools/shop";

/// An API server at an address that stays the same when it is started again.
pub struct ApiServer {
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    store: Mutex<Store>,
    changed: Condvar,
    stopped: AtomicBool,
    connections: Mutex<Vec<TcpStream>>,
}

#[derive(Default)]
struct Store {
    version: u64,
    /// By the begin of their path and their name.
    objects: BTreeMap<(&'static str, String), Value>,
    /// Every change so far: version, begin of the path, kind of event, object.
    events: Vec<(u64, &'static str, &'static str, Value)>,
    /// Nothing is answered.
    frozen: bool,
    /// First line and credentials of each request.
    seen: Vec<(String, String)>,
}

// === impl ApiServer ===

impl ApiServer {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<State>::default();
        state.listen(listener);
        Self { address, state }
    }

    /// Ends: connections are reset, new ones refused.
    pub fn stop(&self) {
        self.state.stopped.store(true, SeqCst);
        // Wakes the listener.
        drop(TcpStream::connect(self.address));
        for stream in self.state.connections.lock().unwrap().drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        self.state.changed.notify_all();
    }

    /// Comes back where it was, with what it knew.
    pub fn start_again(&self) {
        self.state.stopped.store(false, SeqCst);
        let listener = TcpListener::bind(self.address).unwrap();
        self.state.listen(listener);
    }

    pub fn freeze(&self, frozen: bool) {
        self.state.store.lock().unwrap().frozen = frozen;
        self.state.changed.notify_all();
    }

    pub fn put_document(&self, uid: &str, document: &str) {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "shop-routing", "namespace": "ns", "uid": uid}, "data": {"routing.json": document}});
        self.put(MAPS, "shop-routing", Some(map));
    }

    pub fn delete_document(&self) {
        self.put(MAPS, "shop-routing", None);
    }

    /// A slice with one endpoint: of this Pod, there, and ready.
    pub fn put_slice(&self, name: &str, pod: &str, address: SocketAddr, ready: bool) {
        let slice = json!({"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv4",
            "metadata": {"name": name, "namespace": "ns", "labels": {"kubernetes.io/service-name": "shop-members"}},
            "ports": [{"port": address.port()}],
            "endpoints": [{"addresses": [address.ip()], "conditions": {"ready": ready},
                "targetRef": {"kind": "Pod", "name": pod}}]});
        self.put(SLICES, name, Some(slice));
    }

    pub fn put_pool(&self, replicas: u32) {
        let pool = json!({"apiVersion": "lbpool.dev/v1alpha1", "kind": "LoadBalancerPool",
            "metadata": {"name": "shop", "namespace": "ns", "uid": "p", "generation": 1},
            "spec": {"replicas": replicas, "template": {"spec": {"containers": [{"name": "m", "image": "v1"}]}}}});
        self.put(POOL, "", Some(pool));
    }

    pub fn pool(&self) -> Value {
        self.state.store.lock().unwrap().objects[&(POOL, String::new())].clone()
    }

    /// First line and credentials of each request so far.
    pub fn seen(&self) -> Vec<(String, String)> {
        self.state.store.lock().unwrap().seen.clone()
    }

    /// A file that tells how to reach it, with the balancer's own token.
    pub fn kubeconfig(&self, dir: &Path) -> PathBuf {
        let file = dir.join("kubeconfig");
        let config = json!({"apiVersion": "v1", "kind": "Config", "current-context": "c",
            "contexts": [{"name": "c", "context": {"cluster": "c", "user": "u", "namespace": "ns"}}],
            "clusters": [{"name": "c", "cluster": {"server": format!("http://{}", self.address)}}],
            "users": [{"name": "u", "user": {"token": OWN.strip_prefix("Bearer ").unwrap()}}]});
        std::fs::write(&file, config.to_string()).unwrap();
        file
    }

    fn put(&self, kind: &'static str, name: &str, object: Option<Value>) {
        self.state.store.lock().unwrap().put(kind, name, object);
        self.state.changed.notify_all();
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

// === impl Store ===

impl Store {
    fn put(&mut self, kind: &'static str, name: &str, object: Option<Value>) {
        self.version += 1;
        let version = self.version.to_string();
        let key = (kind, name.to_owned());
        let before = self.objects.remove(&key);
        let event = match (object, before) {
            (Some(mut object), before) => {
                object["metadata"]["resourceVersion"] = json!(version);
                self.objects.insert(key, object.clone());
                (if before.is_some() { "MODIFIED" } else { "ADDED" }, object)
            }
            (None, Some(mut object)) => {
                object["metadata"]["resourceVersion"] = json!(version);
                ("DELETED", object)
            }
            (None, None) => return,
        };
        self.events.push((self.version, kind, event.0, event.1));
    }
}

// === impl State ===

impl State {
    fn listen(self: &Arc<Self>, listener: TcpListener) {
        let state = Arc::clone(self);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if state.stopped.load(SeqCst) {
                    return;
                }
                state.connections.lock().unwrap().push(stream.try_clone().unwrap());
                let state = Arc::clone(&state);
                thread::spawn(move || state.serve(&stream));
            }
        });
    }

    /// Waits while nothing is answered.
    fn thawed(&self) -> std::sync::MutexGuard<'_, Store> {
        let store = self.store.lock().unwrap();
        self.changed
            .wait_while(store, |store| store.frozen && !self.stopped.load(SeqCst))
            .unwrap()
    }

    fn serve(&self, stream: &TcpStream) -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut out = stream.try_clone().ok()?;
        loop {
            let (mut first, mut token, mut length) = (String::new(), String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                let line = line.trim_end();
                let lower = line.to_ascii_lowercase();
                if line.is_empty() {
                    break;
                } else if first.is_empty() {
                    line.clone_into(&mut first);
                } else if lower.starts_with("authorization: ") {
                    line["authorization: ".len()..].clone_into(&mut token);
                } else if let Some(text) = lower.strip_prefix("content-length: ") {
                    length = text.parse().ok()?;
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).ok()?;
            let mut store = self.thawed();
            store.seen.push((first.clone(), token.clone()));
            let path = first.split(' ').nth(1)?.to_owned();
            let kind = [MAPS, SLICES].into_iter().find(|kind| path.starts_with(kind));
            let (status, answer) = match kind {
                Some(kind) if path.contains("watch=true") => {
                    drop(store);
                    return self.watch(&mut out, kind, &path);
                }
                Some(kind) => (200, list(&store, kind)),
                None => pool(&mut store, &first, &token, &body),
            };
            drop(store);
            let text = answer.to_string();
            write!(
                out,
                "HTTP/1.1 {status} X\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{text}",
                text.len()
            )
            .ok()?;
        }
    }

    fn watch(&self, out: &mut TcpStream, kind: &str, path: &str) -> Option<()> {
        let from = path.split("resourceVersion=").nth(1)?;
        let mut from: u64 = from.split('&').next()?.parse().ok()?;
        write!(out, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n").ok()?;
        loop {
            let store = self.thawed();
            let (store, _) = self
                .changed
                .wait_timeout_while(store, LONG, |store| {
                    !self.stopped.load(SeqCst) && (store.frozen || store.version <= from)
                })
                .unwrap();
            if self.stopped.load(SeqCst) {
                return None;
            }
            let new = store.events.iter().filter(|it| it.0 > from && it.1 == kind);
            let new: Vec<_> = new
                .map(|(_, _, event, object)| json!({"type": event, "object": object}))
                .collect();
            from = store.version;
            drop(store);
            for event in new {
                let line = format!("{event}\n");
                write!(out, "{:x}\r\n{line}\r\n", line.len()).ok()?;
            }
        }
    }
}

fn list(store: &Store, kind: &str) -> Value {
    let items = store.objects.iter().filter(|(key, _)| key.0 == kind);
    let items: Vec<_> = items.map(|(_, object)| object).collect();
    json!({"apiVersion": "v1", "kind": "List", "metadata": {"resourceVersion": store.version.to_string()},
        "items": items})
}

/// Tom may change the pool, everybody else with a token may read it.
fn pool(store: &mut Store, first: &str, token: &str, body: &[u8]) -> (u16, Value) {
    let refused = |code: u16, message: &str| {
        (
            code,
            json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": message}),
        )
    };
    let Some(mut pool) = store.objects.get(&(POOL, String::new())).cloned() else {
        return refused(404, "not found");
    };
    if token.is_empty() {
        return refused(401, "Unauthorized");
    }
    if first.starts_with("PATCH") {
        if token != "Bearer tom" {
            return refused(403, "loadbalancerpools.lbpool.dev \"shop\" is forbidden: cannot patch");
        }
        let patch: Value = serde_json::from_slice(body).unwrap();
        if patch["metadata"]["resourceVersion"] != pool["metadata"]["resourceVersion"] {
            return refused(409, "the object has been modified");
        }
        for (field, value) in patch["spec"].as_object().unwrap() {
            pool["spec"][field] = value.clone();
        }
        store.put(POOL, "", Some(pool.clone()));
    }
    (200, pool)
}
