//! How long a seat waits for its next instance after others failed in it.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use lbpool_api::MemberName;

/// An instance that lived shorter than this counts against its successor.
const SHORT: SignedDuration = SignedDuration::from_secs(10);
/// One that lived this long clears the count, ready or not at its end: one that hangs before it is killed too.
const WELL: SignedDuration = SignedDuration::from_secs(30);
const FIRST_WAIT: SignedDuration = SignedDuration::from_millis(500);
const LONGEST_WAIT: SignedDuration = SignedDuration::from_secs(30);

/// The seats in which something failed lately.
#[derive(Debug, Default)]
pub(super) struct Backoffs(HashMap<MemberName, Backoff>);

/// What happened in a seat: how often in a row an instance failed soon, and until when the next one waits.
///
/// The first replacement never waits, and neither does the first instance of another template.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Backoff {
    template: String,
    strikes: u32,
    until: Timestamp,
    why: String,
}

/// A life that ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Life {
    pub began: Timestamp,
    pub ended: Timestamp,
}

// === impl Backoffs ===

impl Backoffs {
    /// Counts an instance that failed in a seat.
    pub fn failed(&mut self, seat: &MemberName, template: &str, life: Life, why: &str) {
        let backoff = self.0.entry(seat.clone()).or_insert_with(|| Backoff::new(template));
        backoff.failed(template, life, why);
    }

    /// Until when an instance of `template` has to wait, and why; nothing where it may start.
    pub fn wait(&mut self, seat: &MemberName, template: &str, now: Timestamp) -> Option<(Timestamp, String)> {
        self.0.retain(|_, backoff| !backoff.is_past(now));
        self.0.get(seat)?.wait(template, now)
    }
}

// === impl Backoff ===

impl Backoff {
    /// A seat in which nothing failed so far.
    pub fn new(template: &str) -> Self {
        Self {
            template: template.to_owned(),
            strikes: 0,
            until: Timestamp::UNIX_EPOCH,
            why: String::new(),
        }
    }

    /// Counts an instance that failed.
    pub fn failed(&mut self, template: &str, life: Life, why: &str) {
        if self.template != template {
            *self = Self::new(template);
        }
        if life.ended.duration_since(life.began) >= WELL {
            self.strikes = 0;
        }
        if life.ended.duration_since(life.began) < SHORT {
            self.strikes = self.strikes.saturating_add(1);
        }
        why.clone_into(&mut self.why);
        self.until = life.ended.saturating_add(wait(self.strikes)).unwrap_or(life.ended);
    }

    /// Until when an instance of `template` has to wait, and why; nothing where it may start.
    pub fn wait(&self, template: &str, now: Timestamp) -> Option<(Timestamp, String)> {
        let waits = self.template == template && self.until > now;
        waits.then(|| {
            (
                self.until,
                format!("failed {} times in a row ({})", self.strikes, self.why),
            )
        })
    }

    /// Whether nothing of it matters any more.
    pub fn is_past(&self, now: Timestamp) -> bool {
        now.duration_since(self.until) > WELL
    }
}

/// 0, 0, 0.5 s, 1 s, 2 s ... 30 s after that many failures in a row.
fn wait(strikes: u32) -> SignedDuration {
    match strikes {
        0 | 1 => SignedDuration::ZERO,
        more => FIRST_WAIT
            .checked_mul(1_i32 << (more - 2).min(16))
            .map_or(LONGEST_WAIT, |wait| wait.min(LONGEST_WAIT)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp::UNIX_EPOCH;

    fn after(ms: i64) -> Timestamp {
        START.saturating_add(SignedDuration::from_millis(ms)).unwrap()
    }

    fn crash(backoff: &mut Backoff, began: i64, ended: i64) -> i64 {
        let life = Life {
            began: after(began),
            ended: after(ended),
        };
        backoff.failed("t", life, "exit status: 1");
        backoff.wait("t", after(ended)).map_or(0, |(until, _)| {
            until.duration_since(after(ended)).as_millis().try_into().unwrap()
        })
    }

    #[test]
    fn the_first_replacement_is_immediate_and_the_next_ones_wait_longer_and_longer() {
        let mut backoff = Backoff::new("t");
        let waits: Vec<i64> = (0..10).map(|_| crash(&mut backoff, 0, 100)).collect();
        assert_eq!(
            waits,
            [0, 500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]
        );
        assert_eq!((0..100).map(|_| crash(&mut backoff, 0, 1)).max(), Some(30_000));
    }

    #[test]
    fn thirty_seconds_of_life_clear_the_count() {
        let mut backoff = Backoff::new("t");
        for _ in 0..5 {
            crash(&mut backoff, 0, 10);
        }
        assert_eq!(crash(&mut backoff, 0, 40_000), 0);
        assert_eq!(crash(&mut backoff, 0, 10), 0, "the first after it is immediate again");
    }

    #[test]
    fn a_member_that_hung_before_it_was_killed_is_replaced_at_once() {
        let mut backoff = Backoff::new("t");
        for _ in 0..5 {
            crash(&mut backoff, 0, 10);
        }
        assert_eq!(crash(&mut backoff, 10_000, 3_600_000), 0);
    }

    #[test]
    fn another_template_starts_afresh() {
        let mut backoff = Backoff::new("t");
        for _ in 0..5 {
            crash(&mut backoff, 0, 10);
        }
        assert!(backoff.wait("t", after(20)).is_some());
        assert_eq!(backoff.wait("u", after(20)), None);
    }

    #[test]
    fn the_wait_says_how_often_and_why() {
        let mut backoff = Backoff::new("t");
        crash(&mut backoff, 0, 10);
        crash(&mut backoff, 0, 10);
        let (_, why) = backoff.wait("t", after(20)).unwrap();
        assert_eq!(why, "failed 2 times in a row (exit status: 1)");
    }
}
