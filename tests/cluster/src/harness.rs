//! What breaks things: tests/cluster/harness/cluster.

use std::{
    fs,
    path::{Path, PathBuf},
};

use crate::{Pod, run};

/// The command that runs the cluster.
#[derive(Debug)]
pub struct Harness {
    command: PathBuf,
    state: PathBuf,
}

/// A fault that ends with the test, whatever becomes of it.
#[must_use]
#[derive(Debug)]
pub struct Fault<'a> {
    harness: &'a Harness,
    heal: [String; 2],
}

impl Harness {
    pub(crate) fn new(command: &Path) -> Self {
        let command = command.to_owned();
        let state = run(command.to_str().unwrap(), &["state"], "").ok();
        Self {
            command,
            state: PathBuf::from(state.trim()),
        }
    }

    /// Runs the command.
    pub fn run(&self, args: &[&str]) {
        let _ = run(self.command.to_str().unwrap(), args, "").ok();
    }

    /// Where every write to the API server is written down.
    #[must_use]
    pub fn audit_log(&self) -> PathBuf {
        self.state.join("audit.log")
    }

    /// What autoscalers see as the value of a metric.
    pub fn metric(&self, name: &str, value: u32) {
        self.run(&["metrics"]);
        fs::write(self.state.join("metrics").join(name), value.to_string()).unwrap();
    }

    /// SIGKILL to the first process of a Pod's container.
    pub fn kill(&self, pod: &Pod) {
        let node = number(&pod.node);
        self.run(&["fault", "kill-container", node, &pod.container]);
    }

    /// Memory of a Pod's first process, in MB.
    #[must_use]
    pub fn resident_megabytes(&self, pod: &Pod) -> Option<f64> {
        let command = self.command.to_str().unwrap();
        let pid = run(command, &["pid", number(&pod.node), &pod.container], "").ok();
        let status = fs::read_to_string(format!("/proc/{}/status", pid.trim())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
        let kibibytes: f64 = line.trim().trim_end_matches(" kB").parse().ok()?;
        Some(kibibytes * 1024.0 / 1e6)
    }

    /// Cuts a node's network.
    pub fn cut_node(&self, node: &str) -> Fault<'_> {
        self.fault("cut-node", "join-node", number(node))
    }

    /// Takes the power from a node.
    pub fn stop_node(&self, node: &str) -> Fault<'_> {
        self.fault("stop-node", "start-node", number(node))
    }

    /// Drops every packet between a Pod and the API server.
    pub fn cut_pod(&self, ip: &str) -> Fault<'_> {
        self.fault("cut-pod", "join-pod", ip)
    }

    /// Freezes the API server.
    pub fn pause_apiserver(&self) -> Fault<'_> {
        self.fault("pause-apiserver", "resume-apiserver", "")
    }

    /// Freezes what tells the API server of a node; its containers run on.
    pub fn pause_kubelet(&self, node: &str) -> Fault<'_> {
        self.fault("pause-kubelet", "resume-kubelet", number(node))
    }

    fn fault(&self, fault: &str, heal: &str, target: &str) -> Fault<'_> {
        self.run(&["fault", fault, target]);
        Fault {
            harness: self,
            heal: [heal.to_owned(), target.to_owned()],
        }
    }
}

/// Nodes are called node-0, node-1, ...
fn number(node: &str) -> &str {
    node.strip_prefix("node-").unwrap()
}

impl Drop for Fault<'_> {
    fn drop(&mut self) {
        let [heal, target] = &self.heal;
        self.harness.run(&["fault", heal, target]);
    }
}
