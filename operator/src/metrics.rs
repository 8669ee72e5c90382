//! What the controller counts.

use lbpool_core::Reason;
use prometheus_client::{
    metrics::{counter::Counter, family::Family},
    registry::Registry,
};

use crate::Category;

type Labelled = Family<[(&'static str, &'static str); 1], Counter>;

/// Counters of a controller, shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    passes: Counter,
    failures: Labelled,
    created: Labelled,
    deleted: Labelled,
    published: Labelled,
}

// === impl Metrics ===

impl Metrics {
    /// Counters that `registry` knows, under `lbpool_`.
    #[must_use]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self::default();
        let registry = registry.sub_registry_with_prefix("lbpool");
        registry.register("reconcile", "Passes over a pool", metrics.passes.clone());
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

    pub(crate) fn pass(&self) {
        self.passes.inc();
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
