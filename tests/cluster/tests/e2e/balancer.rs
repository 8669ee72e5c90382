//! A balancer that is killed takes the requests that it had in flight with it, and no other.

use std::time::Duration;

use lbpool_tests_cluster::{
    Cluster, Namespace, Pool, Table, Traffic,
    load::{Figures, Kind},
    wait_for,
};
use tokio::time::Instant;

#[test]
fn one_of_two_that_is_killed_takes_no_more_than_it_had_in_flight() {
    let Some(harness) = Cluster::get().harness_or_skip("a balancer is killed") else {
        return;
    };
    let namespace = Namespace::new("balancer");
    let pool = namespace.pool(&Pool::default());
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    traffic.mark().print("before a balancer is killed");
    let victim = pool.balancers().remove(0);
    let began = Instant::now();
    harness.kill(&victim);
    wait_for("the balancer's container runs again", Duration::from_mins(1), || {
        let pods = pool.balancers();
        let back =
            |pod: &&lbpool_tests_cluster::Pod| pod.uid == victim.uid && pod.restarts > victim.restarts && pod.ready;
        pods.iter().find(back).map(|_| ()).ok_or_else(|| format!("{pods:?}"))
    });
    let back = began.elapsed();
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("a balancer is killed");
    let mut table = Table::new("a balancer is killed", &["what", "value"]);
    table.time("until its container is ready again", back);
    // Until the cluster takes the dead one out of the Service, new connections to it are refused: nothing was sent.
    let refused = |figures: &Figures| figures.failures.get(&Kind::Connect).copied().unwrap_or(0);
    let all = [&mix.gets, &mix.posts, &mix.streams];
    table.row(&[
        &"connections refused, nothing was sent",
        &all.map(refused).iter().sum::<u64>(),
    ]);
    table.print();
    for (figures, under_way) in all.into_iter().zip(Traffic::under_way()) {
        assert!(figures.failed_in_all() - refused(figures) <= under_way, "{figures}");
    }
    assert_eq!(after.moved_from(&homes), 0, "keys that moved");
    pool.settled(3);
}
