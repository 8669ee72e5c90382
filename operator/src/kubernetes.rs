//! Pools in a cluster: what is watched, what is written, and a controller per pool.
//!
//! [`index`] is what watches have seen, trimmed to what decisions need; [`watch`] fills it. [`manager`] runs a
//! [`Controller`](crate::Controller) for each pool, over the fleet of its members ([`Site`]: Pods, unless another is chosen) and over
//! [`balancers`], who are told by a ConfigMap and asked at their admin port. [`objects`] keeps what surrounds the members,
//! [`report`] tells people.

mod access;
mod balancers;
mod calls;
mod inbox;
mod index;
mod manager;
mod nodes;
mod objects;
mod pod;
mod report;
mod site;
mod watch;

pub use access::{Access, Asks, connect};
pub use balancers::KubernetesBalancers;
pub use index::{Index, PoolKey};
pub use manager::Manager;
pub(crate) use objects::Objects;
pub use site::{Pods, Pools, Site};
pub(crate) use watch::chain;
pub use watch::{Scope, Watches};
