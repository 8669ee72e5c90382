//! Which system calls a request costs each contestant, counted by strace.

use std::{
    fs,
    path::Path,
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
    machine, verify,
    workload::{self, Workload},
};

/// How long strace may take to attach itself.
const ATTACH: Duration = Duration::from_secs(1);

/// Prints a line for each call of each contestant under each load.
pub fn run(args: &cli::Syscalls) -> anyhow::Result<()> {
    let workloads = workload::named(&args.workloads)?;
    machine::prepare(workload::most_connections(&workloads))?;
    let origin = Origin::start()?;
    let folder = tempfile::tempdir()?;
    let setting = Setting {
        conf: &args.conf,
        run: folder.path(),
        workers: machine::cores(),
        members: &origin.members,
    };
    let mut kinds = vec![("lbpool".to_owned(), Kind::Balancer(args.balancer.clone()))];
    for name in &args.rivals {
        kinds.push((name.clone(), Kind::of(name)?));
    }
    for (name, kind) in kinds {
        let Some(contestant) = Contestant::start(&name, kind, &setting)? else {
            println!("{name} is not installed");
            continue;
        };
        verify::contestant(&contestant)?;
        for workload in &workloads {
            count(&contestant, workload, &folder.path().join("strace"))?;
        }
    }
    Ok(())
}

fn count(contestant: &Contestant, workload: &Workload, table: &Path) -> anyhow::Result<()> {
    let requests = workload.requests();
    let mut load = Load::open(verify::address(contestant, workload), workload, &requests)?;
    load.run(Pace::Full, SECOND / 5)?;
    let outcome = under_strace(&contestant.pids()?, table, || load.run(Pace::Full, 2 * SECOND))?;
    let (name, title, answered) = (&contestant.name, workload.title, outcome.answered);
    ensure!(
        outcome.failed == 0,
        "{name}, {title}: {} requests failed: {:?}",
        outcome.failed,
        outcome.why
    );
    println!("{name}, {title}: {answered} requests, calls for each:");
    for (name, calls) in calls(&fs::read_to_string(table)?) {
        println!("{:8.3} {name}", figure(calls) / figure(answered));
    }
    Ok(())
}

/// Has strace count the calls of processes during some work.
fn under_strace<T>(pids: &[u32], table: &Path, work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let pids = pids.iter().flat_map(|pid| ["-p".to_owned(), pid.to_string()]);
    let mut strace = Command::new("strace")
        .args(["-c", "-f", "-o"])
        .arg(table)
        .args(pids)
        .stderr(Stdio::null())
        .spawn()
        .context("starting strace")?;
    sleep(ATTACH);
    let outcome = work();
    let pid = Pid::from_raw(strace.id().try_into()?).context("strace has no process id")?;
    kill_process(pid, Signal::INT)?;
    strace.wait()?;
    outcome
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
