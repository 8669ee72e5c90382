//! Which nodes are lost: what sits on them will not serve, although nobody can tell it to end.

use std::{collections::HashMap, time::Duration};

use k8s_openapi::api::core::v1::Node;
use tokio::time::Instant;

/// How long a node must have been not ready: a kubelet that was late once is back by then.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(2);

/// How long nodes that are not ready get to show up after a time in which the control plane was away: they are late, not
/// lost. A kubelet tells of itself every 10 s, and may pause for as long again after attempts that failed.
const SIGHT: Duration = Duration::from_secs(30);

/// The nodes, and since when those that are not ready are so.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    all: HashMap<String, Option<Instant>>,
    now: Option<Instant>,
    /// Whether all of them were listed: before, the first one is all there are.
    listed: bool,
    /// Whether most looked not ready.
    was_blind: bool,
    /// Until then none counts as lost.
    spared_until: Option<Instant>,
}

// === impl Nodes ===

impl Nodes {
    /// Takes a node as it is; true where its readiness changed.
    pub fn apply(&mut self, node: &Node, now: Instant) -> bool {
        let name = node.metadata.name.clone().unwrap_or_default();
        let ready = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = ready.into_iter().any(|it| it.type_ == "Ready" && it.status == "True");
        let before = self.all.get(&name).copied();
        let since = match (ready, before) {
            (true, _) => None,
            (false, Some(Some(since))) => Some(since),
            (false, _) => Some(now),
        };
        self.all.insert(name, since);
        self.look(now);
        before.map(|since| since.is_some()) != Some(since.is_some())
    }

    /// Forgets a node.
    pub fn delete(&mut self, name: &str, now: Instant) {
        self.all.remove(name);
        self.look(now);
    }

    /// These are all: forgets the others.
    pub fn retain(&mut self, names: &std::collections::HashSet<String>, now: Instant) {
        self.all.retain(|name, _| names.contains(name));
        if !std::mem::replace(&mut self.listed, true) && self.all.values().any(Option::is_some) {
            // Who has just begun does not know how long the control plane has been there.
            self.spare(now);
        }
        self.look(now);
    }

    /// The control plane was away until now: no node counts as lost for a while.
    pub fn spare(&mut self, now: Instant) {
        self.spared_until = Some(now + SIGHT);
    }

    /// Whether none counts as lost now because of that.
    #[cfg(test)]
    pub fn are_spared(&self, now: Instant) -> bool {
        self.spared_until.is_some_and(|until| now < until)
    }

    /// What time it is for [`Nodes::is_lost`].
    pub const fn set_now(&mut self, now: Instant) {
        self.now = Some(now);
    }

    /// Whether a node has not been ready for so long that its Pods are given up.
    ///
    /// Where most nodes look not ready at once, it is more likely that the control plane can not see them: then none counts
    /// as lost, by the rule of Kubernetes' own node lifecycle controller (all of them, or more than two and 55 %), nor for a
    /// while after that.
    pub fn is_lost(&self, name: &str) -> bool {
        // A node that was never seen is new to us, or gone; Pods of one that is gone are removed by the cluster.
        let since = self.all.get(name).copied().flatten();
        let due = since.filter(|_| !self.blind()).map(|since| self.due(since));
        due.zip(self.now).is_some_and(|(due, now)| due <= now)
    }

    /// When the next node will have been not ready for long enough.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.all.values().flatten().map(|since| self.due(*since));
        due.filter(|due| *due > now).min()
    }

    fn due(&self, since: Instant) -> Instant {
        let due = since + LOST_AFTER;
        self.spared_until.map_or(due, |spared_until| due.max(spared_until))
    }

    /// Takes note of blindness: however short it was, not all nodes are heard of at the same moment when it is over.
    fn look(&mut self, now: Instant) {
        let blind = self.listed && self.blind();
        if std::mem::replace(&mut self.was_blind, blind) && !blind {
            self.spare(now);
        }
    }

    /// Whether most nodes look not ready.
    fn blind(&self) -> bool {
        let away = self.all.values().filter(|since| since.is_some()).count();
        away > 0 && (away == self.all.len() || (away > 2 && away * 100 >= self.all.len() * 55))
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
        let names: Vec<String> = (0..states.len()).map(|i| format!("n{i}")).collect();
        for name in &names {
            nodes.apply(&node(name, "True"), start);
        }
        nodes.retain(&names.iter().cloned().collect(), start);
        for (name, state) in names.iter().zip(states) {
            nodes.apply(&node(name, state), start);
        }
        (nodes, start)
    }

    /// Whether the first of them is lost at a time.
    fn lost(nodes: &mut Nodes, now: Instant) -> bool {
        nodes.set_now(now);
        nodes.is_lost("n0")
    }

    #[test]
    fn a_node_is_lost_once_it_was_not_ready_for_long_enough() {
        let (mut nodes, start) = of(&["Unknown", "True"]);
        assert!(!lost(&mut nodes, start + LOST_AFTER / 2));
        assert_eq!(nodes.next(start), Some(start + LOST_AFTER));
        assert!(
            !nodes.apply(&node("n0", "False"), start + LOST_AFTER),
            "not ready as before"
        );
        assert!(lost(&mut nodes, start + LOST_AFTER));
        assert!(!nodes.is_lost("n1") && !nodes.is_lost("n9"));
        nodes.apply(&node("n0", "True"), start + LOST_AFTER);
        assert!(!nodes.is_lost("n0"));
    }

    #[test]
    fn nodes_that_show_up_after_the_first_are_late_and_not_lost_however_soon_the_first_did() {
        for thaw in [LOST_AFTER / 20, LOST_AFTER * 5] {
            let (mut nodes, start) = of(&["Unknown", "Unknown", "Unknown"]);
            let thaw = start + thaw;
            nodes.apply(&node("n2", "True"), thaw);
            let due = thaw + SIGHT;
            assert!(!lost(&mut nodes, due - LOST_AFTER / 2), "the control plane sees again");
            assert_eq!(nodes.next(thaw), Some(due));
            assert!(lost(&mut nodes, due), "and this one is away for good");
        }
    }

    #[test]
    fn where_the_api_server_was_away_nodes_are_late_and_not_lost() {
        let (mut nodes, start) = of(&["True", "True", "True"]);
        nodes.spare(start);
        nodes.apply(&node("n0", "Unknown"), start);
        assert!(!lost(&mut nodes, start + LOST_AFTER));
        assert_eq!(nodes.next(start), Some(start + SIGHT));
        assert!(lost(&mut nodes, start + SIGHT));
    }

    #[test]
    fn who_has_just_begun_gives_nodes_time_to_show_up() {
        let (mut nodes, start) = (Nodes::default(), Instant::now());
        let names = ["n0", "n1", "n2"].map(str::to_owned);
        for (name, state) in names.iter().zip(["Unknown", "True", "True"]) {
            nodes.apply(&node(name, state), start);
        }
        nodes.retain(&names.iter().cloned().collect(), start);
        assert!(!lost(&mut nodes, start + LOST_AFTER));
        let again = start + SIGHT;
        nodes.retain(&names.iter().cloned().collect(), again);
        assert!(lost(&mut nodes, again), "another list is no other begin");
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
            assert_eq!(self::lost(&mut nodes, start + LOST_AFTER), lost, "{states:?}");
        }
    }
}
