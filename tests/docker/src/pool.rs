//! A running `lbpool up --fleet docker`.

use std::{fs, net::SocketAddr, path::PathBuf, time::Duration};

use lbpool_tests::process::{Pool, Reply, Sandbox, Started, request, wait_for};
use rustix::process::Signal;
use serde_json::Value;

use super::{Engine, LIMIT};

/// A pool of sample servers, three by default.
#[must_use]
pub fn pool() -> Pool {
    Pool {
        command: "/bin/backend",
        ..Pool::default()
    }
}

/// A running `lbpool up --fleet docker`. Ends when dropped.
#[derive(Debug)]
pub struct Up<'a> {
    sandbox: &'a Sandbox,
    engine: &'a Engine,
    process: Started,
    file: PathBuf,
    address: SocketAddr,
}

/// The pool's file, with the image of this test.
fn text(engine: &Engine, pool: &Pool) -> String {
    pool.to_string().replace("lbpool/backend:0.1.0", &engine.image)
}

impl<'a> Up<'a> {
    /// Starts it, and waits until all its members serve.
    #[must_use]
    pub fn start(sandbox: &'a Sandbox, engine: &'a Engine, pool: &Pool, args: &[&str]) -> Self {
        let mut up = Self::begin(sandbox, engine, &text(engine, pool), args);
        up.settled(pool.replicas, pool.version);
        up
    }

    /// Starts it with a file, and waits for nothing.
    #[must_use]
    pub fn begin(sandbox: &'a Sandbox, engine: &'a Engine, text: &str, args: &[&str]) -> Self {
        let file = sandbox.write("fish.yaml", text);
        let address = sandbox.free_address();
        let port = address.port().to_string();
        let mut words = vec!["up", "--fleet", "docker", "-f", file.to_str().unwrap(), "--port", &port];
        words.extend(args);
        let process = sandbox.start("up", "lbpool", &words);
        Self {
            sandbox,
            engine,
            process,
            file,
            address,
        }
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

    /// The pool and its status, as `lbpool get` shows it.
    ///
    /// # Errors
    /// Whatever the command says.
    pub fn status(&self) -> Result<Value, String> {
        let outcome = self.sandbox.lbpool(&["get", "fish", "-o", "json"]);
        serde_json::from_str(&outcome.stdout).map_err(|error| format!("{error}: {outcome:?}"))
    }

    /// Reason and message of the condition Degraded, where it holds.
    ///
    /// # Errors
    /// It does not hold.
    pub fn degraded(&self) -> Result<(String, String), String> {
        let pool = self.status()?;
        let conditions = pool["status"]["conditions"].as_array().cloned().unwrap_or_default();
        let degraded = conditions
            .iter()
            .find(|condition| condition["type"] == "Degraded" && condition["status"] == "True");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        degraded
            .map(|condition| (text(&condition["reason"]), text(&condition["message"])))
            .ok_or_else(|| format!("{:#}", pool["status"]))
    }

    /// Scales, and waits until the pool has settled.
    pub fn scale(&mut self, replicas: u32, version: u32) {
        let _ = self
            .sandbox
            .lbpool(&["scale", "fish", "--replicas", &replicas.to_string()])
            .success();
        self.settled(replicas, version);
    }

    /// Applies another state of the pool, and waits for nothing.
    pub fn apply(&mut self, pool: &Pool) {
        fs::write(&self.file, text(self.engine, pool)).unwrap();
        let _ = self
            .sandbox
            .lbpool(&["apply", "-f", self.file.to_str().unwrap()])
            .success();
    }

    /// Waits until the pool is as it is wanted, says so, and exactly as many containers run, all with this template.
    pub fn settled(&mut self, replicas: u32, version: u32) {
        self.until("the pool has settled", |up| up.is_settled(replicas, version));
    }

    fn is_settled(&self, replicas: u32, version: u32) -> Result<(), String> {
        let pool = self.status()?;
        let (status, wanted) = (&pool["status"], Value::from(replicas));
        let serving = status["members"].as_array().is_some_and(|members| {
            members.len() == replicas as usize && members.iter().all(|member| member["state"] == "Serving")
        });
        let settled = serving
            && status["observedGeneration"] == pool["metadata"]["generation"]
            && status["readyReplicas"] == wanted
            && status["updatedReplicas"] == wanted;
        if !settled {
            return Err(format!("{status:#}"));
        }
        let containers = self.engine.containers("fish");
        let version = format!("TEST_VERSION={version}");
        let mut current = containers.len() == replicas as usize;
        for container in &containers {
            let format = "{{range .Config.Env}}{{println .}}{{end}}";
            let env = self.engine.inspect(&container.id, format)?;
            current &= container.state == "running" && env.lines().any(|line| line == version);
        }
        if current {
            Ok(())
        } else {
            Err(format!("{containers:?}, wanted {replicas} of {version}"))
        }
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

    /// Sends the process a signal.
    pub fn send(&self, signal: Signal) {
        self.process.send(signal);
    }

    /// Waits for its end: the exit code, and how long it took. `None`: a signal ended it.
    pub fn ended(&mut self) -> (Option<i32>, Duration) {
        self.process.ended()
    }
}
