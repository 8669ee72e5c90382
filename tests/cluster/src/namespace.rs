//! A namespace per test.

use std::{
    fs,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::Duration,
};

use crate::{Cluster, Operator, Outcome, Pool, Running, kubectl, run, wait_for};

/// A namespace in which Pod Security's "restricted" is enforced. It is deleted when dropped; if the test fails, what is
/// in it is printed first.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// A new one. The operator is installed, if it is not yet.
    #[must_use]
    pub fn new(test: &str) -> Self {
        Operator::ensure_installed();
        Self::without_operator(test)
    }

    /// A new one, whether or not there is an operator.
    #[must_use]
    pub fn without_operator(test: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("e2e-{test}-{:x}-{count}", std::process::id());
        let manifest = format!(
            "{{apiVersion: v1, kind: Namespace, metadata: {{name: {name}, labels: {{\
             pod-security.kubernetes.io/enforce: restricted, lbpool.dev/e2e: 'true'}}}}}}"
        );
        let _ = run("kubectl", &["apply", "-f", "-"], &manifest).ok();
        let account = format!("/api/v1/namespaces/{name}/serviceaccounts/default");
        wait_for("the namespace's service account", Duration::from_secs(30), || {
            Cluster::get().api().get(&account)
        });
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// `kubectl` in this namespace.
    #[must_use]
    pub fn kubectl(&self, args: &[&str]) -> Outcome {
        kubectl(&[&["-n", &self.name], args].concat())
    }

    /// `kubectl apply` of a manifest in this namespace.
    #[must_use]
    pub fn apply(&self, manifest: &str) -> Outcome {
        run("kubectl", &["-n", &self.name, "apply", "-f", "-"], manifest)
    }

    /// Applies a pool and waits until it serves.
    #[must_use]
    pub fn pool(&self, pool: &Pool) -> Running {
        let _ = self.apply(&pool.to_string()).ok();
        let running = Running::new(&self.name, pool.name);
        running.settled(pool.replicas);
        running
    }

    /// What lies at a path below this namespace, such as `/api/v1`, `pods`.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn get(&self, group: &str, rest: &str) -> Result<serde_json::Value, String> {
        Cluster::get()
            .api()
            .get(&format!("{group}/namespaces/{}/{rest}", self.name))
    }

    fn dump(&self) {
        println!("-- what is in {}:", self.name);
        for args in [
            &["get", "lbpool,pods,endpointslices", "-o", "wide"][..],
            &["get", "lbpool", "-o", "yaml"],
            &["get", "events", "--sort-by=.lastTimestamp"],
        ] {
            println!("{}", self.kubectl(args).stdout);
        }
        let logs = Operator::logs();
        // All of it is in a file: the last lines alone rarely hold the cause.
        let file = std::env::temp_dir().join(format!("{}.log", self.name));
        drop(fs::write(&file, &logs));
        let lines: Vec<_> = logs.lines().collect();
        println!("-- the operator's last lines (all: {}):", file.display());
        for line in &lines[lines.len().saturating_sub(60)..] {
            println!("{line}");
        }
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if thread::panicking() {
            self.dump();
        }
        let _ = kubectl(&["delete", "namespace", &self.name, "--wait=false"]);
    }
}
