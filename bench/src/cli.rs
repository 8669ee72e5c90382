//! The command line. `make bench` fills it in.

use std::{net::SocketAddr, path::PathBuf};

use clap::{Args, Parser, Subcommand};

/// Measures HTTP balancers beside each other.
#[derive(Parser, Debug)]
#[command(name = "lbpool-bench", version)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Subcommand, Debug)]
pub enum Command {
    /// Measures
    Run(Box<Run>),
    /// Counts the system calls that a request costs each contestant; needs strace
    Syscalls(Syscalls),
    /// Serves the members that requests are proxied to, until its standard input ends; prints their addresses
    Origin,
    /// Copies bytes between clients and members without a look at them: what no proxy costs less than
    Copy(Copy),
}

#[derive(Args, Debug)]
pub struct Run {
    /// Our balancer, built with the profile `dist`
    #[arg(long, value_name = "PROGRAM")]
    pub balancer: PathBuf,
    /// A further build of it, to compare with
    #[arg(long, value_name = "NAME=PROGRAM", value_parser = named)]
    pub with: Vec<(String, PathBuf)>,
    /// Contestants besides ours: those that are not installed are left out, and the table says so
    #[arg(long, value_delimiter = ',', default_value = "haproxy,nginx,envoy,copy")]
    pub rivals: Vec<String>,
    /// Workloads, by name [default: all]
    #[arg(long, value_delimiter = ',')]
    pub workloads: Vec<String>,
    /// Rounds at the same rate; there are two fifths as many at capacity, a fifth for loads without a goal
    #[arg(long, env = "BENCH_ROUNDS", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub rounds: u32,
    /// Seconds that a contestant is measured for in a round
    #[arg(long, env = "BENCH_SECONDS", default_value_t = 1.0)]
    pub seconds: f64,
    /// Minutes after which no disturbed round is repeated
    #[arg(long, env = "BENCH_MINUTES", default_value_t = 13)]
    pub minutes: u64,
    /// Threads of each contestant [default: one per core]
    #[arg(long)]
    pub workers: Option<usize>,
    /// Where configurations of the contestants are
    #[arg(long, default_value = "bench/conf")]
    pub conf: PathBuf,
    /// Where the results go: latest.jsonl, latest.md
    #[arg(long, default_value = "bench/results")]
    pub out: PathBuf,
    /// A file that gets the table as well, between `<!-- bench -->` and `<!-- /bench -->`
    #[arg(long)]
    pub into: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub struct Syscalls {
    /// Our balancer
    #[arg(long, value_name = "PROGRAM")]
    pub balancer: PathBuf,
    /// Contestants besides ours
    #[arg(long, value_delimiter = ',', default_value = "haproxy,nginx")]
    pub rivals: Vec<String>,
    /// Workloads, by name
    #[arg(long, value_delimiter = ',', default_value = "get")]
    pub workloads: Vec<String>,
    /// Where their configurations are
    #[arg(long, default_value = "bench/conf")]
    pub conf: PathBuf,
}

#[derive(Args, Debug)]
pub struct Copy {
    #[arg(long)]
    pub listen: SocketAddr,
    /// Where connections go, in turns
    #[arg(long, value_delimiter = ',', required = true)]
    pub members: Vec<SocketAddr>,
    /// Threads
    #[arg(long)]
    pub workers: usize,
}

fn named(text: &str) -> Result<(String, PathBuf), String> {
    match text.split_once('=') {
        Some((name, program)) if !name.is_empty() => Ok((name.to_owned(), program.into())),
        _ => Err("NAME=PROGRAM is expected".to_owned()),
    }
}
