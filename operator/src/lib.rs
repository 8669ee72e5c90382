//! The controller of a pool and the fleets that run its members.
//!
//! A [`Controller`] drives one pool in passes of five steps: observe, validate, plan, apply, report. What to do is decided
//! by the pure functions of `lbpool-core`; here is the I/O around them. Members run in a [`Fleet`], requests are
//! routed by [`Balancers`], and a [`PoolHandle`] reads and edits the pool while it runs.

pub mod balancers;
pub mod controller;
pub mod error;
pub mod fleet;
pub mod handle;
#[cfg(feature = "kubernetes")]
pub mod kubernetes;
#[cfg(feature = "kubernetes")]
pub mod leader;
pub mod metrics;
pub mod outlook;
#[cfg(feature = "kubernetes")]
pub mod sample;

pub use balancers::Balancers;
pub use controller::{Controller, controller};
pub use error::{Category, Error};
pub use fleet::{Created, Fleet};
pub use handle::PoolHandle;
pub use metrics::Metrics;
pub use outlook::{Outlook, Prospect};
