//! The balancer alone: with a members file on plain machines, or for a pool of a cluster.

use std::process::ExitCode;

use clap::Parser as _;

mod app;
mod cli;

/// The system's allocator costs a tenth of the data plane's time, and musl's more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let outcome = match cli::Args::parse().into_command().unwrap_or_else(|wrong| wrong.exit()) {
        cli::Command::Serve(config) => app::run(*config),
        cli::Command::MetricsReference => {
            print!("{}", lbpool_balancer::metrics::reference());
            Ok(())
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("balancer: {}", app::explain(&error));
            ExitCode::FAILURE
        }
    }
}
