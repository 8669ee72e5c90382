//! The metric families of a balancer, read from the workers' counters when they are scraped.
//!
//! One table, [`FAMILIES`], says what there is: the scrape and the reference in docs/reference/metrics.md both follow
//! from it, so neither can know a family that the other does not.

use std::{
    fmt::{self, Write as _},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64},
    },
};

use lbpool_daemon::PhaseMetrics;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet},
    metrics::MetricType,
    registry::Registry,
};

use crate::{
    shared::Shared,
    snapshot::Snapshot,
    stats::{Count, WorkerStats},
};

mod families;

pub use families::FAMILIES;

/// Media type of what [`text`] writes.
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// One metric family: what it is, and where its values come from.
pub struct Family {
    /// Its name, without the suffixes that its kind brings.
    pub name: &'static str,
    /// How its values behave.
    pub kind: Kind,
    /// Its labels. Each has a bounded set of values: a closed set, or the seats of the present table.
    pub labels: &'static [&'static str],
    /// What it counts.
    pub help: &'static str,
    read: fn(&Seen<'_>, &mut Out<'_>),
}

/// How the values of a family behave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Grows, and starts at 0 with the process.
    Counter,
    /// Goes up and down.
    Gauge,
    /// Counts by size.
    Histogram,
}

/// What became of a members file each time it was read. `None` of it where routing documents come from elsewhere.
#[derive(Debug, Default)]
pub struct FileCounts {
    /// Times that its content was routed.
    pub routed: AtomicU64,
    /// Times that its content was refused, and the routing before it kept.
    pub refused: AtomicU64,
    /// Whether its present content is refused.
    pub is_refused: AtomicBool,
}

/// What became of a cluster's events. `None` of it where routing documents come from elsewhere.
#[derive(Debug, Default)]
pub struct ClusterCounts {
    /// Routing documents that were routed by.
    pub routed: Count,
    /// Routing documents that were refused as wrong, and those before them kept.
    pub refused: Count,
    /// Routing documents that are older than the one before.
    pub older: Count,
    /// Members that serve although their endpoints are not ready, as most are not.
    pub doubted: AtomicU64,
    /// Lists and watches of the routing document that failed.
    pub document_errors: Count,
    /// Lists and watches of endpoints that failed.
    pub endpoint_errors: Count,
    /// Changes by time from the event to all workers routing by it: see [`BUCKETS`](crate::stats::BUCKETS).
    pub delay: [Count; crate::stats::BUCKETS],
    /// Sum of those times in microseconds.
    pub delay_sum: Count,
    /// Writes of the snapshot on disk.
    pub written: Count,
    /// Writes of the snapshot on disk that failed.
    pub unwritten: Count,
}

/// Where routing documents come from, as far as it counts something.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// A members file.
    pub file: Option<Arc<FileCounts>>,
    /// A cluster.
    pub cluster: Option<Arc<ClusterCounts>>,
}

/// Reads everything at the time of a scrape.
#[derive(Debug)]
struct BalancerMetrics {
    shared: Arc<Shared>,
    sources: Sources,
}

/// What one scrape reads.
struct Seen<'a> {
    shared: &'a Shared,
    snapshot: Arc<Snapshot>,
    shares: Vec<f64>,
    now: u64,
    file: Option<&'a FileCounts>,
    cluster: Option<&'a ClusterCounts>,
}

/// Where the values of one family go.
struct Out<'a> {
    encoder: MetricEncoder<'a>,
    kind: Kind,
    labels: &'static [&'static str],
    result: fmt::Result,
}

/// Adds the families of a balancer to `registry`.
pub fn register(shared: &Arc<Shared>, sources: Sources, registry: &mut Registry) {
    PhaseMetrics::register(shared.phases(), registry);
    registry.register_collector(Box::new(BalancerMetrics {
        shared: Arc::clone(shared),
        sources,
    }));
}

/// The present values of everything in `registry`, as [`CONTENT_TYPE`].
///
/// # Errors
/// A family can not be written: a bug in its definition.
pub fn text(registry: &Registry) -> Result<String, fmt::Error> {
    let mut text = String::with_capacity(16 * 1024);
    prometheus_client::encoding::text::encode(&mut text, registry)?;
    Ok(text)
}

/// The reference of all families, in Markdown.
#[must_use]
pub fn reference() -> String {
    let mut text = String::from(
        "# Metrics of a balancer\n\n\
         Served at `/metrics` of the admin listener, in the text format of OpenMetrics. Labels have bounded sets of values: \
         closed sets, and the seats of the present table.\n\n\
         This file is generated from balancer/src/metrics/families.rs: `make generate`.\n\n\
         | name | kind | labels | what it says |\n|---|---|---|---|\n\
         | `lbpool_phase` | gauge | `phase` | How far the process is with starting or ending: 1 for its phase |\n",
    );
    for Family {
        name,
        kind,
        labels,
        help,
        ..
    } in FAMILIES
    {
        let suffix = if *kind == Kind::Counter { "_total" } else { "" };
        let labels: Vec<String> = labels.iter().map(|label| format!("`{label}`")).collect();
        // Writing to a String does not fail.
        let _ = writeln!(
            text,
            "| `{name}{suffix}` | {} | {} | {help} |",
            kind.as_str(),
            labels.join(", ")
        );
    }
    text
}

// === impl Kind ===

impl Kind {
    /// As it is written in the reference.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

impl From<Kind> for MetricType {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Counter => Self::Counter,
            Kind::Gauge => Self::Gauge,
            Kind::Histogram => Self::Histogram,
        }
    }
}

// === impl BalancerMetrics ===

impl Collector for BalancerMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let snapshot = self.shared.snapshot();
        let seen = Seen {
            shared: &self.shared,
            shares: snapshot.table.shares(),
            snapshot,
            now: self.shared.now(),
            file: self.sources.file.as_deref(),
            cluster: self.sources.cluster.as_deref(),
        };
        for family in FAMILIES {
            let encoder = encoder.encode_descriptor(family.name, family.help, None, family.kind.into())?;
            let mut out = Out {
                encoder,
                kind: family.kind,
                labels: family.labels,
                result: Ok(()),
            };
            (family.read)(&seen, &mut out);
            out.result?;
        }
        Ok(())
    }
}

// === impl Seen ===

impl Seen<'_> {
    fn sum(&self, count: impl Fn(&WorkerStats) -> &Count) -> u64 {
        self.shared.stats().iter().map(|stats| count(stats).get()).sum()
    }
}

// === impl Out ===

impl Out<'_> {
    /// A value of a family without labels.
    fn put(&mut self, value: impl Into<Value>) {
        self.labelled(&[], value);
    }

    /// A value under the family's labels, in their order.
    fn labelled(&mut self, values: &[&str], value: impl Into<Value>) {
        if self.result.is_ok() {
            self.result = self.try_put(values, value.into());
        }
    }

    fn try_put(&mut self, values: &[&str], value: Value) -> fmt::Result {
        let pairs: Vec<(&str, &str)> = self.labels.iter().copied().zip(values.iter().copied()).collect();
        if pairs.is_empty() {
            return encode(&mut self.encoder, self.kind, value);
        }
        encode(&mut self.encoder.encode_family(&pairs)?, self.kind, value)
    }

    /// Counts by upper bound, not yet added up, and the sum of what was counted.
    fn histogram(&mut self, buckets: &[(f64, u64)], sum: f64) {
        let count = buckets.iter().map(|(_, count)| count).sum();
        if self.result.is_ok() {
            self.result = self.encoder.encode_histogram::<NoLabelSet>(sum, count, buckets, None);
        }
    }
}

/// A number of a family.
#[derive(Clone, Copy)]
enum Value {
    Whole(u64),
    Real(f64),
}

fn encode(encoder: &mut MetricEncoder<'_>, kind: Kind, value: Value) -> fmt::Result {
    match (kind, value) {
        (Kind::Counter, Value::Whole(n)) => encoder.encode_counter::<NoLabelSet, _, u64>(&n, None),
        (Kind::Counter, Value::Real(n)) => encoder.encode_counter::<NoLabelSet, _, u64>(&n, None),
        (Kind::Gauge, Value::Whole(n)) => encoder.encode_gauge(&n),
        (Kind::Gauge, Value::Real(n)) => encoder.encode_gauge(&n),
        (Kind::Histogram, _) => Err(fmt::Error),
    }
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<f64> for Value {
    fn from(n: f64) -> Self {
        Self::Real(n)
    }
}

impl From<bool> for Value {
    fn from(yes: bool) -> Self {
        Self::Whole(yes.into())
    }
}

impl fmt::Debug for Family {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Family")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
