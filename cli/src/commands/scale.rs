//! `lbpool scale`: another number of seats.

use std::io::Write as _;

use super::{full_name, runtime, waited};
use crate::{cli::ScaleArgs, client::Client, runtime::Places};

/// Scales a running pool.
///
/// # Errors
/// Where it does not run, refuses, or is not there in the time that was given.
pub fn run(places: &Places, ScaleArgs { pool, replicas, wait }: ScaleArgs) -> anyhow::Result<()> {
    let running = places.find(pool.as_deref())?;
    let changed = runtime()?.block_on(Client::new(&running.socket()).scale(replicas, wait.wait))?;
    writeln!(std::io::stdout(), "{} scaled", full_name(&running.record.pool))?;
    waited(changed, wait.wait)
}
