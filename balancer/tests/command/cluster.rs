//! Discovery in a cluster: what is heard is routed by, and an API server in trouble harms nobody.

use std::{
    fs,
    net::{SocketAddr, TcpStream},
    process::Command,
    time::Instant,
};

use serde_json::json;

use crate::{
    api_server::{ApiServer, OWN},
    support::{Fixture, bare, get, member, until},
};

/// A document with these seats, each with its Pod.
fn document(epoch: u64, seats: &[(&str, &str, SocketAddr)]) -> String {
    let members: Vec<_> = seats
        .iter()
        .map(|(name, pod, address)| json!({"name": name, "pod": pod, "address": address}))
        .collect();
    json!({"pool": "shop", "epoch": epoch, "members": members, "ofTheFuture": {"a": 1}}).to_string()
}

/// A balancer of pool `shop`; what it keeps is in `dir`, which outlives it.
fn start(api: &ApiServer, dir: &std::path::Path) -> Fixture {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = bare();
    command.env("KUBECONFIG", api.kubeconfig(scratch.path()));
    configure(&mut command, dir);
    Fixture::spawn(scratch, command, &[])
}

fn configure(command: &mut Command, dir: &std::path::Path) {
    command.args(["--discovery", "kubernetes", "--pool", "shop", "--snapshot"]);
    command.arg(dir.join("routing.json"));
}

fn epoch(balancer: &Fixture) -> u64 {
    balancer.table()["epoch"].as_u64().unwrap()
}

fn answers(balancer: &Fixture, body: &str) {
    assert_eq!(get(balancer.listen, "/", "").unwrap(), (200, body.to_owned()));
}

#[test]
fn what_the_cluster_says_is_routed_by() {
    let (api, dir) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let (a, b, c) = (member("a", 0), member("b", 0), member("c", 0));
    let nowhere: SocketAddr = "127.0.0.1:9".parse().unwrap();
    let balancer = start(&api, dir.path());
    assert_eq!(balancer.admin("/readyz").0, 503, "nothing is known yet");
    assert_eq!(get(balancer.listen, "/", "").unwrap().0, 503);
    api.put_document("u", &document(1, &[]));
    until("ready without members too", || balancer.admin("/readyz").0 == 200);

    // Where the Pod is, its slice knows better.
    api.put_slice("s", "a-1", a, true);
    api.put_document("u", &document(2, &[("a", "a-1", nowhere)]));
    until("routed", || epoch(&balancer) == 2);
    answers(&balancer, "a");

    // Not ready, and nobody else could serve: doubted.
    let state = || balancer.table()["members"][0]["state"].clone();
    api.put_slice("s", "a-1", a, false);
    until("doubted", || {
        balancer.metric("lbpool_discovery_doubted_members") == Some(1.0)
    });
    assert_eq!(state(), "Serving");
    answers(&balancer, "a");

    // Beside one that is ready it is believed, without a new document; then ready again.
    api.put_slice("other", "b-1", b, true);
    api.put_document("u", &document(3, &[("a", "a-1", nowhere), ("b", "b-1", nowhere)]));
    until("vacant", || state() == "Vacant");
    assert_eq!(epoch(&balancer), 3);
    answers(&balancer, "b");
    api.put_slice("s", "a-1", a, true);
    until("serving", || state() == "Serving");
    assert_eq!(epoch(&balancer), 3);

    // A successor in its seat, whose slice is late: it is believed, and no key moves.
    api.put_slice("t", "a-2", c, false);
    api.put_document("u", &document(4, &[("a", "a-2", nowhere), ("b", "b-1", nowhere)]));
    until("routed", || epoch(&balancer) == 4);
    assert_eq!(state(), "Serving");
    until("the successor answers", || {
        get(balancer.listen, "/", "").is_some_and(|answer| answer == (200, "c".to_owned()))
    });

    assert_eq!(
        balancer.metric("lbpool_routing_documents_total{outcome=\"routed\"}"),
        Some(4.0)
    );
    let changes = balancer.metric("lbpool_balancer_routing_delay_seconds_count").unwrap();
    assert!(changes >= 4.0, "{changes}");
    let seen = api.seen();
    assert!(
        seen.iter()
            .all(|(line, token)| line.starts_with("GET ") && token == OWN),
        "{seen:?}"
    );
    let by_name = seen.iter().filter(|(line, _)| line.contains("configmaps"));
    for (line, _) in by_name {
        assert!(line.contains("fieldSelector=metadata.name%3Dshop-routing"), "{line}");
    }
}

#[test]
fn a_document_that_is_wrong_or_older_changes_nothing() {
    let (api, dir) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let (a, b) = (member("a", 0), member("b", 0));
    api.put_document("u", &document(7, &[("a", "a-1", a)]));
    let balancer = start(&api, dir.path());
    until("routed", || epoch(&balancer) == 7);
    let refused = || {
        balancer
            .metric("lbpool_routing_documents_total{outcome=\"refused\"}")
            .unwrap()
    };
    let digest = document(8, &[("b", "b-1", b)]).replace("\"epoch\"", "\"digest\":\"0123456789abcdef\",\"epoch\"");
    let elsewhere = document(8, &[("b", "b-1", b)]).replace("shop", "web");
    for (n, wrong) in [(1.0, "{"), (2.0, &elsewhere), (3.0, &digest)] {
        api.put_document("u", wrong);
        until("refused", || refused() >= n);
    }
    api.put_document("u", &document(6, &[("b", "b-1", b)]));
    until("older", || {
        balancer.metric("lbpool_routing_documents_total{outcome=\"older\"}") == Some(1.0)
    });
    assert_eq!(epoch(&balancer), 7);
    answers(&balancer, "a");
    assert!(
        balancer.logged().contains("routing stays as it was"),
        "{}",
        balancer.logged()
    );

    api.delete_document();
    until("told", || balancer.logged().contains("shop-routing is not there"));
    answers(&balancer, "a");
    api.put_document("another", &document(1, &[("b", "b-1", b)]));
    until("made anew", || epoch(&balancer) == 1);
    answers(&balancer, "b");
}

#[test]
fn an_api_server_that_is_gone_harms_nobody_and_is_heard_again_soon() {
    let (api, dir) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let (a, b) = (member("a", 0), member("b", 0));
    api.put_document("u", &document(1, &[("a", "a-1", a)]));
    let first = start(&api, dir.path());
    until("routed", || epoch(&first) == 1);
    until("kept", || dir.path().join("routing.json").exists());
    api.stop();
    let errors = "lbpool_discovery_errors_total{what=\"document\"}";
    until("missed", || first.metric(errors).is_some_and(|n| n > 1.0));
    answers(&first, "a");
    assert_eq!(first.admin("/readyz").0, 200);

    // A restart routes by what was kept.
    drop(first);
    let begun = Instant::now();
    let second = start(&api, dir.path());
    until("ready", || second.admin("/readyz").0 == 200);
    println!("without an API server ready after {:?}", begun.elapsed());
    answers(&second, "a");

    api.start_again();
    api.put_document("u", &document(2, &[("b", "b-1", b)]));
    let back = Instant::now();
    until("heard again", || epoch(&second) == 2);
    println!("heard {:?} after the API server was back", back.elapsed());
    answers(&second, "b");
    assert!(second.logged().contains("heard of again"), "{}", second.logged());
}

#[test]
fn an_api_server_that_is_frozen_harms_nobody_and_goes_on_where_it_was() {
    let (api, dir) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let (a, b) = (member("a", 0), member("b", 0));
    api.put_document("u", &document(1, &[("a", "a-1", a)]));
    let first = start(&api, dir.path());
    until("routed", || epoch(&first) == 1);
    until("kept", || dir.path().join("routing.json").exists());
    api.freeze(true);
    let second = start(&api, dir.path());
    until("ready", || second.admin("/readyz").0 == 200);
    for balancer in [&first, &second] {
        answers(balancer, "a");
    }
    api.put_document("u", &document(2, &[("b", "b-1", b)]));
    api.freeze(false);
    let thawed = Instant::now();
    for balancer in [&first, &second] {
        until("heard", || epoch(balancer) == 2);
        answers(balancer, "b");
    }
    println!("heard {:?} after the thaw", thawed.elapsed());
}

#[test]
fn a_broken_snapshot_is_ignored_with_a_word() {
    let (api, dir) = (ApiServer::start(), tempfile::tempdir().unwrap());
    api.stop();
    fs::write(dir.path().join("routing.json"), "{\"uid\":").unwrap();
    let balancer = start(&api, dir.path());
    until("told", || {
        balancer.logged().contains("routing.json is not used: it is broken")
    });
    assert_eq!(balancer.admin("/readyz").0, 503);
    let a = member("a", 0);
    api.start_again();
    api.put_document("u", &document(1, &[("a", "a-1", a)]));
    until("routed", || epoch(&balancer) == 1);
    until("kept", || {
        fs::read_to_string(dir.path().join("routing.json")).is_ok_and(|text| text.contains("a-1"))
    });
}

#[test]
fn the_pool_is_changed_with_the_callers_token_alone() {
    let (api, dir) = (ApiServer::start(), tempfile::tempdir().unwrap());
    let a = member("a", 0);
    api.put_pool(1);
    api.put_document("u", &document(1, &[("shop-0", "p-0", a)]));
    let balancer = start(&api, dir.path());
    until("routed", || epoch(&balancer) == 1);
    let ask = |method: &str, path: &str, token: &str, body: &str| {
        let mut stream = TcpStream::connect(balancer.admin).unwrap();
        std::io::Write::write_all(
            &mut stream,
            format!(
                "{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{token}Content-Length: {}\r\n\r\n{body}",
                body.len()
            )
            .as_bytes(),
        )
        .unwrap();
        let mut text = String::new();
        std::io::Read::read_to_string(&mut stream, &mut text).unwrap();
        text
    };
    let (tom, eve) = ("Authorization: Bearer tom\r\n", "Authorization: Bearer eve\r\n");
    let answer = ask("GET", "/rep", "", "");
    assert!(
        answer.starts_with("HTTP/1.1 401 ") && answer.contains("www-authenticate: Bearer"),
        "{answer}"
    );
    let answer = ask("GET", "/rep", eve, "");
    assert!(
        answer.ends_with(r#"{"message":{"N":1,"replicas":["shop-0"]},"status":"successful"}"#),
        "{answer}"
    );
    let answer = ask("POST", "/add", eve, r#"{"n":1}"#);
    assert!(
        answer.starts_with("HTTP/1.1 403 ") && answer.contains("is forbidden: cannot patch"),
        "{answer}"
    );
    assert_eq!(api.pool()["spec"]["replicas"], 1);
    let answer = std::thread::scope(|scope| {
        let adding = scope.spawn(|| ask("POST", "/add", tom, r#"{"n":1,"hostnames":["S5"]}"#));
        until("changed", || api.pool()["spec"]["replicas"] == 2);
        // What the operator would do.
        api.put_document("u", &document(2, &[("S5", "p-5", a), ("shop-0", "p-0", a)]));
        adding.join().unwrap()
    });
    assert!(
        answer.starts_with("HTTP/1.1 200 ") && answer.contains(r#"["S5","shop-0"]"#),
        "{answer}"
    );
    let seen = api.seen();
    let mut pool = seen.iter().filter(|(line, _)| line.contains("loadbalancerpools"));
    assert!(
        pool.all(|(_, token)| token == "Bearer tom" || token == "Bearer eve"),
        "{seen:?}"
    );
    let log = balancer.logged();
    assert!(!log.contains("tom") && !log.contains("eve"), "{log}");
}
