//! The balancer alone: with a members file on plain machines, or for a pool of a cluster.

use std::process::ExitCode;

use clap::Parser as _;

mod app;
mod cli;

/// The system's allocator costs a tenth of the data plane's time, and musl's more.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    small_pages();
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

/// Memory in pages of 4 KiB: the allocator asks for pages of 2 MiB, which costs a small process four times what it uses.
fn small_pages() {
    // Where the kernel has no such pages there is nothing to be said.
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}
