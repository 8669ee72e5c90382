//! Time-outs and rates, each with the status that says so.

use std::time::Duration;

use serde_json::json;
use tokio::{io::AsyncWriteExt as _, time::sleep};

use crate::support::{Client, Member, document, eventually, read_ask, start_with};

#[tokio::test]
async fn a_client_that_drips_a_body_is_told_408_where_a_rate_is_asked_of_it() {
    for (rate, want) in [(1_000_000, 408), (0, 200)] {
        let member = Member::named("member").await;
        let balancer = start_with(|config| {
            config.limits.client_timeout = Duration::from_millis(200);
            config.limits.min_rate = rate;
        });
        balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
        let mut client = Client::to(balancer.local_addr()).await;
        client
            .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n")
            .await;
        let (mut reader, mut writer) = client.stream.into_split();
        let drip = async {
            for byte in b"0123456789" {
                // The client's pace is what is tested.
                sleep(Duration::from_millis(60)).await;
                if writer.write_all(&[*byte]).await.is_err() {
                    break;
                }
            }
        };
        let answer = async {
            let mut head = [0; 12];
            tokio::io::AsyncReadExt::read_exact(&mut reader, &mut head)
                .await
                .unwrap();
            String::from_utf8(head.to_vec()).unwrap()
        };
        let ((), status) = tokio::join!(drip, answer);
        assert_eq!(status, format!("HTTP/1.1 {want}"), "rate {rate}");
    }
}

#[tokio::test]
async fn a_client_that_takes_nothing_of_its_answer_is_left() {
    let member = Member::raw("member", |mut stream, _| async move {
        read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
            .await
            .unwrap();
        let piece = vec![0; 1 << 16];
        while stream.write_all(&piece).await.is_ok() {}
    })
    .await;
    let balancer = start_with(|config| config.limits.client_timeout = Duration::from_millis(200));
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    member
        .seen
        .until("the request is there", |seen| {
            seen.open.load(std::sync::atomic::Ordering::SeqCst) == 1
        })
        .await;
    member
        .seen
        .until("the member is let go", |seen| {
            seen.open.load(std::sync::atomic::Ordering::SeqCst) == 0
        })
        .await;
    let shared = balancer.shared();
    eventually("it counts as gone", || shared.stats()[0].client_aborts.get() == 1).await;
}

#[tokio::test]
async fn a_member_that_does_not_take_a_body_is_a_504() {
    let member = Member::raw("member", |stream, _| async move {
        sleep(Duration::from_mins(10)).await;
        drop(stream);
    })
    .await;
    let balancer = start_with(|_| {});
    let routing = json!({"timeouts": {"response": "300ms"}});
    balancer.publish(document(1, &[&member], &routing)).await.unwrap();
    let client = Client::to(balancer.local_addr()).await;
    let (mut reader, mut writer) = client.stream.into_split();
    let send = async {
        let head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n";
        writer.write_all(head).await.unwrap();
        let piece = vec![0; 1 << 16];
        while writer.write_all(&piece).await.is_ok() {}
    };
    let answer = async {
        let mut head = [0; 12];
        tokio::io::AsyncReadExt::read_exact(&mut reader, &mut head)
            .await
            .unwrap();
        head
    };
    let ((), head) = tokio::join!(send, answer);
    assert_eq!(&head, b"HTTP/1.1 504");
}

#[tokio::test]
async fn further_connections_wait_where_a_worker_has_as_many_as_it_may() {
    let member = Member::named("member").await;
    let balancer = start_with(|config| config.limits.connections = 1);
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    let mut first = Client::to(balancer.local_addr()).await;
    assert_eq!(first.get("/", "k").await.status, 200);
    let mut second = Client::to(balancer.local_addr()).await;
    second.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(first.get("/", "k").await.status, 200);
    assert_eq!(balancer.shared().stats()[0].connections.get(), 1);
    drop(first);
    assert_eq!(second.answer().await.status, 200);
}

#[tokio::test]
async fn a_head_of_exactly_what_is_allowed_passes_and_one_byte_more_does_not() {
    let member = Member::named("member").await;
    let balancer = start_with(|config| {
        config.limits.head_bytes = 1000;
        config.limits.target_bytes = 100;
    });
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    let head = |length: usize| {
        let start = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
        format!("{start}{}\r\n\r\n", "x".repeat(length - start.len() - 4))
    };
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: h\r\n\r\n", "x".repeat(length - 1));
    for (request, want) in [
        (head(1000), 200),
        (head(1001), 431),
        (target(100), 200),
        (target(101), 414),
    ] {
        let mut client = Client::to(balancer.local_addr()).await;
        client.send(&request).await;
        assert_eq!(client.answer().await.status, want, "{} bytes", request.len());
    }
}
