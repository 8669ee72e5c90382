//! Members that fail, and clients that go away.

use std::{
    sync::atomic::{AtomicUsize, Ordering::SeqCst},
    time::Duration,
};

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{
    Act, Client, Member, becomes, document, eventually, key_of, ok, read_ask, seats_document, send, serving, start,
    start_with,
};

/// Answers `/warm` and closes at everything else before it has answered.
async fn dying(name: &str) -> Member {
    Member::scripted(name, |ask| {
        if ask.path() == "/warm" {
            vec![ok("warm")]
        } else {
            vec![Act::Close]
        }
    })
    .await
}

#[tokio::test]
async fn a_get_whose_member_dies_is_answered_by_the_next_rank_and_a_post_is_not_sent_twice() {
    let (a, b) = (dying("a").await, Member::named("b").await);
    let (balancer, mut client) = serving(&[&a, &b], json!({})).await;
    let key = key_of(&balancer, "a");
    assert_eq!(client.get("/", &key).await.body, "b");
    let before = b.seen.count();
    for body in ["once", &"x".repeat(60_000)] {
        let answer = client.post("/", &key, body).await;
        assert_eq!((answer.status, answer.reason()), (502, "member-closed"));
        assert_eq!(b.seen.count(), before, "it may have been carried out already");
    }
    assert_eq!(client.get("/", &key).await.body, "b", "the client's connection goes on");
}

#[tokio::test]
async fn a_kept_connection_that_the_member_has_closed_costs_no_request() {
    // Each connection serves one request and then closes without a word.
    let a = Member::scripted("a", |_| vec![ok("fresh"), Act::Close]).await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    for _ in 0..20 {
        assert_eq!(client.get("/", "k").await.body, "fresh");
        a.seen
            .until("the member has closed", |seen| seen.open.load(SeqCst) == 0)
            .await;
        assert_eq!(client.post("/", "k", "body").await.body, "fresh");
    }
    assert_eq!(a.seen.count(), 40, "none was sent twice");
    assert!(
        balancer.shared().snapshot().members[0]
            .ready(balancer.shared().now())
            .is_some(),
        "that is no fault"
    );
}

#[tokio::test]
async fn a_408_on_a_kept_connection_is_the_end_of_the_connection_and_not_of_the_request() {
    const FAREWELL: &str = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
    for (budget, want) in [(20, 200), (0, 408)] {
        let a = Member::raw("a", |mut stream, seen| async move {
            let mut buffer = Vec::new();
            for answer in ["HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", FAREWELL] {
                let Some(ask) = read_ask(&mut stream, &mut buffer).await else {
                    return;
                };
                seen.note(&ask.head);
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await;
        let routing = json!({"retries": {"attempts": 2, "budget": budget}});
        let (_balancer, mut client) = serving(&[&a], routing).await;
        assert_eq!(client.get("/", "k").await.status, 200);
        assert_eq!(client.get("/", "k").await.status, want, "budget {budget}");
        assert_eq!(a.seen.count(), if want == 200 { 3 } else { 2 });
    }
}

#[tokio::test]
async fn a_408_to_a_request_that_may_not_be_sent_again_is_its_answer() {
    let answered = AtomicUsize::new(0);
    let a = Member::scripted("a", move |_| match answered.fetch_add(1, SeqCst) {
        0 => vec![ok("warm")],
        _ => vec![send(
            "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
        )],
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    assert_eq!(client.get("/", "k").await.status, 200);
    assert_eq!(client.post("/", "k", "once").await.status, 408);
    assert_eq!(a.seen.count(), 2);
}

#[tokio::test]
async fn a_request_that_never_left_goes_to_the_next_rank_whatever_its_method() {
    // The long one is not kept once it was sent: until then it is.
    for length in [4, 60_000] {
        let gone = Member::named("a").await;
        let b = Member::scripted("b", |ask| vec![ok(&ask.body.len().to_string())]).await;
        let balancer = start();
        balancer
            .publish(document(1, &[&gone, &b], &json!({"loadBound": 0})))
            .await
            .unwrap();
        let key = key_of(&balancer, "a");
        gone.kill().await;
        let mut client = Client::to(balancer.local_addr()).await;
        let answer = client.post("/", &key, &"x".repeat(length)).await;
        assert_eq!(answer.body, length.to_string());
        assert_eq!(b.seen.count(), 1);
        let snapshot = balancer.shared().snapshot();
        assert!(
            snapshot.members[0].ready(balancer.shared().now()).is_none(),
            "a refused connection ejects"
        );
        assert_eq!(client.get("/", &key).await.body, "0", "spilled");
    }
}

#[tokio::test]
async fn what_may_not_be_sent_again_is_not() {
    for retries in [
        json!({"attempts": 0, "budget": 20}),
        json!({"attempts": 2, "budget": 0}),
    ] {
        let (a, b) = (dying("a").await, Member::named("b").await);
        let (balancer, mut client) = serving(&[&a, &b], json!({"retries": retries})).await;
        let answer = client.get("/", &key_of(&balancer, "a")).await;
        assert_eq!((answer.status, answer.reason()), (502, "member-closed"), "{retries}");
    }
}

#[tokio::test]
async fn after_the_attempts_the_last_failure_is_told() {
    let members = [dying("a").await, dying("b").await, dying("c").await, dying("d").await];
    let (_balancer, mut client) = serving(&members.each_ref(), json!({"retries": {"attempts": 2}})).await;
    let answer = client.get("/", "k").await;
    assert_eq!((answer.status, answer.reason()), (502, "member-closed"));
    assert_eq!(members.iter().map(|member| member.seen.count()).sum::<usize>(), 3);
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_passed_on_as_broken_off() {
    let a = Member::scripted("a", |_| {
        vec![send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"), Act::Close]
    })
    .await;
    let b = Member::named("b").await;
    let (balancer, mut client) = serving(&[&a, &b], json!({})).await;
    client
        .send(format!(
            "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {}\r\n\r\n",
            key_of(&balancer, "a")
        ))
        .await;
    assert_eq!(client.try_answer("GET").await, None);
    assert_eq!(b.seen.count(), 0);
}

#[tokio::test]
async fn what_is_no_answer_becomes_a_502_and_its_connection_is_not_used_again() {
    for garbage in [
        "nonsense\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
    ] {
        let a = Member::scripted("a", move |_| vec![send(garbage)]).await;
        let (_balancer, mut client) = serving(&[&a], json!({})).await;
        for n in 1..=2 {
            let answer = client.get("/", "k").await;
            assert_eq!((answer.status, answer.reason()), (502, "bad-answer"), "{garbage:?}");
            assert_eq!(a.seen.connections.load(SeqCst), n, "{garbage:?}");
        }
    }
}

#[tokio::test]
async fn bytes_behind_an_answer_never_reach_the_next_request() {
    let a = Member::scripted("a", |ask| match ask.path() {
        "/1" => vec![send(
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
        )],
        _ => vec![ok("two")],
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    assert_eq!(client.get("/1", "k").await.body, "one");
    assert_eq!(client.get("/2", "k").await.body, "two");
}

#[tokio::test]
async fn a_member_that_does_not_answer_becomes_a_504_in_time_and_is_not_asked_again() {
    let a = Member::raw("a", |mut stream, seen| async move {
        while let Some(ask) = read_ask(&mut stream, &mut Vec::new()).await {
            seen.note(&ask.head);
        }
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({"timeouts": {"response": "200ms"}})).await;
    let start = tokio::time::Instant::now();
    let answer = client.get("/", "k").await;
    assert_eq!((answer.status, answer.reason()), (504, "response-timeout"));
    assert!(start.elapsed() >= Duration::from_millis(200), "{:?}", start.elapsed());
    assert_eq!(a.seen.count(), 1);
    a.seen
        .until("the connection is closed", |seen| seen.open.load(SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn a_client_that_goes_away_takes_its_request_with_it() {
    let a = Member::raw("a", |mut stream, seen| async move {
        let ask = read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        seen.note(&ask.head);
        // Ends when the balancer closes, and not before.
        assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);
    })
    .await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    a.seen.until("the request is there", |seen| seen.count() == 1).await;
    assert_eq!(balancer.report().in_flight, [("a".to_owned(), 1)]);
    drop(client);
    a.seen
        .until("the connection is closed", |seen| seen.open.load(SeqCst) == 0)
        .await;
    let shared = balancer.shared();
    eventually("nothing is in flight", || balancer.report().in_flight.is_empty()).await;
    becomes(1, || shared.stats()[0].client_aborts.get()).await;
}

#[tokio::test]
async fn a_client_that_is_too_slow_with_its_head_is_told_so() {
    let balancer = start_with(|config| config.limits.head_timeout = Duration::from_millis(100));
    let mut client = Client::to(balancer.local_addr()).await;
    client.send("GET / HT").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.reason()), (408, "head-timeout"));
    assert!(client.ends().await);
}

#[tokio::test]
async fn a_client_that_is_idle_for_too_long_is_left() {
    let a = Member::named("a").await;
    let (_balancer, mut client) = serving(&[&a], json!({"timeouts": {"idle": "100ms"}})).await;
    assert_eq!(client.get("/", "k").await.body, "a");
    assert!(client.ends().await);
}

#[tokio::test]
async fn a_member_that_nobody_knows_a_place_of_spills() {
    let b = Member::named("b").await;
    let balancer = start();
    let seats = [json!({"name": "a"}), json!({"name": "b", "address": b.address})];
    balancer.publish(seats_document(1, &seats, &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", &key_of(&balancer, "a")).await.body, "b");
    client.stream.shutdown().await.unwrap();
}
