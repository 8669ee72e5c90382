//! A rolling update under load fails no request and moves no key.

use std::{io::Read as _, thread, time::Duration};

use lbpool_tests::{
    load::{Load, Plan},
    process::{Pool, Sandbox, Up, load_time, send},
};

const ROUND: Duration = Duration::from_secs(20);

#[test]
fn a_new_template_replaces_every_member_and_nobody_notices() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let before = up.members();
    let load = Load::start(Plan {
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let homes = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 2);
    println!("before: {}", load.mark());

    up.apply(&Pool {
        version: 2,
        ..Pool::default()
    });
    let after = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 2);
    let update = load.stop();
    println!("update: {update}");
    assert!(
        before.iter().all(|member| !member.lives()),
        "every member is another process now"
    );
    assert_eq!(update.failed_in_all(), 0, "{update}");
    assert_eq!(after.moved_from(&homes), 0, "keys that moved");
    assert_eq!(update.changes, 0, "answers from elsewhere, if only for a moment");
}

#[test]
fn members_go_over_to_http_2_and_back_and_nobody_notices() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let load = Load::start(Plan {
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let homes = load.round(ROUND).unwrap();
    // The last hop to answer names what it was spoken to in.
    let via = |up: &Up<'_>| {
        let mut stream = send(up.address(), "GET", "/home", "", "").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let field = answer.lines().find_map(|line| line.strip_prefix("Via: "));
        field.unwrap_or_else(|| panic!("{answer}")).to_owned()
    };
    assert_eq!(via(&up), "1.1 lbpool");
    println!("HTTP/1.1: {}", load.mark());
    for (version, fields, spoken) in [
        (2, "  appProtocol: kubernetes.io/h2c", "2 lbpool"),
        (3, "", "1.1 lbpool"),
    ] {
        up.apply(&Pool {
            version,
            fields,
            ..Pool::default()
        });
        assert_eq!(load.round(ROUND).unwrap().moved_from(&homes), 0, "keys that moved");
        assert_eq!(via(&up), spoken);
        thread::sleep(load_time() / 4);
        let figures = load.mark();
        println!("to {spoken}: {figures}");
        assert_eq!((figures.failed_in_all(), figures.changes), (0, 0), "{figures}");
    }
}

#[test]
fn a_template_that_never_gets_ready_leaves_the_old_members_at_work() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let before = up.members();
    let load = Load::start(Plan::new(up.address())).unwrap();
    let homes = load.round(ROUND).unwrap();
    let broken = Pool {
        version: 2,
        command: "sh",
        args: vec!["-c", "sleep 1000"],
        ..Pool::default()
    };
    let file = sandbox.write("broken.yaml", &broken.to_string());
    let _ = sandbox.lbpool(&["apply", "-f", file.to_str().unwrap()]);
    thread::sleep(load_time() / 2);
    assert_eq!(load.round(ROUND).unwrap().moved_from(&homes), 0);
    assert!(before.iter().all(lbpool_tests::process::Process::lives));
    assert!(up.status().unwrap()["status"]["updatedReplicas"] == 0);

    // And the way back is to apply what worked.
    up.apply(&Pool {
        version: 1,
        ..Pool::default()
    });
    let figures = load.stop();
    println!("update that does not come up: {figures}");
    assert_eq!((figures.failed_in_all(), figures.changes), (0, 0), "{figures}");
}
