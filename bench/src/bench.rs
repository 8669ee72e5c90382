//! The rounds: every contestant in turn, each round in another order.

use std::{io::Write as _, process, time::Duration};

use anyhow::{Context as _, bail};

use crate::{
    cli,
    clock::{SECOND, nanos},
    contestant::{Contestant, Kind, Origin, Setting},
    figures::{Phase, Row, Sample, figure, median},
    load::{Load, Outcome, Pace},
    machine, process as procs,
    report::{Lines, Results, Role},
    verify,
    workload::{self, Requests, Workload},
};

/// How long a contestant is loaded before it is measured.
const WARM: u64 = SECOND / 5;
/// A round is disturbed when the host takes more of the machine's time than this, ...
const STOLEN: f64 = 0.01;
/// ... or programs that are not part of it use more.
const OTHERS: f64 = 0.1;
/// Contestants that ours is not compared with take part in every fourth round.
const SELDOM: u32 = 4;
/// Share of the slowest rival's capacity at which latency is measured, in percent.
const RATE: u64 = 70;

/// Everything that is measured with.
struct Bench<'a> {
    args: &'a cli::Run,
    origin: &'a Origin,
    contestants: Vec<Contestant>,
    results: Results,
    lines: Lines,
    begun: u64,
}

/// Runs it all and writes what came out.
pub fn run(args: &cli::Run) -> anyhow::Result<()> {
    let workloads = workload::named(&args.workloads)?;
    machine::prepare(workload::most_connections(&workloads))?;
    let origin = Origin::start()?;
    let run = tempfile::tempdir()?;
    let workers = args.workers.unwrap_or_else(machine::cores);
    let setting = Setting {
        conf: &args.conf,
        run: run.path(),
        workers,
        members: &origin.members,
    };
    let mut results = Results {
        machine: machine::describe(),
        workers,
        ..Results::default()
    };
    let contestants = start(args, &setting, &mut results.skipped)?;
    for contestant in &contestants {
        verify::contestant(contestant)?;
        println!("{} {} answers rightly", contestant.name, contestant.version);
        let role = match contestant {
            _ if contestant.counts() => Role::Rival,
            _ if contestant.is_floor() => Role::Floor,
            _ => Role::Beside,
        };
        results
            .contestants
            .push((contestant.name.clone(), contestant.version.clone(), role));
    }
    let mut bench = Bench {
        args,
        origin: &origin,
        contestants,
        results,
        lines: Lines::create(&args.out)?,
        begun: nanos(),
    };
    for workload in &workloads {
        bench.measure(workload)?;
    }
    bench.results.write(&workloads, &args.out, args.into.as_ref())?;
    println!("\n{}", bench.results.markdown(&workloads));
    Ok(())
}

fn start(args: &cli::Run, setting: &Setting<'_>, skipped: &mut Vec<String>) -> anyhow::Result<Vec<Contestant>> {
    let ours = [("lbpool".to_owned(), Kind::Balancer(args.balancer.clone()))];
    let builds = args
        .with
        .iter()
        .map(|(name, program)| (name.clone(), Kind::Balancer(program.clone())));
    let mut all: Vec<(String, Kind)> = ours.into_iter().chain(builds).collect();
    for name in args.rivals.iter().filter(|name| !name.is_empty()) {
        all.push((name.clone(), Kind::of(name)?));
    }
    let mut contestants = Vec::new();
    for (name, kind) in all {
        let ours = matches!(kind, Kind::Balancer(_));
        match Contestant::start(&name, kind, setting)? {
            Some(contestant) => contestants.push(contestant),
            None if ours => bail!("{name}: no such program"),
            None => skipped.push(format!("{name} (not installed: bench/rivals)")),
        }
    }
    Ok(contestants)
}

// === impl Bench ===

impl Bench<'_> {
    /// A load: each contestant at its capacity, then all at one rate.
    fn measure(&mut self, workload: &Workload) -> anyhow::Result<()> {
        println!("\n{}", workload.title);
        let mut entrants = Vec::new();
        for (index, contestant) in self.contestants.iter().enumerate() {
            if contestant.is_floor() && workload.goal.is_none() {
                continue;
            }
            match verify::workload(contestant, workload) {
                Ok(()) => entrants.push(index),
                Err(why) => {
                    println!("  {} is left out: {why}", contestant.name);
                    self.results
                        .skipped
                        .push(format!("{}, {}: {why}", workload.title, contestant.name));
                }
            }
        }
        let requests = workload.requests();
        let rounds = self.args.rounds;
        // Nothing is promised of CPU where there is no goal: half as many rounds tell it.
        let at_capacity = rounds * 2 / if workload.goal.is_some() { 5 } else { 10 };
        self.rounds(workload, &requests, &entrants, Pace::Full, at_capacity.max(1))?;
        let rate = self.rate(workload, &entrants);
        if rate > 0 {
            self.rounds(workload, &requests, &entrants, Pace::Rate(rate), rounds)?;
        }
        for row in self.results.rows(workload) {
            let Row {
                contestant,
                cpu,
                per_second,
                p99,
                ..
            } = row;
            println!(
                "  {contestant}: {cpu:.1} us, {per_second:.0}/s; at {rate}/s p99 {:.2} ms",
                p99 / 1000.0
            );
        }
        Ok(())
    }

    /// The rate that all get: a share of the capacity of the slowest that ours is compared with.
    fn rate(&self, workload: &Workload, entrants: &[usize]) -> u64 {
        let compared = entrants
            .iter()
            .map(|index| &self.contestants[*index])
            .filter(|c| c.counts());
        let capacity =
            |c: &Contestant| Row::of(&self.results.samples, workload.name, &c.name).map(|row| row.per_second);
        let ours = entrants.first().map(|index| &self.contestants[*index]);
        let slowest = compared.chain(ours).filter_map(capacity).fold(f64::INFINITY, f64::min);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rate: positive, thousands"
        )]
        let slowest = if slowest.is_finite() { slowest as u64 } else { 0 };
        // A round number says that it is no measurement.
        slowest * RATE / 100 / 100 * 100
    }

    fn rounds(
        &mut self,
        workload: &Workload,
        requests: &Requests,
        entrants: &[usize],
        pace: Pace,
        wanted: u32,
    ) -> anyhow::Result<()> {
        let (mut quiet, mut round) = (0, 0);
        let mut reference = Vec::new();
        let late = |begun: u64, minutes: u64| nanos() - begun > minutes * 60 * SECOND;
        // Disturbed rounds are repeated, within reason.
        while quiet < wanted && round < 2 * wanted && (round < wanted || !late(self.begun, self.args.minutes)) {
            let mut order: Vec<usize> = entrants.to_vec();
            let turn = round as usize % order.len().max(1);
            order.rotate_left(turn);
            if round % 2 == 1 {
                order.reverse();
            }
            let mut samples = Vec::new();
            for index in order {
                let contestant = &self.contestants[index];
                if contestant.is_ours() || contestant.counts() || contestant.is_floor() || round % SELDOM == 0 {
                    samples.push(self.sample(index, workload, requests, pace, round)?);
                }
            }
            let is_quiet = samples
                .iter()
                .all(|sample| sample.stolen <= STOLEN && sample.others <= OTHERS);
            quiet += u32::from(is_quiet);
            round += 1;
            for mut sample in samples {
                sample.quiet = is_quiet;
                self.lines.add(&sample)?;
                reference.push(sample.others);
                self.results.samples.push(sample);
            }
        }
        print!(
            "  {round} rounds {pace:?}, {quiet} quiet (others used {:.0} %)",
            100.0 * median(reference)
        );
        println!();
        std::io::stdout().flush()?;
        Ok(())
    }

    /// Measures a contestant once.
    fn sample(
        &self,
        index: usize,
        workload: &Workload,
        requests: &Requests,
        pace: Pace,
        round: u32,
    ) -> anyhow::Result<Sample> {
        let contestant = &self.contestants[index];
        let failed = || format!("{} under {}", contestant.name, workload.title);
        let mut load = Load::open(verify::address(contestant, workload), workload, requests).with_context(failed)?;
        load.run(pace, WARM).with_context(failed)?;
        let pids = contestant.pids()?;
        let all: Vec<u32> = pids.iter().copied().chain([self.origin.pid, process::id()]).collect();
        let before = (procs::machine()?, procs::cpu(&pids), procs::cpu(&all), nanos());
        let length = u64::try_from(Duration::from_secs_f64(self.args.seconds).as_nanos())?;
        let outcome = load.run(pace, length).with_context(failed)?;
        let passed = figure((nanos() - before.3) * machine::cores() as u64);
        let cpu = procs::cpu(&pids).since(before.1);
        let own = procs::cpu(&all).since(before.2).sum;
        let machine = procs::machine()?;
        let others = (machine.used - before.0.used).saturating_sub(own);
        let Outcome {
            answered,
            failed,
            nanos,
            ref why,
            ..
        } = outcome;
        let us = |nanos: u64| figure(nanos) / 1000.0;
        Ok(Sample {
            workload: workload.name,
            phase: if matches!(pace, Pace::Full) {
                Phase::Capacity
            } else {
                Phase::Rate
            },
            round,
            contestant: contestant.name.clone(),
            quiet: false,
            rate: if let Pace::Rate(rate) = pace { rate } else { 0 },
            answered,
            failed,
            why: why.clone(),
            per_second: figure(answered) / (figure(nanos) / figure(SECOND)),
            cpu: us(cpu.sum) / figure(answered),
            cpu_user: us(cpu.user) / figure(answered),
            cpu_system: us(cpu.system) / figure(answered),
            p50: us(outcome.latency(5000)),
            p99: us(outcome.latency(9900)),
            p999: us(outcome.latency(9990)),
            memory_bytes: procs::memory(&pids),
            stolen: figure(machine.stolen - before.0.stolen) / passed,
            others: figure(others) / passed,
        })
    }
}
