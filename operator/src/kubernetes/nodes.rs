//! Which nodes are lost: what sits on them will not serve, although nobody can tell it to end.

use std::{
    collections::{HashMap, HashSet},
    time::Duration,
};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, NodeCondition};
use tokio::time::Instant;

/// How long a node must have been not ready: a kubelet that was late once is back by then.
pub(crate) const LOST_AFTER: Duration = Duration::from_secs(2);

/// How long nodes that are not ready get to show up after a time in which the control plane was away: they are late, not
/// lost. A kubelet tells of itself every 10 s, and may pause for as long again after attempts that failed.
const SIGHT: Duration = Duration::from_secs(30);

/// The nodes, and since when those that are not ready are so.
#[derive(Debug, Default)]
pub(crate) struct Nodes {
    all: HashMap<String, Option<Away>>,
    /// Whether all of them were listed: before, the first one is all there are.
    listed: bool,
    /// Whether most looked not ready.
    was_blind: bool,
    /// Until then none becomes lost.
    spared_until: Option<Instant>,
}

/// A node that is not ready.
#[derive(Clone, Copy, Debug)]
struct Away {
    since: Instant,
    /// It stays so until it is ready again: its seats are on their way elsewhere.
    is_lost: bool,
    /// It had been so for long when we saw it.
    is_old: bool,
}

// === impl Nodes ===

impl Nodes {
    /// Takes a node as it is; true where its readiness changed.
    pub fn apply(&mut self, node: &Node, now: Instant) -> bool {
        self.give_up(now);
        let name = node.metadata.name.clone().unwrap_or_default();
        let mut conditions = node.status.iter().flat_map(|status| status.conditions.iter().flatten());
        let ready = conditions.find(|it| it.type_ == "Ready");
        let before = self.all.get(&name).copied();
        let away = match (ready, before) {
            (Some(ready), _) if ready.status == "True" => None,
            (_, Some(Some(away))) => Some(away),
            (ready, _) => Some(Away {
                since: now,
                is_lost: false,
                is_old: ready.and_then(age).is_some_and(|age| age > SIGHT),
            }),
        };
        self.all.insert(name, away);
        self.look(now);
        before.map(|away| away.is_some()) != Some(away.is_some())
    }

    /// Forgets a node.
    pub fn delete(&mut self, name: &str, now: Instant) {
        self.give_up(now);
        self.all.remove(name);
        self.look(now);
    }

    /// These are all: forgets the others.
    pub fn retain(&mut self, names: &HashSet<String>, now: Instant) {
        self.give_up(now);
        self.all.retain(|name, _| names.contains(name));
        if !std::mem::replace(&mut self.listed, true) {
            // Who has just begun does not know how long the control plane has been there: longer than some are away.
            self.spared_until = Some(now + SIGHT);
            let blind = self.blind();
            for away in self.all.values_mut().flatten() {
                away.is_lost = away.is_old && !blind;
            }
        }
        self.look(now);
    }

    /// The control plane was away until now: no node becomes lost for a while. Whether that is new.
    pub fn spare(&mut self, now: Instant) -> bool {
        self.give_up(now);
        let before = self.spared_until.replace(now + SIGHT);
        before.is_none_or(|until| until <= now)
    }

    /// Gives up those that have not been ready for long enough.
    ///
    /// Where most nodes look not ready at once, it is more likely that the control plane can not see them: then none becomes
    /// lost, by the rule of Kubernetes' own node lifecycle controller (all of them, or more than two and 55 %), nor for a
    /// while after that.
    pub fn give_up(&mut self, now: Instant) {
        if !self.listed || self.blind() {
            return;
        }
        let spared_until = self.spared_until;
        for away in self.all.values_mut().flatten() {
            away.is_lost |= away.due(spared_until) <= now;
        }
    }

    /// Whether a node was given up. One that was never seen is new to us, or gone: Pods of one that is gone are removed by
    /// the cluster.
    pub fn is_lost(&self, name: &str) -> bool {
        self.all.get(name).copied().flatten().is_some_and(|away| away.is_lost)
    }

    /// When the next node will have been not ready for long enough.
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let due = self.all.values().flatten().map(|away| away.due(self.spared_until));
        due.filter(|due| *due > now).min()
    }

    /// Takes note of blindness: however short it was, not all nodes are heard of at the same moment when it is over.
    fn look(&mut self, now: Instant) {
        let blind = self.listed && self.blind();
        if std::mem::replace(&mut self.was_blind, blind) && !blind {
            self.spared_until = Some(now + SIGHT);
        }
    }

    /// Whether most nodes look not ready.
    fn blind(&self) -> bool {
        let away = self.all.values().flatten().count();
        away > 0 && (away == self.all.len() || (away > 2 && away * 100 >= self.all.len() * 55))
    }
}

// === impl Away ===

impl Away {
    /// When it becomes lost.
    fn due(self, spared_until: Option<Instant>) -> Instant {
        let due = self.since + LOST_AFTER;
        spared_until.map_or(due, |spared_until| due.max(spared_until))
    }
}

/// How long a condition has been as it is, by the clock of whoever has set it.
fn age(condition: &NodeCondition) -> Option<Duration> {
    let since = condition.last_transition_time.as_ref()?.0;
    Duration::try_from(Timestamp::now().duration_since(since)).ok()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    fn node(name: &str, ready: &str) -> Node {
        let node = serde_json::json!({
            "metadata": {"name": name},
            "status": {"conditions": [{"type": "Ready", "status": ready}]},
        });
        serde_json::from_value(node).unwrap()
    }

    fn of(states: &[&str]) -> (Nodes, Instant) {
        let (mut nodes, begin) = (Nodes::default(), Instant::now());
        let names: Vec<String> = (0..states.len()).map(|i| format!("n{i}")).collect();
        for name in &names {
            nodes.apply(&node(name, "True"), begin);
        }
        nodes.retain(&names.iter().cloned().collect(), begin);
        let start = begin + SIGHT;
        for (name, state) in names.iter().zip(states) {
            nodes.apply(&node(name, state), start);
        }
        (nodes, start)
    }

    /// Whether the first of them is lost at a time.
    fn lost(nodes: &mut Nodes, now: Instant) -> bool {
        nodes.give_up(now);
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
    fn what_is_lost_stays_so_until_it_is_ready() {
        let (mut nodes, start) = of(&["Unknown", "True", "True"]);
        let away = start + LOST_AFTER;
        nodes.spare(away);
        assert!(lost(&mut nodes, away), "it was lost when the API server failed");
        for other in ["n1", "n2"] {
            nodes.apply(&node(other, "Unknown"), away);
        }
        assert!(lost(&mut nodes, away) && !nodes.is_lost("n1"), "all look away");
        nodes.apply(&node("n0", "True"), away);
        assert!(!lost(&mut nodes, away));
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
    fn who_has_just_begun_sees_which_nodes_have_been_away_for_long() {
        let long_ago = |name: &str| {
            let mut node = node(name, "Unknown");
            let conditions = node.status.as_mut().unwrap().conditions.as_mut().unwrap();
            conditions[0].last_transition_time = Some(Time("2026-01-01T00:00:00Z".parse().unwrap()));
            node
        };
        for (others, expected) in [("True", true), ("Unknown", false)] {
            let (mut nodes, start) = (Nodes::default(), Instant::now());
            let names = ["n0", "n1", "n2"].map(str::to_owned);
            nodes.apply(&long_ago("n0"), start);
            for name in &names[1..] {
                nodes.apply(&node(name, others), start);
            }
            assert!(!nodes.is_lost("n0"), "not all are listed");
            nodes.retain(&names.into(), start);
            assert_eq!(nodes.is_lost("n0"), expected, "the others: {others}");
        }
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
