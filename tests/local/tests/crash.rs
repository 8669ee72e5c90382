//! A member that is killed is replaced in its seat; requests wait for it or go elsewhere, and keys come home.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{thread, time::Duration};

use lbpool_tests::{
    load::{Figures, Homes, Kind, Load, Plan},
    process::{Policy, Pool, Sandbox, Up, load_time, wait_for},
};
use rustix::process::Signal;
use tokio::time::Instant;

const ROUND: Duration = Duration::from_secs(20);
/// Few, so that a round over all of them is short beside what is measured.
const KEYS: usize = 600;
const SEAT: &str = "fish-1";

/// Kills the member in [`SEAT`] under load. Gives the homes before, and how long its seat was without a server for
/// those who look from outside: until every key is answered where it lives.
fn kill_one(up: &Up<'_>, load: &Load) -> (Homes, Duration) {
    let homes = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 2);
    println!("before: {}", load.mark());
    let victim = up.member(SEAT).unwrap();
    let began = Instant::now();
    victim.send(Signal::KILL);
    // From here on a home is only what was answered after the kill.
    wait_for("every key is home again", ROUND, || {
        match load.round(ROUND)?.moved_from(&homes) {
            0 if up.member(SEAT).is_some_and(|member| member != victim) => Ok(()),
            moved => Err(format!("{moved} keys are away")),
        }
    });
    (homes, began.elapsed())
}

fn rest(load: Load) -> Figures {
    thread::sleep(load_time() / 2);
    let figures = load.stop();
    println!("kill: {figures}");
    figures
}

#[test]
fn with_hold_no_get_fails_and_no_key_moves() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool {
        policy: Policy::Hold,
        ..Pool::default()
    });
    let load = Load::start(Plan {
        keys: KEYS,
        ..Plan::new(up.address())
    })
    .unwrap();
    let (_, back) = kill_one(&up, &load);
    println!("serving again after {back:.0?}");
    let figures = rest(load);
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
    assert_eq!(figures.changes, 0, "answers from elsewhere, if only for a moment");
    assert!(
        figures.latency.max() < Duration::from_secs(1),
        "nobody waits a second for the successor: {figures}"
    );
    assert!(back < Duration::from_secs(1), "replaced and serving after {back:?}");
    up.settled(3, 1);
}

#[test]
fn with_spill_no_get_fails_and_keys_come_home() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let load = Load::start(Plan {
        keys: KEYS,
        ..Plan::new(up.address())
    })
    .unwrap();
    let (_, back) = kill_one(&up, &load);
    println!("serving again after {back:.0?}");
    let figures = rest(load);
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
    assert!(back < Duration::from_secs(1), "replaced and serving after {back:?}");
    up.settled(3, 1);
}

#[test]
fn only_posts_that_were_on_their_way_to_the_member_fail() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let plan = Plan {
        posts: 50,
        ..Plan::new(up.address())
    };
    let (connections, load) = (plan.connections, Load::start(plan).unwrap());
    let (_, back) = kill_one(&up, &load);
    println!("serving again after {back:.0?}");
    let figures = rest(load);
    // Each connection has one request at a time: more failures than connections were not all under way.
    assert!(figures.failed_in_all() <= connections as u64, "{figures}");
    assert!(
        figures.failures.keys().all(|kind| *kind == Kind::Status(502)),
        "{figures}"
    );
    up.settled(3, 1);
}

#[test]
fn a_member_that_is_killed_again_and_again_is_replaced_each_time() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    for _ in 0..3 {
        let victim = up.member(SEAT).unwrap();
        victim.send(Signal::KILL);
        up.until("a successor", |up| match up.member(SEAT) {
            Some(member) if member != victim => Ok(()),
            other => Err(format!("{other:?}")),
        });
        up.settled(3, 1);
    }
}
