//! The sample server of a pool: says who it is, says that it is well, and shows its documentation.

mod app;
mod cli;
mod docs;
mod routes;
mod trial;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    match app::run(cli::Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("backend: {error:#}");
            ExitCode::FAILURE
        }
    }
}
