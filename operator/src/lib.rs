//! The controller of a pool and the fleets that run its members.

pub mod fleet;

pub use fleet::{Created, Fleet};
