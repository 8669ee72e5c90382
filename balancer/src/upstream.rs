//! Connections to members, and what they say about the members' health.

pub mod breaker;
pub(crate) mod connect;
pub(crate) mod pool;
pub(crate) mod retry;
