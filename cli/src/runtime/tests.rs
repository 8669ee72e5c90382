use std::{os::unix::fs::PermissionsExt as _, sync::mpsc, thread};

use super::*;

fn places_in(dirs: &[PathBuf]) -> Places {
    Places {
        dirs: dirs.to_vec(),
        chosen: false,
    }
}

fn record(pool: &str) -> Record {
    Record {
        pool: pool.to_owned(),
        pid: 1,
        url: "http://127.0.0.1:5000".to_owned(),
        admin: None,
        started: Timestamp::UNIX_EPOCH,
    }
}

fn place() -> (tempfile::TempDir, Places) {
    let dir = tempfile::tempdir().unwrap();
    let places = places_in(&[dir.path().join("lbpool")]);
    (dir, places)
}

fn up(places: &Places, pool: &str) -> Claim {
    let claim = places.claim(pool).unwrap();
    claim.announce(&record(pool)).unwrap();
    claim
}

#[test]
fn a_pool_is_found_while_it_runs_and_not_after() {
    let (dir, places) = place();
    assert!(matches!(places.find(None), Err(Error::None)));
    let claim = up(&places, "demo");
    assert_eq!(places.find(None).unwrap().record, record("demo"));
    assert_eq!(places.find(Some("demo")).unwrap().record.pool, "demo");
    drop(claim);
    assert!(matches!(places.find(None), Err(Error::None)));
    assert_eq!(
        fs::read_dir(dir.path().join("lbpool")).unwrap().count(),
        0,
        "nothing is left behind"
    );
}

#[test]
fn names_are_taken_as_kubectl_takes_them() {
    for (name, plain) in [
        ("demo", "demo"),
        ("lbpool/demo", "demo"),
        ("loadbalancerpools/demo", "demo"),
        ("pod/x", "pod/x"),
    ] {
        assert_eq!(plain_name(name), plain);
    }
}

#[test]
fn one_of_several_must_be_named() {
    let (_dir, places) = place();
    let _claims = (up(&places, "b"), up(&places, "a"));
    assert_eq!(
        places.find(None).unwrap_err().to_string(),
        "several pools run on this machine: say which one of a, b"
    );
    assert_eq!(places.find(Some("lbpool/b")).unwrap().record.pool, "b");
    assert_eq!(
        places.find(Some("c")).unwrap_err().to_string(),
        "the pool c does not run on this machine (only a, b); start it with: lbpool up"
    );
}

#[test]
fn a_pool_can_not_run_twice() {
    let (_dir, places) = place();
    let _claim = up(&places, "demo");
    let error = places.claim("demo").unwrap_err();
    assert!(
        error
            .to_string()
            .contains("up already at http://127.0.0.1:5000 (process 1)"),
        "{error}"
    );
}

#[test]
fn a_pool_that_is_not_announced_yet_is_busy_and_not_listed() {
    let (_dir, places) = place();
    let _claim = places.claim("demo").unwrap();
    assert!(places.running().unwrap().is_empty());
    assert!(matches!(places.claim("demo"), Err(Error::Busy(_))));
}

#[test]
fn what_a_killed_process_left_behind_is_no_pool_and_is_removed() {
    let (dir, places) = place();
    let left = dir.path().join("lbpool/demo");
    fs::create_dir_all(left.join("logs")).unwrap();
    fs::set_permissions(dir.path().join("lbpool"), fs::Permissions::from_mode(0o700)).unwrap();
    for file in ["lock", "control.sock", "logs/demo-0.log"] {
        fs::write(left.join(file), "").unwrap();
    }
    fs::write(left.join("pool.json"), serde_json::to_vec(&record("demo")).unwrap()).unwrap();
    assert!(matches!(places.find(None), Err(Error::None)));
    assert!(!left.exists());
}

#[test]
fn log_files_with_content_and_members_to_end_are_kept() {
    let (dir, places) = place();
    let claim = up(&places, "demo");
    let folder = dir.path().join("lbpool/demo");
    for sub in ["logs", "members"] {
        fs::create_dir(folder.join(sub)).unwrap();
        fs::write(folder.join(sub).join("some"), "content").unwrap();
    }
    drop(claim);
    let mut left: Vec<_> = fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    left.sort();
    assert_eq!(left, ["logs", "members"]);
    up(&places, "demo");
}

#[test]
fn a_folder_that_others_may_write_is_not_used() {
    let (dir, places) = place();
    let open = dir.path().join("lbpool");
    fs::create_dir(&open).unwrap();
    fs::set_permissions(&open, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(places.claim("demo"), Err(Error::Foreign { .. })));
}

#[test]
fn a_folder_that_can_not_be_used_leaves_the_next_one() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("file"), "").unwrap();
    let places = places_in(&[dir.path().join("file/lbpool"), dir.path().join("other")]);
    assert_eq!(places.claim("demo").unwrap().dir(), dir.path().join("other/demo"));
}

#[test]
fn a_path_too_long_for_a_socket_is_refused_by_length() {
    let dir = tempfile::tempdir().unwrap();
    let places = places_in(&[dir.path().join("x".repeat(100))]);
    assert!(matches!(places.claim("demo"), Err(Error::Long { .. })));
}

#[test]
fn the_end_of_a_pool_can_be_waited_for() {
    let (_dir, places) = place();
    let claim = up(&places, "demo");
    let running = places.find(None).unwrap();
    let (ended, end) = mpsc::channel();
    let waiter = thread::spawn(move || ended.send(running.wait_for_end().is_ok()));
    assert!(
        end.recv_timeout(std::time::Duration::from_millis(50)).is_err(),
        "it runs still"
    );
    drop(claim);
    assert!(end.recv().unwrap());
    waiter.join().unwrap().unwrap();
}

#[test]
fn an_owner_is_the_same_in_each_session_and_another_one_for_a_folder_that_was_chosen() {
    let session = Places::new(None, Some(std::env::temp_dir())).owner();
    assert_eq!(session, Places::new(None, None).owner());
    let chosen = Places::new(Some("/srv/a".into()), None).owner();
    assert_eq!(chosen, format!("{session}:/srv/a"));
}
