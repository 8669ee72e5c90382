//! A tunnel: what a connection is once its member has answered 101. Bytes pass both ways until both sides have ended.
//!
//! Nobody here reads what passes. So it can not be ended between two messages, only between two bytes: an orderly end is
//! passed on as one, each side for itself, and anything else as a reset, so that nobody takes a part for the whole.

use std::{cell::Cell, io, rc::Rc, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::AsyncWriteExt as _,
    time::{Instant, sleep_until},
};

use super::{
    attempt::Leg,
    connection::{Connection, LINGER, Next},
    io::read,
};
use crate::{
    deadline::{Deadline, Elapsed},
    stats::{Count, TunnelEnd},
    stream::{ReadHalf, Stream, WriteHalf},
    worker::Worker,
};

/// The time over which tunnels that have to end do so: those who come back are not to come back all at once.
const SPREAD: Duration = Duration::from_secs(5);
/// A peer that is gone without a word (a machine without power, a forgotten entry of a NAT) is found out after
/// 60 + 4 x 15 s: long before a tunnel counts as idle.
const KEEPALIVE: TcpKeepalive = TcpKeepalive::new()
    .with_time(Duration::from_mins(1))
    .with_interval(Duration::from_secs(15))
    .with_retries(4);

/// A tunnel to a member, counted on it for as long as it lasts.
pub(super) struct Tunnel {
    pub(super) leg: Leg,
    pub(super) member: Stream,
    /// What the member has sent behind its head.
    pub(super) early: Vec<u8>,
}

/// A tunnel that is counted.
struct Open<'a> {
    worker: &'a Worker,
    end: Cell<TunnelEnd>,
}

/// One direction.
struct Flow<'a> {
    worker: &'a Worker,
    idle: &'a Deadline,
    passed: &'a Count,
}

/// How a direction ended in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flowed {
    /// All of it has arrived, its end too.
    Whole,
    /// The receiver takes no more.
    Refused,
}

/// Whose end of a connection broke.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Broken {
    Client,
    Member,
}

// === impl Tunnel ===

impl Tunnel {
    /// Passes bytes until it is over; says what becomes of the client's connection.
    pub(super) async fn run(self, connection: &mut Connection) -> Next {
        let Self { leg, mut member, early } = self;
        let worker = Rc::clone(&connection.worker);
        let open = Open::new(&worker);
        connection.out = Vec::new();
        watch(&connection.stream);
        watch(&member);
        let broken = {
            let first = std::mem::take(&mut connection.left);
            let (from_client, to_client) = connection.stream.split();
            let (from_member, to_member) = member.split();
            let idle = &connection.sending;
            let stats = worker.stats();
            let up = Flow::new(&worker, idle, &stats.tunnel_up);
            let down = Flow::new(&worker, idle, &stats.tunnel_down);
            let up = async { up.run(first, from_client, to_member).await.map_err(|_| Broken::Client) };
            let down = async {
                down.run(early, from_member, to_client)
                    .await
                    .map_err(|_| Broken::Member)
            };
            let both = idle.within(worker.shared.config.limits.tunnel_idle, async {
                tokio::try_join!(up, down)
            });
            tokio::select! {
                passed = both => match passed {
                    Ok(Ok((Flowed::Whole, Flowed::Whole))) => None,
                    // What the one has sent did not reach the other: it is to know.
                    Ok(Ok((Flowed::Refused, _))) => open.ends(TunnelEnd::Broken, Some(Broken::Member)),
                    Ok(Ok((_, Flowed::Refused))) => open.ends(TunnelEnd::Broken, Some(Broken::Client)),
                    Ok(Err(side)) => open.ends(TunnelEnd::Broken, Some(side)),
                    Err(Elapsed) => open.ends(TunnelEnd::Idle, None),
                },
                () = dismissed(&worker, &leg) => open.ends(TunnelEnd::Dismissed, None),
            }
        };
        match (broken, open.end.get()) {
            // An orderly end would say that all has arrived.
            (Some(Broken::Client), _) => member.reset_on_drop(),
            (Some(Broken::Member), _) => connection.stream.reset_on_drop(),
            (None, TunnelEnd::Finished) => return Next::End,
            (None, _) => {
                // It may be gone already, or take nothing: nobody misses the end then.
                drop(connection.sending.within(LINGER, member.shutdown()).await);
                return Next::Linger;
            }
        }
        Next::Cut
    }
}

// === impl Open ===

impl<'a> Open<'a> {
    fn new(worker: &'a Worker) -> Self {
        worker.stats().tunnels_opened.inc();
        worker.stats().tunnels.inc();
        Self {
            worker,
            // Of one that is dropped, with all others, at the end of the balancer.
            end: Cell::new(TunnelEnd::Finished),
        }
    }

    fn ends(&self, end: TunnelEnd, broken: Option<Broken>) -> Option<Broken> {
        self.end.set(end);
        broken
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.worker.stats().tunnel_ends[self.end.get() as usize].inc();
        self.worker.stats().tunnels.dec();
    }
}

// === impl Flow ===

impl<'a> Flow<'a> {
    const fn new(worker: &'a Worker, idle: &'a Deadline, passed: &'a Count) -> Self {
        Self { worker, idle, passed }
    }

    /// Passes on what was read already, then what comes, up to its end. One page at a time: who does not read is not
    /// read from either.
    ///
    /// # Errors
    /// The sender's connection broke.
    async fn run(&self, first: Vec<u8>, mut from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> io::Result<Flowed> {
        if !self.pass(&to, &first).await {
            return Ok(Flowed::Refused);
        }
        drop(first);
        loop {
            let page = read(&self.worker.pages, &mut from).await?;
            if page.is_empty() {
                let ended = to.shutdown().await;
                return Ok(ended.map_or(Flowed::Refused, |()| Flowed::Whole));
            }
            // The receiver may have said something before it went: the other direction goes on.
            if !self.pass(&to, &page).await {
                return Ok(Flowed::Refused);
            }
        }
    }

    async fn pass(&self, to: &WriteHalf<'_>, bytes: &[u8]) -> bool {
        let written = to.write_all(bytes, &[]).await;
        self.passed.add(bytes.len() as u64);
        self.idle.extend();
        written.is_ok()
    }
}

// === ends ===

/// Waits until a tunnel has to end, because its member leaves or the balancer does, and then for its turn.
async fn dismissed(worker: &Worker, leg: &Leg) {
    tokio::select! {
        () = member_left(worker, leg) => {}
        () = balancer_ends(worker) => {}
    }
}

async fn member_left(worker: &Worker, leg: &Leg) {
    let mut origin = Rc::clone(&leg.origin);
    loop {
        origin.left().await;
        let limit = worker.shared.config.limits.tunnel_drain;
        sleep_until(turn(worker, Instant::now() + limit, limit)).await;
        if origin.target().departed() {
            return;
        }
        // It is back, and may leave again.
        origin = worker.origins.of(origin.target());
    }
}

async fn balancer_ends(worker: &Worker) {
    let (end, grace) = worker.ends().await;
    sleep_until(turn(worker, end, grace)).await;
}

/// A moment in the last seconds before `end`, each time another one. The last tenth of them is left for the ends themselves.
fn turn(worker: &Worker, end: Instant, limit: Duration) -> Instant {
    let spread = SPREAD.min(limit / 2);
    let share = u32::try_from(worker.random() >> 40).unwrap_or(0);
    // `share` has 24 bits.
    let before = spread / 10 + (spread * 9 / 10) / (1 << 12) * (share >> 12);
    end.checked_sub(before).unwrap_or(end)
}

fn watch(stream: &Stream) {
    if let Err(error) = stream.with_tcp(|stream| SockRef::from(stream).set_tcp_keepalive(&KEEPALIVE)) {
        tracing::debug!(%error, "keepalive");
    }
}
