//! Scaling under load fails no request, moves little more than it has to, and gives every key its home back.

use std::{thread, time::Duration};

use lbpool_tests::{
    load::{Homes, Load, Plan},
    process::{Pool, Sandbox, load_time},
};

const ROUND: Duration = Duration::from_secs(20);
const KEYS: usize = 5000;

/// What a change may move: 1.08 times the ideal.
#[expect(clippy::cast_precision_loss, reason = "a share of the keys")]
fn assert_moved_little(what: &str, moved: usize, from: usize, to: usize) {
    let ideal = Homes::ideal_share(from, to) * KEYS as f64;
    let factor = moved as f64 / ideal;
    println!("{what}: {moved} of {KEYS} keys moved, {factor:.3} x the ideal");
    assert!(factor <= 1.08, "{what}");
}

#[test]
fn from_3_to_7_and_back_fails_nothing_and_brings_every_key_home() {
    let sandbox = Sandbox::new();
    let pool = Pool::default();
    let mut up = sandbox.up(&pool);
    println!("ready after {:.0?}", up.ready_after);
    let load = Load::start(Plan {
        keys: KEYS,
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let at_3 = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 3);
    println!("3 members: {}", load.mark());

    up.scale(7, pool.version);
    let at_7 = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 3);
    let growing = load.mark();
    println!("to 7: {growing}");
    assert_eq!(at_7.per_server().len(), 7);
    assert_moved_little("3 -> 7", at_7.moved_from(&at_3), 3, 7);

    up.scale(3, pool.version);
    let again = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 3);
    let shrinking = load.stop();
    println!("to 3: {shrinking}");
    assert_moved_little("7 -> 3", again.moved_from(&at_7), 7, 3);
    assert_eq!(again.moved_from(&at_3), 0, "keys that did not come home");
    assert_eq!(
        growing.failed_in_all() + shrinking.failed_in_all(),
        0,
        "{growing}\n{shrinking}"
    );
}
