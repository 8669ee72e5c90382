//! Bodies in both directions, of any size, at the same time.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::Notify,
    time::timeout,
};

use crate::support::{Act, Client, Member, PATIENCE, document, eventually, ok, read_ask, send, serving, start_with};

const LARGE: usize = 50 << 20;

#[tokio::test]
async fn chunks_pass_in_both_directions_as_they_are() {
    let a = Member::scripted("a", |ask| {
        let mut answer = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
        answer.extend_from_slice(&ask.body);
        vec![Act::Send(answer)]
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    for _ in 0..3 {
        client
            .send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
            .await;
        a.seen
            .until("the member is there", |seen| seen.connections.load(SeqCst) == 1)
            .await;
        client.send("1;ext=1\r\n!\r\n0\r\n\r\n").await;
        assert_eq!(client.answer().await.body, "hello!");
    }
}

#[tokio::test]
async fn a_large_upload_arrives_whole() {
    let a = Member::raw("a", |mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let (mut sum, mut left, mut buffer) = (0_u64, LARGE, vec![0; 1 << 16]);
        while left > 0 {
            let n = stream.read(&mut buffer).await.unwrap();
            assert!(n > 0);
            left -= n;
            sum += buffer[..n].iter().map(|byte| u64::from(*byte)).sum::<u64>();
        }
        let Act::Send(answer) = ok(&sum.to_string()) else {
            unreachable!()
        };
        stream.write_all(&answer).await.unwrap();
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send(format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: {LARGE}\r\n\r\n"))
        .await;
    let piece: Vec<u8> = (0..1 << 16).map(|n: u32| n.to_le_bytes()[0]).collect();
    for _ in 0..LARGE / piece.len() {
        client.send(&piece).await;
    }
    let want = piece.iter().map(|byte| u64::from(*byte)).sum::<u64>() * (LARGE / piece.len()) as u64;
    assert_eq!(client.answer().await.body, want.to_string());
}

#[tokio::test]
async fn a_large_answer_waits_for_a_client_that_does_not_read() {
    let written = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&written);
    let a = Member::raw("a", move |mut stream, _| {
        let counted = Arc::clone(&counted);
        async move {
            read_ask(&mut stream, &mut Vec::new()).await.unwrap();
            let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {LARGE}\r\n\r\n");
            stream.write_all(head.as_bytes()).await.unwrap();
            let piece = vec![b'x'; 1 << 16];
            for _ in 0..LARGE / piece.len() {
                stream.write_all(&piece).await.unwrap();
                counted.fetch_add(piece.len(), SeqCst);
            }
        }
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    // The member comes to a stop when what lies between is full: the kernel's buffers and one page.
    let mut before = usize::MAX;
    while before != written.load(SeqCst) || before == 0 {
        before = written.load(SeqCst);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    }
    assert!(
        before < LARGE / 2,
        "{before} bytes went out to a client that reads none"
    );
    let body = timeout(PATIENCE, client.answer()).await.unwrap().body;
    assert_eq!(body.len(), LARGE);
}

#[tokio::test]
async fn an_answer_may_come_before_the_body_is_there_and_go_on_beside_it() {
    // An echo that answers each byte at once.
    let a = Member::raw("a", |mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n")
            .await
            .unwrap();
        for _ in 0..5 {
            let byte = stream.read_u8().await.unwrap();
            stream.write_u8(byte).await.unwrap();
        }
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n")
        .await;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(client.stream.read_u8().await.unwrap());
    }
    for byte in b"hello" {
        client.send([*byte]).await;
        assert_eq!(client.stream.read_u8().await.unwrap(), *byte);
    }
}

#[tokio::test]
async fn a_member_that_refuses_a_body_early_is_heard() {
    let a = Member::raw("a", |mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream
            .write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 4\r\n\r\nless")
            .await
            .unwrap();
        stream.shutdown().await.unwrap();
        while stream.read(&mut [0; 4096]).await.is_ok_and(|n| n > 0) {}
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000\r\n\r\nthe beginning")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (413, "less"));
    assert!(client.ends().await, "what follows can not be told from a next request");
}

#[tokio::test]
async fn a_client_that_waits_for_leave_to_send_gets_it_from_the_member() {
    let a = Member::raw("a", |mut stream, seen| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        seen.note(std::str::from_utf8(&head).unwrap());
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        stream.read_exact(&mut [0; 5]).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")
            .await
            .unwrap();
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n")
        .await;
    assert_eq!(client.answer().await.status, 100);
    client.send("hello").await;
    assert_eq!(client.answer().await.body, "ok");
}

#[tokio::test]
async fn a_body_that_turns_out_malformed_is_refused_and_its_member_sees_no_end() {
    let a = Member::named("a").await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n")
        .await;
    a.seen
        .until("the member is there", |seen| seen.connections.load(SeqCst) == 1)
        .await;
    client.send("xyz\r\nGET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.reason()), (400, "malformed"));
    assert!(client.ends().await);
    assert_eq!(a.seen.count(), 0);
}

#[tokio::test]
async fn a_body_above_the_limit_is_refused() {
    let a = Member::named("a").await;
    let balancer = start_with(|config| config.limits.body_bytes = Some(10));
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.post("/", "k", "0123456789").await.body, "a");
    for body in [
        "Content-Length: 11\r\n\r\n",
        "Transfer-Encoding: chunked\r\n\r\nb\r\n0123456789a\r\n0\r\n\r\n",
    ] {
        let mut client = Client::to(balancer.local_addr()).await;
        client.send(format!("POST / HTTP/1.1\r\nHost: h\r\n{body}")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason()), (413, "too-large"), "{body}");
        assert!(client.ends().await, "{body}");
    }
    assert_eq!(a.seen.count(), 1);
}

#[tokio::test]
async fn requests_sent_ahead_are_kept_however_many_they_are() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let a = Member::scripted("a", move |ask| match ask.path() {
        "/first" => vec![Act::Wait(Arc::clone(&wait)), ok("first")],
        _ => vec![ok(&ask.body.len().to_string())],
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client.send("GET /first HTTP/1.1\r\nHost: h\r\n\r\n").await;
    a.seen.until("the request is there", |seen| seen.count() == 1).await;
    let body = "x".repeat(50_000);
    let ahead = format!("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50000\r\n\r\n{body}");
    let (mut reader, mut writer) = client.stream.split();
    let answers = async {
        let mut seen = String::new();
        while !seen.ends_with("50000") || seen.matches("200 OK").count() < 6 {
            let mut bytes = [0; 4096];
            let n = reader.read(&mut bytes).await.unwrap();
            assert!(n > 0, "{seen}");
            seen.push_str(std::str::from_utf8(&bytes[..n]).unwrap());
        }
        seen
    };
    let send = async {
        for _ in 0..5 {
            writer.write_all(ahead.as_bytes()).await.unwrap();
            // In pieces, as they come over a network.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        go.notify_one();
    };
    let (seen, ()) = timeout(PATIENCE, async { tokio::join!(answers, send) })
        .await
        .expect("all are answered");
    assert_eq!(seen.matches("\r\n\r\n50000").count(), 5, "{seen}");
}

#[tokio::test]
async fn a_body_that_stops_is_a_408() {
    let a = Member::named("a").await;
    let balancer = start_with(|config| config.limits.client_timeout = std::time::Duration::from_millis(100));
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.reason()), (408, "body-timeout"));
    eventually("nothing is in flight", || balancer.report().in_flight.is_empty()).await;
}

#[tokio::test]
async fn interim_answers_are_passed_on_to_those_who_know_them() {
    let a = Member::scripted("a", |_| {
        vec![send("HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n"), ok("a")]
    })
    .await;
    let (_balancer, mut client) = serving(&[&a], json!({})).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let hints = client.answer().await;
    assert_eq!((hints.status, hints.header("link")), (103, Some("</a>")));
    assert_eq!(client.answer().await.body, "a");
    client.send("GET / HTTP/1.0\r\n\r\n").await;
    assert_eq!(client.answer().await.body, "a");
}
