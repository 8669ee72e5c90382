//! Connections to members, and what they say about the members' health.

pub mod breaker;
pub(crate) mod connect;
pub mod health;
pub(crate) mod pool;
pub(crate) mod retry;
