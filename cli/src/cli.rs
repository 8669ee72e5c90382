//! What can be typed. The one place that reads the environment.

use std::{
    ffi::OsString,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::ExitCode,
};

use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use lbpool_api::{Duration, MemberName};
use lbpool_daemon::LogArgs;

use crate::{
    commands::{analyze, apply, completion, crd, down, explain, get, logs, plan, scale, up},
    runtime::Places,
};

/// Servers with names that last: runs a pool on this machine, and works with the pools that run
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    subcommand_required = true,
    arg_required_else_help = true
)]
pub struct Cli {
    #[command(flatten)]
    places: PlaceArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run a pool: its members, their controller and the balancer, until ctrl-c or `lbpool down`
    Up(UpArgs),
    /// Change the number of seats of a running pool
    Scale(ScaleArgs),
    /// Show the pools that run
    Get(GetArgs),
    /// Tell where keys go in a running pool, and why
    Explain(ExplainArgs),
    /// Show what a change would do, step by step, and which keys would move; changes nothing
    Plan(PlanArgs),
    /// Give a running pool another spec
    Apply(ApplyArgs),
    /// Measure how requests spread, what moves and what breaks, and write a report with pictures
    Analyze(AnalyzeArgs),
    /// Show what the members of a seat print
    Logs(LogsArgs),
    /// End a running pool, and wait until all of it has ended
    Down(DownArgs),
    /// Print the resource's definition for a cluster: lbpool crd | kubectl apply -f -
    Crd,
    /// Print a completion script: source <(lbpool completion bash)
    Completion {
        /// The shell
        shell: Shell,
    },
}

/// Where running pools are found.
#[derive(Args, Clone, Debug)]
struct PlaceArgs {
    /// Folder for running pools [default: `$XDG_RUNTIME_DIR/lbpool`, or one in the folder for temporary files]
    #[arg(
        long,
        value_name = "DIR",
        env = "LBPOOL_RUNTIME_DIR",
        hide_env_values = true,
        global = true
    )]
    runtime_dir: Option<OsString>,
    #[arg(long, env = "XDG_RUNTIME_DIR", hide = true, global = true)]
    xdg_runtime_dir: Option<OsString>,
}

/// `lbpool up`.
#[derive(Args, Debug)]
pub struct UpArgs {
    /// The pool: a YAML or JSON file, `-` for standard input [default: 3 sample servers]
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Number of seats, in place of the file's
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<i32>,
    /// Port that clients use; 0 for any that is free
    #[arg(short, long, default_value_t = 5000)]
    pub port: u16,
    /// Address that clients use; 0.0.0.0 to be reached from other machines
    #[arg(long, value_name = "ADDRESS", default_value_t = IpAddr::V4(Ipv4Addr::LOCALHOST))]
    pub host: IpAddr,
    /// Where health, metrics and the table are shown, such as 127.0.0.1:9090 [default: nowhere]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub admin: Option<SocketAddr>,
    /// Threads of the balancer; 0 for one per core
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub workers: usize,
    /// Plain lines on a terminal too
    #[arg(long)]
    pub plain: bool,
    /// Do not show what members print; it is in their log files
    #[arg(short, long)]
    pub quiet: bool,
    #[command(flatten)]
    pub fleet: FleetArgs,
    #[command(flatten)]
    pub log: LogArgs,
    /// Where members' programs are looked for, after the folder of this program.
    #[arg(long, env = "PATH", hide = true, default_value = "")]
    pub search_path: OsString,
}

/// Where members run.
#[derive(Args, Clone, Debug)]
pub struct FleetArgs {
    /// What members are
    #[arg(long, value_name = "KIND", default_value = "process", env = "LBPOOL_FLEET")]
    pub fleet: FleetKind,
    /// The engine, its socket or its address [default: what docker itself would use, then the usual sockets]
    #[arg(long, value_name = "unix:///PATH|tcp://HOST:PORT", help_heading = "Containers")]
    pub engine: Option<String>,
    /// The engine's network that members are on, made where there is none of this name
    #[arg(long, value_name = "NAME", default_value = "lbpool", help_heading = "Containers")]
    pub network: String,
    /// Whether members get a port of this machine
    #[arg(long, value_name = "WHEN", default_value = "auto", help_heading = "Containers")]
    pub publish: PublishPorts,
    #[arg(long, env = "DOCKER_CONTEXT", hide = true)]
    pub docker_context: Option<String>,
    #[arg(long, env = "DOCKER_HOST", hide = true)]
    pub docker_host: Option<String>,
    #[arg(long, env = "DOCKER_TLS_VERIFY", hide = true)]
    pub docker_tls_verify: Option<String>,
    #[arg(long, env = "DOCKER_CONFIG", hide = true)]
    pub docker_config: Option<PathBuf>,
    #[arg(long, env = "HOME", hide = true)]
    pub home: Option<PathBuf>,
    #[arg(long, env = "XDG_RUNTIME_DIR", hide = true)]
    pub user_runtime_dir: Option<PathBuf>,
}

/// What members are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum FleetKind {
    /// Child processes of lbpool: nothing else is needed
    Process,
    /// Containers of a Docker engine, or of one that speaks its API
    Docker,
}

/// When members get a port of this machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PublishPorts {
    /// Where the engine's network can not be reached from here
    Auto,
    /// Never: its network is routed
    Never,
    /// Always, on 127.0.0.1
    Loopback,
}

/// `lbpool logs`.
#[derive(Args, Debug)]
pub struct LogsArgs {
    /// The seat, such as demo-0
    #[arg(value_name = "SEAT")]
    pub seat: MemberName,
    /// The pool, where several run
    #[arg(short, long, value_name = "POOL")]
    pub pool: Option<String>,
    /// Go on with what is printed from now on, until ctrl-c or until the pool ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only the last lines
    #[arg(short = 'n', long, value_name = "N")]
    pub tail: Option<usize>,
}

/// `lbpool scale`.
#[derive(Args, Debug)]
pub struct ScaleArgs {
    /// The pool, as `demo` or `lbpool/demo`; may be left out where one runs
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,
    /// Number of seats
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: i64,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// `lbpool get`.
#[derive(Args, Debug)]
pub struct GetArgs {
    /// The pool, as `demo` or `lbpool/demo`; all that run where it is left out
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,
    /// How it is shown
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Format>,
    /// Show each change, until ctrl-c or until the pool ends
    #[arg(short, long)]
    pub watch: bool,
}

/// How a pool is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The whole resource
    Yaml,
    /// The whole resource
    Json,
    /// More columns, and each seat
    Wide,
}

/// `lbpool explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// The keys: values of what `routing.key` names, such as that of a header
    #[arg(value_name = "KEY", required = true)]
    pub keys: Vec<String>,
    /// The pool, as `demo` or `lbpool/demo`; may be left out where one runs
    #[arg(short, long, value_name = "POOL")]
    pub pool: Option<String>,
    /// Show all ranks, not the first few
    #[arg(short, long)]
    pub all: bool,
    /// As a list of JSON, with all ranks
    #[arg(long)]
    pub json: bool,
}

/// `lbpool plan`.
#[derive(Args, Debug)]
#[command(group = clap::ArgGroup::new("change").args(["file", "replicas"]).required(true).multiple(true))]
pub struct PlanArgs {
    /// The pool, as `demo` or `lbpool/demo`; may be left out where one runs, and with a file, which names it
    #[arg(value_name = "POOL", conflicts_with_all = ["file", "from"])]
    pub pool: Option<String>,
    /// The pool as it would be: a YAML or JSON file, `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Number of seats as it would be, in place of the file's
    #[arg(short, long, value_name = "N", allow_negative_numbers = true)]
    pub replicas: Option<i32>,
    /// The pool as it is, from a file: nothing has to run. Taken to be settled
    #[arg(long, value_name = "FILE")]
    pub from: Option<PathBuf>,
    /// As JSON, for programs
    #[arg(long)]
    pub json: bool,
}

/// `lbpool apply`.
#[derive(Args, Debug)]
pub struct ApplyArgs {
    /// The pool: a YAML or JSON file, `-` for standard input
    #[arg(short, long, value_name = "FILE")]
    pub file: PathBuf,
    #[command(flatten)]
    pub wait: WaitArgs,
}

/// Whether a command waits for what it asked for.
#[derive(Args, Debug)]
pub struct WaitArgs {
    /// Wait until the change is complete: routed, every member ready and of the newest template; at most so long [default: do not wait; alone: 60s]
    #[arg(short, long, value_name = "DURATION", num_args = 0..=1, default_missing_value = "60s", require_equals = true)]
    pub wait: Option<Duration>,
}

/// `lbpool down`.
#[derive(Args, Debug)]
pub struct DownArgs {
    /// The pool, as `demo` or `lbpool/demo`; may be left out where one runs
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,
    /// How long to wait for its end
    #[arg(long, value_name = "DURATION", default_value = "2m")]
    pub timeout: Duration,
    #[command(flatten)]
    pub fleet: FleetArgs,
}

/// `lbpool analyze`.
#[derive(Args, Debug)]
pub struct AnalyzeArgs {
    /// A pool that runs: it is scaled, gets other algorithms and loses a member meanwhile, and is what it was at the end
    /// [default: a local one of sample servers, started for this]
    #[arg(value_name = "POOL")]
    pub pool: Option<String>,
    /// Where the pool is reached, such as <http://127.0.0.1:5000> [default: where it says]
    #[arg(long, requires = "pool")]
    pub url: Option<String>,
    /// What is asked for
    #[arg(long, default_value = "/home")]
    pub path: String,
    /// Folder that the report is written to
    #[arg(short, long, value_name = "DIR", default_value = "lbpool-report")]
    pub out: PathBuf,
    /// Fewer requests and a shorter kill: seconds instead of minutes
    #[arg(long)]
    pub quick: bool,
    /// Requests to each number of servers, and keys that are followed through a change [default: 10000; quick: 2000]
    #[arg(long, value_name = "N", value_parser = at_least_one)]
    pub requests: Option<usize>,
    /// How keys are chosen
    #[arg(long, value_enum, default_value_t = KeysKind::Uniform)]
    pub keys: KeysKind,
    /// The keys of `--keys file`, one on each line
    #[arg(long, value_name = "FILE")]
    pub key_file: Option<PathBuf>,
    /// What keys are drawn from: the same seed asks for the same keys
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Connections, each with one request at a time
    #[arg(short, long, value_name = "N", default_value = "32", value_parser = at_least_one)]
    pub connections: usize,
    /// What is compared, separated by commas [default: all]
    #[arg(long, value_enum, value_name = "NAME", value_delimiter = ',')]
    pub algorithms: Vec<AlgorithmName>,
    /// Kill no server
    #[arg(long)]
    pub no_kill: bool,
    /// Measure nothing: write the report of an earlier run anew, from its folder or its data.json
    #[arg(long, value_name = "DIR", conflicts_with_all = ["pool", "quick"])]
    pub from: Option<PathBuf>,
    /// Plain lines on a terminal too
    #[arg(long)]
    pub plain: bool,
}

/// How keys are chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum KeysKind {
    /// Every id of six digits as likely as any other
    Uniform,
    /// Ten thousand ids, the n-th of them 1/n times as often as the first
    Zipf,
    /// The lines of a file, in their order, again and again
    File,
}

/// An algorithm, as it is typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AlgorithmName {
    /// The assignment's own functions on 512 slots
    Classroom,
    /// Virtual nodes on a circle
    Ring,
    /// The Maglev paper's table
    Maglev,
    /// Capped rendezvous
    Rendezvous,
}

impl From<AlgorithmName> for lbpool_report::Algorithm {
    fn from(name: AlgorithmName) -> Self {
        match name {
            AlgorithmName::Classroom => Self::Classroom,
            AlgorithmName::Ring => Self::Ring,
            AlgorithmName::Maglev => Self::Maglev,
            AlgorithmName::Rendezvous => Self::Rendezvous,
        }
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a number from 1 on".to_owned()),
    }
}

/// Runs a command.
///
/// # Errors
/// What the command says.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    let Cli {
        places: PlaceArgs {
            runtime_dir,
            xdg_runtime_dir,
        },
        command,
    } = cli;
    // A variable that is set and empty counts as absent, as everywhere.
    let dir = |text: Option<OsString>| text.filter(|text| !text.is_empty()).map(PathBuf::from);
    let places = Places::new(dir(runtime_dir), dir(xdg_runtime_dir));
    match command {
        Command::Up(args) => up::run(&places, args)?,
        Command::Scale(args) => scale::run(&places, args)?,
        Command::Get(args) => get::run(&places, args)?,
        Command::Explain(args) => explain::run(&places, args)?,
        Command::Plan(args) => plan::run(&places, args)?,
        Command::Apply(args) => apply::run(&places, args)?,
        Command::Down(args) => down::run(&places, args)?,
        Command::Logs(args) => logs::run(&places, &args)?,
        Command::Analyze(args) => return analyze::run(&places, args),
        Command::Crd => crd::run()?,
        Command::Completion { shell } => completion::run(shell)?,
    }
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_plan_needs_a_change() {
        let parse = |args: &[&str]| Cli::try_parse_from(["lbpool", "plan"].iter().chain(args)).is_ok();
        for right in [
            &["--replicas", "5"][..],
            &["demo", "-r", "5"],
            &["-f", "new.yaml"],
            &["-f", "new.yaml", "-r", "5"],
            &["--from", "old.yaml", "-f", "new.yaml"],
            &["--from", "old.yaml", "-r", "5", "--json"],
        ] {
            assert!(parse(right), "{right:?}");
        }
        for wrong in [&[][..], &["demo"], &["--from", "old.yaml"], &["demo", "-f", "new.yaml"]] {
            assert!(!parse(wrong), "{wrong:?}");
        }
    }

    #[test]
    fn waiting_needs_no_duration_and_takes_one() {
        let wait = |args: &[&str]| {
            let cli = Cli::try_parse_from(["lbpool", "scale", "--replicas", "5"].iter().chain(args)).unwrap();
            let Command::Scale(ScaleArgs { wait, pool, .. }) = cli.command else {
                panic!("{cli:?}")
            };
            (wait.wait.map(|wait| wait.get().as_secs()), pool)
        };
        assert_eq!(wait(&[]), (None, None));
        assert_eq!(wait(&["--wait", "demo"]), (Some(60), Some("demo".to_owned())));
        assert_eq!(wait(&["--wait=5s"]), (Some(5), None));
    }
}
