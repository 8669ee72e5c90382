//! How far a process is with starting or ending: one watched value, and a metric.

use std::sync::Arc;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, gauge::ConstGauge},
    registry::Registry,
};
use tokio::sync::watch;

/// How far a process is with starting or ending. A later phase is greater than an earlier one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    /// Not ready for work yet.
    #[default]
    Starting,
    /// At work.
    Ready,
    /// Takes no new work, finishes what it has.
    Draining,
    /// Has ended its work.
    Stopped,
}

/// The phase of a process, shared by all who change it or act on it.
///
/// A phase never goes back: of two parts that report at the same time, the one that is further wins.
/// ```
/// use lbpool_daemon::{Phase, Phases};
///
/// let phases = Phases::default();
/// assert!(phases.advance(Phase::Draining));
/// assert!(!phases.advance(Phase::Ready), "an end that has begun is not taken back");
/// assert_eq!(phases.now(), Phase::Draining);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Phases(Arc<watch::Sender<Phase>>);

/// The phase as a gauge, read when it is scraped.
#[derive(Debug)]
pub struct PhaseMetrics(Phases);

// === impl Phase ===

impl Phase {
    /// Every phase, in order.
    pub const ALL: [Self; 4] = [Self::Starting, Self::Ready, Self::Draining, Self::Stopped];

    /// The phase as a metric's label and a status text.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Draining => "draining",
            Self::Stopped => "stopped",
        }
    }
}

// === impl Phases ===

impl Phases {
    /// The phase at this moment.
    #[must_use]
    pub fn now(&self) -> Phase {
        *self.0.borrow()
    }

    /// Goes on to `phase`. `false`: it was that far already, nothing changed.
    #[expect(
        clippy::must_use_candidate,
        reason = "most who report do not care whether they were first"
    )]
    pub fn advance(&self, phase: Phase) -> bool {
        self.0.send_if_modified(|now| {
            let later = phase > *now;
            if later {
                *now = phase;
            }
            later
        })
    }

    /// Waits until `phase` or a later one is reached, and says which.
    ///
    /// Cancel safe: nothing is lost when the future is dropped.
    pub async fn reached(&self, phase: Phase) -> Phase {
        let mut changes = self.0.subscribe();
        loop {
            let now = *changes.borrow_and_update();
            // The sender lives in `self`, so that `changed` can not fail; were it to, waiting longer would be in vain.
            if now >= phase || changes.changed().await.is_err() {
                return now;
            }
        }
    }

    /// A receiver of every change, for a `select!`.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Phase> {
        self.0.subscribe()
    }
}

// === impl PhaseMetrics ===

impl PhaseMetrics {
    /// Adds `lbpool_phase{phase="..."}` to `registry`: 1 for the phase at the time of a scrape, 0 for the others.
    pub fn register(phases: &Phases, registry: &mut Registry) {
        registry.register_collector(Box::new(Self(phases.clone())));
    }
}

impl Collector for PhaseMetrics {
    fn encode(&self, mut encoder: DescriptorEncoder) -> Result<(), std::fmt::Error> {
        let now = self.0.now();
        let help = "How far the process is with starting or ending: 1 for its phase";
        let mut family = encoder.encode_descriptor("lbpool_phase", help, None, MetricType::Gauge)?;
        for phase in Phase::ALL {
            let label = [("phase", phase.as_str())];
            ConstGauge::new(i64::from(phase == now)).encode(family.encode_family(&label)?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn a_phase_that_was_passed_counts_as_reached() {
        let phases = Phases::default();
        phases.advance(Phase::Stopped);
        assert_eq!(phases.reached(Phase::Draining).await, Phase::Stopped);
    }

    #[tokio::test]
    async fn waiting_ends_with_the_change_that_another_holder_makes() {
        let phases = Phases::default();
        let other = phases.clone();
        let (reached, ()) = tokio::join!(phases.reached(Phase::Draining), async {
            other.advance(Phase::Ready);
            tokio::task::yield_now().await;
            other.advance(Phase::Draining);
        });
        assert_eq!(reached, Phase::Draining);
    }

    #[tokio::test(start_paused = true)]
    async fn waiting_does_not_end_before_its_phase() {
        let phases = Phases::default();
        phases.advance(Phase::Ready);
        assert!(
            timeout(Duration::from_secs(9), phases.reached(Phase::Draining))
                .await
                .is_err()
        );
    }

    #[test]
    fn a_scrape_shows_exactly_one_phase() {
        let phases = Phases::default();
        let mut registry = Registry::default();
        PhaseMetrics::register(&phases, &mut registry);
        phases.advance(Phase::Ready);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("# TYPE lbpool_phase gauge"), "{text}");
        assert!(text.contains(r#"lbpool_phase{phase="ready"} 1"#), "{text}");
        assert_eq!(
            text.lines()
                .filter(|line| line.starts_with("lbpool_phase{") && line.ends_with(" 0"))
                .count(),
            3
        );
    }
}
