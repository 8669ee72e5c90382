//! Keys that are in a request's body.

use lbpool_balancer::Balancer;
use serde_json::{Value, json};

use crate::support::{Client, Member, key_of, serving};

fn routing() -> Value {
    json!({"key": [{"jsonBody": "/user/id"}, {"header": "X-Other"}]})
}

async fn pool() -> (Vec<Member>, Balancer, Client) {
    let mut members = Vec::new();
    for name in ["a", "b", "c"] {
        members.push(
            Member::scripted(name, move |ask| {
                vec![crate::support::ok(&format!("{name} {}", ask.body.len()))]
            })
            .await,
        );
    }
    let (balancer, client) = serving(&members.iter().collect::<Vec<_>>(), routing()).await;
    (members, balancer, client)
}

fn body(id: &str, padding: usize) -> String {
    format!(r#"{{"padding": "{}", "user": {{"id": "{id}"}}}}"#, "x".repeat(padding))
}

/// The same body in chunks of so many bytes.
fn chunked(body: &str, size: usize) -> String {
    let chunks = body.as_bytes().chunks(size).map(|part| {
        let part = std::str::from_utf8(part).unwrap();
        format!("{:x}\r\n{part}\r\n", part.len())
    });
    chunks.chain(["0\r\n\r\n".to_owned()]).collect()
}

fn head(more: &str) -> String {
    format!("POST / HTTP/1.1\r\nHost: h\r\n{more}\r\n\r\n")
}

#[tokio::test]
async fn a_key_in_the_body_is_found_however_the_body_comes() {
    let (_members, balancer, mut client) = pool().await;
    for owner in ["a", "b", "c"] {
        let body = body(&key_of(&balancer, owner), 20_000);
        let length = body.len();
        // At once, with the head alone first, and in pieces.
        for cut in [0, 1, 9_000] {
            let text = head(&format!("Content-Length: {length}")) + &body;
            let at = if cut == 0 {
                text.len()
            } else {
                text.len() - length + cut - 1
            };
            client.send(&text[..at]).await;
            tokio::task::yield_now().await;
            client.send(&text[at..]).await;
            assert_eq!(client.answer().await.body, format!("{owner} {length}"), "cut {cut}");
        }
        let chunks = chunked(&body, 777);
        let text = head("Transfer-Encoding: chunked") + &chunks;
        let (first, rest) = text.split_at(5_000);
        client.send(first).await;
        tokio::task::yield_now().await;
        client.send(rest).await;
        let answer = client.answer().await.body;
        assert!(answer.starts_with(owner), "{owner}: {answer}");
    }
}

#[tokio::test]
async fn without_a_key_in_the_body_the_next_source_counts() {
    let (_members, balancer, mut client) = pool().await;
    let (key, other) = (key_of(&balancer, "a"), key_of(&balancer, "b"));
    let bodies = [
        "no JSON".to_owned(),
        r#"{"user": {}}"#.to_owned(),
        // Longer than what is looked into.
        body(&key, 70_000),
    ];
    for body in bodies {
        let length = body.len();
        for text in [
            head(&format!("X-Other: {other}\r\nContent-Length: {length}")) + &body,
            head(&format!("X-Other: {other}\r\nTransfer-Encoding: chunked")) + &chunked(&body, 16_000),
        ] {
            client.send(text).await;
            let answer = client.answer().await;
            assert!(answer.body.starts_with("b "), "{length}: {answer:?}");
        }
    }
    client
        .send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Other: {other}\r\n\r\n"))
        .await;
    assert_eq!(client.answer().await.body, "b 0");
}

#[tokio::test]
async fn a_client_that_waits_before_its_body_is_told_to_send_it() {
    let (_members, balancer, mut client) = pool().await;
    let body = body(&key_of(&balancer, "c"), 10);
    let length = body.len();
    client
        .send(head(&format!("Expect: 100-continue\r\nContent-Length: {length}")))
        .await;
    assert_eq!(client.answer().await.status, 100);
    client.send(&body).await;
    assert_eq!(client.answer().await.body, format!("c {length}"));
}

#[tokio::test]
async fn a_malformed_body_is_refused_and_what_follows_a_body_is_the_next_request() {
    let (members, balancer, mut client) = pool().await;
    let body = body(&key_of(&balancer, "b"), 10);
    let length = body.len();
    let text = head(&format!("Content-Length: {length}")) + &body;
    client.send(format!("{}{text}", &text)).await;
    for _ in 0..2 {
        assert_eq!(client.answer().await.body, format!("b {length}"));
    }
    let before: usize = members.iter().map(|member| member.seen.count()).sum();
    client.send(head("Transfer-Encoding: chunked") + "zz\r\n").await;
    assert_eq!(client.answer().await.status, 400);
    assert_eq!(members.iter().map(|member| member.seen.count()).sum::<usize>(), before);
}

#[tokio::test]
async fn a_member_sees_the_request_as_the_client_sent_it() {
    let echo = Member::scripted("a", |ask| vec![crate::support::ok(&String::from_utf8_lossy(&ask.body))]).await;
    let (_balancer, mut client) = serving(&[&echo], routing()).await;
    let body = body("u", 3_000);
    // Chunks of odd sizes, an extension and a trailer.
    let chunks = chunked(&body, 7)
        .replacen("7\r\n", "7;a=b\r\n", 1)
        .replace("0\r\n\r\n", "0\r\nX-T: 0\r\n\r\n");
    for (head, sent) in [
        (head(&format!("Content-Length: {}", body.len())), body.clone()),
        (head("Transfer-Encoding: chunked"), chunks),
    ] {
        for cut in [1, 2_000, sent.len() - 3] {
            client.send(format!("{head}{}", &sent[..cut])).await;
            tokio::task::yield_now().await;
            client.send(&sent[cut..]).await;
            let seen = client.answer().await.body;
            assert_eq!(seen, sent, "cut {cut}");
        }
    }
}

#[tokio::test]
async fn a_source_before_the_body_keeps_it_from_being_waited_for() {
    let member = Member::raw("a", |mut stream, seen| async move {
        let mut bytes = [0; 1024];
        while tokio::io::AsyncReadExt::read(&mut stream, &mut bytes)
            .await
            .is_ok_and(|n| n > 0)
        {
            seen.note("bytes");
        }
    })
    .await;
    let key = json!({"key": [{"header": "X-First"}, {"jsonBody": "/user"}]});
    let (_balancer, mut client) = serving(&[&member], key).await;
    client.send(head("X-First: k\r\nContent-Length: 100")).await;
    member
        .seen
        .until("the head has come, without its body", |seen| seen.count() > 0)
        .await;
}

#[tokio::test]
async fn a_post_that_never_left_and_a_put_whose_member_dies_are_sent_again_whole() {
    let dying = Member::scripted("a", |_| vec![crate::support::Act::Close]).await;
    let gone = Member::named("c").await;
    let well = Member::scripted("b", |ask| vec![crate::support::ok(&format!("b {}", ask.body.len()))]).await;
    let (balancer, mut client) = serving(&[&dying, &well, &gone], routing()).await;
    let snapshot = balancer.shared().snapshot();
    let ranked = |want: [usize; 2]| {
        let ranks = |key: &String| snapshot.table.rank(key.as_bytes()).take(2).eq(want);
        (0..10_000).map(|n| format!("key-{n}")).find(ranks).unwrap()
    };
    let keys = [("PUT", ranked([0, 1])), ("POST", ranked([2, 1]))];
    gone.kill().await;
    for (method, key) in keys {
        let body = body(&key, 9_000);
        let head = head(&format!("Content-Length: {}", body.len())).replacen("POST", method, 1);
        client.send(head).await;
        tokio::task::yield_now().await;
        client.send(&body[..5_000]).await;
        tokio::task::yield_now().await;
        client.send(&body[5_000..]).await;
        assert_eq!(client.answer().await.body, format!("b {}", body.len()), "{method}");
    }
}

#[tokio::test]
async fn limits_hold_for_bodies_that_are_looked_into() {
    let member = Member::scripted("a", |ask| vec![crate::support::ok(&ask.body.len().to_string())]).await;
    let other = Member::named("b").await;
    let balancer = crate::support::start_with(|config| {
        config.limits.body_bytes = Some(500);
        config.limits.key_body_bytes = 300;
    });
    let document = crate::support::document(1, &[&member, &other], &routing());
    balancer.publish(document).await.unwrap();
    let (key, elsewhere) = (key_of(&balancer, "a"), key_of(&balancer, "b"));
    let in_chunks = |length: usize| {
        let body = body(&key, length);
        format!(
            "{}{}",
            head(&format!("X-Other: {elsewhere}\r\nTransfer-Encoding: chunked")),
            chunked(&body, 100)
        )
    };
    let mut client = Client::to(balancer.local_addr()).await;
    client.send(in_chunks(100)).await;
    assert_ne!(client.answer().await.body, "b", "the key of its body");
    client.send(in_chunks(350)).await;
    assert_eq!(
        client.answer().await.body,
        "b",
        "too long to be looked into, short enough to be sent"
    );
    client.send(in_chunks(600)).await;
    assert_eq!(client.answer().await.status, 413);
}

#[tokio::test]
async fn a_second_100_is_not_passed_on() {
    let member = Member::scripted("a", |ask| {
        vec![
            crate::support::send("HTTP/1.1 100 Continue\r\n\r\n"),
            crate::support::ok(&ask.body.len().to_string()),
        ]
    })
    .await;
    let (_balancer, mut client) = serving(&[&member], routing()).await;
    let body = body("k", 10);
    let length = body.len();
    client
        .send(head(&format!("Expect: 100-continue\r\nContent-Length: {length}")))
        .await;
    assert_eq!(client.answer().await.status, 100);
    client.send(&body).await;
    assert_eq!(client.answer().await.body, length.to_string());
}

#[tokio::test]
async fn a_body_that_does_not_come_is_answered_408_and_reaches_nobody() {
    let member = Member::named("a").await;
    let balancer = crate::support::start_with(|config| {
        config.limits.client_timeout = std::time::Duration::from_millis(200);
    });
    balancer
        .publish(crate::support::document(1, &[&member], &routing()))
        .await
        .unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    client.send(head("Content-Length: 1000") + "{").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, member.seen.count()), (408, 0));
}
