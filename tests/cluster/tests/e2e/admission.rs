//! A malformed pool is refused with the field's path, and kubectl shows what a user expects.

use lbpool_tests_cluster::{Namespace, Pool};

/// What is wrong, in the pool's manifest: text, its replacement, and what the refusal has to say.
const WRONG: &[(&str, &str, &str)] = &[
    ("replicas: 3", "replicas: -1", "spec.replicas"),
    ("replicas: 3", "replicas: 2000", "spec.replicas"),
    ("loadBound: 0", "loadBound: 50", "spec.routing.loadBound"),
    ("policy: Spill", "policy: Wait", "spec.routing.whenAway.policy"),
    (
        "holdTimeout: 20s",
        "holdTimeout: soon",
        "spec.routing.whenAway.holdTimeout",
    ),
    ("loadBound: 0", "key: [{header: A, cookie: b}]", "spec.routing.key[0]"),
    ("port: http", "port: 70000", "spec.port"),
    ("port: http", "update: {maxSurge: 0, maxUnavailable: 0}", "spec.update"),
    ("port: http", "members: [{name: a}, {name: a}]", "spec.members[1]"),
    ("port: http", "members: [{name: a_b}]", "spec.members[0].name"),
    (
        "port: http",
        "members: [{name: a, weight: 0}]",
        "spec.members[0].weight",
    ),
    (
        "image: lbpool",
        "imagee: lbpool",
        "spec.template.spec.containers[0].imagee",
    ),
    ("name: demo", "name: 1demo", "the pool's name"),
];

#[test]
fn a_malformed_pool_is_refused_with_the_path_of_its_field() {
    let namespace = Namespace::new("admission");
    let good = Pool::default().to_string();
    for (text, wrong, path) in WRONG {
        let manifest = good.replacen(text, wrong, 1);
        assert_ne!(manifest, good, "{text}");
        let refusal = namespace.apply(&manifest).refused();
        println!("{wrong}: {}", refusal.lines().last().unwrap_or_default());
        assert!(refusal.contains(path), "{wrong}: {path} is not in: {refusal}");
    }
    let left = namespace.kubectl(&["get", "lbpool,pods", "-o", "name"]).ok();
    assert_eq!(left, "", "what is refused leaves nothing behind");
}

#[test]
fn kubectl_shows_what_a_user_expects() {
    let namespace = Namespace::new("kubectl");
    let _ = namespace.pool(&Pool::default());

    let explained = namespace.kubectl(&["explain", "lbpool.spec.routing"]).ok();
    for text in ["algorithm", "whenAway", "loadBound", "How a request finds its member"] {
        assert!(explained.contains(text), "{text} is not in: {explained}");
    }

    let columns = namespace.kubectl(&["get", "lbpool"]).ok();
    println!("{columns}");
    let mut lines = columns.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let header = lines.next().unwrap();
    assert_eq!(
        header,
        ["NAME", "READY", "UPDATED", "EPOCH", "ALGORITHM", "STATUS", "AGE"]
    );
    let row = lines.next().unwrap();
    assert_eq!((row[0], row[1], row[2], row[4]), ("demo", "3/3", "3", "Rendezvous"));

    let all = namespace.kubectl(&["get", "all"]).ok();
    println!("{all}");
    for text in [
        "loadbalancerpool.lbpool.dev/demo",
        "pod/demo-0-",
        "service/demo ",
        "deployment.apps/demo-balancer",
    ] {
        assert!(all.contains(text), "{text} is not in: {all}");
    }

    let described = namespace.kubectl(&["describe", "lbpool", "demo"]).ok();
    println!("{described}");
    for text in ["Digest:", "Serving", "Type:                  Ready", "Events:"] {
        assert!(described.contains(text), "{text} is not in: {described}");
    }
    let events = described.split("Events:").nth(1).unwrap_or_default();
    assert!(events.lines().count() > 2, "no Events: {events}");
}
