//! A node that is cut off or stopped: its seats have successors soon, and requests go elsewhere meanwhile.

use std::time::Duration;

use lbpool_tests_cluster::{Cluster, Namespace, Operator, Pod, Pool, Running, Table, Traffic, wait_for};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_secs(90);
/// From the moment the node is not ready to a successor that is ready.
const SUCCESSOR: Duration = Duration::from_secs(10);

/// A node that neither the leader nor, by way of routes, the test itself needs.
fn victim() -> String {
    let leader = Operator::leader().node;
    let node = ["node-2", "node-1"].into_iter().find(|&node| node != leader);
    node.unwrap().to_owned()
}

/// A pool with balancers on the other nodes: those on this one would take their clients' connections with them.
fn pool(namespace: &Namespace, node: &str) -> Running {
    let elsewhere = format!(
        "    podTemplate: {{spec: {{affinity: {{nodeAffinity: {{requiredDuringSchedulingIgnoredDuringExecution: {{nodeSelectorTerms: \
         [{{matchExpressions: [{{key: kubernetes.io/hostname, operator: NotIn, values: [{node}]}}]}}]}}}}}}}}}}"
    );
    // One member on each node.
    let spread = "      topologySpreadConstraints: [{maxSkew: 1, topologyKey: kubernetes.io/hostname, whenUnsatisfiable: \
                  ScheduleAnyway, labelSelector: {matchLabels: {lbpool.dev/pool: demo, lbpool.dev/role: member}}}]";
    namespace.pool(&Pool {
        balancer: elsewhere,
        pod: spread.to_owned(),
        ..Pool::default()
    })
}

fn lost(what: &str, namespace: &str, fault: &str) {
    let Some(harness) = Cluster::get().harness_or_skip(what) else {
        return;
    };
    let namespace = Namespace::new(namespace);
    let node = victim();
    let pool = pool(&namespace, &node);
    let lost: Vec<Pod> = pool.members().into_iter().filter(|pod| pod.node == node).collect();
    assert!(!lost.is_empty(), "no member is on {node}: {:?}", pool.members());
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    traffic.mark().print(&format!("before {what}"));
    Operator::has_seen_nodes();

    let (began, broken) = (
        now(),
        match fault {
            "cut" => harness.cut_node(&node),
            _ => harness.stop_node(&node),
        },
    );
    Cluster::get().nodes_turn(false, &[&node]);
    let not_ready = now();
    wait_for("every seat has a successor", LIMIT, || {
        let served = |old: &Pod| {
            pool.member(&old.seat)
                .is_some_and(|pod| pod.uid != old.uid && pod.ready && pod.node != node)
        };
        if lost.iter().all(served) {
            Ok(())
        } else {
            Err(format!("{:?}", pool.members()))
        }
    });
    let replaced = now();
    let meanwhile = traffic.mark();
    wait_for("every key is home again", LIMIT, || {
        match traffic.homes().moved_from(&homes) {
            0 => Ok(()),
            moved => Err(format!("{moved} keys are away")),
        }
    });
    let home = now();
    drop(broken);
    Cluster::get().nodes_turn(true, &[&node]);
    pool.settled(3);
    let after = traffic.homes();
    let rest = traffic.stop();

    meanwhile.print(&format!("{what}, until the successor is ready"));
    rest.print(&format!("{what}, the rest"));
    let mut table = Table::new(&format!("{what}: {} seat(s)", lost.len()), &["what", "took"]);
    table.time("fault until NotReady", not_ready - began);
    table.time("NotReady until every successor is ready", replaced - not_ready);
    table.time("fault until every key is home again", home - began);
    table.print();
    let [gets, posts, streams] = Traffic::under_way();
    let failed = [
        (gets, meanwhile.gets.failed_in_all() + rest.gets.failed_in_all()),
        (posts, meanwhile.posts.failed_in_all() + rest.posts.failed_in_all()),
        (
            streams,
            meanwhile.streams.failed_in_all() + rest.streams.failed_in_all(),
        ),
    ];
    for (under_way, failed) in failed {
        assert!(
            failed <= under_way,
            "more failed than were under way: {meanwhile} {rest}"
        );
    }
    assert!(replaced - not_ready <= SUCCESSOR, "{:?}", replaced - not_ready);
    assert_eq!(after.moved_from(&homes), 0, "keys that are away when the node is back");
}

fn now() -> Instant {
    Instant::now()
}

#[test]
fn a_node_that_is_cut_off_is_replaced() {
    lost("a node is cut off", "cut", "cut");
}

#[test]
fn a_node_that_loses_power_is_replaced() {
    lost("a node loses power", "stopped", "stop");
}
