//! What a run has measured: all that the report is made of, and the content of `data.json`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::{Algorithm, number::real};

/// A whole run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Run {
    /// Where and when.
    pub about: About,
    /// What was asked for.
    pub setup: Setup,
    /// requests per server.
    pub spreads: Vec<Spread>,
    /// what a change of the servers moved.
    pub changes: Vec<Change>,
    /// What a killed server cost.
    pub kills: Vec<Kill>,
    /// Experiments that could not be done.
    pub failed: Vec<Failed>,
}

/// Where and when a run took place.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct About {
    /// Of lbpool.
    pub version: String,
    /// When it began, for people.
    pub started: String,
    /// How long it took.
    pub seconds: f64,
    /// Processors that load generator, balancer and servers shared.
    pub cores: usize,
    /// The system's load average of one minute, before the run and after it.
    pub load: Option<[f64; 2]>,
}

/// What was asked for.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Setup {
    /// Name of the pool.
    pub pool: String,
    /// Where requests went.
    pub url: String,
    /// How keys were chosen.
    pub keys: String,
    /// What they were drawn from.
    pub seed: u64,
    /// Connections that asked at the same time.
    pub connections: usize,
}

/// One number of requests to one number of servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spread {
    /// How keys were spread.
    pub algorithm: Algorithm,
    /// The servers, in the order of their seats.
    pub servers: Vec<String>,
    /// How many requests each of them answered, by what the answers said.
    pub counts: Vec<u64>,
    /// Requests that were sent.
    pub requests: u64,
    /// Sum over all keys of the square of how often it was asked for: what theory needs to know of the keys.
    pub repeats: u64,
    /// Requests that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// How long it took.
    pub seconds: f64,
    /// Answers against the table.
    pub check: Check,
}

/// One change of the servers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Change {
    /// How keys were spread.
    pub algorithm: Algorithm,
    /// Which way.
    pub kind: ChangeKind,
    /// The server that left or joined.
    pub server: String,
    /// The servers before.
    pub before: Vec<String>,
    /// The servers after.
    pub after: Vec<String>,
    /// Keys by the server that answered for them before and after.
    pub flows: Vec<Flow>,
    /// The share of the keys that moved, as the two tables have it.
    pub table_moved: f64,
    /// Keys that were elsewhere than before once the change was undone.
    pub astray: u64,
    /// Requests that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Answers against the table.
    pub check: Check,
}

/// Which way the servers changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ChangeKind {
    /// one left.
    Removal,
    /// one joined.
    Addition,
}

/// Keys that one server answered for before and another, or the same, after.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Who answered before.
    pub from: String,
    /// Who answers now.
    pub to: String,
    /// How many keys.
    pub keys: u64,
}

/// A server that was killed under load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Kill {
    /// How keys were spread.
    pub algorithm: Algorithm,
    /// What its keys were to do meanwhile.
    pub policy: String,
    /// The servers.
    pub servers: Vec<String>,
    /// The one that was killed.
    pub victim: String,
    /// Requests per second that were sent.
    pub rate: u32,
    /// Every request, in the order of sending.
    pub samples: Vec<Sample>,
    /// Keys that were not at home at the end.
    pub astray: u64,
}

/// One request around a kill.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sample {
    /// When it was sent: milliseconds after the kill, negative before it.
    pub at: f64,
    /// How long its answer took, in milliseconds.
    pub took: f64,
    /// Who answered; nothing where it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<String>,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<String>,
}

/// An experiment that could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failed {
    /// Of which algorithm.
    pub algorithm: Algorithm,
    /// Which one.
    pub experiment: String,
    /// Why.
    pub reason: String,
}

/// Answers compared with the table that follows from the servers' names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Check {
    /// Answers that were compared.
    pub compared: u64,
    /// Answers that another server gave than the table says.
    pub differing: u64,
    /// The first thing that is wrong.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first: Option<String>,
}

// === impl Run ===

impl Run {
    /// The algorithms of which there is anything, in the order of the report.
    #[must_use]
    pub fn algorithms(&self) -> Vec<Algorithm> {
        let any = |algorithm: &Algorithm| {
            self.spreads.iter().any(|spread| spread.algorithm == *algorithm)
                || self.changes.iter().any(|change| change.algorithm == *algorithm)
                || self.kills.iter().any(|kill| kill.algorithm == *algorithm)
        };
        Algorithm::ALL.into_iter().filter(any).collect()
    }

    /// All comparisons of answers with tables, as one.
    #[must_use]
    pub fn check(&self) -> Check {
        let checks = self.spreads.iter().map(|spread| &spread.check);
        let checks = checks.chain(self.changes.iter().map(|change| &change.check));
        checks.fold(Check::default(), Check::and)
    }

    /// Requests that were sent.
    #[must_use]
    pub fn requests(&self) -> u64 {
        let spreads: u64 = self.spreads.iter().map(|spread| spread.requests).sum();
        let changes: u64 = self
            .changes
            .iter()
            .map(|change| change.check.compared + change.failures.values().sum::<u64>())
            .sum();
        let kills: usize = self.kills.iter().map(|kill| kill.samples.len()).sum();
        spreads + changes + kills as u64
    }

    /// Requests that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        let spreads = self.spreads.iter().flat_map(|spread| spread.failures.values());
        let changes = self.changes.iter().flat_map(|change| change.failures.values());
        let kills: u64 = self.kills.iter().map(Kill::failures).sum();
        spreads.chain(changes).sum::<u64>() + kills
    }

    /// The greatest number of requests to so many servers that was measured.
    #[must_use]
    pub fn largest(&self, algorithm: Algorithm, servers: usize) -> Option<&Spread> {
        self.spreads
            .iter()
            .filter(|spread| spread.algorithm == algorithm && spread.servers.len() == servers)
            .max_by_key(|spread| spread.requests)
    }
}

// === impl Change ===

impl Change {
    /// Keys that were asked for.
    #[must_use]
    pub fn keys(&self) -> u64 {
        self.flows.iter().map(|flow| flow.keys).sum()
    }

    /// Keys that had to move: their server left, or the new one is their home.
    #[must_use]
    pub fn needful(&self) -> u64 {
        let moved = self.flows.iter().filter(|flow| flow.from != flow.to);
        moved.filter(|flow| self.is_needful(flow)).map(|flow| flow.keys).sum()
    }

    /// Keys that moved between servers that were there before and after.
    #[must_use]
    pub fn needless(&self) -> u64 {
        let moved = self.flows.iter().filter(|flow| flow.from != flow.to);
        moved.filter(|flow| !self.is_needful(flow)).map(|flow| flow.keys).sum()
    }

    /// Whether the keys of a flow had to move.
    #[must_use]
    pub fn is_needful(&self, flow: &Flow) -> bool {
        match self.kind {
            ChangeKind::Removal => flow.from == self.server,
            ChangeKind::Addition => flow.to == self.server,
        }
    }

    /// The share of the keys that moved.
    #[must_use]
    pub fn moved(&self) -> f64 {
        real(self.needful() + self.needless()) / real(self.keys().max(1))
    }

    /// The least share that has to move where all servers own as much: that of the one that left or joined.
    #[must_use]
    pub fn ideal(&self) -> f64 {
        1.0 / real(self.before.len().max(self.after.len()).max(1) as u64)
    }
}

// === impl Kill ===

impl Kill {
    /// Requests that failed.
    #[must_use]
    pub fn failures(&self) -> u64 {
        self.samples.iter().filter(|sample| sample.server.is_none()).count() as u64
    }

    /// When the killed server's successor answered first, in milliseconds after the kill: a request that was sent after
    /// the kill and that this seat answered.
    #[must_use]
    pub fn back(&self) -> Option<f64> {
        let answered = |sample: &&Sample| sample.at > 0.0 && sample.server.as_ref() == Some(&self.victim);
        self.samples
            .iter()
            .filter(answered)
            .map(|sample| sample.at + sample.took)
            .min_by(f64::total_cmp)
    }

    /// The longest time that an answer took after the kill, in milliseconds.
    #[must_use]
    pub fn slowest(&self) -> f64 {
        let after = self.samples.iter().filter(|sample| sample.at + sample.took >= 0.0);
        after.map(|sample| sample.took).fold(0.0, f64::max)
    }
}

// === impl Sample ===

impl Sample {
    /// A request that was sent `at` and took `took` milliseconds, to a hundredth; and who answered, or why nobody did.
    #[must_use]
    pub fn new(at: f64, took: f64, outcome: Result<String, String>) -> Self {
        let rounded = |value: f64| (value * 100.0).round() / 100.0;
        let (server, failure) = match outcome {
            Ok(server) => (Some(server), None),
            Err(failure) => (None, Some(failure)),
        };
        Self {
            at: rounded(at),
            took: rounded(took),
            server,
            failure,
        }
    }
}

// === impl Check ===

impl Check {
    /// Whether every answer was the table's.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.differing == 0 && self.first.is_none()
    }

    /// Both together.
    #[must_use]
    pub fn and(mut self, other: &Self) -> Self {
        self.compared += other.compared;
        self.differing += other.differing;
        self.first = self.first.or_else(|| other.first.clone());
        self
    }
}
