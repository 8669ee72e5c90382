//! A member that leaves, and a balancer that ends, finish what they have begun.
#![expect(clippy::unwrap_used, reason = "helpers of a test")]

use std::{io::Read as _, net::TcpStream, time::Duration};

use lbpool_tests::{
    load::{Kind, Load, Plan},
    process::{Pool, Reply, Sandbox, Up, load_time, send},
};

const STREAMS: usize = 12;

/// Requests that are answered for about two seconds, each with a key of its own, and that have begun.
fn streams(up: &Up<'_>) -> Vec<TcpStream> {
    let begin = |n: usize| {
        let header = format!("X-Request-Id: stream-{n}\r\n");
        send(up.address(), "GET", "/stream?chunks=20&interval=100", &header, "").unwrap()
    };
    let streams: Vec<_> = (0..STREAMS).map(begin).collect();
    for stream in &streams {
        // Nothing is taken: the rest is read when it is over.
        assert_eq!(stream.peek(&mut [0]).unwrap(), 1);
    }
    streams
}

/// The servers that answered, each with every chunk.
fn assert_whole(streams: Vec<TcpStream>) -> Vec<String> {
    let whole = |stream| {
        let Reply { status, body } = Reply::read(stream).unwrap();
        let server = body
            .lines()
            .next()
            .unwrap_or_default()
            .strip_prefix("1/20 from ")
            .unwrap_or_default();
        let expected: Vec<_> = (1..=20).map(|n| format!("{n}/20 from {server}")).collect();
        assert_eq!(
            (status, body.lines().collect::<Vec<_>>()),
            (200, expected.iter().map(String::as_str).collect())
        );
        server.to_owned()
    };
    streams.into_iter().map(whole).collect()
}

#[test]
fn requests_to_a_member_that_is_scaled_away_are_finished() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let streams = streams(&up);
    let leaving = up.member("fish-2").unwrap();
    let _ = sandbox.lbpool(&["scale", "fish", "--replicas", "1"]).success();
    up.until("fish-2 has left the table", |up| {
        let answer = up.get("/rep").map_err(|error| error.to_string())?;
        if answer.body.contains("fish-2") {
            Err(answer.body)
        } else {
            Ok(())
        }
    });
    assert!(leaving.lives(), "it still answers what it was asked");
    let servers = assert_whole(streams);
    assert!(servers.iter().any(|server| server == "fish-2"), "{servers:?}");
    up.settled(1, 1);
}

#[test]
fn requests_to_a_member_that_is_replaced_are_finished() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let streams = streams(&up);
    up.apply(&Pool {
        version: 2,
        ..Pool::default()
    });
    assert_whole(streams);
}

#[test]
fn a_seat_can_be_retired_under_load() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let load = Load::start(Plan {
        posts: 20,
        ..Plan::new(up.address())
    })
    .unwrap();
    let before = load.round(Duration::from_secs(20)).unwrap();
    let retired = up.member("fish-1").unwrap();
    up.apply(&Pool {
        fields: "  retired: [fish-1]\n",
        ..Pool::default()
    });
    assert!(!retired.lives());
    let after = load.round(Duration::from_secs(20)).unwrap();
    let figures = load.stop();
    println!("retired: {figures}; {} keys moved", after.moved_from(&before));
    assert_eq!(figures.failed_in_all(), 0, "{figures}");
    assert_eq!(
        after.per_server().into_keys().collect::<Vec<_>>(),
        ["fish-0", "fish-2", "fish-3"]
    );
}

#[test]
fn down_under_load_finishes_what_has_begun() {
    let sandbox = Sandbox::new();
    let mut up = sandbox.up(&Pool::default());
    let load = Load::start(Plan::new(up.address())).unwrap();
    load.round(Duration::from_secs(20)).unwrap();
    std::thread::sleep(load_time() / 4);
    let mut streams = streams(&up);
    let mut first = [0];
    streams[0].read_exact(&mut first).unwrap();
    drop(streams.remove(0)); // a client that goes away does not hold anything up
    let _ = sandbox.lbpool(&["down"]).success();
    assert_whole(streams);
    assert_eq!(up.ended().0, Some(0));
    sandbox.assert_nothing_left(Duration::ZERO);
    let figures = load.stop();
    println!("down: {figures}");
    // Once nobody listens there is no connection. A request that crosses the end of an idle connection on the wire is
    // lost in HTTP/1.1, and its client can tell that it was.
    let due = [Kind::Connect, Kind::Closed, Kind::Reset];
    assert!(figures.failures.keys().all(|kind| due.contains(kind)), "{figures}");
}
