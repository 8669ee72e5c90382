//! The pool of a test, as a user would write it.

use std::fmt;

use crate::Cluster;

/// The project's version: the tag of its images.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// A pool of sample servers that end at once on SIGTERM and have no preStop hook.
#[derive(Clone, Debug)]
pub struct Pool {
    /// Its name.
    pub name: &'static str,
    /// Seats.
    pub replicas: u32,
    /// What happens to the keys of a member that is not ready.
    pub policy: Policy,
    /// Changes the template and nothing else.
    pub version: u32,
    /// What members run.
    pub image: String,
    /// Further lines of the members' Pod spec, indented by six.
    pub pod: String,
    /// Further lines of the spec, indented by two.
    pub fields: String,
    /// Further lines of `spec.balancer`, indented by four.
    pub balancer: String,
}

/// What happens to the keys of a member that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// To the next rank.
    Spill,
    /// They wait, longer than a container takes to start again.
    Hold,
}

impl Pool {
    /// The image of the sample server.
    #[must_use]
    pub fn server() -> String {
        format!("lbpool.dev/backend:{VERSION}")
    }

    /// The image of the balancer.
    #[must_use]
    pub fn balancer() -> String {
        format!("lbpool.dev/balancer:{VERSION}")
    }
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            name: "demo",
            replicas: 3,
            policy: Policy::Spill,
            version: 1,
            image: Self::server(),
            pod: String::new(),
            fields: String::new(),
            balancer: String::new(),
        }
    }
}

/// The load bound is off: with it a key may be answered elsewhere for a moment, and a test could not tell that from a
/// key that moved.
impl fmt::Display for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            name,
            replicas,
            policy,
            version,
            image,
            pod,
            fields,
            balancer,
        } = self;
        // Addresses of Services answer from outside in the harness' cluster only.
        let service = if Cluster::get().harness().is_some() {
            "ClusterIP"
        } else {
            "NodePort"
        };
        write!(
            f,
            "apiVersion: lbpool.dev/v1alpha1
kind: LoadBalancerPool
metadata:
  name: {name}
spec:
  replicas: {replicas}
  port: http
  routing:
    loadBound: 0
    whenAway: {{policy: {policy:?}, holdTimeout: 20s}}
{fields}
  balancer:
    service: {{type: {service}}}
{balancer}
  template:
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      terminationGracePeriodSeconds: 5
{pod}
      containers:
      - name: server
        image: {image}
        imagePullPolicy: IfNotPresent
        args: [--trials, --grace, 0s]
        env:
        - {{name: TEST_VERSION, value: \"{version}\"}}
        ports:
        - {{name: http, containerPort: 5000}}
        resources: {{requests: {{cpu: 10m, memory: 16Mi}}}}
        securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"
        )
    }
}
