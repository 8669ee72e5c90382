//! The first minutes of a user: one command installs, the pool answers, a second one changes nothing, one removes it.

use std::time::Duration;

use lbpool_tests_cluster::{Mix, Namespace, Operator, Pool, Running, Table, Traffic, helm, kubectl};
use tokio::time::Instant;

const RELEASE: &str = "lbpool";

fn now() -> Instant {
    Instant::now()
}

/// The sample pool as a user scales it. Its members finish what they have begun and are asked for /home alone.
fn scale_sample(sample: &Running) -> Mix {
    let traffic = Traffic::gets_only(sample.address());
    let at_3 = traffic.homes();
    for replicas in [5, 2, 3] {
        sample.scale(replicas);
        sample.settled(replicas);
    }
    assert_eq!(traffic.homes().moved_from(&at_3), 0, "every key is home again");
    traffic.stop()
}

/// Version of the spec of each object that deploy/ has.
fn generations() -> String {
    let columns = "custom-columns=KIND:.kind,NAME:.metadata.name,GENERATION:.metadata.generation";
    kubectl(&["get", "-f", Operator::MANIFESTS, "-o", columns]).ok()
}

#[test]
fn kubectl_apply_on_an_empty_cluster_serves_and_a_second_one_changes_nothing() {
    Operator::remove();
    let began = now();
    let first = Operator::apply();
    let applied = began.elapsed();
    println!("{first}");
    let sample = Operator::sample();
    sample.settled(3);
    let ready = began.elapsed();
    let columns = kubectl(&["get", "lbpool", "demo"]).ok();
    println!("{columns}");
    assert!(columns.contains("3/3"), "{columns}");

    let before = generations();
    let again = Operator::apply();
    // kubectl sends a budget's selector each time, and says so; the server finds nothing to change.
    let is_change = |line: &&str| !line.ends_with("unchanged") && !line.starts_with("poddisruptionbudget");
    let touched: Vec<_> = again.lines().filter(is_change).collect();
    assert_eq!(touched, [""; 0], "the second apply changes nothing");
    assert_eq!(generations(), before, "the second apply changes nothing");

    let mix = scale_sample(&sample);
    mix.print("the sample, 3 -> 5 -> 2 -> 3");
    let mut table = Table::new("kubectl apply -f deploy/ on an empty cluster", &["what", "took"]);
    table.time("until the command ends", applied);
    table.time("until the sample is 3/3", ready);
    Operator::weigh(&mut table);
    table.print();
    mix.assert_none_failed("the sample is scaled");
}

const IN: [&str; 2] = ["--namespace", Operator::NAMESPACE];
const WAIT: [&str; 3] = ["--wait", "--timeout", "3m"];

/// A release that is upgraded while a pool is asked, and the pool scaled after that.
fn upgrade(pool: &Running) {
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    let upgrade = [
        "upgrade",
        RELEASE,
        Operator::CHART,
        "--set",
        "demo.enabled=true,operator.podAnnotations.e2e=upgraded",
    ];
    let _ = helm(&[&upgrade[..], &IN, &WAIT].concat()).ok();
    Operator::ready();
    for replicas in [4, 3] {
        pool.scale(replicas);
        pool.settled(replicas);
    }
    let moved = traffic.homes().moved_from(&homes);
    let mix = traffic.stop();
    mix.print("helm upgrade, and scaling after it");
    mix.assert_none_failed("helm upgrade");
    assert_eq!(moved, 0, "every key is home again");
}

#[test]
fn helm_installs_upgrades_under_load_and_removes_all_but_other_pools() {
    Operator::remove();
    // Of a run that failed.
    let _ = helm(&[&["uninstall", RELEASE, "--ignore-not-found"][..], &IN, &WAIT].concat());
    let began = Instant::now();
    let install = [
        "install",
        RELEASE,
        Operator::CHART,
        "--create-namespace",
        "--set",
        "demo.enabled=true",
    ];
    let notes = helm(&[&install[..], &IN, &WAIT].concat()).ok();
    println!("{notes}");
    let installed = began.elapsed();
    Operator::ready();
    Operator::sample().settled(3);
    let served = began.elapsed();
    let namespace = Namespace::without_operator("helm");
    let pool = namespace.pool(&Pool::default());
    upgrade(&pool);

    let _ = helm(&[&["uninstall", RELEASE][..], &IN, &WAIT].concat()).ok();
    let definition = kubectl(&["get", "crd", "loadbalancerpools.lbpool.dev", "-o", "name"]).ok();
    assert!(
        !definition.is_empty(),
        "the definition, and with it every pool, is kept"
    );
    Operator::sample().gone();
    let members = pool.members();
    assert_eq!(
        members.iter().filter(|pod| pod.ready).count(),
        3,
        "pools serve on: {members:?}"
    );
    let ours = ["-l", "app.kubernetes.io/instance=lbpool", "-o", "name"];
    let left = kubectl(&[&["get", "clusterroles,clusterrolebindings"][..], &ours].concat()).ok();
    assert_eq!(left, "", "what helm made is gone");
    let mut table = Table::new("helm", &["what", "took"]);
    table.time("helm install --wait", installed);
    table.time("until the sample is 3/3", served);
    table.print();

    drop(namespace);
    // The rest of the run needs an operator again.
    let _ = kubectl(&[
        "delete",
        "namespace",
        Operator::NAMESPACE,
        "--ignore-not-found",
        "--timeout",
        "60s",
    ]);
    Operator::ensure_installed();
    Operator::sample().settled_within(3, Duration::from_mins(3));
}
