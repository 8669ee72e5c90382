//! Whatever ends the parent, no member outlives it.

use std::{fs, process::Stdio, time::Duration};

use rustix::process::Signal;
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Command,
};

use crate::support::{ended, example, members, pids, pool, runs, signal, within};

/// A pool in a process of its own, with its members ready.
async fn parent(dir: &std::path::Path) -> (tokio::process::Child, Vec<u32>) {
    let file = dir.join("pool.yaml");
    fs::write(&file, serde_yaml::to_string(&pool(&members(2))).unwrap()).unwrap();
    let mut parent = Command::new(example("pool"))
        .args([dir, &file])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(parent.stdout.take().unwrap()).lines();
    within("the members", async {
        while !lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .contains("2 of 2 seats served")
        {}
    })
    .await;
    let members = pids(dir);
    assert_eq!(members.len(), 2);
    assert!(members.iter().all(|&pid| runs(pid)));
    (parent, members)
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn a_killed_parent_takes_its_members_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let (mut parent, members) = parent(dir.path()).await;
    signal(parent.id().unwrap(), Signal::KILL);
    parent.wait().await.unwrap();
    for pid in members {
        ended(pid).await;
    }
}

#[tokio::test]
async fn an_interrupted_parent_ends_its_members_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let (mut parent, members) = parent(dir.path()).await;
    signal(parent.id().unwrap(), Signal::INT);
    let status = within("the parent", parent.wait()).await.unwrap();
    assert!(status.success(), "{status}");
    assert!(members.iter().all(|&pid| !runs(pid)));
    assert_eq!(pids(dir.path()), [0; 0]);
}

#[tokio::test]
async fn a_guard_whose_parent_is_gone_starts_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let proof = dir.path().join("proof");
    let status = Command::new(example("member"))
        .args(["__guard", "1", "--", "touch", proof.to_str().unwrap()])
        .stderr(Stdio::null())
        .status();
    let status = tokio::time::timeout(Duration::from_secs(10), status)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(status.code(), Some(127));
    assert!(!proof.exists());
}
