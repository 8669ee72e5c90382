//! What a pool costs the API server: at most two writes for a Pod that starts and one for a Pod that goes, none when settled.

use std::thread;

use lbpool_tests_cluster::{Audit, Cluster, Namespace, Operator, Pool, Table, Writes, seconds};

/// Writes of Pods and of the routing document: what grows with the number of Pods. That a pool gets a document at all is one
/// of the objects that are made once, as its Services are.
fn counted(writes: &Writes) -> u64 {
    writes.of(&["create pods", "delete pods", "update configmaps", "patch configmaps"])
}

#[test]
fn pods_cost_two_writes_to_start_and_one_to_go_and_a_settled_pool_costs_none() {
    let Some(harness) = Cluster::get().harness_or_skip("the count of writes") else {
        return;
    };
    let namespace = Namespace::new("writes");
    let mut table = Table::new(
        "writes of the operator",
        &["phase", "Pods made", "gone", "allowed", "counted", "all of them"],
    );
    let (mut allowed, mut spent) = (0, 0);
    let mut phase = |what: &str, made: u64, gone: u64, work: &dyn Fn()| {
        let audit = Audit::begin(harness);
        work();
        let writes = audit.writes(Operator::ACCOUNT, namespace.name());
        let limit = 2 * made + gone;
        table.row(&[&what, &made, &gone, &limit, &counted(&writes), &writes]);
        assert_eq!(writes.get("create pods"), made, "{what}: {writes}");
        allowed += limit;
        spent += counted(&writes);
        writes
    };
    let pool = std::cell::OnceCell::new();
    phase("a new pool of 3", 3, 0, &|| {
        drop(pool.set(namespace.pool(&Pool::default())));
    });
    let pool = pool.get().unwrap();
    let scale = |replicas: u32| {
        move || {
            pool.scale(replicas);
            pool.settled(replicas);
        }
    };
    phase("3 -> 8", 5, 0, &scale(8));
    phase("8 -> 3", 0, 5, &scale(3));
    phase("a roll-out of 3", 3, 3, &|| {
        let new = Pool {
            version: 2,
            ..Pool::default()
        };
        let _ = namespace.apply(&new.to_string()).ok();
        pool.settled(3);
    });
    // Late writes would be writes of a settled pool.
    thread::sleep(std::time::Duration::from_secs(5));
    let window = seconds("LBPOOL_E2E_SETTLE", 300);
    let audit = Audit::begin(harness);
    thread::sleep(window);
    let settled = audit.writes("", namespace.name());
    let ours = audit.writes(Operator::ACCOUNT, namespace.name());
    let balancers = audit.writes("demo-balancer", namespace.name());
    table.row(&[&format_args!("settled, {window:?}"), &0, &0, &0, &counted(&ours), &ours]);
    table.print();
    println!("  anybody's writes there, settled: {settled}");
    assert_eq!(
        (ours.total(), balancers.total()),
        (0, 0),
        "writes of a settled pool: {ours}; {balancers}"
    );
    // Of all phases together: one write of the document may serve several Pods, or take a single one out.
    assert!(
        spent <= allowed,
        "{spent} writes of Pods and routing documents, {allowed} are allowed"
    );
}
