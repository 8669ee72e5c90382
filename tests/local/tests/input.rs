//! Whatever is wrong gets an error that says what to do, and changes nothing.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{net::TcpListener, time::Duration};

use lbpool_tests::process::{Pool, Sandbox, Up};
use serde_json::Value;

/// `lbpool up` with arguments that can not work: its message.
fn refused(sandbox: &Sandbox, args: &[&str]) -> String {
    let error = sandbox.lbpool(&[&["up"], args].concat()).failure();
    assert!(!error.contains("panicked"), "{error}");
    sandbox.assert_nothing_left(Duration::ZERO);
    error
}

#[test]
fn a_port_in_use_is_named_with_the_flag_that_changes_it() {
    let sandbox = Sandbox::new();
    let file = sandbox.write("fish.yaml", &Pool::default().to_string());
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let error = refused(&sandbox, &["-f", file.to_str().unwrap(), "--port", &port]);
    assert!(error.contains(&port) && error.contains("--port"), "{error}");
}

#[test]
fn a_file_that_can_not_be_used_is_named_with_the_place_and_the_reason() {
    let sandbox = Sandbox::new();
    let good = Pool::default().to_string();
    let wrong = [
        (
            good.replace("replicas: 3", "replica: 3"),
            vec!["spec.replica", "replicas"],
        ),
        (good.replace("replicas: 3", "replicas: three"), vec!["spec.replicas"]),
        (good.replace("holdTimeout: 10s", "holdTimeout: 10"), vec!["holdTimeout"]),
        (
            good.replace("command: [backend]", "comand: [backend]"),
            vec!["comand", "command"],
        ),
        (
            good.replace("replicas: 3", "replicas: 3\n  members: [{name: a}, {name: a}]"),
            vec!["a"],
        ),
        (good.replace("replicas: 3", "replicas: 2000"), vec!["replicas", "1024"]),
        (
            good.replace("kind: LoadBalancerPool", "kind: LoadBalancer"),
            vec!["LoadBalancerPool"],
        ),
        (
            good.replace("spec:\n  replicas", "spec: [\n  replicas"),
            vec!["wrong.yaml:7"],
        ),
        (String::new(), vec!["LoadBalancerPool"]),
    ];
    for (text, parts) in wrong {
        let file = sandbox.write("wrong.yaml", &text);
        let error = refused(&sandbox, &["-f", file.to_str().unwrap()]);
        for part in ["wrong.yaml"].iter().chain(&parts) {
            assert!(error.contains(part), "{part} is not in: {error}\n{text}");
        }
    }
    let error = refused(&sandbox, &["-f", "/nowhere/pool.yaml"]);
    assert!(error.contains("/nowhere/pool.yaml"), "{error}");
    let error = refused(&sandbox, &["-f", sandbox.path().to_str().unwrap()]);
    assert!(
        error.contains(sandbox.path().to_str().unwrap()),
        "a folder is no file: {error}"
    );
}

#[test]
fn a_program_that_does_not_exist_is_named() {
    let sandbox = Sandbox::new();
    let pool = Pool {
        command: "no-such-program",
        ..Pool::default()
    };
    let file = sandbox.write("fish.yaml", &pool.to_string());
    let error = refused(&sandbox, &["-f", file.to_str().unwrap(), "--port", "0"]);
    assert!(error.contains("no-such-program"), "{error}");
}

#[test]
fn a_pool_is_started_once() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let file = sandbox.write("again.yaml", &Pool::default().to_string());
    let error = sandbox
        .lbpool(&["up", "-f", file.to_str().unwrap(), "--port", "0"])
        .failure();
    assert!(error.contains("fish") && error.contains("lbpool down"), "{error}");
    up.settled(3, 1);
}

#[test]
fn commands_without_a_pool_say_how_to_start_one() {
    let sandbox = Sandbox::new();
    for args in [
        &["scale", "--replicas", "2"][..],
        &["down"],
        &["get", "fish"],
        &["down", "fish"],
    ] {
        let error = sandbox.lbpool(args).failure();
        assert!(error.contains("lbpool up"), "{args:?}: {error}");
    }
    let outcome = sandbox.lbpool(&["get"]);
    assert!(outcome.stderr.contains("lbpool up"), "{outcome:?}");
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(0), ""),
        "a list may be empty"
    );
}

/// What must not change: the spec, the routing and the processes.
fn state(up: &Up<'_>) -> (Value, Value, Vec<i32>) {
    let pool = up.status().unwrap();
    let pids = up.members().iter().map(|member| member.pid).collect();
    (pool["spec"].clone(), pool["status"]["epoch"].clone(), pids)
}

#[test]
fn what_is_wrong_never_replaces_what_runs() {
    let sandbox = Sandbox::new();
    let up = sandbox.up(&Pool::default());
    let before = state(&up);
    let good = Pool::default().to_string();
    let wrong = [
        good.replace("replicas: 3", "replicas: -1"),
        good.replace("holdTimeout: 10s", "holdTimeout: soon"),
        good.replace("loadBound: 0", "loadBound: 50"),
        good.replace("loadBound: 0", "key: [{jsonBody: user}]"),
        good.replace("loadBound: 0", "key: [{header: a, cookie: b}]"),
        good.replace("replicas: 3", "replicas: 3\n  update: {maxSurge: 0, maxUnavailable: 0}"),
        good.replace("name: fish", "name: Fish"),
    ];
    for text in wrong {
        let file = sandbox.write("wrong.yaml", &text);
        let error = sandbox.lbpool(&["apply", "-f", file.to_str().unwrap()]).failure();
        assert!(!error.is_empty() && !error.contains("panicked"), "{error}");
    }
    for replicas in ["-1", "1025", "many"] {
        let outcome = sandbox.lbpool(&["scale", "fish", "--replicas", replicas]);
        assert!(matches!(outcome.code, Some(1 | 2)), "{outcome:?}");
    }
    let error = sandbox.lbpool(&["scale", "whale", "--replicas", "2"]).failure();
    assert!(
        error.contains("whale") && error.contains("fish"),
        "it says what runs: {error}"
    );
    assert_eq!(state(&up), before);
}
