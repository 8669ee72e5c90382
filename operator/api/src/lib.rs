//! What users write and what operator and balancers share: the `LoadBalancerPool` resource, the names of its members,
//! and the routing document.
//!
//! Types only, and their parsing: no I/O, no clock. [`pool`] is the spec, [`status`] what is reported about it,
//! [`routing`] the one contract between an operator and the balancers, [`names`] the names that last, [`strict`] how
//! files are read.

pub mod crd;
pub mod duration;
pub mod names;
pub mod pool;
pub mod routing;
mod schema;
pub mod status;
pub mod strict;

pub use duration::Duration;
pub use names::MemberName;
pub use pool::{LoadBalancerPool, PoolSpec};
pub use routing::RoutingDocument;
pub use status::PoolStatus;
