//! `lbpool completion`: scripts for shells.

use std::io::Write as _;

use clap::CommandFactory as _;
use clap_complete::Shell;

use crate::cli::Cli;

/// Prints the script of a shell.
///
/// # Errors
/// Where it can not be printed.
pub fn run(shell: Shell) -> anyhow::Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "lbpool", &mut script);
    std::io::stdout().write_all(&script)?;
    Ok(())
}
