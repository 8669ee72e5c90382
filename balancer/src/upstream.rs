//! Connections to members, and what they say about the members' health.

pub mod breaker;
pub(crate) mod connect;
pub mod health;
pub(crate) mod http2;
pub(crate) mod pool;
pub(crate) mod retry;
