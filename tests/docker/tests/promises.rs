//! What the local pool promises holds with containers: nothing fails through scaling and updates, a container that is
//! killed is replaced in its seat.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{thread, time::Duration};

use lbpool_tests::{
    load::{Figures, Homes, Kind, Load, Plan},
    process::{Policy, Pool, Sandbox, load_time, wait_for},
};
use lbpool_tests_docker::{Engine, Up, docker, pool};

const ROUND: Duration = Duration::from_mins(1);
const KEYS: usize = 5000;
/// Few, so that a round over all of them is short beside what is measured.
const FEW: usize = 600;
const SEAT: &str = "fish-1";
/// A container takes longer to start than a process: the machine under it, a namespace, a network, a file system.
const BACK_WITHIN: Duration = Duration::from_secs(5);

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
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let pool = pool();
    let mut up = Up::start(&sandbox, &engine, &pool, &[]);
    let load = Load::start(Plan {
        keys: KEYS,
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let at_3 = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 3);
    println!("3 containers: {}", load.mark());

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

#[test]
fn a_new_template_replaces_every_container_and_nobody_notices() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let before = engine.containers("fish");
    let load = Load::start(Plan {
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let homes = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 2);
    println!("before: {}", load.mark());

    up.apply(&Pool { version: 2, ..pool() });
    up.settled(3, 2);
    let after = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 2);
    let update = load.stop();
    println!("update: {update}");
    let now = engine.containers("fish");
    assert!(
        before.iter().all(|old| now.iter().all(|new| new.id != old.id)),
        "every one is another now"
    );
    assert_eq!(update.failed_in_all(), 0, "{update}");
    assert_eq!(after.moved_from(&homes), 0, "keys that moved");
    assert_eq!(update.changes, 0, "answers from elsewhere, if only for a moment");
}

/// Kills the container in [`SEAT`] under load: how long its seat was without a server, for those who look from outside.
fn kill_one(engine: &Engine, load: &Load) -> Duration {
    let homes = load.round(ROUND).unwrap();
    thread::sleep(load_time() / 2);
    println!("before: {}", load.mark());
    let victim = engine.in_seat(SEAT).unwrap();
    docker(&["kill", &victim.id]).unwrap();
    let began = std::time::SystemTime::now();
    // From here on a home is only what was answered after the kill.
    wait_for("every key is home again", ROUND, || {
        match load.round(ROUND)?.moved_from(&homes) {
            0 if engine.in_seat(SEAT)?.id != victim.id => Ok(()),
            moved => Err(format!("{moved} keys are away")),
        }
    });
    began.elapsed().unwrap()
}

fn rest(load: Load, back: Duration) -> Figures {
    thread::sleep(load_time() / 2);
    let figures = load.stop();
    println!("kill: {figures}\nserving again after {back:.0?}");
    figures
}

#[test]
fn with_hold_a_kill_fails_no_get_and_moves_no_key() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let hold = Pool {
        policy: Policy::Hold,
        ..pool()
    };
    let mut up = Up::start(&sandbox, &engine, &hold, &[]);
    let load = Load::start(Plan {
        keys: FEW,
        ..Plan::new(up.address())
    })
    .unwrap();
    let back = kill_one(&engine, &load);
    let figures = rest(load, back);
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
    assert_eq!(figures.changes, 0, "answers from elsewhere, if only for a moment");
    assert!(back < BACK_WITHIN, "replaced and serving after {back:?}");
    up.settled(3, 1);
}

#[test]
fn with_spill_a_kill_fails_no_get_and_keys_come_home() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let load = Load::start(Plan {
        keys: FEW,
        ..Plan::new(up.address())
    })
    .unwrap();
    let back = kill_one(&engine, &load);
    let figures = rest(load, back);
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
    assert!(back < BACK_WITHIN, "replaced and serving after {back:?}");
    up.settled(3, 1);
}

#[test]
fn only_posts_that_were_on_their_way_to_the_killed_container_fail() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let plan = Plan {
        posts: 50,
        ..Plan::new(up.address())
    };
    let (connections, load) = (plan.connections, Load::start(plan).unwrap());
    let back = kill_one(&engine, &load);
    let figures = rest(load, back);
    // Each connection has one request at a time: more failures than connections were not all under way.
    assert!(figures.failed_in_all() <= connections as u64, "{figures}");
    assert!(
        figures.failures.keys().all(|kind| *kind == Kind::Status(502)),
        "{figures}"
    );
    up.settled(3, 1);
}
