//! What lbpool promises on a cluster, one file per promise. `make e2e` runs them, one at a time; `make e2e LBPOOL_E2E=scale`
//! some of them.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

mod admission;
mod apiserver;
mod balancer;
mod beside;
mod crash;
mod hpa;
mod install;
mod isolation;
mod latency;
mod node;
mod operator;
mod rbac;
mod rollout;
mod scale;
mod tls;
mod writes;
