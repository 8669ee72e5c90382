//! An engine that is away, restarted, out of disk, or lacks an image: said with its reason, mended by itself, and no
//! matter to members that run.

use std::{thread, time::Duration};

use lbpool_tests::{
    load::{Load, Plan},
    process::{Pool, Sandbox, load_time},
};
use lbpool_tests_docker::{Engine, Up, docker, pool};

const ROUND: Duration = Duration::from_mins(1);
const MISSING: &str = "lbpool.invalid/backend:none";

/// Whether the engine is ours to break; somebody else's is left alone.
fn may_break(engine: &Engine) -> bool {
    if !engine.own {
        println!("left out: the engine is somebody else's");
    }
    engine.own
}

#[test]
fn an_image_that_is_nowhere_ends_the_start_with_what_to_do() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let text = pool().to_string().replace("lbpool/backend:0.1.0", MISSING);
    let mut up = Up::begin(&sandbox, &engine, &text, &[]);
    let (code, took) = up.ended();
    println!("ended after {took:.1?}: {}", up.output());
    assert_eq!(code, Some(1));
    for part in [MISSING, "docker load -i"] {
        assert!(up.output().contains(part), "{}", up.output());
    }
    assert!(engine.containers("fish").is_empty());
}

#[test]
fn an_update_to_an_image_that_is_nowhere_leaves_the_old_members_at_work() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let load = Load::start(Plan::new(up.address())).unwrap();
    let homes = load.round(ROUND).unwrap();
    let file = sandbox.write(
        "missing.yaml",
        &pool().to_string().replace("lbpool/backend:0.1.0", MISSING),
    );
    let _ = sandbox.lbpool(&["apply", "-f", file.to_str().unwrap()]).success();
    let (reason, message) = up.until("it says so", Up::degraded);
    println!("{reason}: {message}");
    assert!(
        message.contains(MISSING) && message.contains("docker load"),
        "{message}"
    );
    thread::sleep(load_time() / 2);
    assert_eq!(load.round(ROUND).unwrap().moved_from(&homes), 0);

    // Mended by the image itself: nobody has to apply anything again.
    docker(&["tag", &engine.image, MISSING]).unwrap();
    up.until("all have the new image", |up| {
        let containers = engine.containers("fish");
        let images = containers
            .iter()
            .map(|container| engine.inspect(&container.id, "{{.Config.Image}}"));
        let images = images.collect::<Result<Vec<String>, String>>()?;
        if images.len() == 3 && images.iter().all(|image| image == MISSING) && up.degraded().is_err() {
            Ok(())
        } else {
            Err(format!("{images:?} {:?}", up.degraded()))
        }
    });
    let figures = load.stop();
    println!("update with an image that came late: {figures}");
    assert_eq!((figures.failed_in_all(), figures.changes), (0, 0), "{figures}");
    drop(up);
    for container in engine.containers("fish") {
        docker(&["rm", "-fv", &container.id]).unwrap();
    }
    docker(&["rmi", MISSING]).unwrap();
}

#[test]
fn while_the_engine_is_away_members_serve_and_what_was_asked_for_comes_after() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    if !may_break(&engine) {
        return;
    }
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let load = Load::start(Plan {
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let homes = load.round(ROUND).unwrap();
    println!("before: {}", load.mark());
    engine.control(&["--stop"]);
    let (reason, message) = up.until("it says so", Up::degraded);
    println!("{reason}: {message}");
    assert!(message.contains("engine"), "{message}");
    let _ = sandbox.lbpool(&["scale", "fish", "--replicas", "4"]).success();
    thread::sleep(load_time() / 2);
    assert_eq!(load.round(ROUND).unwrap().moved_from(&homes), 0);
    let away = load.mark();
    println!("engine away: {away}");
    assert_eq!((away.failed_in_all(), away.changes), (0, 0), "{away}");

    engine.control(&["--start", "--live-restore"]);
    up.settled(4, 1);
    up.until("all is well", |up| match up.degraded() {
        Ok(degraded) => Err(format!("{degraded:?}")),
        Err(_) => Ok(()),
    });
    let back = load.stop();
    println!("engine back, 3 -> 4: {back}");
    assert_eq!(back.failed_in_all(), 0, "{back}");
}

#[test]
fn an_engine_whose_end_ends_its_containers_is_filled_again_when_it_is_back() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    if !may_break(&engine) {
        return;
    }
    engine.control(&["--stop"]);
    engine.control(&["--start"]);
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    engine.control(&["--stop"]);
    up.until("it says so", Up::degraded);
    engine.control(&["--start", "--live-restore"]);
    up.settled(3, 1);
}

#[test]
fn an_engine_out_of_disk_is_told_and_members_go_on() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    if !may_break(&engine) {
        return;
    }
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let load = Load::start(Plan::new(up.address())).unwrap();
    let homes = load.round(ROUND).unwrap();
    engine.control(&["--fill"]);
    up.apply(&Pool { version: 2, ..pool() });
    let (reason, message) = up.until("it says so", Up::degraded);
    println!("{reason}: {message}");
    assert!(message.contains("no space left"), "{message}");
    engine.control(&["--empty"]);
    up.settled(3, 2);
    assert_eq!(load.round(ROUND).unwrap().moved_from(&homes), 0);
    let figures = load.stop();
    println!("update on a full disk: {figures}");
    assert_eq!((figures.failed_in_all(), figures.changes), (0, 0), "{figures}");
}

#[test]
fn no_engine_at_all_is_said_at_once() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let text = pool().to_string();
    for (address, said) in [
        ("unix:///nowhere/engine.sock", "does not answer"),
        ("ssh://host", "forwarded socket"),
    ] {
        let mut up = Up::begin(&sandbox, &engine, &text, &["--engine", address]);
        assert_eq!(up.ended().0, Some(1));
        assert!(up.output().contains(said), "{}", up.output());
    }
}
