//! Takes a member out of the way of requests after failures that it caused, for a time that grows.
//!
//! Pure: `now` comes from the caller, in milliseconds of the balancer's own clock. The state is a few atomics, since
//! every worker reports to the breaker of a member, and almost always a success: then nothing is written.

use std::{
    sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed},
    time::Duration,
};

/// Resets in a row that eject a member. One may be the member's own shutdown of an idle connection.
const RESETS: u32 = 3;
/// How long the first ejection lasts.
const FIRST: u64 = 1_000;
/// How long an ejection lasts at most.
const LONGEST: u64 = 30_000;
/// After so long without another ejection, the next one is a first one.
const FORGET: u64 = 120_000;

/// Where a member stands with its failures.
#[derive(Debug, Default)]
pub struct Breaker {
    /// Failures in a row, in units of one reset.
    streak: AtomicU32,
    /// Ejections since the last long time without one.
    ejections: AtomicU32,
    /// When the present ejection ends. 0: none.
    until: AtomicU64,
    /// When the last ejection ended or will end, also where a success cut it short.
    last: AtomicU64,
    /// Whether it did not even accept a connection: then a probe that is answered proves that it is back.
    down: AtomicBool,
}

/// A failure that the member, not the client, caused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// No connection came about: nobody listens there, or no answer in time. Ejects at once.
    Connect,
    /// A connection ended before its answer did. So many in a row eject.
    Reset,
}

/// What a breaker says about a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing wrong.
    Closed,
    /// Ejected until then.
    Open {
        /// Milliseconds of the balancer's clock.
        until: u64,
    },
    /// The ejection is over, no success has been seen yet.
    Trial,
}

/// How many members of `members` may be ejected at the same time: never more than half.
#[must_use]
pub const fn most_ejected(members: usize) -> usize {
    members / 2
}

// === impl Breaker ===

impl Breaker {
    /// Whether requests may go to the member.
    #[must_use]
    pub fn admits(&self, now: u64) -> bool {
        now >= self.until.load(Relaxed)
    }

    /// Where the member stands.
    #[must_use]
    pub fn state(&self, now: u64) -> State {
        match self.until.load(Relaxed) {
            0 => State::Closed,
            until if now < until => State::Open { until },
            _ => State::Trial,
        }
    }

    /// An answer began, or a probe was answered well: closes.
    pub fn on_success(&self) {
        // Loads first: a store by every worker for every answer would pass one cache line between all of them.
        if self.streak.load(Relaxed) != 0 {
            self.streak.store(0, Relaxed);
        }
        if self.until.load(Relaxed) != 0 {
            self.until.store(0, Relaxed);
        }
    }

    /// A probe was answered well: closes, unless the member accepts connections only to break them. Such an ejection
    /// stands for its time, or the probe of a broken member would bring it back each time.
    pub fn on_probe_well(&self, now: u64) {
        if self.admits(now) || self.down.load(Relaxed) {
            self.on_success();
        }
    }

    /// Whether its last requests failed, also where it was not ejected for want of room.
    #[must_use]
    pub fn is_failing(&self) -> bool {
        self.streak.load(Relaxed) >= RESETS
    }

    /// A failure: tells for how long it ejects the member, where it does.
    ///
    /// `room` says whether one more member may be ejected (see [`most_ejected`]); it is asked only when this failure
    /// would eject.
    pub fn on_failure(&self, failure: Failure, now: u64, room: impl FnOnce() -> bool) -> Option<Duration> {
        let weight = match failure {
            Failure::Connect => RESETS,
            Failure::Reset => 1,
        };
        let streak = self.streak.load(Relaxed).saturating_add(weight).min(RESETS);
        self.streak.store(streak, Relaxed);
        let admits = self.admits(now);
        if failure == Failure::Connect || admits {
            self.down.store(failure == Failure::Connect, Relaxed);
        }
        // Requests that were on their way when the member was ejected fail after it: they are the same failure.
        if streak < RESETS || !admits || !room() {
            return None;
        }
        let before = if now > self.last.load(Relaxed).saturating_add(FORGET) {
            0
        } else {
            self.ejections.load(Relaxed)
        };
        let length = FIRST.saturating_mul(1 << before.min(16)).min(LONGEST);
        self.ejections.store(before.saturating_add(1), Relaxed);
        self.until.store(now.saturating_add(length), Relaxed);
        self.last.store(now.saturating_add(length), Relaxed);
        Some(Duration::from_millis(length))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOM: fn() -> bool = || true;

    #[test]
    fn a_refused_connection_ejects_at_once_and_a_reset_only_in_a_row() {
        let breaker = Breaker::default();
        assert_eq!(breaker.on_failure(Failure::Reset, 10, ROOM), None);
        assert_eq!(breaker.on_failure(Failure::Reset, 11, ROOM), None);
        breaker.on_success();
        assert_eq!(breaker.on_failure(Failure::Reset, 12, ROOM), None);
        assert_eq!(breaker.on_failure(Failure::Reset, 13, ROOM), None);
        assert!(breaker.admits(13));
        assert_eq!(
            breaker.on_failure(Failure::Reset, 14, ROOM),
            Some(Duration::from_secs(1))
        );
        assert_eq!(breaker.state(14), State::Open { until: 1_014 });

        let refused = Breaker::default();
        assert_eq!(
            refused.on_failure(Failure::Connect, 10, ROOM),
            Some(Duration::from_secs(1))
        );
        assert!(!refused.admits(1_009));
        assert!(refused.admits(1_010));
    }

    #[test]
    fn time_outs_grow_to_a_limit_and_are_forgotten_after_a_long_time_without() {
        let breaker = Breaker::default();
        let mut now = 1;
        let mut seconds = Vec::new();
        for _ in 0..7 {
            let length = breaker.on_failure(Failure::Connect, now, ROOM).unwrap();
            seconds.push(length.as_secs());
            now += u64::try_from(length.as_millis()).unwrap();
            assert_eq!(breaker.state(now), State::Trial);
        }
        assert_eq!(seconds, [1, 2, 4, 8, 16, 30, 30]);

        breaker.on_success();
        assert_eq!(
            breaker.on_failure(Failure::Connect, now + 1, ROOM).unwrap().as_secs(),
            30,
            "it flaps"
        );
        breaker.on_success();
        assert_eq!(
            breaker
                .on_failure(Failure::Connect, now + 30_000 + FORGET + 2, ROOM)
                .unwrap()
                .as_secs(),
            1
        );
    }

    #[test]
    fn failures_of_requests_already_on_their_way_count_once() {
        let breaker = Breaker::default();
        assert!(breaker.on_failure(Failure::Connect, 1, ROOM).is_some());
        for at in 2..100 {
            assert_eq!(breaker.on_failure(Failure::Connect, at, ROOM), None);
        }
        assert_eq!(breaker.state(100), State::Open { until: 1_001 });
    }

    #[test]
    fn a_success_closes_before_the_time_is_over() {
        let breaker = Breaker::default();
        breaker.on_failure(Failure::Connect, 1, ROOM);
        breaker.on_success();
        assert_eq!(breaker.state(2), State::Closed);
    }

    #[test]
    fn a_probe_brings_back_who_was_down_but_not_who_breaks_connections() {
        let down = Breaker::default();
        down.on_failure(Failure::Connect, 1, ROOM);
        down.on_probe_well(2);
        assert_eq!(down.state(2), State::Closed);

        let broken = Breaker::default();
        for _ in 0..3 {
            broken.on_failure(Failure::Reset, 1, ROOM);
        }
        broken.on_probe_well(2);
        assert_eq!(broken.state(2), State::Open { until: 1_001 });
        broken.on_probe_well(1_001);
        assert_eq!(broken.state(1_001), State::Closed);

        let crashed = Breaker::default();
        for _ in 0..3 {
            crashed.on_failure(Failure::Reset, 1, ROOM);
        }
        crashed.on_failure(Failure::Connect, 2, ROOM);
        crashed.on_probe_well(3);
        assert_eq!(crashed.state(3), State::Closed);
    }

    #[test]
    fn never_more_than_half_of_the_members_are_ejected() {
        for (count, most) in [(0, 0), (1, 0), (2, 1), (3, 1), (10, 5)] {
            let members: Vec<Breaker> = (0..count).map(|_| Breaker::default()).collect();
            let ejected = || members.iter().filter(|other| !other.admits(5)).count();
            for member in &members {
                member.on_failure(Failure::Connect, 5, || ejected() < most_ejected(count));
            }
            assert_eq!(ejected(), most, "of {count}");
        }
    }

    #[test]
    fn a_member_that_found_no_room_is_ejected_by_its_next_failure() {
        let breaker = Breaker::default();
        assert_eq!(breaker.on_failure(Failure::Connect, 1, || false), None);
        assert!(breaker.on_failure(Failure::Reset, 2, ROOM).is_some());
    }
}
