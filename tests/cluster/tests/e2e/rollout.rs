//! What rolls through a pool fails no request and moves no key: a new template, balancers of another image, the operator.

use std::{thread, time::Duration};

use lbpool_tests_cluster::{
    Census, Cluster, Namespace, Operator, Pod, Pool, Running, Table, Traffic, kubectl, wait_for,
};
use serde_json::json;
use tokio::time::Instant;

const LIMIT: Duration = Duration::from_mins(4);

/// Waits until exactly `replicas` Pods with this label are there, all of this version and ready.
fn rolled(namespace: &Namespace, label: &str, version: u32, replicas: usize) {
    wait_for(&format!("{label} runs version {version} alone"), LIMIT, || {
        let list = namespace.get("/api/v1", &format!("pods?labelSelector={label}"))?;
        let pods = list["items"].as_array().unwrap();
        let current = |pod: &serde_json::Value| {
            let environment = &pod["spec"]["containers"][0]["env"];
            let version = json!({ "name": "TEST_VERSION", "value": version.to_string() });
            environment.as_array().is_some_and(|all| all.contains(&version))
        };
        let read: Vec<_> = pods.iter().map(Pod::new).collect();
        let settled =
            read.len() == replicas && pods.iter().all(current) && read.iter().all(|pod| pod.ready && !pod.leaving);
        if settled { Ok(()) } else { Err(format!("{read:?}")) }
    });
}

fn roll(namespace: &Namespace, pool: &Running, version: u32) -> Duration {
    let began = Instant::now();
    let _ = namespace
        .apply(
            &Pool {
                version,
                ..Pool::default()
            }
            .to_string(),
        )
        .ok();
    rolled(namespace, "lbpool.dev%2Frole%3Dmember", version, 3);
    let took = began.elapsed();
    pool.settled(3);
    took
}

/// A Deployment or `StatefulSet` of the same servers, which need `preStop: sleep 5` to lose nothing.
fn rival(kind: &str, version: u32) -> String {
    let service = if kind == "StatefulSet" {
        "  serviceName: rival\n"
    } else {
        ""
    };
    format!(
        "apiVersion: apps/v1
kind: {kind}
metadata: {{name: rival}}
spec:
  replicas: 3
{service}  selector: {{matchLabels: {{app: rival}}}}
  template:
    metadata: {{labels: {{app: rival}}}}
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
      - name: server
        image: {}
        imagePullPolicy: IfNotPresent
        args: [--trials, --grace, 0s]
        env: [{{name: TEST_VERSION, value: \"{version}\"}}]
        ports: [{{name: http, containerPort: 5000}}]
        readinessProbe: {{httpGet: {{path: /heartbeat, port: http}}, periodSeconds: 1}}
        lifecycle: {{preStop: {{sleep: {{seconds: 5}}}}}}
        securityContext: {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
",
        Pool::server()
    )
}

fn roll_rival(namespace: &Namespace, kind: &str) -> Duration {
    let _ = namespace.apply(&rival(kind, 1)).ok();
    rolled(namespace, "app%3Drival", 1, 3);
    let began = Instant::now();
    let _ = namespace.apply(&rival(kind, 2)).ok();
    rolled(namespace, "app%3Drival", 2, 3);
    let took = began.elapsed();
    let _ = namespace.kubectl(&["delete", kind, "rival", "--wait=true"]).ok();
    took
}

#[test]
fn a_new_template_replaces_every_member_and_nobody_notices() {
    let namespace = Namespace::new("rollout");
    let pool = namespace.pool(&Pool::default());
    let census = Census::begin(&pool, "demo");
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    traffic.mark().print("before the roll-out");
    let under_load = roll(&namespace, &pool, 2);
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("a new template");
    let seen = census.seen();
    drop(census);

    let quiet = roll(&namespace, &pool, 3);
    let _ = namespace.kubectl(&["delete", "lbpool", "demo", "--wait=true"]).ok();
    let mut table = Table::new("roll-out of 3 Pods, until the last old one is gone", &["who", "took"]);
    table.time("the pool, under load with streams of 20 s", under_load);
    table.time("the pool, nobody asks", quiet);
    table.time(
        "Deployment with preStop: sleep 5, nobody asks",
        roll_rival(&namespace, "Deployment"),
    );
    table.time(
        "StatefulSet with preStop: sleep 5, nobody asks",
        roll_rival(&namespace, "StatefulSet"),
    );
    table.print();

    mix.assert_none_failed("a new template");
    assert_eq!(after.moved_from(&homes), 0, "keys that moved");
    assert_eq!(mix.changes(), 0, "answers from elsewhere, if only for a moment");
    assert_eq!((seen.created, seen.deleted), (3, 3), "{seen:?}");
    assert!(
        seen.most <= 4 && seen.fewest_ready >= 3,
        "one more at most, none less: {seen:?}"
    );
}

#[test]
fn a_template_that_can_not_start_stops_after_one_pod_and_says_why() {
    let namespace = Namespace::new("broken");
    let deadline = "  update: {progressDeadline: 10s}".to_owned();
    let pool = namespace.pool(&Pool {
        fields: deadline.clone(),
        ..Pool::default()
    });
    let census = Census::begin(&pool, "demo");
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    let broken = Pool {
        version: 2,
        image: "lbpool.dev/backend:missing".to_owned(),
        fields: deadline.clone(),
        ..Pool::default()
    };
    let _ = namespace.apply(&broken.to_string()).ok();
    // It may be Degraded before the container's reason is known: whoever pulls may have to wait for that.
    let (reason, message) = wait_for(
        "the pool is Degraded, with the container's reason",
        LIMIT,
        || match pool.condition("Degraded") {
            Some((status, reason, message)) if status == "True" && message.contains("ImagePull") => {
                Ok((reason, message))
            }
            other => Err(format!("{other:?}")),
        },
    );
    println!("Degraded: {reason}: {message}");
    let members = pool.members();
    let ready = members.iter().filter(|pod| pod.ready).count();
    assert_eq!((members.len(), ready), (4, 3), "{members:?}");
    assert_eq!(traffic.homes().moved_from(&homes), 0, "traffic is untouched");

    let mended = Pool {
        version: 3,
        fields: deadline,
        ..Pool::default()
    };
    let _ = namespace.apply(&mended.to_string()).ok();
    pool.settled(3);
    let degraded = pool.condition("Degraded");
    assert!(degraded.is_none_or(|(status, ..)| status == "False"), "it heals");
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("a template that can not start, and its mending");
    let seen = census.seen();
    println!("{seen:?}");
    mix.assert_none_failed("a template that can not start");
    assert_eq!((after.moved_from(&homes), mix.changes()), (0, 0), "keys that moved");
    assert!(
        seen.created == 4 && seen.most <= 4 && seen.fewest_ready >= 3,
        "one surge Pod: {seen:?}"
    );
}

#[test]
fn balancers_of_another_image_take_over_and_nobody_notices() {
    let Some(harness) = Cluster::get().harness_or_skip("balancers of another image") else {
        return;
    };
    let namespace = Namespace::new("balancers");
    let pool = namespace.pool(&Pool::default());
    let image = "lbpool.dev/balancer:e2e";
    harness.run(&["tag", &Pool::balancer(), image]);
    let before = pool.balancers();
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    traffic.mark().print("before the balancers' roll-out");
    pool.patch(&json!({ "balancer": { "image": image } }));
    wait_for("both balancers are new", LIMIT, || {
        let now = pool.balancers();
        let new = now.len() == before.len() && now.iter().all(|pod| pod.ready && !before.contains(pod));
        let old = now.iter().any(|pod| before.iter().any(|old| old.uid == pod.uid));
        if new && !old { Ok(()) } else { Err(format!("{now:?}")) }
    });
    let after = traffic.homes();
    let mix = traffic.stop();
    mix.print("balancers of another image");
    mix.assert_none_failed("balancers of another image");
    assert_eq!((after.moved_from(&homes), mix.changes()), (0, 0), "keys that moved");
    pool.settled(3);
}

#[test]
fn a_new_operator_touches_nothing() {
    let namespace = Namespace::new("operators");
    let pool = namespace.pool(&Pool::default());
    let census = Census::begin(&pool, "demo");
    let traffic = Traffic::start(pool.address());
    let homes = traffic.homes();
    let deployment = format!("deployment/{}", Operator::NAME);
    let _ = kubectl(&["-n", Operator::NAMESPACE, "rollout", "restart", &deployment]).ok();
    Operator::ready();
    let leader = Operator::leader();
    // It leads, and has looked at every pool.
    thread::sleep(Duration::from_secs(3));
    println!("{} leads", leader.name);
    let mix = {
        let moved = traffic.homes().moved_from(&homes);
        assert_eq!(moved, 0, "keys that moved");
        traffic.stop()
    };
    mix.print("a new operator");
    mix.assert_none_failed("a new operator");
    let seen = census.seen();
    assert_eq!((seen.created, seen.deleted), (0, 0), "{seen:?}");
    pool.settled(3);
}
