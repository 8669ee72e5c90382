//! Without the API server traffic goes on, and when it is back nothing has to be mended.

use std::{thread, time::Duration};

use lbpool_tests_cluster::{Census, Cluster, Namespace, Pool, Table, Traffic, seconds};
use tokio::time::Instant;

/// Nodes that are heard of later than the other.
const LATE: [&str; 2] = ["node-1", "node-2"];
/// How much later: more than it takes until a node counts as lost.
const LATER: Duration = Duration::from_secs(5);

#[test]
fn an_api_server_that_is_frozen_for_a_minute_is_not_missed() {
    let Some(harness) = Cluster::get().harness_or_skip("the API server is frozen") else {
        return;
    };
    let namespace = Namespace::new("apiserver");
    let pool = namespace.pool(&Pool::default());
    let alone = namespace.pool(&Pool {
        name: "alone",
        replicas: 1,
        pod: format!("      nodeSelector: {{kubernetes.io/hostname: {}}}", LATE[0]),
        ..Pool::default()
    });
    let all = || [pool.members(), alone.members()].concat();
    let before = all();
    let to_the_one = Traffic::gets_only(alone.address());
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    let frozen_for = seconds("LBPOOL_E2E_FREEZE", 60);
    let frozen = harness.pause_apiserver();
    thread::sleep(frozen_for);
    let during = traffic.homes();
    let freeze = traffic.mark();
    let late = LATE.map(|node| harness.pause_kubelet(node));
    drop(frozen);
    let thawed = Instant::now();
    let census = Census::begin(&pool, "demo");
    Cluster::get().nodes_turn(false, &LATE);
    Cluster::get().nodes_turn(true, &["node-0"]);
    thread::sleep(LATER);
    drop(late);
    Cluster::get().nodes_turn(true, &LATE);
    pool.settled(3);
    // Longer than nodes are spared: what would be done about them is done by then.
    thread::sleep(Duration::from_secs(35));
    pool.settled(3);
    let settled = thawed.elapsed();
    let after = traffic.homes();
    let thaw = traffic.stop();
    let one = to_the_one.stop();
    freeze.print("while the API server is frozen");
    thaw.print("after that");
    one.print("to a pool of one member, all the time");
    let mut table = Table::new("the API server is frozen", &["what", "took"]);
    table.time("frozen for", frozen_for);
    table.time("looked at until, after the thaw", settled);
    table.print();
    freeze.assert_none_failed("while the API server is frozen");
    thaw.assert_none_failed("after the API server was frozen");
    one.assert_none_failed("to a pool of one member");
    assert_eq!(
        (during.moved_from(&homes), after.moved_from(&homes)),
        (0, 0),
        "keys that moved"
    );
    let uids = |pods: &[lbpool_tests_cluster::Pod]| pods.iter().map(|pod| pod.uid.clone()).collect::<Vec<_>>();
    assert_eq!(
        uids(&all()),
        uids(&before),
        "no member was replaced: {:?}",
        census.seen()
    );
}
