//! The balancer alone, with a members file and no operator: a balancer for plain machines.

#![expect(clippy::panic, reason = "helpers of a test")]
use std::{fmt::Write as _, net::SocketAddr, time::Duration};

use lbpool_tests::{
    load::{Homes, Load, Plan},
    process::{Reply, Sandbox, Started, request, send, wait_for},
};
use rustix::process::Signal;

const ROUND: Duration = Duration::from_secs(20);
const KEYS: usize = 2000;

fn member(sandbox: &Sandbox, name: &str) -> (String, SocketAddr, Started) {
    let address = sandbox.free_address();
    let port = address.port().to_string();
    let mut started = sandbox.start(name, "backend", &["--id", name, "--port", &port, "--trials"]);
    answers(&mut started, address);
    (name.to_owned(), address, started)
}

fn balancer(sandbox: &Sandbox, file: &str) -> (SocketAddr, Started) {
    let (listen, admin) = (sandbox.free_address(), sandbox.free_address());
    let args = [
        "--members",
        file,
        "--listen",
        &listen.to_string(),
        "--admin",
        &admin.to_string(),
        "--workers",
        "2",
    ];
    let mut started = sandbox.start("balancer", "balancer", &args);
    answers(&mut started, listen);
    (listen, started)
}

fn answers(started: &mut Started, address: SocketAddr) {
    started.until("an answer", || match request(address, "GET", "/heartbeat", "", "") {
        Ok(reply) if reply.status == 200 => Ok(()),
        other => Err(format!("{other:?}")),
    });
}

fn file(members: &[(String, SocketAddr, Started)]) -> String {
    let mut text = "pool: web\nrouting: {loadBound: 0}\nmembers:\n".to_owned();
    for (name, address, _) in members {
        writeln!(text, "- {{name: {name}, address: \"{address}\"}}").unwrap_or_default();
    }
    text
}

/// Waits until so many servers answer, and then for one more answer for each key: in the round that showed the new
/// number, some keys were answered before the change.
fn spread_over(load: &Load, servers: usize) -> Homes {
    wait_for("the file is read", ROUND, || {
        let now = load.round(ROUND)?.per_server();
        if now.len() == servers {
            Ok(())
        } else {
            Err(format!("{now:?}"))
        }
    });
    load.round(ROUND).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
#[expect(clippy::cast_precision_loss, reason = "a share of the keys")]
fn a_new_members_file_is_taken_over_under_load_and_a_wrong_one_is_not() {
    let sandbox = Sandbox::new();
    let mut members: Vec<_> = ["a", "b", "c"].iter().map(|name| member(&sandbox, name)).collect();
    let path = sandbox.write("members.yaml", &file(&members));
    let (address, mut balancer) = balancer(&sandbox, path.to_str().unwrap());
    let load = Load::start(Plan {
        keys: KEYS,
        posts: 20,
        ..Plan::new(address)
    })
    .unwrap();
    let at_3 = spread_over(&load, 3);

    members.push(member(&sandbox, "d"));
    let _ = sandbox.write("members.yaml", &file(&members));
    let at_4 = spread_over(&load, 4);
    let factor = at_4.moved_from(&at_3) as f64 / (Homes::ideal_share(3, 4) * KEYS as f64);
    println!("a member more: {factor:.3} x the ideal moved");
    // The sample of keys alone varies by 4 %.
    assert!(factor < 1.12, "{factor}");

    let _ = sandbox.write("members.yaml", "pool: web\nmembers: [{name: a, address: here}]\n");
    balancer.until("the wrong file is refused", || {
        let log = std::fs::read_to_string(sandbox.path().join("balancer.log")).unwrap_or_default();
        if log.contains("members.yaml") && log.contains("members[0].address") {
            Ok(())
        } else {
            Err(log)
        }
    });
    assert_eq!(
        load.round(ROUND).unwrap().moved_from(&at_4),
        0,
        "a wrong file moves nothing"
    );

    let leaving = members.pop();
    let _ = sandbox.write("members.yaml", &file(&members));
    assert_eq!(spread_over(&load, 3).moved_from(&at_3), 0, "every key is home again");
    drop(leaving);
    let figures = load.stop();
    println!("members file: {figures}");
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
}

#[test]
fn sigterm_finishes_what_is_under_way() {
    let sandbox = Sandbox::new();
    let members: Vec<_> = ["a", "b"].iter().map(|name| member(&sandbox, name)).collect();
    let path = sandbox.write("members.yaml", &file(&members));
    let (address, mut balancer) = balancer(&sandbox, path.to_str().unwrap());
    let stream = send(address, "GET", "/stream?chunks=10&interval=50", "", "").unwrap();
    assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    balancer.send(Signal::TERM);
    let reply = Reply::read(stream).unwrap();
    assert_eq!((reply.status, reply.body.lines().count()), (200, 10), "{}", reply.body);
    assert_eq!(balancer.ended().0, Some(0));
}
