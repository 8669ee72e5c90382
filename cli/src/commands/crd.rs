//! `lbpool crd`: the resource's definition.

use std::io::Write as _;

/// Prints it.
///
/// # Errors
/// Where it can not be printed.
pub fn run() -> anyhow::Result<()> {
    std::io::stdout().write_all(lbpool_api::crd::yaml()?.as_bytes())?;
    Ok(())
}
