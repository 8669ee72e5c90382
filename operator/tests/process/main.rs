//! The process fleet and the controller with real processes.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail the test")]

mod support;

mod changes;
mod ends;
mod fleet;
mod pool;
