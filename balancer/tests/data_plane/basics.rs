//! Requests and answers as they should be.

use std::{collections::HashSet, time::Duration};

use lbpool_balancer::{Opening, control};
use serde_json::json;
use tokio::sync::mpsc;

use crate::support::{Client, Member, document, key_of, send, serving, start, start_with};

#[tokio::test]
async fn a_key_goes_to_its_member_each_time_over_one_connection() {
    let (a, b, c) = (
        Member::named("a").await,
        Member::named("b").await,
        Member::named("c").await,
    );
    let (balancer, mut client) = serving(&[&a, &b, &c], json!({})).await;
    let mut served = HashSet::new();
    for name in ["a", "b", "c", "a", "c", "b"] {
        let answer = client.get("/", &key_of(&balancer, name)).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, name));
        served.insert(answer.body);
    }
    assert_eq!(served.len(), 3);
    assert_eq!(
        a.seen.connections.load(std::sync::atomic::Ordering::SeqCst),
        1,
        "the connection is kept"
    );
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let a = Member::scripted("a", |ask| vec![crate::support::ok(ask.path())]).await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    let requests: Vec<_> = (0..50)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .collect();
    client.send(requests.concat()).await;
    for n in 0..50 {
        assert_eq!(client.answer().await.body, format!("/{n}"));
    }
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_read() {
    let a = Member::named("a").await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    for byte in b"GET / HTTP/1.1\r\nHost: h\r\n\r\n" {
        client.send([*byte]).await;
        tokio::task::yield_now().await;
    }
    assert_eq!(client.answer().await.body, "a");
}

#[tokio::test]
async fn answers_without_a_body_leave_the_connection_in_step() {
    let a = Member::scripted("a", |ask| {
        vec![send(match ask.path() {
            "/204" => "HTTP/1.1 204 No Content\r\n\r\n",
            "/304" => "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n",
            "/head" => "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n",
            _ => "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        })]
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    for _ in 0..2 {
        assert_eq!(client.get("/204", "k").await.status, 204);
        assert_eq!(client.get("/304", "k").await.status, 304);
        client.send("HEAD /head HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert_eq!(client.answer_to("HEAD").await.header("content-length"), Some("7"));
        assert_eq!(client.get("/", "k").await.body, "ok");
    }
    assert_eq!(a.seen.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_member_sees_who_asked_and_gets_an_id() {
    let a = Member::named("a").await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 8.8.8.8\r\nConnection: x-hop\r\nX-Hop: 1\r\n\r\n")
        .await;
    client.answer().await;
    let head = a.seen.last();
    let field = |name| crate::support::header(&head, name);
    assert_eq!(field("x-forwarded-for"), Some("127.0.0.1"));
    assert_eq!(field("x-request-id").map(str::len), Some(32));
    assert_eq!(field("x-hop"), None);
    assert!(field("via").is_some_and(|via| via.contains("lbpool")), "{head}");
}

#[tokio::test]
async fn an_old_client_gets_no_chunks_and_a_closed_connection() {
    let a = Member::scripted("a", |_| {
        vec![send(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        )]
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!(
        (answer.body.as_str(), answer.header("transfer-encoding")),
        ("hello", None)
    );
    assert!(client.ends().await);
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_passed_on_whole() {
    let a = Member::scripted("a", |_| {
        vec![send("HTTP/1.1 200 OK\r\n\r\nuntil the end"), crate::support::Act::Close]
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    let answer = client.get("/", "k").await;
    assert_eq!(
        (answer.body.as_str(), answer.header("connection")),
        ("until the end", Some("close"))
    );
}

#[tokio::test]
async fn what_is_no_request_is_refused_with_a_reason_and_never_sent_on() {
    let a = Member::named("a").await;
    let (balancer, _) = serving(&[&a], json!({})).await;
    let long = format!("GET / HTTP/1.1\r\nHost: h\r\nX: {}\r\n\r\n", "x".repeat(40_000));
    let both = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
    let table = [
        ("GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
        ("GET / HTTP/1.1\nHost: h\n\n", 400, "malformed"),
        (both, 400, "ambiguous"),
        (long.as_str(), 431, "too-large"),
        ("GET / HTTP/3.0\r\nHost: h\r\n\r\n", 505, "unsupported"),
        ("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n", 501, "unsupported"),
    ];
    for (request, status, reason) in table {
        let mut client = Client::to(balancer.local_addr()).await;
        client
            .send(format!("{request}GET /second HTTP/1.1\r\nHost: h\r\n\r\n"))
            .await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason()), (status, reason), "{request:.60}");
        assert_eq!(answer.header("connection"), Some("close"), "{request:.60}");
        assert!(client.ends().await, "{request:.60}");
    }
    assert_eq!(a.seen.count(), 0);
}

#[tokio::test]
async fn before_the_first_document_a_request_is_told_so() {
    let balancer = start();
    let mut client = Client::to(balancer.local_addr()).await;
    for _ in 0..2 {
        let answer = client.get("/", "k").await;
        assert_eq!(
            (answer.status, answer.reason(), answer.header("retry-after")),
            (503, "no-member", Some("1"))
        );
        assert_eq!(answer.header("x-request-id"), Some("k"));
    }
}

#[tokio::test]
async fn who_comes_before_the_members_waits_for_them() {
    let a = Member::named("a").await;
    let balancer = start_with(|config| {
        config.opening = Opening {
            members: 1,
            within: Duration::from_mins(1),
        };
    });
    let mut client = Client::to(balancer.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    balancer.publish(document(1, &[], &json!({}))).await.unwrap();
    balancer.publish(document(2, &[&a], &json!({}))).await.unwrap();
    assert_eq!(client.answer().await.status, 200);
}

#[tokio::test]
async fn who_comes_early_is_answered_in_the_end_without_members_too() {
    let balancer = start_with(|config| {
        config.opening = Opening {
            members: 1,
            within: Duration::from_millis(30),
        };
    });
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", "k").await.status, 503);
}

#[tokio::test]
async fn on_request_an_answer_says_which_member_gave_it() {
    let a = Member::named("a").await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send("GET / HTTP/1.1\r\nHost: h\r\nX-Lbpool-Debug: 1\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.header("x-lbpool-member"), Some("a"));
    assert_eq!(answer.header("x-lbpool-epoch"), Some("1"));
    assert_eq!(
        answer.header("x-lbpool-digest"),
        Some(balancer.report().digest.as_str())
    );
    assert_eq!(client.get("/", "k").await.header("x-lbpool-member"), None);
}

#[tokio::test]
async fn control_requests_go_to_whoever_takes_them_and_no_others_do() {
    let a = Member::named("member").await;
    let (sender, mut requests) = mpsc::channel::<control::Request>(4);
    let balancer = start_with(|config| config.control = Some(sender));
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    let take = async {
        let first = requests.recv().await.unwrap();
        assert_eq!(
            (first.method.as_str(), first.path.as_str(), &first.body[..]),
            ("POST", "/add", &b"{}"[..])
        );
        assert_eq!((first.host.as_deref(), first.origin.as_deref()), (Some("test"), None));
        first
            .reply
            .send(control::Reply {
                status: 200,
                body: "{\"N\":4}".to_owned(),
            })
            .unwrap();
        // Dropped unanswered.
        drop(requests.recv().await.unwrap());
    };
    let ask = async {
        assert_eq!(client.post("/add", "k", "{}").await.body, "{\"N\":4}");
        let answer = client.get("/rep", "k").await;
        assert_eq!((answer.status, answer.reason()), (503, "control-busy"));
        for path in ["/reports", "/rep/", "/"] {
            assert_eq!(client.get(path, "k").await.body, "member", "{path}");
        }
    };
    tokio::join!(take, ask);
}
