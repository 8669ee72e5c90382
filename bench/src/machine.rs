//! The machine that is measured on, and what we need of it.

use std::{fs, num::NonZero, thread};

use anyhow::Context as _;
use rustix::{
    process::{Resource, getrlimit, setrlimit},
    thread::set_current_timer_slack,
};

/// Its processor, cores and kernel as a line.
pub fn describe() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown processor", |(_, model)| model.trim());
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    let version = kernel.split('-').next().unwrap_or_default().trim();
    format!("{} cores ({model}), Linux {version}", cores())
}

pub fn cores() -> usize {
    thread::available_parallelism().map_or(1, NonZero::get)
}

/// Lets this process and those it starts have as many connections as the load needs, and has it woken on time.
pub fn prepare(connections: usize) -> anyhow::Result<()> {
    let mut files = getrlimit(Resource::Nofile);
    let wanted = files.maximum.unwrap_or(u64::MAX).min(65_536);
    // Each contestant has two sockets for each connection.
    anyhow::ensure!(
        wanted > 3 * connections as u64,
        "{connections} connections need more open files than the {wanted} that are allowed: ulimit -n"
    );
    files.current = Some(wanted);
    setrlimit(Resource::Nofile, files).context("raising the limit of open files")?;
    // By default the kernel may wake a thread 50 us late.
    set_current_timer_slack(NonZero::new(1)).context("setting the timer's slack")?;
    Ok(())
}
