//! A pool whose users come over TLS and whose members speak HTTP/2: its certificate is replaced and it is scaled, and nobody
//! notices.

use std::{collections::BTreeSet, time::Duration};

use lbpool_tests_cluster::{Authority, Cluster, Https, Namespace, Pool, Running, Secret, Site, Table, wait_for};
use serde_json::Value;
use tokio::time::Instant;

const SECRET: &str = "demo-tls";
/// Until a replaced Secret is in the Pods: a kubelet's period, and what its cache of Secrets may be behind.
const RENEWED: Duration = Duration::from_mins(2);
const LIMIT: Duration = Duration::from_mins(1);

/// Members that are asked in HTTP/2, behind balancers that speak TLS.
fn pool() -> Pool {
    Pool {
        fields: "  appProtocol: kubernetes.io/h2c".to_owned(),
        balancer: format!("    tls: {{secretName: {SECRET}}}"),
        ..Pool::default()
    }
}

fn host(namespace: &Namespace) -> String {
    format!("demo.{}.svc", namespace.name())
}

/// Puts a certificate into the Secret: a new one, or in the place of the one before.
fn store(namespace: &Namespace, secret: &Secret) {
    let _ = namespace.apply(&secret.manifest).ok();
}

/// Name, port and `appProtocol` of the Service that users reach.
fn port(namespace: &Namespace) -> (String, u64, String) {
    let service = namespace.get("/api/v1", "services/demo").unwrap();
    let port = &service["spec"]["ports"][0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (
        text(&port["name"]),
        port["port"].as_u64().unwrap(),
        text(&port["appProtocol"]),
    )
}

/// Waits until new connections to each balancer are shown this certificate.
fn renewed(pool: &Running, site: &Site, secret: &Secret) {
    wait_for("every balancer shows the new certificate", RENEWED, || {
        for pod in pool.balancers() {
            let address = format!("{}:8080", pod.ip).parse().unwrap();
            let shown = site.at(address).shows()?;
            if shown != secret.certificate {
                return Err(format!("{} shows the one before", pod.name));
            }
        }
        Ok(())
    });
}

/// Pods, and how often each of their containers was started again.
fn starts(pool: &Running) -> Vec<(String, u64)> {
    let pods = pool.balancers().into_iter().chain(pool.members());
    pods.map(|pod| (pod.uid, pod.restarts)).collect()
}

#[test]
fn a_certificate_is_replaced_and_the_pool_scaled_and_no_request_fails() {
    // Each balancer is asked at its own address, which leads nowhere from outside of other clusters.
    if Cluster::get().harness_or_skip("a certificate is replaced").is_none() {
        return;
    }
    let namespace = Namespace::new("tls");
    let (first, second) = (Authority::new("first"), Authority::new("second"));
    let (before, after) = (
        first.secret(SECRET, &host(&namespace)),
        second.secret(SECRET, &host(&namespace)),
    );
    store(&namespace, &before);
    let pool = namespace.pool(&pool());
    assert_eq!(port(&namespace), ("https".to_owned(), 443, "https".to_owned()));
    let site = Site::new(pool.address(), &host(&namespace), &[&first, &second]);
    let started = starts(&pool);
    let https = Https::start(&site);
    let shows = |what: &str, secret: &Secret| {
        wait_for(what, LIMIT, || {
            https.look(|phase| {
                let wanted = phase.renewed() >= 20 && phase.servers.len() >= 3;
                wanted.then_some(()).ok_or_else(|| format!("{phase:?}"))
            })
        });
        let phase = https.mark();
        phase.print(what);
        phase.assert_none_failed(what);
        assert_eq!(phase.shown, BTreeSet::from([secret.certificate.to_vec()]), "{what}");
        assert_eq!(
            phase.via,
            BTreeSet::from(["2 lbpool".to_owned()]),
            "members are asked in HTTP/2"
        );
        phase
    };
    let lasting = shows("with the first certificate", &before).opened;

    let began = Instant::now();
    store(&namespace, &after);
    renewed(&pool, &site, &after);
    let took = began.elapsed();
    let phase = https.mark();
    phase.print("while the certificate is replaced");
    phase.assert_none_failed("while the certificate is replaced");
    assert_eq!(phase.opened, 0, "connections that are open stay");
    assert_eq!(
        shows("with the second certificate", &after).opened,
        0,
        "they still stay"
    );
    assert_eq!(starts(&pool), started, "no Pod was replaced or started again");

    let began = Instant::now();
    pool.scale(5);
    pool.settled(5);
    let scaled = began.elapsed();
    wait_for("all five answer", LIMIT, || {
        let servers = https.look(|phase| phase.servers.len());
        if servers == 5 {
            Ok(())
        } else {
            Err(format!("{servers}"))
        }
    });
    let phase = https.stop();
    phase.print("3 -> 5");
    phase.assert_none_failed("3 -> 5");
    let mut table = Table::new("TLS for users, HTTP/2 for members", &["what", "value"]);
    table.time("from the new Secret to its certificate at every balancer", took);
    table.time("3 -> 5 has settled after", scaled);
    table.row(&[&"connections that lasted through all of it", &lasting]);
    table.print();
}

#[test]
fn a_secret_that_is_missing_is_named_by_the_pool_s_conditions() {
    let namespace = Namespace::new("tls-missing");
    let _ = namespace.apply(&pool().to_string()).ok();
    let pool = Running::existing(namespace.name(), "demo");
    let began = Instant::now();
    let (reason, message) = wait_for("the pool is Degraded, and names the Secret", LIMIT, || {
        match pool.condition("Degraded") {
            Some((status, reason, message)) if status == "True" => Ok((reason, message)),
            other => Err(format!("{other:?}")),
        }
    });
    let told = began.elapsed();
    println!("Degraded: {reason}: {message}");
    assert_eq!(reason, "BalancersFailing");
    assert!(
        message.contains(&format!("Secret {SECRET} in namespace {}", namespace.name())),
        "{message}"
    );
    let (status, reason, message) = pool.condition("Ready").unwrap();
    println!("Ready: {status}: {reason}: {message}");
    assert_eq!((status.as_str(), reason.as_str()), ("False", "Degraded"));

    let authority = Authority::new("late");
    let secret = authority.secret(SECRET, &host(&namespace));
    let began = Instant::now();
    store(&namespace, &secret);
    // A kubelet tries again after pauses that double.
    pool.settled(3);
    let served = began.elapsed();
    wait_for("it is not Degraded any more", LIMIT, || {
        match pool.condition("Degraded") {
            Some((status, ..)) if status == "False" => Ok(()),
            other => Err(format!("{other:?}")),
        }
    });
    let site = Site::new(pool.address(), &host(&namespace), &[&authority]);
    assert_eq!(site.shows(), Ok(secret.certificate));
    let mut table = Table::new("a Secret that is missing", &["what", "took"]);
    table.time("until the pool says so", told);
    table.time("from the Secret to a pool that serves", served);
    table.print();
}
