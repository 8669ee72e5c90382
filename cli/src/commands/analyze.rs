//! `lbpool analyze`: how requests spread, what moves, what breaks, from real requests to real servers.

mod child;
mod experiments;
mod folder;
mod load;
mod progress;
mod subject;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use lbpool_daemon::{Cause, Shutdown};
use lbpool_report::{About, Algorithm, Keys, Run};
use tokio::time::Instant;

use self::{experiments::Experiments, progress::Progress, subject::Subject};
use super::runtime;
use crate::{
    cli::{AnalyzeArgs, KeysKind},
    runtime::Places,
};

/// Exit code of a run that was interrupted: what a shell shows for SIGINT.
const INTERRUPTED: u8 = 130;
/// The smaller of the two numbers of requests.
const FEW: usize = 1000;

/// What to measure.
#[derive(Debug)]
pub struct Plan {
    /// A pool that runs; nothing: one of our own.
    pub pool: Option<String>,
    /// Where it is reached, other than where it says.
    pub url: Option<String>,
    /// What is asked for.
    pub path: String,
    /// How many ask at the same time.
    pub connections: usize,
    /// Where keys come from.
    pub keys: Keys,
    /// How that is called.
    pub keys_name: String,
    /// What keys are drawn from.
    pub seed: u64,
    /// Requests to each number of servers.
    pub requests: usize,
    /// Keys that are followed through a change.
    pub changed: usize,
    /// How a server is killed; nothing: none is.
    pub kill: Option<KillPlan>,
    /// What is compared.
    pub algorithms: Vec<Algorithm>,
}

/// How a server is killed.
#[derive(Debug)]
pub struct KillPlan {
    /// Requests per second meanwhile.
    pub rate: u32,
    /// How long before it the load begins.
    pub before: Duration,
    /// How long after it the load ends.
    pub after: Duration,
}

/// Measures, and writes the report.
///
/// # Errors
/// Nothing could be measured, or not everything, or the self-check failed; in the last two cases there is a report that says so.
pub fn run(places: &Places, args: AnalyzeArgs) -> anyhow::Result<ExitCode> {
    let (out, no_bar) = (args.out.clone(), args.plain);
    if let Some(from) = &args.from {
        let measured = folder::read(from)?;
        folder::check(&out)?;
        return finish(&out, &measured);
    }
    let plan = Plan::new(args)?;
    folder::check(&out)?;
    let shutdown = Shutdown::on_signals()?;
    let runtime = runtime()?;
    let measured = runtime.block_on(measure(places, &plan, no_bar, &shutdown));
    drop(runtime);
    match measured? {
        Some(measured) => finish(&out, &measured),
        None => Ok(ExitCode::from(INTERRUPTED)),
    }
}

/// All experiments; nothing where a signal came first. The pool is left clean either way.
async fn measure(places: &Places, plan: &Plan, no_bar: bool, shutdown: &Shutdown) -> anyhow::Result<Option<Run>> {
    let (started, began, load) = (Timestamp::now(), Instant::now(), load_average());
    let subject = tokio::select! {
        subject = Subject::open(places, plan) => subject?,
        _ = shutdown.requested() => return Ok(None),
    };
    let progress = Progress::new(plan.total() as u64, no_bar);
    if subject.is_foreign() {
        progress.line(&format!(
            "{} is scaled, gets other algorithms and loses a server meanwhile; at the end it is what it was",
            subject.name
        ));
    }
    let experiments = Experiments {
        subject: &subject,
        plan,
        progress: &progress,
    };
    let measured = tokio::select! {
        run = experiments.run() => Some(run),
        cause = shutdown.requested() => {
            progress.line(interruption(cause));
            None
        }
    };
    progress.end();
    subject.close().await?;
    Ok(measured.map(|run| Run {
        about: About {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started: started.strftime("%Y-%m-%d %H:%M UTC").to_string(),
            seconds: (began.elapsed().as_secs_f64() * 10.0).round() / 10.0,
            cores: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            load: load.zip(load_average()).map(|(before, after)| [before, after]),
        },
        ..run
    }))
}

const fn interruption(cause: Cause) -> &'static str {
    match cause {
        Cause::Interrupt => "interrupted: the pool is left clean, and no report is written",
        _ => "ended: the pool is left clean, and no report is written",
    }
}

fn finish(out: &Path, run: &Run) -> anyhow::Result<ExitCode> {
    let page = folder::write(out, run)?;
    let check = run.check();
    let mut stdout = std::io::stdout().lock();
    writeln!(
        stdout,
        "{} requests, {} failed; self-check of {} answers {}; report: {}",
        lbpool_report::grouped(run.requests()),
        lbpool_report::grouped(run.failures()),
        lbpool_report::grouped(check.compared),
        if check.is_good() { "passed" } else { "FAILED" },
        page.display()
    )?;
    if let Some(first) = &check.first {
        anyhow::bail!(
            "the self-check FAILED: {} of {} answers came from another server than the table has; first: {first}",
            check.differing,
            check.compared
        );
    }
    anyhow::ensure!(
        run.failed.is_empty(),
        "{} experiments could not be done; the report says why",
        run.failed.len()
    );
    Ok(ExitCode::SUCCESS)
}

/// The system's load average of one minute, where it says.
fn load_average() -> Option<f64> {
    fs::read_to_string("/proc/loadavg")
        .ok()?
        .split(' ')
        .next()?
        .parse()
        .ok()
}

// === impl Plan ===

impl Plan {
    /// Numbers of servers that requests are spread over.
    pub const SERVERS: std::ops::RangeInclusive<usize> = 2..=7;

    fn new(args: AnalyzeArgs) -> anyhow::Result<Self> {
        let AnalyzeArgs {
            pool,
            url,
            path,
            out: _,
            quick,
            requests,
            keys,
            key_file,
            seed,
            connections,
            algorithms,
            no_kill,
            from: _,
            plain: _,
        } = args;
        anyhow::ensure!(path.starts_with('/'), "--path: `{path}` does not begin with /");
        let (keys, keys_name) = key_set(keys, key_file)?;
        let kill = KillPlan {
            rate: 1000,
            before: Duration::from_millis(if quick { 200 } else { 1000 }),
            after: Duration::from_millis(if quick { 600 } else { 3000 }),
        };
        let requests = requests.unwrap_or(if quick { 2000 } else { 10_000 });
        Ok(Self {
            pool,
            url,
            path,
            connections,
            keys,
            keys_name,
            seed,
            requests,
            changed: requests,
            kill: (!no_kill).then_some(kill),
            algorithms: if algorithms.is_empty() {
                Algorithm::ALL.to_vec()
            } else {
                algorithms.into_iter().map(Algorithm::from).collect()
            },
        })
    }

    /// Numbers of requests that are sent to so many servers: those of which there are charts get a small one too.
    pub fn series(&self, servers: usize) -> Vec<usize> {
        let few = matches!(servers, 3 | 5 | 7) && FEW < self.requests;
        few.then_some(FEW).into_iter().chain([self.requests]).collect()
    }

    /// Requests of a change: before it, after it, and after it was undone.
    pub const fn change_requests(&self) -> usize {
        3 * self.changed
    }

    /// Requests around a kill.
    pub fn kill_load(&self) -> usize {
        self.kill.as_ref().map_or(0, |kill| {
            let time = kill.before + kill.after;
            usize::try_from(time.as_millis() * u128::from(kill.rate) / 1000).unwrap_or(0)
        })
    }

    /// Keys that are looked at after a kill.
    pub fn kill_check(&self) -> usize {
        self.changed.min(FEW)
    }

    /// All requests of a kill.
    pub fn kill_requests(&self) -> usize {
        self.kill_load() + self.kill_check()
    }

    /// All requests.
    fn total(&self) -> usize {
        let spreads: usize = Self::SERVERS.flat_map(|servers| self.series(servers)).sum();
        let kill = if self.kill.is_some() { self.kill_requests() } else { 0 };
        self.algorithms.len() * (spreads + 2 * self.change_requests() + kill)
    }
}

fn key_set(kind: KeysKind, file: Option<PathBuf>) -> anyhow::Result<(Keys, String)> {
    Ok(match (kind, file) {
        (KeysKind::Uniform, None) => (Keys::Uniform, "uniform".to_owned()),
        (KeysKind::Zipf, None) => (Keys::Zipf, "zipf".to_owned()),
        (KeysKind::File, Some(path)) => {
            let text = fs::read_to_string(&path).with_context(|| format!("can not read {}", path.display()))?;
            let keys = Keys::given(&text).with_context(|| format!("{} can not be used", path.display()))?;
            (keys, format!("from {}", path.display()))
        }
        (KeysKind::File, None) => anyhow::bail!("--keys file needs --key-file FILE, with a key on each line"),
        (_, Some(_)) => anyhow::bail!("--key-file is used with --keys file only"),
    })
}

#[cfg(test)]
mod tests;
