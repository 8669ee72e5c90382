//! A pool that runs in the cluster.

use std::{net::SocketAddr, thread, time::Duration};

use serde_json::{Value, json};

use crate::{Api, Cluster, kubectl, wait_for};

/// Longer than anything takes on a slow machine.
const LIMIT: Duration = Duration::from_mins(2);

/// A pool in a namespace.
#[derive(Clone, Debug)]
pub struct Running {
    namespace: String,
    name: String,
}

/// As much of a Pod as tests look at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its UID.
    pub uid: String,
    /// When it was made.
    pub created: String,
    /// The seat that it sits in, in lower case; empty for others than members.
    pub seat: String,
    /// Where it runs; empty before it is scheduled.
    pub node: String,
    /// Its address; empty before it has one.
    pub ip: String,
    /// Its container, as the runtime calls it.
    pub container: String,
    /// How often the container was started again.
    pub restarts: u64,
    /// Whether it is ready.
    pub ready: bool,
    /// Whether it is being deleted.
    pub leaving: bool,
}

impl Running {
    pub(crate) fn new(namespace: &str, name: &str) -> Self {
        Self {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    /// A pool that a test did not make itself, such as the sample.
    #[must_use]
    pub fn existing(namespace: &str, name: &str) -> Self {
        Self::new(namespace, name)
    }

    /// The namespace that it is in.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    fn api() -> &'static Api {
        Cluster::get().api()
    }

    fn path(&self) -> String {
        format!(
            "/apis/lbpool.dev/v1alpha1/namespaces/{}/loadbalancerpools/{}",
            self.namespace, self.name
        )
    }

    /// The pool as the API server has it.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn value(&self) -> Result<Value, String> {
        Self::api().get(&self.path())
    }

    /// A field of the status; null if there is none.
    #[must_use]
    pub fn status(&self, field: &str) -> Value {
        self.value().unwrap_or_else(|error| panic!("{error}"))["status"][field].take()
    }

    /// A condition: its status, reason and message.
    #[must_use]
    pub fn condition(&self, kind: &str) -> Option<(String, String, String)> {
        let conditions = self.status("conditions");
        let condition = conditions.as_array()?.iter().find(|one| one["type"] == kind)?;
        let field = |name: &str| condition[name].as_str().unwrap_or_default().to_owned();
        Some((field("status"), field("reason"), field("message")))
    }

    /// Merges a patch into the spec.
    pub fn patch(&self, spec: &Value) {
        Self::api().merge(&self.path(), &json!({ "spec": spec }));
    }

    /// `kubectl scale`.
    pub fn scale(&self, replicas: u32) {
        let (pool, replicas) = (format!("lbpool/{}", self.name), format!("--replicas={replicas}"));
        let _ = kubectl(&["-n", &self.namespace, "scale", &pool, &replicas]).ok();
    }

    /// Waits until the pool is as its spec says and tells so, exactly as many members run, and all balancers route alike.
    pub fn settled(&self, replicas: u32) {
        self.settled_within(replicas, LIMIT);
    }

    /// [`Self::settled`], with a limit of its own.
    pub fn settled_within(&self, replicas: u32, limit: Duration) {
        let what = format!(
            "{} of {} has settled with {replicas} members",
            self.name, self.namespace
        );
        wait_for(&what, limit, || self.is_settled(replicas));
    }

    /// [`Self::settled`] of a pool whose members are no Pods: `members` tells whether exactly those run that should.
    pub fn settled_with(&self, replicas: u32, members: impl Fn() -> Result<(), String>) {
        let what = format!(
            "{} of {} has settled with {replicas} members that are no Pods",
            self.name, self.namespace
        );
        wait_for(&what, LIMIT, || {
            let pool = self.serves(replicas)?;
            members()?;
            self.is_balanced(&pool)
        });
    }

    fn is_settled(&self, replicas: u32) -> Result<(), String> {
        let pool = self.serves(replicas)?;
        let members = self.members();
        if members.len() != replicas as usize || members.iter().any(|pod| pod.leaving || !pod.ready) {
            return Err(format!("{members:?}"));
        }
        self.is_balanced(&pool)
    }

    /// Whether its status says that so many members serve: the pool.
    fn serves(&self, replicas: u32) -> Result<Value, String> {
        let pool = self.value()?;
        let (status, wanted) = (&pool["status"], Value::from(replicas));
        let serving = status["members"].as_array().map_or(0, |members| {
            members.iter().filter(|member| member["state"] == "Serving").count()
        });
        let settled = serving == replicas as usize
            && status["observedGeneration"] == pool["metadata"]["generation"]
            && status["readyReplicas"] == wanted
            && status["updatedReplicas"] == wanted
            && status["ready"] == format!("{replicas}/{replicas}");
        if !settled {
            return Err(format!("{status:#}"));
        }
        Ok(pool)
    }

    /// Whether its balancers run, and all of them route as its status says.
    fn is_balanced(&self, pool: &Value) -> Result<(), String> {
        let status = &pool["status"];
        let wanted = pool["spec"]["balancer"]["replicas"].as_u64().unwrap_or(0);
        let balancers = self.balancers();
        if balancers.len() as u64 != wanted || balancers.iter().any(|pod| pod.leaving || !pod.ready) {
            return Err(format!("{balancers:?}"));
        }
        self.agree(&status["digest"], &status["epoch"])
    }

    /// Whether every balancer routes by this epoch, with this digest.
    fn agree(&self, digest: &Value, epoch: &Value) -> Result<(), String> {
        for (name, table) in self.tables()? {
            if table["digest"] != *digest || table["epoch"] != *epoch {
                return Err(format!(
                    "{name} has {} {}, the pool {epoch} {digest}",
                    table["epoch"], table["digest"]
                ));
            }
        }
        Ok(())
    }

    /// `/v1/table` of every balancer, with the balancer's name.
    ///
    /// # Errors
    /// One that does not answer.
    pub fn tables(&self) -> Result<Vec<(String, Value)>, String> {
        let table = |pod: Pod| {
            let path = format!(
                "/api/v1/namespaces/{}/pods/{}:9180/proxy/v1/table",
                self.namespace, pod.name
            );
            Ok((pod.name, Self::api().get(&path)?))
        };
        self.balancers().into_iter().map(table).collect()
    }

    /// The members' Pods, by name.
    #[must_use]
    pub fn members(&self) -> Vec<Pod> {
        self.pods("member")
    }

    /// The newest Pod of a seat that is not being deleted.
    #[must_use]
    pub fn member(&self, seat: &str) -> Option<Pod> {
        let members = self.members().into_iter();
        // RFC 3339 in UTC: the order of texts is that of times.
        members
            .filter(|pod| pod.seat == seat && !pod.leaving)
            .max_by(|a, b| a.created.cmp(&b.created))
    }

    /// The balancers' Pods, by name.
    #[must_use]
    pub fn balancers(&self) -> Vec<Pod> {
        self.pods("balancer")
    }

    fn pods(&self, role: &str) -> Vec<Pod> {
        let path = format!(
            "{}labelSelector={}",
            member_pods(&self.namespace),
            selector(&self.name, role)
        );
        let list = Self::api().get(&path).unwrap_or_else(|error| panic!("{error}"));
        list["items"].as_array().unwrap().iter().map(Pod::new).collect()
    }

    /// Where users reach it.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        let path = format!("/api/v1/namespaces/{}/services/{}", self.namespace, self.name);
        let service = Self::api().get(&path).unwrap_or_else(|error| panic!("{error}"));
        let port = &service["spec"]["ports"][0];
        let (host, port) = if Cluster::get().harness().is_some() {
            (service["spec"]["clusterIP"].clone(), &port["port"])
        } else {
            (node_address(), &port["nodePort"])
        };
        format!("{}:{port}", host.as_str().unwrap())
            .parse()
            .unwrap_or_else(|_| panic!("{service:#}"))
    }

    /// Waits until nothing of the pool is left but what others made.
    pub fn gone(&self) {
        wait_for("nothing of the pool is left", LIMIT, || {
            let left = kubectl(&[
                "-n",
                &self.namespace,
                "get",
                "lbpool,pods,services,configmaps,deployments,pdb,serviceaccounts,roles,rolebindings,endpointslices",
                "-l",
                &format!("lbpool.dev/pool={}", self.name),
                "-o",
                "name",
            ])
            .ok();
            thread::sleep(Duration::from_millis(500));
            if left.is_empty() { Ok(()) } else { Err(left) }
        });
    }
}

fn node_address() -> Value {
    let nodes = Cluster::get().api().get("/api/v1/nodes").unwrap();
    let addresses = nodes["items"][0]["status"]["addresses"].as_array().unwrap();
    let internal = addresses.iter().find(|address| address["type"] == "InternalIP");
    internal.unwrap()["address"].clone()
}

/// Path of a namespace's Pods, ready for further parameters.
#[must_use]
pub fn member_pods(namespace: &str) -> String {
    format!("/api/v1/namespaces/{namespace}/pods?")
}

/// The label selector of a pool's Pods, encoded for a path.
pub(crate) fn selector(pool: &str, role: &str) -> String {
    format!("lbpool.dev%2Fpool%3D{pool}%2Clbpool.dev%2Frole%3D{role}")
}

// === impl Pod ===

impl Pod {
    /// From what the API server says.
    #[must_use]
    pub fn new(pod: &Value) -> Self {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (meta, status) = (&pod["metadata"], &pod["status"]);
        let container = &status["containerStatuses"][0];
        let ready = |condition: &Value| condition["type"] == "Ready" && condition["status"] == "True";
        Self {
            name: text(&meta["name"]),
            uid: text(&meta["uid"]),
            created: text(&meta["creationTimestamp"]),
            seat: text(&meta["labels"]["lbpool.dev/member"]),
            node: text(&pod["spec"]["nodeName"]),
            ip: text(&status["podIP"]),
            container: text(&container["containerID"]).replace("containerd://", ""),
            restarts: container["restartCount"].as_u64().unwrap_or(0),
            ready: status["conditions"].as_array().is_some_and(|all| all.iter().any(ready)),
            leaving: !meta["deletionTimestamp"].is_null(),
        }
    }
}
