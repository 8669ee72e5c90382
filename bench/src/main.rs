//! Our balancer beside others on this machine: the same load, the same number of threads, in turns.
//!
//! `lbpool-bench run` starts an origin and every contestant, checks that each answers rightly, and measures them round by
//! round: first each at its capacity, then all at the same rate, which none of them is overrun by.

mod bench;
mod cli;
mod clock;
mod contestant;
mod copy;
mod figures;
mod load;
mod machine;
mod origin;
mod process;
mod report;
mod syscalls;
mod verify;
mod workload;

use clap::Parser as _;

fn main() -> anyhow::Result<()> {
    match cli::Cli::parse().command {
        cli::Command::Run(args) => bench::run(&args),
        cli::Command::Syscalls(args) => syscalls::run(&args),
        cli::Command::Origin => origin::serve(),
        cli::Command::Copy(args) => copy::serve(&args),
    }
}
