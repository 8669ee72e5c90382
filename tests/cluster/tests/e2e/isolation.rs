//! Pools do not disturb each other, and one that is deleted leaves nothing.

use lbpool_tests_cluster::{Census, Namespace, Pool, Running, Traffic};

/// Everything that tells whether a pool was touched.
fn fingerprint(pool: &Running) -> String {
    let mut uids: Vec<_> = pool
        .members()
        .into_iter()
        .chain(pool.balancers())
        .map(|pod| pod.uid)
        .collect();
    uids.sort();
    format!("{} {} {uids:?}", pool.status("epoch"), pool.status("digest"))
}

#[test]
fn two_in_a_namespace_and_one_of_the_same_name_elsewhere_live_side_by_side() {
    let (here, there) = (Namespace::new("here"), Namespace::new("there"));
    let other = Pool {
        name: "other",
        replicas: 2,
        ..Pool::default()
    };
    let demo = here.pool(&Pool::default());
    let other = here.pool(&other);
    let same_name = there.pool(&Pool {
        replicas: 2,
        ..Pool::default()
    });
    let (other_before, same_name_before) = (fingerprint(&other), fingerprint(&same_name));
    let traffic = Traffic::start(other.address());
    let elsewhere = Traffic::start(same_name.address());
    let census = Census::begin(&other, "other");

    demo.scale(5);
    demo.settled(5);
    let _ = here
        .apply(
            &Pool {
                version: 2,
                replicas: 2,
                ..Pool::default()
            }
            .to_string(),
        )
        .ok();
    demo.settled(2);
    let _ = here.kubectl(&["delete", "lbpool", "demo", "--wait=true"]).ok();
    demo.gone();

    for (pool, before) in [(&other, other_before), (&same_name, same_name_before)] {
        assert_eq!(fingerprint(pool), before, "another pool was touched");
    }
    let seen = census.seen();
    assert_eq!((seen.created, seen.deleted), (0, 0), "{seen:?}");
    let (traffic, elsewhere) = (traffic.stop(), elsewhere.stop());
    traffic.print("the other pool of the namespace");
    elsewhere.print("the pool of the same name in another namespace");
    traffic.assert_none_failed("the other pool");
    elsewhere.assert_none_failed("the pool of the same name");
    let homes: Vec<_> = other.members().into_iter().map(|pod| pod.seat).collect();
    assert_eq!(homes, ["other-0", "other-1"]);
}
