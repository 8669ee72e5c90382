//! Without the API server traffic goes on, and when it is back nothing has to be mended.

use std::{thread, time::Duration};

use lbpool_tests_cluster::{Census, Cluster, Namespace, Pool, Table, Traffic, seconds};
use tokio::time::Instant;

/// How much later than the others some nodes are heard of again: longer than it takes until one counts as lost.
const LATE: Duration = Duration::from_secs(5);

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
    // All nodes count as not ready for a moment after that, and these for longer.
    let late = ["node-1", "node-2"].map(|node| harness.pause_kubelet(node));
    drop(frozen);
    let thawed = Instant::now();
    let census = Census::begin(&pool, "demo");
    thread::sleep(LATE);
    drop(late);
    pool.settled(3);
    // The second look is the one that counts.
    thread::sleep(Duration::from_secs(15));
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
