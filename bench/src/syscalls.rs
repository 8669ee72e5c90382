//! Which system calls a small request costs our balancer, counted by strace.

use std::{
    fs,
    process::{Command, Stdio},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, ensure};
use rustix::process::{Pid, Signal, kill_process};

use crate::{
    cli,
    clock::SECOND,
    contestant::{Contestant, Kind, Origin, Setting},
    figures::figure,
    load::{Load, Pace},
    machine, verify, workload,
};

/// How long strace may take to attach itself.
const ATTACH: Duration = Duration::from_secs(1);

/// Prints a line for each call.
pub fn run(args: &cli::Syscalls) -> anyhow::Result<()> {
    let workload = &workload::ALL[0];
    machine::prepare(workload.connections)?;
    let origin = Origin::start()?;
    let folder = tempfile::tempdir()?;
    let setting = Setting {
        conf: &args.conf,
        run: folder.path(),
        workers: machine::cores(),
        members: &origin.members,
    };
    let ours = Contestant::start("lbpool", Kind::Balancer(args.balancer.clone()), &setting)?;
    let ours = ours.with_context(|| format!("{}: no such program", args.balancer.display()))?;
    let requests = workload.requests();
    let mut load = Load::open(verify::address(&ours, workload), workload, &requests)?;
    load.run(Pace::Full, SECOND / 5)?;
    let pid = *ours.pids()?.first().context("the balancer has no process")?;
    let table = folder.path().join("strace");
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-p", &pid.to_string(), "-o"])
        .arg(&table)
        .stderr(Stdio::null())
        .spawn()
        .context("starting strace")?;
    sleep(ATTACH);
    let outcome = load.run(Pace::Full, 2 * SECOND)?;
    let strace_pid = Pid::from_raw(strace.id().try_into()?).context("strace has no process id")?;
    kill_process(strace_pid, Signal::INT)?;
    strace.wait()?;
    ensure!(
        outcome.failed == 0,
        "{} requests failed: {:?}",
        outcome.failed,
        outcome.why
    );
    println!("{} requests under strace; calls for each:", outcome.answered);
    for (name, calls) in calls(&fs::read_to_string(&table)?) {
        println!("{:8.3} {name}", figure(calls) / figure(outcome.answered));
    }
    Ok(())
}

/// The calls in the table of `strace -c`, the most frequent first.
fn calls(table: &str) -> Vec<(&str, u64)> {
    let rows = table.lines().filter_map(row).filter(|(name, _)| *name != "total");
    let mut calls: Vec<(&str, u64)> = rows.collect();
    calls.sort_by_key(|(_, calls)| std::cmp::Reverse(*calls));
    calls
}

/// A line: share of the time, seconds, microseconds per call, calls, errors if there were any, name.
fn row(line: &str) -> Option<(&str, u64)> {
    let mut words = line.split_whitespace();
    words.next()?.parse::<f64>().ok()?;
    let calls = words.nth(2)?.parse().ok()?;
    Some((words.last()?, calls))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_strace_is_read() {
        let table = "% time     seconds  usecs/call     calls    errors syscall\n\
            ------ ----------- ----------- --------- --------- ----------------\n \
            50.00    0.100000          10       100         3 recvfrom\n \
            50.00    0.100000          10       200           sendto\n\
            ------ ----------- ----------- --------- --------- ----------------\n\
            100.00    0.200000                   300         3 total\n";
        assert_eq!(calls(table), [("sendto", 200), ("recvfrom", 100)]);
    }
}
