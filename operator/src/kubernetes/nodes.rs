//! Which nodes are lost: what sits on them will not serve, although nobody can tell it to end.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::Node;
use tokio::time::Instant;

/// How long a node must have been not ready: a kubelet that was late once is back by then.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(2);

/// How long nodes that are not ready get to show up once most are seen again: the rest is late, not lost. Kubernetes' own
/// controller begins to count anew as well.
const SIGHT: Duration = Duration::from_secs(30);

/// The nodes, and since when those that are not ready are so.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    all: HashMap<String, Option<Instant>>,
    now: Option<Instant>,
}

// === impl Nodes ===

impl Nodes {
    /// Takes a node as it is; true where its readiness changed.
    pub fn apply(&mut self, node: &Node, now: Instant) -> bool {
        let name = node.metadata.name.clone().unwrap_or_default();
        let blind = self.blind();
        let ready = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = ready.into_iter().any(|it| it.type_ == "Ready" && it.status == "True");
        let before = self.all.get(&name).copied();
        let since = match (ready, before) {
            (true, _) => None,
            (false, Some(Some(since))) => Some(since),
            (false, _) => Some(now),
        };
        self.all.insert(name, since);
        if blind && !self.blind() {
            for since in self.all.values_mut().flatten() {
                *since = now + SIGHT;
            }
        }
        before.map(|since| since.is_some()) != Some(since.is_some())
    }

    /// Forgets a node.
    pub fn delete(&mut self, name: &str) {
        self.all.remove(name);
    }

    /// Forgets all but these.
    pub fn retain(&mut self, names: &std::collections::HashSet<String>) {
        self.all.retain(|name, _| names.contains(name));
    }

    /// What time it is for [`Nodes::is_lost`].
    pub const fn set_now(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// Whether a node is gone, or has not been ready for so long that its Pods are given up.
    ///
    /// Where most nodes look not ready at once, it is more likely that the control plane can not see them: then none counts
    /// as lost, by the rule of Kubernetes' own node lifecycle controller (all of them, or more than two and 55 %).
    pub fn is_lost(&self, name: &str) -> bool {
        let Some(since) = self.all.get(name) else {
            // A node that was never seen is new to us, or gone; Pods of one that is gone are removed by the cluster.
            return false;
        };
        let (Some(since), Some(now)) = (since, self.now) else {
            return false;
        };
        !self.blind() && now.saturating_duration_since(*since) >= LOST_AFTER
    }

    /// Whether most nodes look not ready.
    fn blind(&self) -> bool {
        let away = self.all.values().filter(|since| since.is_some()).count();
        away > 0 && (away == self.all.len() || (away > 2 && away * 100 >= self.all.len() * 55))
    }

    /// When the next node will have been not ready for long enough.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.all.values().flatten().map(|since| *since + LOST_AFTER);
        due.filter(|due| *due > now).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn node(name: &str, ready: &str) -> Node {
        let node = serde_json::json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        serde_json::from_value(node).unwrap()
    }

    fn of(states: &[&str]) -> (Nodes, Instant) {
        let (mut nodes, start) = (Nodes::default(), Instant::now());
        for (i, state) in states.iter().enumerate() {
            nodes.apply(&node(&format!("n{i}"), state), start);
        }
        (nodes, start)
    }

    #[test]
    fn a_node_is_lost_once_it_was_not_ready_for_long_enough() {
        let (mut nodes, start) = of(&["Unknown", "True"]);
        nodes.set_now(start + LOST_AFTER / 2);
        assert!(!nodes.is_lost("n0"));
        assert_eq!(nodes.next(start), Some(start + LOST_AFTER));
        assert!(
            !nodes.apply(&node("n0", "False"), start + LOST_AFTER),
            "not ready as before"
        );
        nodes.set_now(start + LOST_AFTER);
        assert!(nodes.is_lost("n0") && !nodes.is_lost("n1") && !nodes.is_lost("n9"));
        nodes.apply(&node("n0", "True"), start + LOST_AFTER);
        assert!(!nodes.is_lost("n0"));
    }

    #[test]
    fn nodes_that_show_up_after_the_first_are_late_and_not_lost() {
        let (mut nodes, start) = of(&["Unknown", "Unknown", "Unknown"]);
        let thaw = start + LOST_AFTER * 5;
        nodes.apply(&node("n2", "True"), thaw);
        nodes.set_now(thaw + SIGHT);
        assert!(!nodes.is_lost("n0"), "the control plane sees again");
        assert_eq!(nodes.next(thaw), Some(thaw + SIGHT + LOST_AFTER));
        nodes.set_now(thaw + SIGHT + LOST_AFTER);
        assert!(nodes.is_lost("n0"), "and this one is away for good");
    }

    #[test]
    fn where_most_look_away_nobody_is_given_up() {
        for (states, lost) in [
            (&["Unknown", "Unknown"][..], false),
            (&["Unknown", "Unknown", "True"], true),
            (&["Unknown", "Unknown", "Unknown", "True"], false),
            (&["Unknown", "Unknown", "Unknown", "True", "True", "True"], true),
        ] {
            let (mut nodes, start) = of(states);
            nodes.set_now(start + LOST_AFTER);
            assert_eq!(nodes.is_lost("n0"), lost, "{states:?}");
        }
    }
}
