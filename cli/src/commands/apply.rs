//! `lbpool apply`: another spec for a running pool.

use std::io::Write as _;

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
    let running = places.find(Some(name)).map_err(|error| match error {
        Error::Unknown { .. } => anyhow::anyhow!("{error} -f {}", file.display()),
        error => error.into(),
    })?;
    let changed = runtime()?.block_on(Client::new(&running.socket()).apply(&pool, wait.wait))?;
    let outcome = if changed.changed { "configured" } else { "unchanged" };
    writeln!(std::io::stdout(), "{} {outcome}", full_name(name))?;
    waited(changed, wait.wait)
}
