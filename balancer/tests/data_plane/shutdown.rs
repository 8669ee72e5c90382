//! How it ends, and how it does not begin.

use std::{sync::Arc, time::Duration};

use lbpool_balancer::{Balancer, Config, Error, Opening, stats::Count};
use serde_json::json;
use tokio::{net::TcpStream, sync::Notify};

use crate::support::{Act, Client, Member, PATIENCE, eventually, ok, serving, start_with};

async fn slow(go: &Arc<Notify>) -> Member {
    let wait = Arc::clone(go);
    let script = move |ask: &crate::support::Ask| match ask.path() {
        "/slow" => vec![Act::Wait(Arc::clone(&wait)), ok("done")],
        _ => vec![ok("quick")],
    };
    Member::scripted("a", script).await
}

#[tokio::test]
async fn what_is_in_flight_is_finished_and_what_is_idle_ends() {
    let go = Arc::new(Notify::new());
    let a = slow(&go).await;
    let (balancer, mut idle) = serving(&[&a], json!({})).await;
    let address = balancer.local_addr();
    assert_eq!(idle.get("/", "k").await.body, "quick");
    let mut busy = Client::to(address).await;
    busy.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    a.seen.until("the request is there", |seen| seen.count() == 2).await;
    let client = async {
        assert!(idle.ends().await);
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        go.notify_waiters();
        let answer = busy.answer().await;
        assert_eq!(
            (answer.body.as_str(), answer.header("connection")),
            ("done", Some("close"))
        );
        assert!(busy.ends().await);
    };
    let start = tokio::time::Instant::now();
    tokio::join!(balancer.shutdown(PATIENCE), client);
    assert!(
        start.elapsed() < Duration::from_secs(5),
        "it does not wait for the end of its grace"
    );
}

#[tokio::test]
async fn connections_that_never_asked_anything_do_not_hold_a_shutdown_up() {
    let a = Member::named("a").await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    let shared = balancer.shared();
    eventually("it is accepted", || shared.stats()[0].connections.get() == 1).await;
    let start = tokio::time::Instant::now();
    tokio::join!(balancer.shutdown(PATIENCE), async { assert!(client.ends().await) });
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
}

#[tokio::test]
async fn what_does_not_end_in_its_grace_is_cut() {
    let go = Arc::new(Notify::new());
    let a = slow(&go).await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    client.send("GET /slow HTTP/1.1\r\nHost: h\r\n\r\n").await;
    a.seen.until("the request is there", |seen| seen.count() == 1).await;
    balancer.shutdown(Duration::from_millis(50)).await;
    assert!(client.ends().await);
}

#[tokio::test]
async fn a_dropped_balancer_ends_at_once() {
    let a = Member::named("a").await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    assert_eq!(client.get("/", "k").await.body, "a");
    drop(balancer);
    assert!(client.ends().await);
}

#[tokio::test]
async fn a_port_in_use_is_an_error_that_says_so() {
    let a = Member::named("a").await;
    let config = Config {
        listen: a.address,
        workers: 2,
        ..Config::default()
    };
    let error = Balancer::start(config).unwrap_err();
    assert!(
        matches!(error, Error::PortInUse(address) if address == a.address),
        "{error}"
    );
    // The port of another balancer is shared by its workers, and by them alone.
    let (first, _) = serving(&[&a], json!({})).await;
    let config = Config {
        listen: first.local_addr(),
        ..Config::default()
    };
    assert!(matches!(Balancer::start(config), Err(Error::PortInUse(_))));
}

#[tokio::test]
async fn a_limit_that_makes_no_sense_is_refused() {
    let mut config = Config::default();
    config.limits.head_bytes = 1 << 20;
    let error = Balancer::start(config).unwrap_err().to_string();
    assert!(error.contains("limits.head_bytes is 1048576"), "{error}");
}

#[tokio::test]
async fn gauges_are_back_at_nothing_when_nothing_is_left() {
    let a = Member::named("a").await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    for _ in 0..10 {
        client.get("/", "k").await;
    }
    drop(client);
    let shared = balancer.shared();
    let stats = &shared.stats()[0];
    eventually("no connection is open", || stats.connections.get() == 0).await;
    assert_eq!((stats.in_flight.get(), stats.sent.get(), stats.held.get()), (0, 0, 0));
    assert_eq!(
        (
            stats.requests[2].get(),
            stats.upstream_connects.get(),
            stats.upstream_reuses.get()
        ),
        (10, 1, 9)
    );
    assert_eq!(stats.latency.iter().map(Count::get).sum::<u64>(), 10);
}

#[tokio::test]
async fn whoever_waits_in_the_kernel_when_it_ends_is_answered() {
    // Nobody serves yet, so nothing is accepted.
    let balancer = start_with(|config| {
        config.workers = 2;
        config.opening = Opening {
            members: 1,
            within: PATIENCE,
        };
    });
    let mut clients = Vec::new();
    for _ in 0..500 {
        let mut client = Client::to(balancer.local_addr()).await;
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        clients.push(client);
    }
    let answers = async {
        for client in &mut clients {
            let answer = client.answer().await;
            assert_eq!((answer.status, answer.header("connection")), (503, Some("close")));
        }
    };
    tokio::join!(balancer.shutdown(PATIENCE), answers);
}
