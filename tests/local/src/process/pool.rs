//! The pool of a test, as a user would write it.

use std::fmt;

/// A pool of sample servers.
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
    pub command: &'static str,
    /// Arguments of what members run.
    pub args: Vec<&'static str>,
    /// Further lines, indented by two: fields of the spec.
    pub fields: &'static str,
}

/// What happens to the keys of a member that is not ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Policy {
    /// To the next rank.
    Spill,
    /// They wait, long enough for any replacement.
    Hold,
}

impl Default for Pool {
    fn default() -> Self {
        Self {
            name: "fish",
            replicas: 3,
            policy: Policy::Spill,
            version: 1,
            command: "backend",
            args: vec!["--trials"],
            fields: "",
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
            command,
            args,
            fields,
        } = self;
        write!(
            f,
            "apiVersion: lbpool.dev/v1alpha1
kind: LoadBalancerPool
metadata:
  name: {name}
spec:
  replicas: {replicas}
  routing:
    loadBound: 0
    whenAway: {{policy: {policy:?}, holdTimeout: 10s}}
  template:
    spec:
      containers:
      - name: server
        image: lbpool/backend:0.1.0
        command: [{command}]
        args: {args:?}
        env:
        - {{name: TEST_VERSION, value: \"{version}\"}}
{fields}"
        )
    }
}
