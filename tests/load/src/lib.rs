//! Load that counts every failure and remembers which server answered for each key.
//!
//! Each key is asked for by one connection only, in a fixed rotation, so that the answers for a key are in order and a
//! change of its server is seen by whoever asks. All connections live on one thread: the machine is left to the servers.

mod client;
mod figures;
mod histogram;
mod worker;

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

pub use client::{Answer, Client, Failure, Kind};
pub use figures::{Figures, Homes};
pub use histogram::Histogram;

/// What to ask for, and how often.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Where the balancer listens.
    pub address: SocketAddr,
    /// Connections, each with one request at a time.
    pub connections: usize,
    /// Number of different keys.
    pub keys: usize,
    /// The header that carries a key.
    pub header: String,
    /// Percent of the requests that are POSTs to /echo. The others are GETs of `path`.
    pub posts: usize,
    /// Bytes that a POST carries.
    pub body: usize,
    /// What GETs ask for, if not for a stream.
    pub path: String,
    /// GETs ask for a stream of this form.
    pub stream: Option<Stream>,
    /// Requests each second, over all connections, whether or not earlier ones were answered: one that had to wait for
    /// its connection has waited since it was due. `None`: as many as are answered.
    pub rate: Option<u32>,
    /// A GET on a connection that was used before and is closed before the first byte of the answer is sent again, once,
    /// on a new one, as every client of HTTP does (RFC 9110, 9.2.2). Counted apart.
    pub resend: bool,
    /// How long an answer may take.
    pub timeout: Duration,
}

/// An answer that takes its time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Its parts.
    pub chunks: u32,
    /// Milliseconds before each part.
    pub interval: u32,
}

/// Load that goes on until it is stopped or dropped.
#[derive(Debug)]
pub struct Load {
    shared: Arc<Shared>,
    thread: Option<thread::JoinHandle<()>>,
}

/// What the connections and the one who started them share.
#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Rung when the last key of a round is answered, and when the load ends.
    round: Condvar,
}

#[derive(Debug)]
struct State {
    stop: bool,
    figures: Figures,
    homes: Homes,
    round: u32,
    /// Per key, the last round that it was asked for and answered in.
    answered: Vec<u32>,
    missing: usize,
}

// === impl Plan ===

impl Plan {
    /// GETs of /home on 64 connections for 2,000 keys, as fast as they are answered.
    #[must_use]
    pub fn new(address: SocketAddr) -> Self {
        Self {
            address,
            connections: 64,
            keys: 2000,
            header: "X-Request-Id".to_owned(),
            posts: 0,
            body: 256,
            path: "/home".to_owned(),
            stream: None,
            rate: None,
            resend: false,
            timeout: Duration::from_secs(10),
        }
    }
}

// === impl Load ===

impl Load {
    /// Starts to ask.
    ///
    /// # Errors
    /// The operating system refuses a thread or a runtime.
    pub fn start(plan: Plan) -> io::Result<Self> {
        let state = State {
            stop: false,
            figures: Figures::default(),
            homes: Homes::unknown(plan.keys),
            round: 0,
            answered: vec![0; plan.keys],
            missing: 0,
        };
        let shared = Arc::new(Shared {
            state: Mutex::new(state),
            round: Condvar::new(),
        });
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let asking = shared.clone();
        let thread = thread::Builder::new().name("load".to_owned()).spawn(move || {
            runtime.block_on(worker::ask(plan, &asking));
        })?;
        Ok(Self {
            shared,
            thread: Some(thread),
        })
    }

    /// Ends a phase: its figures, and new ones from now on.
    #[must_use]
    pub fn mark(&self) -> Figures {
        self.shared.lock().figures.take()
    }

    /// Waits until each key was asked for and answered after this call, and says by whom.
    ///
    /// # Errors
    /// Keys without an answer when the time is over.
    pub fn round(&self, limit: Duration) -> Result<Homes, String> {
        let mut state = self.shared.lock();
        state.round += 1;
        state.missing = state.answered.len();
        let waiting = |state: &mut State| state.missing > 0 && !state.stop;
        let (state, _) = self
            .shared
            .round
            .wait_timeout_while(state, limit, waiting)
            .unwrap_or_else(PoisonError::into_inner);
        match state.missing {
            0 => Ok(state.homes.clone()),
            missing => Err(format!(
                "{missing} of {} keys were not answered within {limit:?}: {}",
                state.answered.len(),
                state.figures
            )),
        }
    }

    /// Which server answered last for each key.
    #[must_use]
    pub fn homes(&self) -> Homes {
        self.shared.lock().homes.clone()
    }

    /// Asks for no more, waits for the answers that are due, and gives the figures of the last phase.
    #[must_use]
    pub fn stop(mut self) -> Figures {
        self.end();
        self.shared.lock().figures.take()
    }

    fn end(&mut self) {
        self.shared.lock().stop = true;
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

// === impl Shared ===

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The round that a request begins in. `None`: there is to be no further request.
    fn begin(&self) -> Option<u32> {
        let state = self.lock();
        (!state.stop).then_some(state.round)
    }

    /// Takes note of a request that is sent once more.
    fn resent(&self) {
        self.lock().figures.resent += 1;
    }

    /// Takes note of what became of the request for `key`.
    fn finish(&self, key: usize, round: u32, took: Duration, outcome: Result<&str, Failure>) {
        let mut state = self.lock();
        match outcome {
            Ok(server) => {
                let changed = state.homes.set(key, server);
                state.figures.answered(took, changed);
                if std::mem::replace(&mut state.answered[key], round) < state.round && round == state.round {
                    state.missing -= 1;
                    if state.missing == 0 {
                        self.round.notify_all();
                    }
                }
            }
            Err(failure) => state.figures.failed(key, took, failure),
        }
    }
}

#[cfg(test)]
mod tests;
