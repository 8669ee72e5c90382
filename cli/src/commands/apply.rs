//! `lbpool apply`: another spec for a running pool.

use std::io::Write as _;

use anyhow::Context as _;

use super::{full_name, name_of, runtime, waited};
use crate::{
    cli::ApplyArgs,
    client::Client,
    manifest::{self, Overrides},
    runtime::{Error, Places},
};

/// Applies a file.
///
/// # Errors
/// Where the file is wrong, its pool does not run, refuses, or is not there in the time that was given.
pub fn run(places: &Places, ApplyArgs { file, wait }: ApplyArgs) -> anyhow::Result<()> {
    let pool = manifest::load(&file, Overrides::default())?;
    let name = name_of(&pool);
    let running = match places.find(Some(name)) {
        Err(error @ Error::Unknown { .. }) => {
            return Err(error).with_context(|| format!("start it with: lbpool up -f {}", file.display()));
        }
        found => found?,
    };
    let changed = runtime()?.block_on(Client::new(&running.socket()).apply(&pool, wait.wait))?;
    let outcome = if changed.changed { "configured" } else { "unchanged" };
    writeln!(std::io::stdout(), "{} {outcome}", full_name(name))?;
    waited(changed, wait.wait)
}
