//! Owners that are away: Spill, Hold, Fail; and owners that have too much to do.

use std::{sync::Arc, time::Duration};

use lbpool_balancer::Balancer;
use serde_json::{Value, json};
use tokio::sync::Notify;

use crate::support::{Act, Client, Member, document, eventually, key_of, ok, seats_document, serving, start};

fn hold(timeout: &str) -> Value {
    json!({"whenAway": {"policy": "Hold", "holdTimeout": timeout}})
}

/// Seats `a` and `b`; nobody sits in `a`.
async fn without_a(b: &Member, routing: &Value) -> (Balancer, Client) {
    let balancer = start();
    let seats = [
        json!({"name": "a", "state": "Vacant"}),
        json!({"name": "b", "address": b.address}),
    ];
    balancer.publish(seats_document(1, &seats, routing)).await.unwrap();
    let client = Client::to(balancer.local_addr()).await;
    (balancer, client)
}

fn held(balancer: &Balancer) -> u64 {
    balancer.shared().stats().iter().map(|stats| stats.held.get()).sum()
}

#[tokio::test]
async fn keys_of_a_vacant_seat_spill_and_come_home() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let (balancer, mut client) = without_a(&b, &json!({})).await;
    let key = key_of(&balancer, "a");
    assert_eq!(client.get("/", &key).await.body, "b");
    let published = balancer.publish(document(2, &[&a, &b], &json!({}))).await.unwrap();
    assert!(published.moved.abs() < f64::EPSILON, "{published:?}");
    assert_eq!(client.get("/", &key).await.body, "a");
}

#[tokio::test]
async fn with_fail_the_keys_of_a_vacant_seat_are_refused_and_no_others() {
    let b = Member::named("b").await;
    let (balancer, mut client) = without_a(&b, &json!({"whenAway": {"policy": "Fail"}})).await;
    let answer = client.get("/", &key_of(&balancer, "a")).await;
    assert_eq!((answer.status, answer.reason()), (503, "member-away"));
    assert_eq!(client.get("/", &key_of(&balancer, "b")).await.body, "b");
    for _ in 0..20 {
        client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(
            client.answer().await.body,
            "b",
            "a request without a key goes to anyone"
        );
    }
}

#[tokio::test]
async fn held_requests_wait_for_their_own_member() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let (balancer, mut client) = without_a(&b, &hold("20s")).await;
    let key = key_of(&balancer, "a");
    let come_back = async {
        eventually("a request waits", || held(&balancer) == 1).await;
        balancer.publish(document(2, &[&a, &b], &hold("20s"))).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.post("/", &key, "patient"), come_back);
    assert_eq!(answer.body, "a");
    assert_eq!((held(&balancer), b.seen.count()), (0, 0));
}

#[tokio::test]
async fn a_body_that_arrives_while_its_request_is_held_goes_along_with_it() {
    let a = Member::scripted("a", |ask| vec![ok(&String::from_utf8_lossy(&ask.body))]).await;
    let b = Member::named("b").await;
    let (balancer, mut client) = without_a(&b, &hold("20s")).await;
    let key = key_of(&balancer, "a");
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {key}\r\nContent-Length: 9\r\n\r\nGET"
        ))
        .await;
    eventually("the request waits", || held(&balancer) == 1).await;
    client.send(" /ev").await;
    // What follows is a request of its own; the body before it is not.
    client
        .send(format!("ilGET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {key}\r\n\r\n"))
        .await;
    // Long enough for the balancer to read what it may read while the request waits.
    tokio::time::sleep(Duration::from_millis(100)).await;
    balancer.publish(document(2, &[&a, &b], &hold("20s"))).await.unwrap();
    assert_eq!(client.answer().await.body, "GET /evil");
    assert_eq!(client.answer().await.body, "");
    assert_eq!(a.seen.count(), 2);
}

#[tokio::test]
async fn a_held_request_spills_when_its_time_is_over() {
    let b = Member::named("b").await;
    let (balancer, mut client) = without_a(&b, &hold("150ms")).await;
    let start = tokio::time::Instant::now();
    assert_eq!(client.get("/", &key_of(&balancer, "a")).await.body, "b");
    assert!(start.elapsed() >= Duration::from_millis(150), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_held_get_whose_member_was_killed_goes_to_the_successor() {
    let never = Arc::new(Notify::new());
    let old = Member::scripted("a", move |_| vec![Act::Wait(Arc::clone(&never))]).await;
    let b = Member::named("b").await;
    let (balancer, mut client) = serving(&[&old, &b], hold("20s")).await;
    let key = key_of(&balancer, "a");
    let replace = async {
        old.seen.until("the request is there", |seen| seen.count() == 1).await;
        old.kill().await;
        eventually("the request waits", || held(&balancer) == 1).await;
        let successor = Member::named("successor").await;
        let seats = [
            json!({"name": "a", "pod": "a-2", "address": successor.address}),
            json!({"name": "b", "pod": "b", "address": b.address}),
        ];
        balancer.publish(seats_document(2, &seats, &hold("20s"))).await.unwrap();
        successor
    };
    let (answer, successor) = tokio::join!(client.get("/", &key), replace);
    assert_eq!(answer.body, "successor");
    assert_eq!((successor.seen.count(), b.seen.count()), (1, 0));
}

#[tokio::test]
async fn with_hold_a_lone_member_that_restarts_at_its_place_loses_no_request() {
    let a = Member::named("a").await;
    let address = a.address;
    let (balancer, mut client) = serving(&[&a], hold("20s")).await;
    a.kill().await;
    let restart = async {
        eventually("the request waits", || held(&balancer) == 1).await;
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let (mut stream, _) = listener.accept().await.unwrap();
        let ask = crate::support::read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        let Act::Send(answer) = ok("again") else { unreachable!() };
        tokio::io::AsyncWriteExt::write_all(&mut stream, &answer).await.unwrap();
        ask.head
    };
    let (answer, head) = tokio::join!(client.post("/", "k", "never left"), restart);
    assert_eq!(answer.body, "again", "{head}");
}

#[tokio::test]
async fn a_client_that_goes_away_does_not_wait() {
    let b = Member::named("b").await;
    let (balancer, mut client) = without_a(&b, &hold("20s")).await;
    let key = key_of(&balancer, "a");
    client
        .send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {key}\r\n\r\n"))
        .await;
    eventually("the request waits", || held(&balancer) == 1).await;
    drop(client);
    eventually("nobody waits", || held(&balancer) == 0).await;
    assert_eq!(b.seen.count(), 0);
}

#[tokio::test]
async fn no_more_than_so_many_wait() {
    let b = Member::named("b").await;
    let balancer = crate::support::start_with(|config| config.limits.holds_per_member = 1);
    let seats = [
        json!({"name": "a", "state": "Vacant"}),
        json!({"name": "b", "address": b.address}),
    ];
    balancer.publish(seats_document(1, &seats, &hold("20s"))).await.unwrap();
    let key = key_of(&balancer, "a");
    let mut first = Client::to(balancer.local_addr()).await;
    first
        .send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {key}\r\n\r\n"))
        .await;
    eventually("the request waits", || held(&balancer) == 1).await;
    let mut second = Client::to(balancer.local_addr()).await;
    assert_eq!(second.get("/", &key).await.body, "b");
}

#[tokio::test]
async fn above_the_load_bound_keys_spill_and_come_home() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let a = Member::scripted("a", move |ask| match ask.path() {
        "/slow" => vec![Act::Wait(Arc::clone(&wait)), ok("a")],
        _ => vec![ok("a")],
    })
    .await;
    let b = Member::named("b").await;
    let balancer = crate::support::start_with(|config| config.limits.load_floor = 4);
    balancer
        .publish(document(1, &[&a, &b], &json!({"loadBound": 125})))
        .await
        .unwrap();
    let key = key_of(&balancer, "a");
    let mut busy = Vec::new();
    for n in 1..=4 {
        let mut client = Client::to(balancer.local_addr()).await;
        client
            .send(format!("GET /slow HTTP/1.1\r\nHost: h\r\nX-Request-Id: {key}\r\n\r\n"))
            .await;
        a.seen.until("the request is there", |seen| seen.count() == n).await;
        busy.push(client);
    }
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", &key).await.body, "b");
    go.notify_waiters();
    for client in &mut busy {
        assert_eq!(client.answer().await.body, "a");
    }
    eventually("nothing is in flight", || balancer.report().in_flight.is_empty()).await;
    assert_eq!(client.get("/", &key).await.body, "a");
}
