//! What the controller counts.

use std::time::Duration;

use lbpool_core::Reason;
use prometheus_client::{
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram},
    registry::Registry,
};

use crate::Category;

/// Seconds of a pass: most have nothing to do.
const PASS: [f64; 9] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 30.0];
/// Seconds of a drain.
const DRAIN: [f64; 9] = [0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0, 60.0, 300.0];

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters of a controller, shared by its clones.
#[derive(Clone, Debug)]
pub struct Metrics {
    passes: Counter,
    durations: Histogram,
    drains: Histogram,
    calls: Family<[(&'static str, &'static str); 3], Counter>,
    pools: Gauge,
    leader: Gauge,
    failures: Labelled,
    created: Labelled,
    deleted: Labelled,
    published: Labelled,
}

// === impl Metrics ===

impl Default for Metrics {
    fn default() -> Self {
        Self {
            passes: Counter::default(),
            durations: Histogram::new(PASS),
            drains: Histogram::new(DRAIN),
            calls: Family::default(),
            pools: Gauge::default(),
            leader: Gauge::default(),
            failures: Family::default(),
            created: Family::default(),
            deleted: Family::default(),
            published: Family::default(),
        }
    }
}

impl Metrics {
    /// Counters that `registry` knows, under `lbpool_`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("lbpool");
        registry.register("reconcile", "Passes over a pool", metrics.passes.clone());
        registry.register(
            "reconcile_duration_seconds",
            "Duration of a pass over a pool",
            metrics.durations.clone(),
        );
        registry.register(
            "drain_duration_seconds",
            "Time from a member's leaving the table until it is told to end",
            metrics.drains.clone(),
        );
        registry.register(
            "api_requests",
            "Calls to the API server, by verb, resource and class of the answer",
            metrics.calls.clone(),
        );
        registry.register("pools", "Pools that are driven", metrics.pools.clone());
        registry.register("leader", "1 while this operator leads", metrics.leader.clone());
        registry.register(
            "reconcile_failures",
            "Steps of a pass that failed, by category",
            metrics.failures.clone(),
        );
        registry.register(
            "instances_created",
            "Instances made, by reason",
            metrics.created.clone(),
        );
        registry.register(
            "instances_deleted",
            "Instances told to end, by reason",
            metrics.deleted.clone(),
        );
        registry.register(
            "routing_published",
            "Routing documents published, by reason",
            metrics.published.clone(),
        );
        metrics
    }

    pub(crate) fn pass(&self, took: Duration) {
        self.passes.inc();
        self.durations.observe(took.as_secs_f64());
    }

    pub(crate) fn drained(&self, took: Duration) {
        self.drains.observe(took.as_secs_f64());
    }

    #[cfg(feature = "kubernetes")]
    pub(crate) fn called(&self, verb: &'static str, resource: &'static str, code: &'static str) {
        let labels = [("verb", verb), ("resource", resource), ("code", code)];
        self.calls.get_or_create(&labels).inc();
    }

    #[cfg(feature = "kubernetes")]
    pub(crate) fn pools(&self, count: usize) {
        self.pools.set(i64::try_from(count).unwrap_or(i64::MAX));
    }

    /// Says whether this operator leads.
    #[cfg(feature = "kubernetes")]
    pub fn leads(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    pub(crate) fn failure(&self, category: Category) {
        self.failures.get_or_create(&[("category", category.as_str())]).inc();
    }

    pub(crate) fn created(&self, reason: Reason) {
        self.created.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    pub(crate) fn deleted(&self, reason: Reason) {
        self.deleted.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    pub(crate) fn published(&self, reason: Reason) {
        self.published.get_or_create(&[("reason", reason.as_str())]).inc();
    }

    /// Passes so far.
    #[must_use]
    pub fn passes(&self) -> u64 {
        self.passes.get()
    }
}
