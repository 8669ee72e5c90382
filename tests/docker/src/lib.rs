//! What the tests of the Docker fleet are made of: the engine, seen as docker's own command shows it, and a pool on it.
//!
//! Whatever fails here panics, and with it the test that uses it.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "a test fails by panicking"
)]

mod engine;
mod pool;

use std::time::Duration;

pub use engine::{Container, Engine, docker};
pub use pool::{Up, pool};

/// Longer than anything takes on a slow machine.
pub const LIMIT: Duration = Duration::from_mins(1);
