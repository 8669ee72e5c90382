//! The command `balancer` as a whole process.

// For clippy: helpers are tests too, and may panic.
#![cfg(test)]
#![expect(
    clippy::disallowed_methods,
    reason = "waits for other processes: no clock of a runtime is around"
)]

#[cfg(feature = "kubernetes")]
mod api_server;
#[cfg(feature = "kubernetes")]
mod cluster;
mod ending;
mod members_file;
mod memory;
mod support;
