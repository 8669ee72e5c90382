//! Members that get ready within a moment join together: each table of their own would move keys once more.

use std::time::Duration;

use lbpool_core::{Action, Observed, Phase, Plan};
use tokio::time::Instant;

/// How long a member that is ready waits for others that start.
const MOMENT: Duration = Duration::from_millis(250);

/// Since when a member waits to join.
#[derive(Debug, Default)]
pub(super) struct Gather {
    since: Option<Instant>,
}

impl Gather {
    /// Takes a document out of the plan that does nothing but let members join, while others start and the first has not
    /// waited for long. Returns when to plan again.
    pub(super) fn hold(&mut self, plan: &mut Plan, seen: &Observed, now: Instant) -> Option<Duration> {
        let joins = |action: &Action| matches!(action, Action::Publish { document, .. } if only_joins(document, seen));
        let starts = || seen.instances.iter().any(|instance| instance.phase == Phase::Starting);
        if !plan.actions.iter().any(joins) || !starts() {
            self.since = None;
            return None;
        }
        let since = *self.since.get_or_insert(now);
        let left = (since + MOMENT).saturating_duration_since(now);
        if left.is_zero() {
            self.since = None;
            return None;
        }
        plan.actions.retain(|action| !joins(action));
        Some(left)
    }
}

/// Nobody leaves, moves or is replaced, and the policy is as it was.
fn only_joins(document: &lbpool_api::RoutingDocument, seen: &Observed) -> bool {
    let Some(last) = &seen.routing else { return false };
    let kept = document
        .members
        .iter()
        .filter(|member| last.members.iter().any(|known| known.name == member.name));
    document.members.len() > last.members.len()
        && document.routing == last.routing
        && document.health == last.health
        && kept.eq(&last.members)
}

#[cfg(test)]
mod tests {
    use lbpool_api::RoutingDocument;
    use lbpool_core::{Instance, InstanceId, Reason};

    use super::*;

    fn document(pods: &[(&str, &str)]) -> RoutingDocument {
        let members: Vec<_> = pods
            .iter()
            .map(|(name, pod)| serde_json::json!({"name": name, "pod": pod}))
            .collect();
        serde_json::from_value(serde_json::json!({"pool": "web", "epoch": 1, "members": members})).unwrap()
    }

    fn plan(next: &[(&str, &str)]) -> Plan {
        let (document, reason) = (document(next), Reason::Membership);
        Plan {
            actions: vec![Action::Publish { document, reason }],
            wake: None,
        }
    }

    fn seen(last: &[(&str, &str)], phase: Phase) -> Observed {
        let instance = Instance {
            id: InstanceId("x".into()),
            name: "x".into(),
            seat: "x".parse().unwrap(),
            template: String::new(),
            phase,
            address: None,
            created: jiff::Timestamp::UNIX_EPOCH,
            trouble: None,
        };
        Observed {
            instances: vec![instance],
            routing: Some(document(last)),
            ..Observed::default()
        }
    }

    #[test]
    fn who_joins_waits_a_moment_for_those_who_start_and_no_longer() {
        let (mut gather, start) = (Gather::default(), Instant::now());
        let seen = seen(&[("a", "1")], Phase::Starting);
        let mut held = plan(&[("a", "1"), ("b", "2")]);
        assert_eq!(gather.hold(&mut held, &seen, start), Some(MOMENT));
        assert_eq!(held.actions, []);
        let mut late = plan(&[("a", "1"), ("b", "2"), ("c", "3")]);
        assert_eq!(gather.hold(&mut late, &seen, start + MOMENT), None, "from the first on");
        assert_eq!(late.actions.len(), 1);
    }

    #[test]
    fn nothing_else_waits() {
        let start = Instant::now();
        for (last, next, phase) in [
            (&[("a", "1")][..], &[("a", "1"), ("b", "2")][..], Phase::Ready),
            (&[("a", "1")], &[("a", "2"), ("b", "2")], Phase::Starting),
            (&[("a", "1"), ("b", "2")], &[("a", "1")], Phase::Starting),
            (
                &[("a", "1"), ("b", "2")],
                &[("a", "1"), ("c", "2"), ("d", "3")],
                Phase::Starting,
            ),
        ] {
            let mut plan = plan(next);
            assert_eq!(
                Gather::default().hold(&mut plan, &seen(last, phase), start),
                None,
                "{next:?}"
            );
            assert_eq!(plan.actions.len(), 1);
        }
    }
}
