//! The operator of the whole run.

use std::{sync::Mutex, time::Duration};

use jiff::Timestamp;
use serde_json::Value;

use crate::{Cluster, Pod, Running, Table, kubectl, wait_for};

/// Longer than an installation takes on a slow machine.
const LIMIT: Duration = Duration::from_mins(2);
/// How long an operator that begins gives nodes to show up, and a little more.
const SIGHT: Duration = Duration::from_secs(35);

/// Wakes the operator when dropped.
#[derive(Debug)]
pub struct Rest(Value);

impl Drop for Rest {
    fn drop(&mut self) {
        Operator::scale(&self.0);
        if !std::thread::panicking() {
            Operator::ready();
        }
    }
}

/// The operator, as deploy/ installs it.
#[derive(Debug)]
pub struct Operator;

impl Operator {
    /// Where it runs.
    pub const NAMESPACE: &str = "lbpool-system";
    /// Its Deployment, its Lease and its account.
    pub const NAME: &str = "lbpool-operator";
    /// Its account, as the API server calls it.
    pub const ACCOUNT: &str = "system:serviceaccount:lbpool-system:lbpool-operator";
    /// The manifests, from the root of the repository.
    pub const MANIFESTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy");
    /// The chart.
    pub const CHART: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../charts/lbpool");

    /// Applies deploy/ if there is no operator, and waits until it is ready.
    pub fn ensure_installed() {
        static INSTALLING: Mutex<()> = Mutex::new(());
        let _one = INSTALLING.lock();
        if Self::deployment().is_err() {
            let _ = Self::apply();
        }
        Self::ready();
    }

    /// `kubectl apply -f deploy/`, once: what it said.
    #[must_use]
    pub fn apply() -> String {
        // The sample lives here; by itself a cluster enforces nothing.
        let restricted = "pod-security.kubernetes.io/enforce=restricted";
        let _ = kubectl(&["label", "namespace", "default", restricted, "--overwrite"]).ok();
        kubectl(&["apply", "-f", Self::MANIFESTS]).ok()
    }

    /// Scales it to nothing, so that another one may drive pools; back to what it was when dropped.
    #[must_use]
    pub fn rest() -> Rest {
        let replicas = Self::deployment().unwrap_or_else(|error| panic!("{error}"))["spec"]["replicas"].clone();
        Self::scale(&Value::from(0));
        wait_for("the operator rests", LIMIT, || match Self::pods() {
            pods if pods.is_empty() => Ok(()),
            pods => Err(format!("{pods:?}")),
        });
        Rest(replicas)
    }

    fn scale(replicas: &Value) {
        let (name, replicas) = (format!("deployment/{}", Self::NAME), format!("--replicas={replicas}"));
        let _ = kubectl(&["-n", Self::NAMESPACE, "scale", &name, &replicas]).ok();
    }

    fn deployment() -> Result<Value, String> {
        let path = format!(
            "/apis/apps/v1/namespaces/{}/deployments/{}",
            Self::NAMESPACE,
            Self::NAME
        );
        Cluster::get().api().get(&path)
    }

    /// Waits until every replica runs the present template, is ready, and no old one is left.
    pub fn ready() {
        wait_for("the operator is ready", LIMIT, || {
            let deployment = Self::deployment()?;
            let (spec, status) = (&deployment["spec"], &deployment["status"]);
            let all = |field: &str| status[field] == spec["replicas"];
            let settled = status["observedGeneration"] == deployment["metadata"]["generation"]
                && all("replicas")
                && all("updatedReplicas")
                && all("readyReplicas");
            if settled { Ok(()) } else { Err(status.to_string()) }
        });
    }

    /// Its Pods, by name.
    #[must_use]
    pub fn pods() -> Vec<Pod> {
        let ours = "labelSelector=app.kubernetes.io%2Fcomponent%3Doperator";
        let path = format!("/api/v1/namespaces/{}/pods?{ours}", Self::NAMESPACE);
        let list = Cluster::get()
            .api()
            .get(&path)
            .unwrap_or_else(|error| panic!("{error}"));
        list["items"].as_array().unwrap().iter().map(Pod::new).collect()
    }

    /// The Pod that leads, once there is one.
    #[must_use]
    pub fn leader() -> Pod {
        wait_for("the operator has a leader", LIMIT, || {
            let holder = Self::holder()?;
            let pods = Self::pods();
            pods.iter()
                .find(|pod| !pod.name.is_empty() && holder.starts_with(&pod.name) && pod.ready)
                .cloned()
                .ok_or_else(|| format!("{holder} of {pods:?}"))
        })
    }

    /// Waits until the leader has run for so long that a node may count as lost: one that has just begun gives nodes time to
    /// show up.
    pub fn has_seen_nodes() {
        let created: Timestamp = Self::leader().created.parse().unwrap();
        wait_for("the operator has run for a while", LIMIT, || {
            let age = Timestamp::now().duration_since(created).unsigned_abs();
            if age > SIGHT { Ok(()) } else { Err(format!("{age:?}")) }
        });
    }

    /// Who holds the Lease.
    ///
    /// # Errors
    /// Nobody.
    pub fn holder() -> Result<String, String> {
        let path = format!(
            "/apis/coordination.k8s.io/v1/namespaces/{}/leases/{}",
            Self::NAMESPACE,
            Self::NAME
        );
        let lease = Cluster::get().api().get(&path)?;
        match lease["spec"]["holderIdentity"].as_str() {
            Some(holder) if !holder.is_empty() => Ok(holder.to_owned()),
            _ => Err("nobody holds the lease".to_owned()),
        }
    }

    /// A metric of one of its Pods: the sum of a family's samples.
    ///
    /// # Errors
    /// The Pod does not answer.
    pub fn metric(pod: &Pod, family: &str) -> Result<f64, String> {
        let path = format!(
            "/api/v1/namespaces/{}/pods/{}:9280/proxy/metrics",
            Self::NAMESPACE,
            pod.name
        );
        let text = Cluster::get().api().text(&path)?;
        let samples = text.lines().filter(|line| {
            line.strip_prefix(family)
                .is_some_and(|rest| rest.starts_with([' ', '{']))
        });
        Ok(samples
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .sum())
    }

    /// What all its Pods logged.
    #[must_use]
    pub fn logs() -> String {
        let log = |pod: &Pod| {
            let log = kubectl(&["-n", Self::NAMESPACE, "logs", &pod.name]).stdout;
            format!("-- {}\n{log}", pod.name)
        };
        Self::pods().iter().map(log).collect()
    }

    /// Removes everything that deploy/ installed.
    pub fn remove() {
        let _ = kubectl(&[
            "delete",
            "-f",
            Self::MANIFESTS,
            "--ignore-not-found",
            "--wait=true",
            "--timeout=120s",
        ])
        .ok();
    }

    /// The sample pool of deploy/.
    #[must_use]
    pub fn sample() -> Running {
        Running::existing("default", "demo")
    }

    /// Adds what the operator's processes take to a table.
    pub fn weigh(table: &mut Table) {
        let Some(harness) = Cluster::get().harness() else {
            return;
        };
        for pod in Self::pods() {
            let memory = harness.resident_megabytes(&pod).unwrap_or_default();
            table.row(&[&format_args!("memory of {}", pod.name), &format_args!("{memory:.1} MB")]);
        }
    }
}
