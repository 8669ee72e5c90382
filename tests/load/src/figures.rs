//! What came of the requests of a phase, and where each key lives.

use std::{collections::BTreeMap, fmt, sync::Arc, time::Duration};

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{Failure, Histogram, Kind};

/// So many failures are kept with their reason; all are counted.
const SAMPLES: usize = 10;

/// What came of the requests of a phase.
#[derive(Clone, Debug)]
pub struct Figures {
    /// Requests that were answered as they had to be.
    pub answered: u64,
    /// Requests that were not, by what went wrong.
    pub failures: BTreeMap<Kind, u64>,
    /// Requests that were sent once more, and count as what became of them then.
    pub resent: u64,
    /// The first failures, with their reason.
    pub samples: Vec<String>,
    /// How often a key was answered by another server than the time before.
    pub changes: u64,
    /// How long answers took.
    pub latency: Histogram,
    /// The longest time in which no request at all was answered.
    pub silence: Duration,
    /// How long the phase lasted.
    pub lasted: Duration,
    began: Instant,
    last: Instant,
}

/// Which server answered last for each key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Homes(Vec<Option<Arc<str>>>);

// === impl Figures ===

impl Default for Figures {
    /// Of nothing yet.
    fn default() -> Self {
        let now = Instant::now();
        Self {
            answered: 0,
            failures: BTreeMap::new(),
            resent: 0,
            samples: Vec::new(),
            changes: 0,
            latency: Histogram::default(),
            silence: Duration::ZERO,
            lasted: Duration::ZERO,
            began: now,
            last: now,
        }
    }
}

impl Figures {
    /// The figures up to now. What follows is counted anew.
    pub(super) fn take(&mut self) -> Self {
        let mut ended = std::mem::take(self);
        ended.heard();
        ended.lasted = ended.began.elapsed();
        ended
    }

    pub(super) fn answered(&mut self, took: Duration, changed: bool) {
        self.answered += 1;
        self.changes += u64::from(changed);
        self.latency.add(took);
        self.heard();
    }

    pub(super) fn failed(&mut self, key: usize, took: Duration, failure: Failure) {
        let Failure { kind, reason } = failure;
        *self.failures.entry(kind).or_default() += 1;
        if self.samples.len() < SAMPLES {
            let at = self.began.elapsed();
            self.samples
                .push(format!("{at:.1?}: {kind} for key {key} after {took:.1?}: {reason}"));
        }
    }

    /// All failures.
    #[must_use]
    pub fn failed_in_all(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Requests answered each second.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    pub fn rate(&self) -> f64 {
        self.answered as f64 / self.lasted.as_secs_f64().max(1e-9)
    }

    /// The figures for a program.
    #[must_use]
    pub fn json(&self) -> Value {
        let failures: BTreeMap<_, _> = self
            .failures
            .iter()
            .map(|(kind, count)| (kind.to_string(), count))
            .collect();
        json!({
            "seconds": self.lasted.as_secs_f64(),
            "answered": self.answered,
            "rate": self.rate(),
            "failed": self.failed_in_all(),
            "failures": failures,
            "resent": self.resent,
            "samples": self.samples,
            "changes": self.changes,
            "latencyMicros": {
                "p50": micros(self.latency.permille(500)),
                "p99": micros(self.latency.permille(990)),
                "p999": micros(self.latency.permille(999)),
                "max": micros(self.latency.max()),
            },
            "silenceMicros": micros(self.silence),
        })
    }

    fn heard(&mut self) {
        let now = Instant::now();
        self.silence = self.silence.max(now - self.last);
        self.last = now;
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            answered,
            failures,
            resent,
            samples,
            changes,
            latency,
            silence,
            lasted,
            ..
        } = self;
        let failed = self.failed_in_all();
        write!(
            f,
            "{answered} answered in {lasted:.1?} ({:.0}/s), {failed} failed",
            self.rate()
        )?;
        for (kind, count) in failures {
            write!(f, ", {count} {kind}")?;
        }
        if *resent > 0 {
            write!(f, ", {resent} sent again")?;
        }
        let [p50, p99] = [500, 990].map(|permille| latency.permille(permille));
        write!(
            f,
            "; {changes} changes of server; p50 {p50:.1?}, p99 {p99:.1?}, max {:.1?}",
            latency.max()
        )?;
        write!(f, ", longest silence {silence:.1?}")?;
        samples.iter().try_for_each(|sample| write!(f, "\n  {sample}"))
    }
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

// === impl Homes ===

impl Homes {
    pub(super) fn unknown(keys: usize) -> Self {
        Self(vec![None; keys])
    }

    /// Takes note of who answered. `true`: it was someone else before.
    pub(super) fn set(&mut self, key: usize, server: &str) -> bool {
        let home = &mut self.0[key];
        match home {
            Some(before) if **before == *server => false,
            _ => home.replace(server.into()).is_some(),
        }
    }

    /// Keys whose server is another one than `before`.
    #[must_use]
    pub fn moved_from(&self, before: &Self) -> usize {
        self.0
            .iter()
            .zip(&before.0)
            .filter(|(now, before)| now != before)
            .count()
    }

    /// The share of the keys that a change from `before` to these servers has to move, if all have equal weight: those
    /// of the servers that left, or those that the servers which came have to get.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "a share for people")]
    pub fn ideal_share(before: usize, now: usize) -> f64 {
        before.abs_diff(now) as f64 / before.max(now).max(1) as f64
    }

    /// How many keys each server has.
    #[must_use]
    pub fn per_server(&self) -> BTreeMap<String, usize> {
        let mut keys = BTreeMap::new();
        for server in self.0.iter().flatten() {
            *keys.entry(server.to_string()).or_default() += 1;
        }
        keys
    }

    /// Keys that were answered at all.
    #[must_use]
    pub fn seen(&self) -> usize {
        self.0.iter().flatten().count()
    }
}
