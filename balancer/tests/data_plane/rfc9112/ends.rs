//! How connections end (RFC 9112, section 9.6): a part never looks like a whole, and no reset takes an answer with it.

use std::{sync::atomic::Ordering::SeqCst, time::Duration};

use lbpool_balancer::Balancer;
use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use crate::support::{Client, Member, PATIENCE, becomes, document, read_ask, serving, start_with};

/// A member whose answers begin, and never come to their end.
async fn endless(head: &'static str, part: &'static str) -> Member {
    Member::raw("member", move |mut stream, _| async move {
        read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        stream.write_all(format!("{head}{part}").as_bytes()).await.unwrap();
        while stream.read(&mut [0; 1024]).await.is_ok_and(|n| n > 0) {}
    })
    .await
}

/// Reads up to the end of the part.
async fn part(client: &mut Client, end: &str) {
    let mut text = Vec::new();
    while !text.ends_with(end.as_bytes()) {
        assert!(client.stream.read_buf(&mut text).await.unwrap() > 0);
    }
}

/// Whether the connection ends with a reset.
async fn is_reset(client: &mut Client) -> bool {
    let mut rest = Vec::new();
    let read = timeout(PATIENCE, client.stream.read_to_end(&mut rest)).await;
    read.expect("an end").is_err()
}

const BY_END: [(&str, &str, &str); 2] = [
    ("GET / HTTP/1.1\r\nHost: h\r\n\r\n", "HTTP/1.1 200 OK\r\n\r\n", "part"),
    (
        "GET / HTTP/1.0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n",
        "4\r\npart\r\n",
    ),
];

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_reset_where_its_client_is_given_up() {
    for (request, head, text) in BY_END {
        let member = endless(head, text).await;
        let (_balancer, mut client) = serving(&[&member], json!({})).await;
        client.send(request).await;
        part(&mut client, "part").await;
        client.stream.shutdown().await.unwrap();
        assert!(is_reset(&mut client).await, "{request}");
    }
}

#[tokio::test]
async fn an_answer_that_ends_with_its_connection_is_reset_where_the_grace_period_is_over() {
    for (request, head, text) in BY_END {
        let member = endless(head, text).await;
        let (balancer, mut client) = serving(&[&member], json!({})).await;
        client.send(request).await;
        part(&mut client, "part").await;
        balancer.shutdown(Duration::from_millis(50)).await;
        assert!(is_reset(&mut client).await, "{request}");
    }
}

/// A client that takes little ahead of what it reads.
async fn slow_reader(balancer: &Balancer) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(16 * 1024).unwrap();
    socket.connect(balancer.local_addr()).await.unwrap()
}

#[tokio::test]
async fn what_comes_behind_the_last_request_takes_no_answer_with_it() {
    const LENGTH: usize = 1 << 20;
    for (framing, request, behind) in [
        (
            format!("Content-Length: {LENGTH}\r\n"),
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi",
            // Which some clients send, and servers ignore (RFC 9112, section 2.2).
            "\r\n",
        ),
        (
            String::new(),
            "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
            "GET /next HTTP/1.1\r\nHost: h\r\n\r\n",
        ),
    ] {
        let member = Member::raw("member", move |mut stream, _| {
            let head = format!("HTTP/1.1 200 OK\r\n{framing}\r\n");
            async move {
                read_ask(&mut stream, &mut Vec::new()).await.unwrap();
                stream.write_all(head.as_bytes()).await.unwrap();
                stream.write_all(&vec![b'x'; LENGTH]).await.unwrap();
            }
        })
        .await;
        let (balancer, _) = serving(&[&member], json!({})).await;
        let mut client = slow_reader(&balancer).await;
        client.write_all(request.as_bytes()).await.unwrap();
        let shared = balancer.shared();
        // All of it waits in the kernel.
        becomes(1, || shared.stats()[0].requests[2].get()).await;
        client.write_all(behind.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        let read = timeout(PATIENCE, client.read_to_end(&mut text)).await;
        read.expect("an end").expect("an orderly one");
        let body = text.iter().rev().take_while(|byte| **byte == b'x').count();
        assert_eq!(body, LENGTH);
        assert_eq!(member.seen.connections.load(SeqCst), 1);
    }
}

#[tokio::test]
async fn a_head_that_takes_too_long_is_answered_with_a_body_whatever_came_before_it() {
    let member = Member::named("member").await;
    let balancer = start_with(|config| config.limits.head_timeout = Duration::from_millis(100));
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    client.send("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer_to("HEAD").await.status, 200);
    client.send("GET / HTTP/1.1\r\nHost: h\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.reason()), (408, "head-timeout"));
    assert!(answer.body.contains("took too long"), "{}", answer.body);
}
