//! The command lbpool: a pool on this machine.

mod cli;
mod client;
mod commands;
mod control;
mod fleets;
mod live;
mod local;
mod manifest;
mod output;
mod runtime;

use std::process::ExitCode;

use clap::Parser as _;
use lbpool_operator::fleet::process::guard;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let mut args = std::env::args_os().skip(1);
    // Not a command of the parser: a member's own arguments follow it, whatever they look like.
    if args.next().is_some_and(|command| command == guard::COMMAND) {
        eprintln!("lbpool: {}", guard::exec(args));
        return ExitCode::FAILURE;
    }
    match cli::run(cli::Cli::parse()) {
        Ok(code) => code,
        Err(error) if output::is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("lbpool: {}", output::explain(&error));
            ExitCode::FAILURE
        }
    }
}
