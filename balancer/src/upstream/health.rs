//! Active probes: asks members how they are, on a runtime apart from the data threads.
//!
//! A task per member is a loop of two states: wait until it looks wrong (or for its next turn, see [`When`]), probe it.
//! What follows from the answers is [`Run`], which has neither socket nor clock.

use std::{collections::HashMap, io, net::SocketAddr, sync::Arc, time::Duration};

use bytes::Bytes;
use lbpool_api::{pool::Health, routing::Protocol};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::watch,
    task::{AbortHandle, JoinSet},
    time::{sleep, timeout},
};

use crate::{
    shared::Shared,
    snapshot::Snapshot,
    target::{Probe, Target},
    tls::Upstream,
    upstream::{breaker::State, connect, http2},
};

/// Which members are probed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum When {
    /// Those that failed requests or are suspect, until they are well again: someone else tells who is ready.
    #[default]
    Wrong,
    /// All that the document says are serving: nobody else tells whether they are.
    Always,
}

/// Why a probe found a member ill.
#[derive(Debug, thiserror::Error)]
enum Ill {
    #[error("no answer within {0:?}")]
    Timeout(Duration),
    #[error("no connection: {0}")]
    Connect(io::Error),
    #[error("connection broken: {0}")]
    Broken(io::Error),
    #[error("the answer is not in the version of HTTP that was asked in: is its protocol right?")]
    Protocol,
    #[error("status {0}, expected 200 to 399: is health.path right?")]
    Status(u16),
}

/// What is wrong with a member that is probed for that: the greater one counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Fault {
    /// Its requests wait for long: it may be slow, or hang.
    Suspect,
    /// It failed requests.
    Failed,
}

/// Answers of the same kind in a row.
#[derive(Debug, Default)]
struct Run {
    failures: u32,
    successes: u32,
}

/// What so many answers in a row say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verdict {
    Well,
    Ill,
}

/// A task that looks after one member.
#[derive(Debug)]
struct Watched {
    target: Arc<Target>,
    health: Health,
    task: AbortHandle,
}

/// Tasks that look after targets which get no requests any more (their seat is vacant, or another Pod sits in it) and have
/// some that wait: those may be sent again once it is known that their answers will not come.
#[derive(Debug, Default)]
struct Left(Vec<(Arc<Target>, AbortHandle)>);

/// Looks after the members of `shared` for as long as it is polled: it never ends by itself.
///
/// Cancel safe: dropped, it stops all probes; verdicts stay as they are.
pub async fn run(shared: Arc<Shared>, when: When) {
    let mut snapshots = shared.watch_snapshot();
    let wrong = watch::Sender::new(());
    let mut tasks = JoinSet::new();
    let mut watched: HashMap<Arc<str>, Watched> = HashMap::new();
    let mut left = Left::default();
    loop {
        let snapshot = Arc::clone(&snapshots.borrow_and_update());
        let expected = snapshot.members.iter().filter_map(|member| member.expected());
        let expected: HashMap<Arc<str>, &Arc<Target>> = expected.map(|t| (Arc::clone(t.member()), t)).collect();
        watched.retain(|name, Watched { target, health, task }| {
            let stays = *health == snapshot.health && expected.get(name).is_some_and(|new| Arc::ptr_eq(new, target));
            if !stays {
                task.abort();
                // Who waits there is not well served by one who begins to find out once more.
                if target.probe() != Probe::Ill || target.in_flight() == 0 {
                    target.set_probe(Probe::Unknown);
                }
            }
            stays
        });
        left.forget(|target| expected.values().any(|new| Arc::ptr_eq(new, target)));
        left.take(&shared, &snapshot, &mut tasks);
        for (name, target) in expected {
            watched.entry(name).or_insert_with(|| {
                let (target, health) = (Arc::clone(target), snapshot.health.clone());
                let care = look_after(
                    Arc::clone(&shared),
                    Arc::clone(&target),
                    health.clone(),
                    when,
                    wrong.subscribe(),
                );
                Watched {
                    target,
                    health,
                    task: tasks.spawn(care),
                }
            });
        }
        loop {
            tokio::select! {
                changed = snapshots.changed() => match changed {
                    Ok(()) => break,
                    Err(_) => return,
                },
                () = shared.suspected() => {
                    // Without anybody who listens there is nobody to probe.
                    let _ = wrong.send(());
                    left.take(&shared, &snapshot, &mut tasks);
                }
                Some(ended) = tasks.join_next() => if ended.is_err_and(|error| error.is_panic()) {
                    tracing::error!("a probe panicked: its member is not probed until the routing changes");
                },
            }
        }
    }
}

async fn look_after(
    shared: Arc<Shared>,
    target: Arc<Target>,
    health: Health,
    when: When,
    mut wrong: watch::Receiver<()>,
) {
    let request = request(target.address(), &health.path);
    let period = health.period.get();
    let mut run = Run::default();
    let mut pause = spread(period, target.member());
    let mut fault = Fault::Suspect;
    loop {
        if when == When::Wrong {
            if let Some(found) = looks_wrong(&target, shared.now()) {
                fault = fault.max(found);
            } else {
                // The sender lives as long as the task that started this one.
                while looks_wrong(&target, shared.now()).is_none() && wrong.changed().await.is_ok() {
                    run = Run::default();
                }
                fault = looks_wrong(&target, shared.now()).unwrap_or(Fault::Failed);
            }
        }
        ask_and_apply(&shared, &target, &health, when, (&mut run, fault), &request).await;
        sleep(if run.is_open(&health) && target.is_suspect() {
            period / 2
        } else {
            pause
        })
        .await;
        pause = period;
    }
}

/// Until nobody waits for it, or it is well.
async fn look_after_left(shared: Arc<Shared>, target: Arc<Target>, health: Health) {
    let request = request(target.address(), &health.path);
    let mut run = Run::default();
    while target.in_flight() > 0 && (target.is_suspect() || target.probe() == Probe::Ill) {
        ask_and_apply(
            &shared,
            &target,
            &health,
            When::Wrong,
            (&mut run, Fault::Suspect),
            &request,
        )
        .await;
        sleep(health.period.get() / 2).await;
    }
    target.set_suspect(false);
    target.set_probe(Probe::Unknown);
}

async fn ask_and_apply(
    shared: &Shared,
    target: &Target,
    health: &Health,
    when: When,
    (run, fault): (&mut Run, Fault),
    request: &[u8],
) {
    let tls = shared.config.upstream_tls.as_deref();
    let answer = probe(target, tls, health, request).await;
    let well = match &answer {
        Ok(()) => true,
        // Whoever answers does not hang, and nothing else was suspected: its path may be another one than `health.path`.
        Err(Ill::Status(_)) => when == When::Wrong && fault == Fault::Suspect,
        Err(_) => false,
    };
    let Some(verdict) = run.note(well, health) else {
        return;
    };
    let before = (target.admits(shared.now()), target.probe());
    apply(verdict, when, target, shared.now());
    let (admits, probe) = (target.admits(shared.now()), target.probe());
    if before.0 != admits {
        tell(target, health, answer.err().filter(|_| !well));
    }
    if before != (admits, probe) {
        shared.verdicts_changed();
    }
}

/// The first pause differs from member to member, so that a thousand of them are not probed at the same instant.
fn spread(period: Duration, name: &str) -> Duration {
    let share = xxhash_rust::xxh3::xxh3_64(name.as_bytes()) % 1024;
    period / 2 + period * u32::try_from(share).unwrap_or(0) / 2048
}

/// What is wrong with a target, if something is. One that is ill already says only that it still is.
fn looks_wrong(target: &Target, now: u64) -> Option<Fault> {
    if target.breaker().is_failing() || target.breaker().state(now) != State::Closed {
        Some(Fault::Failed)
    } else if target.is_suspect() || target.probe() == Probe::Ill {
        Some(Fault::Suspect)
    } else {
        None
    }
}

fn apply(verdict: Verdict, when: When, target: &Target, now: u64) {
    target.set_probe(match (verdict, when) {
        (Verdict::Ill, _) => Probe::Ill,
        (Verdict::Well, When::Always) => Probe::Well,
        (Verdict::Well, When::Wrong) => Probe::Unknown,
    });
    if verdict == Verdict::Well {
        target.breaker().on_probe_well(now);
        target.set_suspect(false);
    }
}

fn tell(target: &Target, health: &Health, ill: Option<Ill>) {
    let (member, pod, address) = (target.member(), target.pod(), target.address());
    if let Some(why) = ill {
        tracing::warn!(%member, %pod, "not ready: GET http://{address}{}: {why}", health.path);
    } else {
        tracing::info!(%member, %pod, "ready again: GET http://{address}{}", health.path);
    }
}

fn request(address: SocketAddr, path: &str) -> Vec<u8> {
    format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nUser-Agent: lbpool-probe\r\nConnection: close\r\n\r\n")
        .into_bytes()
}

async fn probe(target: &Target, tls: Option<&Upstream>, health: &Health, request: &[u8]) -> Result<(), Ill> {
    let limit = health.timeout.get();
    let asked = async {
        match target.protocol() {
            Protocol::Http1 => ask(target, tls, request).await,
            Protocol::H2c => ask_http2(target, tls, &health.path).await,
        }
    };
    timeout(limit, asked).await.unwrap_or(Err(Ill::Timeout(limit)))
}

async fn ask(target: &Target, tls: Option<&Upstream>, request: &[u8]) -> Result<(), Ill> {
    let mut stream = connect::open(target, tls).await.map_err(Ill::Connect)?;
    stream.write_all(request).await.map_err(Ill::Broken)?;
    stream.flush().await.map_err(Ill::Broken)?;
    // As long as the part of the status line that counts: `HTTP/1.1 200`.
    let mut start = [0; 12];
    stream.read_exact(&mut start).await.map_err(Ill::Broken)?;
    match status(&start).ok_or(Ill::Protocol)? {
        200..=399 => Ok(()),
        other => Err(Ill::Status(other)),
    }
}

async fn ask_http2(target: &Target, tls: Option<&Upstream>, path: &str) -> Result<(), Ill> {
    let stream = connect::open(target, tls).await.map_err(Ill::Connect)?;
    let (scheme, address) = (stream.scheme(), target.address());
    let broken = |error| Ill::Broken(http2::into_io(error));
    let handshake = http2::settings().handshake::<_, Bytes>(stream).await;
    let (mut requests, connection) = handshake.map_err(broken)?;
    let request = http::Request::get(format!("{scheme}://{address}{path}")).header("user-agent", "lbpool-probe");
    let request = request.body(()).map_err(|_| Ill::Protocol)?;
    let (answer, _) = requests.send_request(request, true).map_err(broken)?;
    let status = tokio::select! {
        biased;
        answer = answer => answer.map_err(broken)?.status().as_u16(),
        _ = connection => return Err(Ill::Protocol),
    };
    match status {
        200..=399 => Ok(()),
        other => Err(Ill::Status(other)),
    }
}

fn status(start: &[u8]) -> Option<u16> {
    let digits = start
        .strip_prefix(b"HTTP/1.1 ")
        .or_else(|| start.strip_prefix(b"HTTP/1.0 "))?;
    let digits = digits.iter().all(u8::is_ascii_digit).then_some(digits)?;
    std::str::from_utf8(digits).ok()?.parse().ok()
}

// === impl Left ===

impl Left {
    /// Finds those that are neither watched nor known yet.
    fn take(&mut self, shared: &Arc<Shared>, snapshot: &Snapshot, tasks: &mut JoinSet<()>) {
        self.0.retain(|(_, task)| !task.is_finished());
        for target in shared.targets() {
            let expected = snapshot.members.iter().filter_map(|member| member.expected());
            let known = self.0.iter().map(|(target, _)| target);
            let odd = target.in_flight() > 0 && (target.is_suspect() || target.probe() == Probe::Ill);
            if odd && !expected.chain(known).any(|other| Arc::ptr_eq(other, &target)) {
                let care = look_after_left(Arc::clone(shared), Arc::clone(&target), snapshot.health.clone());
                self.0.push((target, tasks.spawn(care)));
            }
        }
    }

    /// Leaves to others whom they look after now.
    fn forget(&mut self, theirs: impl Fn(&Arc<Target>) -> bool) {
        self.0.retain(|(target, task)| {
            let stays = !theirs(target);
            if !stays {
                task.abort();
            }
            stays
        });
    }
}

// === impl Run ===

impl Run {
    /// Whether failures have begun and are too few for a verdict.
    const fn is_open(&self, health: &Health) -> bool {
        self.failures > 0 && self.failures < health.failures
    }

    const fn note(&mut self, well: bool, health: &Health) -> Option<Verdict> {
        if well {
            self.failures = 0;
            self.successes = self.successes.saturating_add(1);
            if self.successes >= health.successes {
                Some(Verdict::Well)
            } else {
                None
            }
        } else {
            self.successes = 0;
            self.failures = self.failures.saturating_add(1);
            if self.failures >= health.failures {
                Some(Verdict::Ill)
            } else {
                None
            }
        }
    }
}

#[cfg(test)]
mod tests;
