//! The load: one thread, many connections, every answer looked at.

mod http1;
mod http2;

use std::{
    collections::VecDeque,
    io,
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
};

use anyhow::Context as _;
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};

use crate::{
    clock::{SECOND, nanos, timespec},
    workload::{Protocol, Requests, Workload},
};

/// Room for what one read brings: a whole answer.
const READ: usize = 256 * 1024;
/// How long the last answers are waited for.
const PATIENCE: u64 = 2 * SECOND;
/// Connections that failed in a row before the load is given up.
const FAILURES: u64 = 1000;

/// When requests are sent.
#[derive(Clone, Copy, Debug)]
pub enum Pace {
    /// As soon as there is a connection for one: at capacity.
    Full,
    /// So many a second, whether the ones before were answered or not. One that finds no free connection waits, and its time
    /// counts from when it was due.
    Rate(u64),
}

/// What came of it.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    pub answered: u64,
    pub failed: u64,
    /// What went wrong first.
    pub why: Option<String>,
    /// From the first request to the last answer.
    pub nanos: u64,
    /// Of each answered request, from when it was due. Sorted.
    pub latencies: Vec<u64>,
}

/// Something that must not be in an answer.
pub type Wrong = String;

/// Open connections to one contestant.
pub struct Load<'a> {
    address: SocketAddr,
    workload: &'a Workload,
    requests: &'a Requests,
    epoll: OwnedFd,
    connections: Vec<Connection>,
    /// Connections that take a request, the one that waited longest first; one with room for several is in it as often.
    free: VecDeque<usize>,
    scratch: Vec<u8>,
    next: usize,
}

enum Connection {
    Http1(http1::Connection),
    Http2(Box<http2::Connection>),
}

// === impl Connection ===

impl Connection {
    fn open(address: SocketAddr, workload: &Workload) -> io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(match workload.protocol {
            Protocol::Http1 { close } => Self::Http1(http1::Connection::new(stream, workload.gets, close)),
            Protocol::Http2 { .. } => Self::Http2(Box::new(http2::Connection::new(stream, workload.gets))),
        })
    }

    const fn stream(&self) -> &TcpStream {
        match self {
            Self::Http1(connection) => connection.stream(),
            Self::Http2(connection) => connection.stream(),
        }
    }

    fn begin(&mut self, request: usize, due: u64, requests: &Requests) -> Result<(), Wrong> {
        match self {
            Self::Http1(connection) => connection.begin(request, due, requests),
            Self::Http2(connection) => connection.begin(request, due, requests),
        }
    }

    /// Goes on with whatever there is; `done` gets when each request that is answered now was due.
    fn go_on(&mut self, requests: &Requests, scratch: &mut [u8], done: &mut Vec<u64>) -> Result<(), Wrong> {
        match self {
            Self::Http1(connection) => connection.go_on(requests, scratch, done),
            Self::Http2(connection) => connection.go_on(scratch, done),
        }
    }

    /// Requests that have no answer yet.
    fn busy(&self) -> usize {
        match self {
            Self::Http1(connection) => connection.busy(),
            Self::Http2(connection) => connection.busy(),
        }
    }

    /// Whether it has ended as it should.
    const fn is_over(&self) -> bool {
        matches!(self, Self::Http1(connection) if connection.is_over())
    }
}

// === impl Load ===

impl<'a> Load<'a> {
    /// Opens the connections.
    pub fn open(address: SocketAddr, workload: &'a Workload, requests: &'a Requests) -> anyhow::Result<Self> {
        let mut load = Self {
            address,
            workload,
            requests,
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            connections: Vec::with_capacity(workload.connections),
            free: VecDeque::new(),
            scratch: vec![0; READ],
            next: 0,
        };
        for id in 0..workload.connections {
            let connection = Connection::open(address, workload).context("connecting")?;
            load.watch(id, &connection)?;
            load.connections.push(connection);
        }
        let rooms = match workload.protocol {
            Protocol::Http1 { .. } => 1,
            Protocol::Http2 { streams } => streams,
        };
        for _ in 0..rooms {
            load.free.extend(0..workload.connections);
        }
        Ok(load)
    }

    fn watch(&self, id: usize, connection: &Connection) -> io::Result<()> {
        // On edges: one registration serves for reading and writing alike.
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(&self.epoll, connection.stream(), EventData::new_u64(id as u64), flags)?;
        Ok(())
    }

    /// Sends requests for so long, and waits for their answers.
    pub fn run(&mut self, pace: Pace, length: u64) -> anyhow::Result<Outcome> {
        let mut outcome = Outcome::default();
        let begin = nanos();
        let end = begin + length;
        let due = |n: u64| match pace {
            Pace::Full => begin,
            Pace::Rate(rate) => begin + n * SECOND / rate.max(1),
        };
        let mut sent = 0;
        let mut in_flight = 0;
        let mut done = Vec::new();
        let mut events = Vec::with_capacity(256);
        loop {
            let mut now = nanos();
            while due(sent) < end && due(sent) <= now && (now < end || matches!(pace, Pace::Rate(_))) {
                let Some(id) = self.free.pop_front() else { break };
                let counts_from = if matches!(pace, Pace::Full) { now } else { due(sent) };
                sent += 1;
                in_flight += 1;
                let request = self.next % self.requests.heads.len();
                self.next += 1;
                if let Err(wrong) = self.connections[id].begin(request, counts_from, self.requests) {
                    in_flight -= self.fail(id, wrong, &mut outcome)?;
                }
                now = nanos();
            }
            let finished = due(sent) >= end || (matches!(pace, Pace::Full) && now >= end);
            if (finished && in_flight == 0) || now > end + PATIENCE {
                break;
            }
            let until = if finished || due(sent) <= now {
                end + PATIENCE
            } else {
                due(sent)
            };
            events.clear();
            let wait = timespec(until.saturating_sub(now));
            epoll::wait(&self.epoll, spare_capacity(&mut events), Some(&wait))?;
            for event in &events {
                let id = usize::try_from(event.data.u64())?;
                done.clear();
                let went = self.connections[id].go_on(self.requests, &mut self.scratch, &mut done);
                let now = nanos();
                outcome.answered += done.len() as u64;
                in_flight -= done.len();
                outcome
                    .latencies
                    .extend(done.iter().map(|due| now.saturating_sub(*due)));
                match went {
                    Ok(()) if self.connections[id].is_over() => self.renew(id)?,
                    Ok(()) => {}
                    Err(wrong) => in_flight -= self.fail(id, wrong, &mut outcome)?,
                }
                self.free.extend(done.iter().map(|_| id));
            }
        }
        outcome.failed += in_flight as u64;
        if in_flight > 0 {
            outcome
                .why
                .get_or_insert_with(|| format!("{in_flight} requests were not answered in time"));
        }
        outcome.nanos = nanos() - begin;
        outcome.latencies.sort_unstable();
        Ok(outcome)
    }

    /// A connection is of no use any more: how many requests failed with it.
    fn fail(&mut self, id: usize, wrong: Wrong, outcome: &mut Outcome) -> anyhow::Result<usize> {
        let lost = self.connections[id].busy();
        outcome.failed += lost as u64;
        outcome.why.get_or_insert(wrong);
        if outcome.failed > FAILURES {
            anyhow::bail!(
                "more than {FAILURES} requests failed: {}",
                outcome.why.as_deref().unwrap_or_default()
            );
        }
        self.renew(id)?;
        self.free.extend((0..lost).map(|_| id));
        Ok(lost)
    }

    fn renew(&mut self, id: usize) -> anyhow::Result<()> {
        let connection = Connection::open(self.address, self.workload).context("connecting again")?;
        self.watch(id, &connection)?;
        self.connections[id] = connection;
        Ok(())
    }
}

// === impl Outcome ===

impl Outcome {
    /// The time that so many of 10,000 requests stayed within.
    pub fn latency(&self, of_10000: u64) -> u64 {
        let rank = (self.latencies.len() as u64 * of_10000).div_ceil(10_000);
        let index = usize::try_from(rank.saturating_sub(1)).unwrap_or(usize::MAX);
        self.latencies
            .get(index)
            .or(self.latencies.last())
            .copied()
            .unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentile_is_the_smallest_time_that_so_many_stayed_within() {
        let outcome = Outcome {
            latencies: (1..=1000).collect(),
            ..Outcome::default()
        };
        assert_eq!(
            [5000, 9900, 9990, 10_000].map(|of| outcome.latency(of)),
            [500, 990, 999, 1000]
        );
        assert_eq!(Outcome::default().latency(9900), 0);
    }
}
