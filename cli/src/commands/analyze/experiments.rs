//! The experiments: each brings the pool into a state, asks, and counts what the servers answered.
//!
//! One that fails is noted down, and the next one begins.

use std::{collections::BTreeMap, sync::Arc};

use anyhow::Context as _;
use lbpool_report::{
    About, Algorithm, Change, ChangeKind, Failed, Flow, Kill, Run, Sample, Setup, Spread, keys::repeats,
};
use tokio::time::{Instant, sleep};

use super::{
    KillPlan, Plan,
    load::{Answer, Answers, ask},
    progress::Progress,
    subject::{self, Arranged, Subject},
};
use crate::output::explain;

/// Servers before one leaves or joins.
const SERVERS: usize = 5;
/// Servers of which one is killed.
const KILL_SERVERS: usize = 5;

/// The pool, what to ask it, and who is told how far it is.
pub struct Experiments<'a> {
    /// The pool.
    pub subject: &'a Subject,
    /// What to ask.
    pub plan: &'a Plan,
    /// How far it is.
    pub progress: &'a Progress,
}

impl Experiments<'_> {
    /// All of them.
    pub async fn run(&self) -> Run {
        let mut run = Run {
            about: About::default(),
            setup: Setup {
                pool: self.subject.name.clone(),
                url: self.subject.url.clone(),
                keys: self.plan.keys_name.clone(),
                seed: self.plan.seed,
                connections: self.plan.connections,
            },
            spreads: Vec::new(),
            changes: Vec::new(),
            kills: Vec::new(),
            failed: Vec::new(),
        };
        for &algorithm in &self.plan.algorithms {
            for servers in Plan::SERVERS {
                for requests in self.plan.series(servers) {
                    let name = format!("{servers} servers");
                    let spread = Box::pin(self.spread(algorithm, servers, requests));
                    run.spreads
                        .extend(self.step(&mut run.failed, algorithm, name, requests, spread).await);
                }
            }
            for (kind, name) in [
                (ChangeKind::Removal, "a server leaves"),
                (ChangeKind::Addition, "a server joins"),
            ] {
                let change = Box::pin(self.change(algorithm, kind));
                let requests = self.plan.change_requests();
                run.changes.extend(
                    self.step(&mut run.failed, algorithm, name.to_owned(), requests, change)
                        .await,
                );
            }
            if let Some(plan) = &self.plan.kill {
                let kill = Box::pin(self.kill(algorithm, plan, &run.kills));
                let (name, requests) = ("a server is killed".to_owned(), self.plan.kill_requests());
                run.kills
                    .extend(self.step(&mut run.failed, algorithm, name, requests, kill).await);
            }
        }
        run
    }

    async fn step<T>(
        &self,
        failed: &mut Vec<Failed>,
        algorithm: Algorithm,
        experiment: String,
        requests: usize,
        doing: impl Future<Output = anyhow::Result<T>>,
    ) -> Option<T> {
        let step = self
            .progress
            .begin(format!("{algorithm}, {experiment}"), requests as u64);
        match doing.await {
            Ok(outcome) => {
                step.done();
                Some(outcome)
            }
            Err(error) => {
                let reason = explain(&error);
                step.failed(&reason);
                failed.push(Failed {
                    algorithm,
                    experiment,
                    reason,
                });
                None
            }
        }
    }

    /// how requests spread.
    async fn spread(&self, algorithm: Algorithm, servers: usize, requests: usize) -> anyhow::Result<Spread> {
        let arranged = self.subject.arrange(algorithm, servers).await?;
        let keys: Arc<[Arc<str>]> = self.plan.keys.requests(self.plan.seed, requests).into();
        let began = Instant::now();
        let answers = self.ask(&keys, None).await?;
        Ok(Spread {
            algorithm,
            counts: answers.counts(&arranged.servers),
            requests: requests as u64,
            repeats: repeats(&keys),
            failures: answers.failures(),
            seconds: (began.elapsed().as_secs_f64() * 1000.0).round() / 1000.0,
            check: answers.check(&arranged),
            servers: arranged.servers,
        })
    }

    /// what moves when a server leaves or joins, and whether it is home again once that is undone.
    async fn change(&self, algorithm: Algorithm, kind: ChangeKind) -> anyhow::Result<Change> {
        let keys: Arc<[Arc<str>]> = self.plan.keys.distinct(self.plan.seed, self.plan.changed).into();
        let before = self.subject.arrange(algorithm, SERVERS).await?;
        let then = self.ask(&keys, None).await?;
        let (after, server) = match kind {
            ChangeKind::Removal => {
                let server = before.servers[SERVERS / 2].clone();
                (self.subject.without(algorithm, &before, &server).await?, server)
            }
            ChangeKind::Addition => {
                let after = self.subject.arrange(algorithm, SERVERS + 1).await?;
                let server = after.servers.last().cloned().unwrap_or_default();
                (after, server)
            }
        };
        let now = self.ask(&keys, None).await?;
        let again = self.subject.arrange(algorithm, SERVERS).await?;
        let home = self.ask(&keys, None).await?;
        Ok(Change {
            algorithm,
            kind,
            server,
            flows: flows(&then, &now),
            table_moved: after.oracle.moved_from(&before.oracle),
            astray: home.astray(&then),
            failures: sum([&then, &now, &home].map(Answers::failures)),
            check: then.check(&before).and(&now.check(&after)).and(&home.check(&again)),
            before: before.servers,
            after: after.servers,
        })
    }

    /// A server is killed under steady load.
    async fn kill(&self, algorithm: Algorithm, plan: &KillPlan, before: &[Kill]) -> anyhow::Result<Kill> {
        let arranged = self.subject.arrange(algorithm, KILL_SERVERS).await?;
        let keys: Arc<[Arc<str>]> = self.plan.keys.requests(self.plan.seed, self.plan.kill_load()).into();
        let victim = victim(&arranged, &keys, before).context("every server was killed already")?;
        let process = self.subject.process(&victim).await?;
        let crash = async {
            sleep(plan.before).await;
            // Before the call: what it takes counts as after the kill.
            let at = Instant::now();
            subject::kill(process).map(|()| at)
        };
        let (answers, killed) = tokio::join!(self.ask(&keys, Some(plan.rate)), crash);
        let (answers, killed) = (answers?, killed?);
        let distinct: Arc<[Arc<str>]> = self.plan.keys.distinct(self.plan.seed, self.plan.kill_check()).into();
        // The same state once more: that waits until every seat is ready again.
        let again = self.subject.arrange(algorithm, KILL_SERVERS).await?;
        let home = self.ask(&distinct, None).await?.check(&again);
        Ok(Kill {
            algorithm,
            policy: "Spill".to_owned(),
            servers: arranged.servers,
            victim,
            rate: plan.rate,
            samples: samples(answers, killed),
            astray: home.differing,
        })
    }

    async fn ask(&self, keys: &Arc<[Arc<str>]>, rate: Option<u32>) -> anyhow::Result<Answers> {
        let answers = ask(&self.subject.target, keys, rate, self.progress).await;
        // All failed: there is nothing to count, and the reason is what matters.
        if let Some(Err(reason)) = answers.all.first().map(|answer| &answer.outcome)
            && answers.all.iter().all(|answer| answer.outcome.is_err())
        {
            anyhow::bail!("no request was answered: {reason}");
        }
        Ok(answers)
    }
}

/// The server with the most of the keys that was not killed before, since one that ends again soon is started again later.
///
/// The first one is left alone: of Classroom's it has four fifths, and what becomes of the others would not be seen.
fn victim(arranged: &Arranged, keys: &[Arc<str>], before: &[Kill]) -> Option<String> {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for owner in keys.iter().filter_map(|key| arranged.oracle.owner(key)) {
        *counts.entry(owner).or_default() += 1;
    }
    let others = arranged.servers.iter().skip(1);
    let fresh = others.filter(|server| before.iter().all(|kill| kill.victim != **server));
    fresh
        .max_by_key(|server| counts.get(server.as_str()).copied().unwrap_or(0))
        .cloned()
}

/// Keys that were answered both times, by who answered.
fn flows(then: &Answers, now: &Answers) -> Vec<Flow> {
    let mut counts: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for pair in then.homes().into_iter().zip(now.homes()) {
        if let (Some(from), Some(to)) = pair {
            *counts.entry((from, to)).or_default() += 1;
        }
    }
    let flow = |((from, to), keys): ((&str, &str), u64)| Flow {
        from: from.to_owned(),
        to: to.to_owned(),
        keys,
    };
    counts.into_iter().map(flow).collect()
}

fn sum<const N: usize>(all: [BTreeMap<String, u64>; N]) -> BTreeMap<String, u64> {
    let mut sum = BTreeMap::new();
    for (reason, count) in all.into_iter().flatten() {
        *sum.entry(reason).or_default() += count;
    }
    sum
}

fn samples(answers: Answers, killed: Instant) -> Vec<Sample> {
    let sample = |Answer {
                      sent, took, outcome, ..
                  }| {
        let before = killed.saturating_duration_since(sent).as_secs_f64();
        let after = sent.saturating_duration_since(killed).as_secs_f64();
        let outcome = outcome.map(|server: Arc<str>| server.to_string());
        Sample::new((after - before) * 1000.0, took.as_secs_f64() * 1000.0, outcome)
    };
    answers.all.into_iter().map(sample).collect()
}
