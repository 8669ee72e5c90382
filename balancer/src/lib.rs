//! The data plane: routes each key to the member that owns it.
//!
//! [`Balancer::start`] binds the port and puts one worker on each thread; [`Balancer::publish`] gives all of them a new
//! routing document. A worker ([`worker`]) owns its listener, its connections to clients and its pools of connections
//! to members; what a request may know about the pool is one immutable [`Snapshot`]. `proxy/http1.rs` reads like one
//! request, top to bottom; `upstream` owns connections; `lbpool-http1` decides about bytes and `lbpool-ring` about places.

pub mod admin;
mod balancer;
mod config;
pub mod control;
mod deadline;
pub mod discovery;
mod error;
pub mod explain;
mod json;
mod key;
pub mod metrics;
mod page;
pub mod policy;
mod proxy;
mod publisher;
mod route;
pub mod shared;
pub mod snapshot;
mod spread;
pub mod stats;
mod stream;
pub mod target;
pub mod tls;
pub mod upstream;
mod worker;

pub use balancer::{Balancer, Report};
pub use config::{Config, Limits, Network, Opening, Proxies, Style};
pub use error::Error;
pub use proxy::error::Reason;
pub use publisher::Published;
pub use shared::{Phase, Shared};
pub use snapshot::Snapshot;
pub use target::Target;
