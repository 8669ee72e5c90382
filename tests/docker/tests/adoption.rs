//! Containers outlive `lbpool up`: the next one goes on with them, and with nobody else's.

use std::time::Duration;

use lbpool_tests::{
    load::{Load, Plan},
    process::{Pool, Sandbox, wait_for},
};
use lbpool_tests_docker::{Engine, LIMIT, Up, docker, pool};
use rustix::process::Signal;

const ROUND: Duration = Duration::from_mins(1);

fn ids(engine: &Engine) -> Vec<String> {
    engine
        .containers("fish")
        .into_iter()
        .map(|container| container.id)
        .collect()
}

#[test]
fn a_pool_that_was_killed_goes_on_with_its_containers() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let before = ids(&engine);
    up.send(Signal::KILL);
    assert_eq!(up.ended().0, None);
    drop(up);
    assert_eq!(ids(&engine), before, "they run on without us");

    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    assert_eq!(ids(&engine), before, "the same containers");
    // And they are ours to end.
    up.send(Signal::TERM);
    let (code, took) = up.ended();
    println!("ended after {took:.0?}");
    assert_eq!(code, Some(0), "{}", up.output());
    engine.assert_nothing_left("fish");
}

#[test]
fn a_template_that_changed_meanwhile_rolls_through_containers_that_serve() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    up.send(Signal::KILL);
    assert_eq!(up.ended().0, None);
    drop(up);

    let text = Pool { version: 2, ..pool() }
        .to_string()
        .replace("lbpool/backend:0.1.0", &engine.image);
    let mut up = Up::begin(&sandbox, &engine, &text, &[]);
    up.until("the first answer", |up| match up.get("/home") {
        Ok(reply) if reply.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
    let load = Load::start(Plan::new(up.address())).unwrap();
    let homes = load.round(ROUND).unwrap();
    up.settled(3, 2);
    assert_eq!(load.round(ROUND).unwrap().moved_from(&homes), 0);
    let figures = load.stop();
    println!("update after a restart: {figures}");
    assert_eq!((figures.failed_in_all(), figures.changes), (0, 0), "{figures}");
}

#[test]
fn down_leaves_nothing_behind_also_after_a_kill() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    let _ = sandbox.lbpool(&["down", "fish"]).success();
    assert_eq!(up.ended().0, Some(0));
    engine.assert_nothing_left("fish");
    drop(up);

    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    up.send(Signal::KILL);
    assert_eq!(up.ended().0, None);
    let removed = sandbox.lbpool(&["down", "fish", "--fleet", "docker"]).success();
    assert_eq!(removed.matches("fish-").count(), 3, "{removed}");
    engine.assert_nothing_left("fish");
    let nothing = sandbox.lbpool(&["down", "fish", "--fleet", "docker"]).failure();
    assert!(nothing.contains("no containers"), "{nothing}");
}

#[test]
fn containers_of_others_are_never_touched() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    // A namesake, another user's pool of the same name, and one whose labels make no sense.
    let label = |name: &str, value: &str| format!("lbpool.dev/{name}={value}");
    let run = |name: &str, labels: &[String]| {
        let mut args = vec!["run", "-d", "--name", name];
        for label in labels {
            args.extend(["--label", label]);
        }
        args.push(&engine.image);
        docker(&args).unwrap()
    };
    let others = [
        run("fish-0", &[]),
        run(
            "fish-1",
            &[
                label("pool", "fish"),
                label("owner", "1@elsewhere"),
                label("namespace", "default"),
            ],
        ),
        run(
            "fish-9",
            &[label("pool", "fish"), label("seat", "fish-0"), label("role", "member")],
        ),
    ];
    let mut up = Up::begin(
        &sandbox,
        &engine,
        &pool().to_string().replace("lbpool/backend:0.1.0", &engine.image),
        &[],
    );
    let serves = |up: &Up<'_>| match up.status()?["status"]["ready"].as_str() {
        Some("3/3") => Ok(()),
        other => Err(format!("{other:?}")),
    };
    up.until("it serves", serves);
    assert_eq!(engine.in_seat("fish-1").unwrap().name.len(), "fish-1-".len() + 5);
    up.send(Signal::TERM);
    assert_eq!(up.ended().0, Some(0));
    let swept = sandbox.lbpool(&["down", "fish", "--fleet", "docker"]).failure();
    assert!(swept.contains("no containers"), "{swept}");
    for other in &others {
        assert_eq!(engine.inspect(other, "{{.State.Running}}").unwrap(), "true");
        docker(&["rm", "-fv", other]).unwrap();
    }
}

#[test]
fn a_container_that_somebody_stops_or_removes_is_replaced() {
    let (sandbox, engine) = (Sandbox::new(), Engine::new());
    let mut up = Up::start(&sandbox, &engine, &pool(), &[]);
    for action in [&["stop", "-t", "0"][..], &["rm", "-f"]] {
        let victim = engine.in_seat("fish-2").unwrap();
        let mut args = action.to_vec();
        args.push(&victim.id);
        docker(&args).unwrap();
        wait_for("a successor", LIMIT, || match engine.in_seat("fish-2")? {
            successor if successor.id != victim.id => Ok(()),
            same => Err(format!("{same:?}")),
        });
        up.settled(3, 1);
    }
}
