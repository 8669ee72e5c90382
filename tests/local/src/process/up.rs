//! A running `lbpool up`.

use std::{
    fs,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    sync::atomic::{AtomicU16, Ordering},
    time::Duration,
};

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::Instant;

use super::{Pool, Process, Reply, Sandbox, Started, request, started::LIMIT, wait_for};

/// A running `lbpool up`. Ends when dropped.
#[derive(Debug)]
pub struct Up<'a> {
    sandbox: &'a Sandbox,
    process: Started,
    pool: &'static str,
    file: PathBuf,
    address: SocketAddr,
    /// From the start of the process to the first answer of a member.
    pub ready_after: Duration,
}

impl<'a> Up<'a> {
    pub(super) fn start(sandbox: &'a Sandbox, pool: &Pool) -> Self {
        let file = sandbox.write(&format!("{}.yaml", pool.name), &pool.to_string());
        let address = free_address();
        let began = Instant::now();
        let command = sandbox.command(&[
            "up",
            "-f",
            file.to_str().unwrap(),
            "--port",
            &address.port().to_string(),
        ]);
        let process = Started::new("lbpool up", command, sandbox.path().join("up.log"));
        let mut up = Self {
            sandbox,
            process,
            pool: pool.name,
            file,
            address,
            ready_after: Duration::ZERO,
        };
        up.until("the first answer", |up| match up.get("/home") {
            Ok(Reply { status: 200, .. }) => Ok(()),
            other => Err(format!("{other:?}")),
        });
        up.ready_after = began.elapsed();
        up.settled(pool.replicas, pool.version);
        up
    }

    /// Where it serves.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// GET on the pool's port.
    ///
    /// # Errors
    /// No answer.
    pub fn get(&self, path: &str) -> std::io::Result<Reply> {
        request(self.address, "GET", path, "", "")
    }

    /// Any request to the pool's port.
    #[must_use]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Reply {
        request(self.address, method, path, "", body).unwrap_or_else(|error| panic!("{error}{}", self.output()))
    }

    /// The pool and its status, as `lbpool get` shows it.
    ///
    /// # Errors
    /// Whatever the command says.
    pub fn status(&self) -> Result<Value, String> {
        let outcome = self.sandbox.lbpool(&["get", self.pool, "-o", "json"]);
        serde_json::from_str(&outcome.stdout).map_err(|error| format!("{error}: {outcome:?}"))
    }

    /// Members that run, by seat.
    #[must_use]
    pub fn members(&self) -> Vec<Process> {
        let mut members = self.sandbox.processes();
        members.retain(|process| process.program == "backend");
        members.sort_by(|a, b| (&a.seat, a.started).cmp(&(&b.seat, b.started)));
        members
    }

    /// The newest process in a seat.
    #[must_use]
    pub fn member(&self, seat: &str) -> Option<Process> {
        self.members()
            .into_iter()
            .rfind(|member| member.seat.as_deref() == Some(seat))
    }

    /// Scales with `lbpool scale`, and waits until the pool has settled.
    pub fn scale(&mut self, replicas: u32, version: u32) {
        let _ = self
            .sandbox
            .lbpool(&["scale", self.pool, "--replicas", &replicas.to_string()])
            .success();
        self.settled(replicas, version);
    }

    /// Applies another state of the pool with `lbpool apply`, and waits until it has settled.
    pub fn apply(&mut self, pool: &Pool) {
        fs::write(&self.file, pool.to_string()).unwrap();
        let _ = self
            .sandbox
            .lbpool(&["apply", "-f", self.file.to_str().unwrap()])
            .success();
        self.settled(pool.replicas, pool.version);
    }

    /// Waits until the pool is as it is wanted, says so, and exactly as many members run, all with this template.
    pub fn settled(&mut self, replicas: u32, version: u32) {
        self.until("the pool has settled", |up| up.is_settled(replicas, version));
    }

    fn is_settled(&self, replicas: u32, version: u32) -> Result<(), String> {
        let members = self.members();
        let version = format!("TEST_VERSION={version}");
        let current = |member: &Process| {
            let environment = fs::read(format!("/proc/{}/environ", member.pid)).unwrap_or_default();
            environment
                .split(|byte| *byte == 0)
                .any(|variable| variable == version.as_bytes())
        };
        if members.len() != replicas as usize || !members.iter().all(current) {
            return Err(format!("{members:?}, wanted {replicas} of {version}"));
        }
        let pool = self.status()?;
        let (status, wanted) = (&pool["status"], Value::from(replicas));
        let serving = status["members"].as_array().is_some_and(|members| {
            members.len() == replicas as usize && members.iter().all(|member| member["state"] == "Serving")
        });
        let settled = serving
            && status["observedGeneration"] == pool["metadata"]["generation"]
            && status["readyReplicas"] == wanted
            && status["updatedReplicas"] == wanted;
        if settled { Ok(()) } else { Err(format!("{status:#}")) }
    }

    /// Waits for something to become true of this pool.
    pub fn until<T>(&mut self, what: &str, mut check: impl FnMut(&Self) -> Result<T, String>) -> T {
        wait_for(what, LIMIT, || {
            self.process.assert_runs();
            check(self).map_err(|reason| format!("{reason}\n{}", self.output()))
        })
    }

    /// What it has written so far.
    #[must_use]
    pub fn output(&self) -> String {
        self.process.output()
    }

    /// Sends the process, and not its members, a signal.
    pub fn send(&self, signal: Signal) {
        self.process.send(signal);
    }

    /// Waits for its end: the exit code, and how long it took. `None`: a signal ended it.
    pub fn ended(&mut self) -> (Option<i32>, Duration) {
        self.process.ended()
    }
}

/// An address that no outgoing connection takes and no member of a pool is given.
pub(super) fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(61_000);
    let free = || {
        let port = NEXT.fetch_add(1, Ordering::Relaxed);
        assert!(port < 65_000, "no port between 61000 and 65000 is free");
        TcpListener::bind(("127.0.0.1", port)).ok().map(|_| port)
    };
    let port = std::iter::repeat_with(free).find_map(|port| port).unwrap_or_default();
    SocketAddr::from(([127, 0, 0, 1], port))
}
