//! `lbpool analyze`: real requests, a report, and a clean house afterwards, however it ends.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{fs, process::Command, time::Duration};

use lbpool_tests::process::{Pool, Sandbox, Started};
use rustix::process::Signal;
use serde_json::Value;

const SOON: Duration = Duration::from_secs(5);

/// As short as it gets: two algorithms, few requests.
const SHORT: [&str; 8] = [
    "analyze",
    "--quick",
    "--requests",
    "300",
    "--algorithms",
    "classroom,rendezvous",
    "--out",
    "report",
];

fn command(sandbox: &Sandbox, args: &[&str]) -> Command {
    let mut command = sandbox.command(args);
    // Its own pool lives in the folder for temporary files: what it left there would be seen.
    command.env("TMPDIR", sandbox.path());
    command
}

fn data(sandbox: &Sandbox) -> Value {
    serde_json::from_slice(&fs::read(sandbox.path().join("report/data.json")).unwrap()).unwrap()
}

fn assert_clean(sandbox: &Sandbox) {
    sandbox.assert_nothing_left(SOON);
    let left = fs::read_dir(sandbox.path()).unwrap().flatten();
    let left: Vec<_> = left
        .map(|entry| entry.file_name().into_string().unwrap())
        .filter(|name| name.starts_with("lbpool-analyze-"))
        .collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn every_experiment_is_done_and_no_request_fails() {
    let sandbox = Sandbox::new();
    let outcome = command(&sandbox, &SHORT).output().unwrap();
    let (stdout, stderr) = (
        String::from_utf8_lossy(&outcome.stdout),
        String::from_utf8_lossy(&outcome.stderr),
    );
    assert!(outcome.status.success(), "{stdout}{stderr}");
    assert!(
        stdout.contains(" 0 failed; self-check of ") && stdout.contains(" passed; report: "),
        "{stdout}"
    );
    let data = data(&sandbox);
    let length = |what: &str| data[what].as_array().unwrap().len();
    assert_eq!(
        (length("spreads"), length("changes"), length("kills"), length("failed")),
        (12, 4, 2, 0)
    );
    for change in data["changes"].as_array().unwrap() {
        assert_eq!(change["astray"], 0, "home again: {change}");
    }
    for kill in data["kills"].as_array().unwrap() {
        assert_eq!(kill["astray"], 0, "home again");
    }
    for file in [
        "index.html",
        "summary.md",
        "cover.png",
        "charts/kill-classroom.svg",
        "data/moves.csv",
    ] {
        assert!(sandbox.path().join("report").join(file).exists(), "{file}");
    }
    assert_clean(&sandbox);
}

/// Starts an analysis and waits until it is in the middle of its requests.
fn begun(sandbox: &Sandbox) -> Started {
    let command = command(sandbox, &["analyze", "--plain", "--out", "report"]);
    let mut analysis = sandbox.started("analyze", command);
    let output = sandbox.path().join("analyze.log");
    analysis.until("an experiment is done", || {
        let text = fs::read_to_string(&output).unwrap();
        if text.contains("servers: ") { Ok(()) } else { Err(text) }
    });
    analysis
}

#[test]
fn ctrl_c_leaves_nothing_behind() {
    let sandbox = Sandbox::new();
    let mut analysis = begun(&sandbox);
    analysis.send(Signal::INT);
    assert_eq!(analysis.ended().0, Some(130), "{}", analysis.output());
    assert_clean(&sandbox);
    assert!(!sandbox.path().join("report/index.html").exists());
}

#[test]
fn its_pool_ends_with_it_on_kill_9_too() {
    let sandbox = Sandbox::new();
    let mut analysis = begun(&sandbox);
    analysis.send(Signal::KILL);
    assert_eq!(analysis.ended().0, None);
    sandbox.assert_nothing_left(SOON);
}

#[test]
fn a_pool_that_runs_already_is_what_it_was_at_the_end() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool {
        replicas: 4,
        fields: "  members: [{name: Owl, weight: 3}]\n",
        ..Pool::default()
    });
    let spec = up.status().unwrap()["spec"].clone();
    let address = format!("http://{}", up.address());
    let args = [&SHORT[..], &["fish", "--url", &address]].concat();
    let outcome = sandbox.lbpool(&args);
    assert!(outcome.stderr.contains("fish is scaled"), "{outcome:?}");
    let _ = outcome.success();
    assert_eq!(up.status().unwrap()["spec"], spec);
    up.settled(4, 1);
    assert_eq!(data(&sandbox)["setup"]["pool"], "fish");
}

#[test]
fn an_experiment_that_can_not_be_done_is_told_and_the_rest_is_kept() {
    let sandbox = Sandbox::new();
    // Nothing answers there: each experiment fails for itself.
    let up = sandbox.up(&Pool::default());
    let nobody = format!("http://{}", sandbox.free_address());
    let args = [&SHORT[..], &["--no-kill", "fish", "--url", &nobody]].concat();
    let error = sandbox.lbpool(&args).failure();
    assert!(
        error.contains("experiments could not be done; the report says why"),
        "{error}"
    );
    assert!(error.contains("no connection"), "{error}");
    let summary = fs::read_to_string(sandbox.path().join("report/summary.md")).unwrap();
    assert!(
        summary.contains("**Could not be done**: Classroom, 2 servers: "),
        "{summary}"
    );
    drop(up);
}
