//! Members that answer while the body is still coming, and clients that close their side.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::Notify,
    time::timeout,
};

use crate::support::{Act, Member, PATIENCE, ok, read_ask, serving};

#[tokio::test]
async fn what_follows_an_early_answer_is_no_request_whatever_the_member_sends_behind_it() {
    for surplus in ["", "more than it said"] {
        let go = Arc::new(Notify::new());
        let wait = Arc::clone(&go);
        let member = Member::raw("member", move |mut stream, seen| {
            let wait = Arc::clone(&wait);
            async move {
                let mut buffer = Vec::new();
                while !buffer.ends_with(b"\r\n\r\n") {
                    if stream.read_buf(&mut buffer).await.unwrap_or(0) == 0 {
                        return;
                    }
                }
                seen.note(&String::from_utf8(buffer).unwrap());
                let answer = b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello";
                stream.write_all(answer).await.unwrap();
                wait.notified().await;
                stream.write_all(format!("world{surplus}").as_bytes()).await.unwrap();
                while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
            }
        })
        .await;
        let (_balancer, mut client) = serving(&[&member], json!({})).await;
        client
            .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n")
            .await;
        let mut begun = Vec::new();
        while !begun.ends_with(b"hello") {
            assert!(client.stream.read_buf(&mut begun).await.unwrap() > 0);
        }
        go.notify_one();
        let mut rest = [0; 5];
        client.stream.read_exact(&mut rest).await.unwrap();
        assert_eq!(&rest, b"world");
        // The rest of the body, as somebody writes it who hopes that it is read as a request.
        client.send("GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n").await;
        assert!(client.ends().await, "surplus {surplus:?}");
        assert_eq!(member.seen.count(), 1, "surplus {surplus:?}");
    }
}

#[tokio::test]
async fn a_client_that_closes_its_side_behind_several_requests_gets_all_answers() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let member = Member::scripted("member", move |ask| vec![Act::Wait(Arc::clone(&wait)), ok(ask.path())]).await;
    let (_balancer, mut client) = serving(&[&member], json!({})).await;
    let requests: Vec<String> = (1..=3)
        .map(|n| format!("GET /{n} HTTP/1.1\r\nHost: h\r\n\r\n"))
        .collect();
    client.send(requests.concat()).await;
    client.stream.shutdown().await.unwrap();
    for n in 1..=3 {
        member
            .seen
            .until("the request is there", |seen| seen.count() == n)
            .await;
        go.notify_one();
        assert_eq!(client.answer().await.body, format!("/{n}"));
    }
    assert!(client.ends().await);
}

#[tokio::test]
async fn a_client_that_closes_its_side_while_the_last_of_several_is_answered_gets_that_answer() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let member = Member::scripted("member", move |ask| vec![Act::Wait(Arc::clone(&wait)), ok(ask.path())]).await;
    let (_balancer, mut client) = serving(&[&member], json!({})).await;
    client
        .send("GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n")
        .await;
    go.notify_one();
    assert_eq!(client.answer().await.body, "/1");
    member.seen.until("the second is there", |seen| seen.count() == 2).await;
    client.stream.shutdown().await.unwrap();
    go.notify_one();
    assert_eq!(client.answer().await.body, "/2");
    assert!(client.ends().await);
}

#[tokio::test]
async fn a_client_that_closes_its_side_inside_a_body_takes_its_request_with_it() {
    let member = Member::raw("member", |mut stream, seen| async move {
        assert!(read_ask(&mut stream, &mut Vec::new()).await.is_none());
        seen.note("no end");
    })
    .await;
    let (_balancer, mut client) = serving(&[&member], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhello")
        .await;
    client.stream.shutdown().await.unwrap();
    assert!(client.ends().await);
    member
        .seen
        .until("its member sees no end", |seen| seen.count() == 1)
        .await;
}

#[tokio::test]
async fn a_client_that_sends_nothing_or_half_a_head_and_closes_is_told_nothing() {
    let member = Member::named("member").await;
    for begun in ["", "\r\n", "GET", "GET / HTTP/1.1\r\nHost: h\r\n"] {
        let (_balancer, mut client) = serving(&[&member], json!({})).await;
        client.send(begun).await;
        client.stream.shutdown().await.unwrap();
        assert!(client.ends().await, "{begun:?}");
    }
    assert_eq!(member.seen.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn an_answer_to_a_request_that_was_refused_leave_needs_no_body() {
    let member = Member::raw("member", |mut stream, _| async move {
        let mut buffer = Vec::new();
        while !buffer.ends_with(b"\r\n\r\n") {
            stream.read_buf(&mut buffer).await.unwrap();
        }
        let Act::Send(answer) = ok("no") else { unreachable!() };
        stream.write_all(&answer).await.unwrap();
        while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    let (_balancer, mut client) = serving(&[&member], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!(answer.body, "no");
    // Else the client may send another request behind it, which nobody reads.
    assert_eq!(answer.header("connection"), Some("close"));
    let ended = timeout(PATIENCE, client.ends()).await;
    assert!(ended.unwrap(), "nobody can tell whether the body follows");
}
