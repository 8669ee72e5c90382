//! What the tests on a real cluster are made of.
//!
//! A test has a [`Namespace`] of its own, in which Pod Security's "restricted" is enforced, and runs a [`Pool`] in it.
//! [`Traffic`] asks the pool's Service without pause and checks every answer, [`Https`] does so over TLS; [`Census`] watches which Pods come and go;
//! [`Audit`] counts what the API server was asked to write; [`Harness`] breaks things. Each file of `tests/e2e` proves one
//! promise with them and prints its figures.
//!
//! Whatever fails here panics, and with it the test that uses it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod api;
mod audit;
mod authority;
mod beside;
mod census;
mod cluster;
mod command;
mod harness;
mod https;
mod namespace;
mod operator;
mod pool;
mod report;
mod running;
mod traffic;
mod wait;

pub use api::Api;
pub use audit::{Audit, Writes};
pub use authority::{Authority, Secret};
pub use beside::{Beside, Container, Outside};
pub use census::{Census, Seen};
pub use cluster::{Cluster, seconds};
pub use command::{Outcome, helm, kubectl, run};
pub use harness::Harness;
pub use https::{Https, Phase, Site};
pub use namespace::Namespace;
pub use operator::Operator;
pub use pool::{Policy, Pool};
pub use report::Table;
pub use running::{Pod, Running, member_pods};
pub use traffic::{Mix, Traffic};
pub use wait::wait_for;

pub use lbpool_load as load;
