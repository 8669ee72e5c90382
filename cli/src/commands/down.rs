//! `lbpool down`: the end of a running pool.

use std::io::Write as _;

use anyhow::Context as _;
use tokio::time::timeout;

use super::{full_name, runtime};
use crate::{
    cli::{DownArgs, FleetKind},
    client::{Client, Error},
    fleets,
    runtime::{Error as Absent, Places},
};

/// Ends a pool and waits until all of it has ended.
///
/// # Errors
/// Where it does not run, or has not ended in time.
pub fn run(
    places: &Places,
    DownArgs {
        pool,
        timeout: within,
        fleet,
    }: DownArgs,
) -> anyhow::Result<()> {
    let running = match places.find(pool.as_deref()) {
        // Containers outlive a process that was killed.
        Err(Absent::Unknown { name, .. }) if fleet.fleet == FleetKind::Docker => {
            let left = runtime()?.block_on(fleets::sweep(&fleet, places.owner(), &name))?;
            if !left.is_empty() {
                writeln!(std::io::stdout(), "{} ended: {}", full_name(&name), left.join(", "))?;
                return Ok(());
            }
            anyhow::bail!("the pool {name} does not run, and has left no containers behind");
        }
        found => found?,
    };
    let (name, pid) = (running.record.pool.clone(), running.record.pid);
    let runtime = runtime()?;
    let ended = runtime.block_on(async {
        match Client::new(&running.socket()).down().await {
            // It may be ending already, and be faster than its answer.
            Ok(()) | Err(Error::Broken(_) | Error::Connect { .. }) => {}
            Err(error) => return Err(error.into()),
        }
        let end = tokio::task::spawn_blocking(move || running.wait_for_end());
        let late =
            || format!("the pool {name} is still ending after {within} (process {pid}): wait on, or: kill -9 {pid}");
        timeout(within.get(), end).await.with_context(late)???;
        anyhow::Ok(())
    });
    // A wait that was given up still blocks its thread.
    runtime.shutdown_background();
    ended?;
    writeln!(std::io::stdout(), "{} ended", full_name(&name))?;
    Ok(())
}
