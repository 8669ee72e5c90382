//! A fleet in a folder of its own, a pool over it, balancers that only take notes, and what to wait for.

use std::{
    fs,
    future::Future,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    time::Duration,
};

use lbpool_api::{LoadBalancerPool, RoutingDocument, routing::RoutedMember, status::SeatState};
use lbpool_core::{
    BalancerReport, Instance, Phase, Reason, ValidPool,
    plan::{Create, Delete},
    validate,
};
use lbpool_operator::{
    Balancers, Fleet, PoolHandle,
    balancers::Refused,
    controller,
    fleet::process::{ProcessConfig, ProcessFleet},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{oneshot, watch},
    task::JoinSet,
    time::{sleep, timeout},
};

/// Longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// An example of this crate, built along with the tests.
pub fn example(name: &str) -> PathBuf {
    let exe = std::env::current_exe().unwrap();
    let path = exe.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(
        path.exists(),
        "{} is missing: cargo build -p lbpool-operator --examples",
        path.display()
    );
    path
}

/// A spec whose members run `command`, with short periods.
pub fn spec(replicas: u32, command: &[&str]) -> serde_json::Value {
    serde_json::json!({
        "replicas": replicas,
        "health": {"period": "50ms", "timeout": "500ms"},
        "update": {"drainTimeout": "10s"},
        "template": {"spec": {
            "terminationGracePeriodSeconds": 5,
            "containers": [{"name": "member", "command": command}],
        }},
    })
}

/// The pool `quiz` with this spec.
pub fn pool(spec: &serde_json::Value) -> LoadBalancerPool {
    serde_json::from_value(serde_json::json!({
        "apiVersion": "lbpool.dev/v1alpha1",
        "kind": "LoadBalancerPool",
        "metadata": {"name": "quiz"},
        "spec": spec,
    }))
    .unwrap()
}

/// A spec with ordinary members.
pub fn members(replicas: u32) -> serde_json::Value {
    spec(replicas, &[example("member").to_str().unwrap()])
}

/// A shell script as a member; `$MEMBER` is the ordinary one.
pub fn shell(replicas: u32, script: &str) -> serde_json::Value {
    let mut spec = spec(replicas, &["sh", "-c", script]);
    spec["template"]["spec"]["containers"][0]["env"] =
        serde_json::json!([{"name": "MEMBER", "value": example("member").to_str().unwrap()}]);
    spec
}

pub fn config(dir: &Path) -> ProcessConfig {
    ProcessConfig {
        runtime_dir: dir.to_owned(),
        log_dir: dir.join("logs"),
        search_path: std::env::var_os("PATH").unwrap(),
        guard: Some(example("member")),
        ..ProcessConfig::default()
    }
}

/// A fleet without a controller.
pub struct Bare {
    pub fleet: ProcessFleet,
    pub pool: ValidPool,
    pub dir: tempfile::TempDir,
}

impl Bare {
    pub fn new(spec: &serde_json::Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fleet = ProcessFleet::new(config(dir.path())).unwrap();
        Self {
            fleet,
            pool: validate(&pool(spec)).unwrap(),
            dir,
        }
    }

    pub fn order(name: &str) -> Create {
        Create {
            name: name.to_owned(),
            seat: "Quiz-0".parse().unwrap(),
            template: "t".to_owned(),
            replaces: None,
            reason: Reason::SeatEmpty,
        }
    }

    pub async fn create(&self, name: &str) -> Result<lbpool_operator::Created, lbpool_operator::fleet::Error> {
        self.fleet.create(&self.pool, &Self::order(name)).await
    }

    pub async fn delete(&self, instance: &Instance, grace: Duration) {
        let Instance { id, name, seat, .. } = instance.clone();
        self.fleet
            .delete(
                &Delete {
                    id,
                    name,
                    seat,
                    reason: Reason::Surplus,
                },
                grace,
            )
            .await
            .unwrap();
    }

    /// Waits until the instances look like this.
    pub async fn until(&self, wanted: impl Fn(&[Instance]) -> bool) -> Vec<Instance> {
        within("the instances to change", async {
            loop {
                let seen = self.fleet.observe().await.unwrap();
                if wanted(&seen) {
                    return seen;
                }
                self.fleet.changed().await;
            }
        })
        .await
    }

    /// Waits until the one instance is in this phase.
    pub async fn phase(&self, phase: Phase) -> Instance {
        self.until(|seen| matches!(seen, [one] if one.phase == phase))
            .await
            .remove(0)
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.dir.path().join("logs/Quiz-0.log")).unwrap()
    }
}

/// Balancers that take notes, and say what a test wants.
#[derive(Default)]
pub struct Notes {
    pub documents: Mutex<Vec<RoutingDocument>>,
    /// Requests in flight, by instance.
    pub in_flight: Mutex<Vec<(String, u64)>>,
    pub refuse: Mutex<u32>,
}

impl Balancers for Notes {
    async fn publish(&self, document: &RoutingDocument) -> Result<(), Refused> {
        let mut refuse = self.refuse.lock().unwrap();
        if *refuse > 0 {
            *refuse -= 1;
            return Err(Refused("not now".into()));
        }
        self.documents.lock().unwrap().push(document.clone());
        Ok(())
    }

    async fn reports(&self) -> Vec<BalancerReport> {
        let epoch = self
            .documents
            .lock()
            .unwrap()
            .last()
            .map_or(0, |document| document.epoch);
        vec![BalancerReport {
            name: "notes".into(),
            epoch,
            in_flight: self.in_flight.lock().unwrap().clone(),
        }]
    }
}

/// A pool that runs.
pub struct Running {
    pub handle: PoolHandle,
    pub notes: Arc<Notes>,
    pub fleet: Arc<ProcessFleet>,
    pub metrics: lbpool_operator::Metrics,
    pub dir: tempfile::TempDir,
    stop: Option<oneshot::Sender<()>>,
    tasks: JoinSet<()>,
}

impl Running {
    pub fn start(spec: &serde_json::Value) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let fleet = Arc::new(ProcessFleet::new(config(dir.path())).unwrap());
        let notes = Arc::new(Notes::default());
        let (controller, handle) = controller(pool(spec), Arc::clone(&fleet), Arc::clone(&notes)).unwrap();
        let metrics = lbpool_operator::Metrics::default();
        let controller = controller.with_metrics(metrics.clone());
        let (stop, stopped) = oneshot::channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(controller.run(async {
            _ = stopped.await;
        }));
        Self {
            handle,
            notes,
            fleet,
            metrics,
            dir,
            stop: Some(stop),
            tasks,
        }
    }

    /// Waits until the pool is fully ready and nothing is left to do.
    pub async fn settled(&self) -> LoadBalancerPool {
        let seats = usize::try_from(self.handle.get().spec.replicas).unwrap();
        let settled = self.until(move |pool| {
            let Some(status) = &pool.status else { return false };
            status.observed_generation == pool.metadata.generation
                && status.ready == format!("{seats}/{seats}")
                && status.members.len() == seats
                && status.updated_replicas == pool.spec.replicas
        });
        let pool = settled.await;
        within("the old ones to end", async {
            while self.seen().await.len() != seats {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
        pool
    }

    pub async fn until(&self, wanted: impl Fn(&LoadBalancerPool) -> bool) -> LoadBalancerPool {
        let mut watch: watch::Receiver<_> = self.handle.watch();
        let found = timeout(PATIENCE, watch.wait_for(|pool| wanted(pool))).await.is_ok();
        let pool = LoadBalancerPool::clone(&self.handle.get());
        assert!(found, "the pool did not get there: {:#?}", pool.status);
        pool
    }

    /// Replaces fields of the spec.
    pub fn edit(&self, change: impl FnOnce(&mut lbpool_api::PoolSpec)) -> i64 {
        let mut spec = self.handle.get().spec.clone();
        change(&mut spec);
        self.handle.apply(spec).unwrap()
    }

    pub fn documents(&self) -> Vec<RoutingDocument> {
        self.notes.documents.lock().unwrap().clone()
    }

    pub fn routed(&self) -> Vec<RoutedMember> {
        self.documents().pop().unwrap().members
    }

    /// Process ids, by what the members are written down as.
    pub fn pids(&self) -> Vec<u32> {
        pids(self.dir.path())
    }

    /// What the member in this seat answers, by the routing document.
    pub async fn ask(&self, seat: &str) -> String {
        let member = self
            .routed()
            .into_iter()
            .find(|member| member.name.as_str() == seat)
            .unwrap();
        assert_eq!(member.state, SeatState::Serving);
        get(member.address.unwrap().parse().unwrap()).await.unwrap()
    }

    pub async fn seen(&self) -> Vec<Instance> {
        self.fleet.observe().await.unwrap()
    }

    pub async fn shutdown(mut self) -> tempfile::TempDir {
        self.stop.take().unwrap().send(()).unwrap();
        within("the pool to end", self.tasks.join_next())
            .await
            .unwrap()
            .unwrap();
        self.dir
    }
}

/// Process ids of the members that are written down below `dir`.
pub fn pids(dir: &Path) -> Vec<u32> {
    let names = fs::read_dir(dir.join("members"))
        .unwrap()
        .map(|file| file.unwrap().file_name());
    names
        .map(|name| name.to_str().unwrap().strip_suffix(".json").unwrap().parse().unwrap())
        .collect()
}

/// Whether a process runs; one that has ended and was not reaped does not.
pub fn runs(pid: u32) -> bool {
    fs::read_to_string(format!("/proc/{pid}/stat"))
        .is_ok_and(|stat| !stat.rsplit_once(") ").unwrap().1.starts_with('Z'))
}

pub fn signal(pid: u32, signal: rustix::process::Signal) {
    let pid = rustix::process::Pid::from_raw(i32::try_from(pid).unwrap()).unwrap();
    rustix::process::kill_process(pid, signal).unwrap();
}

/// Waits for a process to end, which has no event that a stranger could await.
pub async fn ended(pid: u32) {
    within("a process to end", async {
        while runs(pid) {
            sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

/// Waits for a file that holds a number in a line of its own.
pub async fn number_in(path: &Path) -> u32 {
    within("a file to be written", async {
        loop {
            match fs::read_to_string(path) {
                Ok(text) if text.ends_with('\n') => return text.trim().parse().unwrap(),
                _ => sleep(Duration::from_millis(5)).await,
            }
        }
    })
    .await
}

/// The body of an answer.
pub async fn get(address: SocketAddr) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.rsplit("\r\n\r\n").next().unwrap().to_owned())
}

pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future)
        .await
        .unwrap_or_else(|_| panic!("waited too long for {what}"))
}
