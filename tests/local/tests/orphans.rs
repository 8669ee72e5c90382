//! However the parent ends, its members end with it, and the next start finds a clean house.

use std::time::Duration;

use lbpool_tests::process::{Pool, Sandbox};
use rustix::process::Signal;

const SOON: Duration = Duration::from_secs(5);

#[test]
fn members_of_a_parent_that_was_killed_end_too() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool {
        replicas: 5,
        ..Pool::default()
    });
    assert_eq!(up.members().len(), 5);
    up.send(Signal::KILL);
    assert_eq!(up.ended().0, None, "ended by the signal");
    sandbox.assert_nothing_left(SOON);
    let error = sandbox.lbpool(&["get", "fish"]).failure();
    assert!(error.contains("lbpool up"), "it says how to start a pool: {error}");

    drop(up);
    let mut again = sandbox.up(&Pool::default());
    again.settled(3, 1);
}

#[test]
fn a_signal_ends_parent_and_members_with_success() {
    for signal in [Signal::TERM, Signal::INT] {
        let sandbox = Sandbox::new();
        let mut up = sandbox.up(&Pool::default());
        up.send(signal);
        let (code, took) = up.ended();
        println!("{signal:?}: ended after {took:.0?}");
        assert_eq!(code, Some(0), "{signal:?}: {}", up.output());
        sandbox.assert_nothing_left(Duration::ZERO);
    }
}

#[test]
fn a_second_signal_ends_everything_at_once() {
    let sandbox = Sandbox::new();
    // A member that does not listen to SIGTERM would otherwise be waited for.
    let stubborn = Pool {
        args: vec!["--trials", "--grace", "600s"],
        ..Pool::default()
    };
    let mut up = sandbox.up(&stubborn);
    let stream = lbpool_tests::process::send(up.address(), "GET", "/stream?chunks=100&interval=1000", "", "").unwrap();
    up.send(Signal::TERM);
    up.until("the first signal is heard", |up| {
        let text = up.output();
        if text.contains("SIGTERM") || up.get("/home").is_err() {
            Ok(())
        } else {
            Err(text)
        }
    });
    up.send(Signal::TERM);
    assert_eq!(up.ended().0, Some(130));
    sandbox.assert_nothing_left(SOON);
    drop(stream);
}

#[test]
fn down_ends_everything_and_waits_for_it() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let _ = sandbox.lbpool(&["down", "fish"]).success();
    assert_eq!(up.ended().0, Some(0));
    sandbox.assert_nothing_left(Duration::ZERO);
    let error = sandbox.lbpool(&["down", "fish"]).failure();
    assert!(error.contains("fish"), "{error}");
}
