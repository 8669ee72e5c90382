//! A member that dies, is deleted or evicted: no GET fails, and keys come home.

use std::time::Duration;

use lbpool_tests_cluster::{
    Census, Cluster, Harness, Namespace, Pod, Policy, Pool, Running, Table, Traffic, kubectl, wait_for,
};
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_mins(1);
const SEAT: &str = "demo-1";

/// Kills a member's process, and waits until its container runs again and is ready: how long that took.
fn kill(harness: &Harness, pool: &Running) -> Duration {
    let victim = pool.member(SEAT).unwrap();
    let began = Instant::now();
    harness.kill(&victim);
    wait_for("the container runs again", LIMIT, || {
        let now = pool.member(SEAT).ok_or("no Pod")?;
        let back = now.ready && (now.uid != victim.uid || now.restarts > victim.restarts);
        if back { Ok(()) } else { Err(format!("{now:?}")) }
    });
    began.elapsed()
}

fn print_wait(what: &str, wait: Duration, back: Duration) {
    let mut table = Table::new(what, &["what", "took"]);
    table.time("longest wait of a GET", wait);
    table.time("kill -9 until the container is ready again", back);
    table.print();
}

#[test]
fn with_hold_a_killed_member_fails_no_get_and_no_key_leaves_home() {
    let Some(harness) = Cluster::get().harness_or_skip("kill -9 with Hold") else {
        return;
    };
    let namespace = Namespace::new("hold");
    let pool = namespace.pool(&Pool {
        policy: Policy::Hold,
        ..Pool::default()
    });
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    traffic.mark().print("before kill -9, Hold");
    let back = kill(harness, &pool);
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("kill -9, Hold");
    print_wait("kill -9, Hold", mix.gets.latency.max(), back);
    mix.assert_only_under_way_failed("kill -9, Hold");
    assert_eq!((after.moved_from(&homes), mix.changes()), (0, 0), "keys that left home");
    pool.settled(3);
}

#[test]
fn with_spill_a_killed_member_fails_no_get_and_keys_come_home() {
    let Some(harness) = Cluster::get().harness_or_skip("kill -9 with Spill") else {
        return;
    };
    let namespace = Namespace::new("spill");
    let pool = namespace.pool(&Pool::default());
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    traffic.mark().print("before kill -9, Spill");
    let back = kill(harness, &pool);
    pool.settled(3);
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("kill -9, Spill");
    print_wait("kill -9, Spill", mix.gets.latency.max(), back);
    mix.assert_only_under_way_failed("kill -9, Spill");
    assert_eq!(after.moved_from(&homes), 0, "keys that did not come home");
}

/// Waits until the seat has another Pod than `old`, which is ready.
fn successor(pool: &Running, old: &Pod) -> Pod {
    wait_for("the seat has a successor", LIMIT, || match pool.member(&old.seat) {
        Some(pod) if pod.uid != old.uid && pod.ready => Ok(pod),
        other => Err(format!("{other:?}")),
    })
}

#[test]
fn a_member_that_is_deleted_by_hand_has_a_successor_at_once() {
    let namespace = Namespace::new("deleted");
    let pool = namespace.pool(&Pool::default());
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    let victim = pool.member(SEAT).unwrap();
    let began = Instant::now();
    let _ = namespace.kubectl(&["delete", "pod", &victim.name, "--wait=false"]).ok();
    let next = successor(&pool, &victim);
    let took = began.elapsed();
    pool.settled(3);
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("deleted by hand");
    let mut table = Table::new("deleted by hand", &["what", "took"]);
    table.time(&format!("{} until {} is ready", victim.name, next.name), took);
    table.print();
    mix.assert_only_under_way_failed("deleted by hand");
    assert_eq!(after.moved_from(&homes), 0, "keys that did not come home");
}

#[test]
fn a_drained_node_is_left_by_one_member_at_a_time() {
    let namespace = Namespace::new("evicted");
    let nodes = kubectl(&["get", "nodes", "-o", "name"]).ok();
    if nodes.lines().count() < 2 {
        println!("a drained node: SKIPPED, there is but one");
        return;
    }
    let node = nodes.lines().last().unwrap().trim_start_matches("node/");
    // All of them on one node, as long as it takes any.
    let affinity = format!(
        "      affinity: {{nodeAffinity: {{preferredDuringSchedulingIgnoredDuringExecution: [{{weight: 100, preference: \
         {{matchExpressions: [{{key: kubernetes.io/hostname, operator: In, values: [{node}]}}]}}}}]}}}}"
    );
    let pool = namespace.pool(&Pool {
        name: "evicted",
        pod: affinity,
        ..Pool::default()
    });
    let here = |pool: &Running| pool.members().iter().filter(|pod| pod.node == node).count();
    assert_eq!(here(&pool), 3, "{:?}", pool.members());
    let census = Census::begin(&pool, "evicted");
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    // Balancers and the pools of others stay: what is to be seen is how members leave.
    let selector = "--pod-selector=lbpool.dev/pool=evicted,lbpool.dev/role=member";
    let drain = kubectl(&[
        "drain",
        node,
        selector,
        "--ignore-daemonsets",
        "--delete-emptydir-data",
        "--timeout=120s",
    ]);
    let _ = kubectl(&["uncordon", node]).ok();
    let output = drain.ok();
    println!("{output}");
    assert_eq!(here(&pool), 0, "{:?}", pool.members());
    pool.settled(3);
    let after = traffic.homes();
    let mix = traffic.stop();
    let seen = census.seen();
    mix.print("a drained node");
    println!("{seen:?}");
    assert!(seen.fewest_ready >= 2, "more than one was away at a time: {seen:?}");
    // One member after the other: streams of each of them are cut.
    assert_eq!(mix.gets.failed_in_all(), 0, "{}", mix.gets);
    let [_, posts, streams] = Traffic::under_way();
    assert!(mix.posts.failed_in_all() <= 3 * posts, "{}", mix.posts);
    assert!(mix.streams.failed_in_all() <= 3 * streams, "{}", mix.streams);
    assert_eq!(after.moved_from(&homes), 0, "keys that did not come home");
}
