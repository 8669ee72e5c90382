//! What workers count. Each worker writes its own, on cache lines of its own; readers add them up.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that one worker writes and anyone reads.
///
/// With one writer a load and a store are enough, which cost a fifth of an addition that other cores could interrupt.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

/// Why a request was sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Retry {
    /// No connection to the member came about.
    Connect,
    /// A connection that was kept for reuse turned out to be closed.
    Stale,
    /// The connection ended before the answer began.
    Reset,
    /// The member neither answered nor was well by its probes.
    Hung,
    /// The member refused an HTTP/2 stream, or ended its connection before it looked at it.
    Refused,
}

/// Why a request went to another member than the owner of its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Spill {
    /// The owner is not ready.
    Away,
    /// The owner carries more than the load bound allows.
    Load,
    /// The owner failed this very request.
    Failed,
}

/// How waiting for an owner that is away ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hold {
    /// It came back, and got the request.
    Returned,
    /// It did not in time: the request spilled.
    TimedOut,
    /// So many wait already: the request spilled at once.
    Full,
}

/// What became of a client's handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Handshake {
    /// It is done.
    Done,
    /// No version or protocol in common, a certificate that the client refused, or a client that was gone.
    Failed,
    /// It took too long.
    TimedOut,
    /// The client did not begin one: it spoke plain HTTP, or something else.
    Plain,
}

/// Why an HTTP/2 connection was ended with `ENHANCE_YOUR_CALM`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Abuse {
    /// Streams were opened and reset, again and again (CVE-2023-44487).
    RapidReset,
    /// Frames that carry nothing: PING, SETTINGS, `WINDOW_UPDATE`, PRIORITY, empty DATA.
    Flood,
}

/// How a tunnel ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TunnelEnd {
    /// Both sides have ended it.
    Finished,
    /// Nothing passed for too long.
    Idle,
    /// Its member left the table, or the balancer ends.
    Dismissed,
    /// One of its connections broke.
    Broken,
}

/// Number of buckets of the latency histogram: bucket `n` counts requests that took less than `2^n` microseconds and
/// not less than half of that; the last one counts all longer ones.
pub const BUCKETS: usize = 28;

/// The counters of one worker.
#[derive(Debug, Default)]
#[repr(align(128))]
pub struct WorkerStats {
    /// Answers by the first digit of their status, 1 to 5; at 0 requests whose client went away before its answer.
    pub requests: [Count; 6],
    /// Requests being worked on, whether they are sent, held or read.
    pub in_flight: Count,
    /// Requests in flight on members.
    pub sent: Count,
    /// Requests that wait for a member that is away.
    pub held: Count,
    /// Client connections open.
    pub connections: Count,
    /// Client connections accepted so far.
    pub accepted: Count,
    /// Connections lost to a bug: a panic costs one.
    pub panics: Count,
    /// Clients that went away in the middle of a request.
    pub client_aborts: Count,
    /// Connections to members made so far.
    pub upstream_connects: Count,
    /// Connections to members that did not come about.
    pub upstream_connect_failures: Count,
    /// Requests that were sent over a connection that had been used before.
    pub upstream_reuses: Count,
    /// Requests that were sent again, by [`Retry`].
    pub retries: [Count; Retry::ALL.len()],
    /// Requests that should have been sent again, had the budget allowed it.
    pub retries_denied: Count,
    /// Requests that went to another member than the owner, by [`Spill`].
    pub spills: [Count; Spill::ALL.len()],
    /// Requests that waited for their owner, by how it ended: [`Hold`].
    pub holds: [Count; Hold::ALL.len()],
    /// Answers of our own, by [`Reason`](crate::proxy::error::Reason).
    pub replies: [Count; crate::proxy::error::Reason::ALL.len()],
    /// HTTP/2 connections of clients open.
    pub http2_connections: Count,
    /// HTTP/2 connections of clients accepted so far.
    pub http2_accepted: Count,
    /// Requests that came over HTTP/2.
    pub http2_requests: Count,
    /// HTTP/2 connections that were ended because the client cost too much, by [`Abuse`].
    pub http2_abuses: [Count; Abuse::ALL.len()],
    /// Requests by time from the end of their head to the end of their answer: see [`BUCKETS`].
    pub latency: [Count; BUCKETS],
    /// Sum of those times in microseconds.
    pub latency_sum: Count,
    /// Handshakes of clients, by [`Handshake`].
    pub handshakes: [Count; Handshake::ALL.len()],
    /// Tunnels that are open.
    pub tunnels: Count,
    /// Tunnels opened so far.
    pub tunnels_opened: Count,
    /// Tunnels that ended, by [`TunnelEnd`].
    pub tunnel_ends: [Count; TunnelEnd::ALL.len()],
    /// Bytes that went through tunnels to members.
    pub tunnel_up: Count,
    /// Bytes that went through tunnels to clients.
    pub tunnel_down: Count,
}

/// The bucket of the latency histogram for so many microseconds.
#[must_use]
pub const fn bucket(us: u64) -> usize {
    let bits = (u64::BITS - us.leading_zeros()) as usize;
    if bits < BUCKETS { bits } else { BUCKETS - 1 }
}

/// Gives a closed set its list and its labels.
macro_rules! labels {
    ($($name:ident { $($variant:ident => $label:literal),* $(,)? })*) => {$(
        impl $name {
            /// Each of them, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// As it is written in metrics.
            #[must_use]
            pub const fn label(self) -> &'static str {
                match self { $(Self::$variant => $label),* }
            }
        }
    )*};
}

labels! {
    Retry { Connect => "connect", Stale => "stale", Reset => "reset", Hung => "hung", Refused => "refused" }
    Spill { Away => "away", Load => "load", Failed => "failed" }
    Handshake { Done => "done", Failed => "failed", TimedOut => "timed_out", Plain => "plain" }
    Abuse { RapidReset => "rapid_reset", Flood => "flood" }
    TunnelEnd { Finished => "finished", Idle => "idle", Dismissed => "dismissed", Broken => "broken" }
    Hold { Returned => "returned", TimedOut => "timed_out", Full => "full" }
}

// === impl Count ===

impl Count {
    /// Its value.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }

    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    pub(crate) fn inc(&self) {
        self.add(1);
    }

    pub(crate) fn dec(&self) {
        self.0.store(self.0.load(Relaxed).wrapping_sub(1), Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_ends_at_a_power_of_two() {
        for (us, want) in [
            (0, 0),
            (1, 1),
            (2, 2),
            (3, 2),
            (4, 3),
            (1023, 10),
            (1024, 11),
            (u64::MAX, BUCKETS - 1),
        ] {
            assert_eq!(bucket(us), want, "{us} us");
        }
    }
}
