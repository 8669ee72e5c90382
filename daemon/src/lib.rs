//! What every process of lbpool needs: a log, an orderly end, and the phase it is in.
//!
//! [`log`] turns two flags into a subscriber, [`signal`] turns the first SIGTERM or SIGINT into an orderly end and the
//! second into an immediate one, [`drain`] says how far a process is with starting or ending.

pub mod drain;
pub mod log;
pub mod signal;

pub use drain::{Phase, PhaseMetrics, Phases};
pub use log::LogArgs;
pub use signal::{Cause, Shutdown};
