//! The operator: keeps the LoadBalancerPools of a cluster as their specs say.

use std::process::ExitCode;

use clap::Parser as _;

mod admin;
mod app;
mod cli;

fn main() -> ExitCode {
    let command = match cli::Args::parse().into_command() {
        Ok(command) => command,
        Err(error) => {
            eprintln!("operator: {error}");
            return ExitCode::from(2);
        }
    };
    match app::run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("operator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
