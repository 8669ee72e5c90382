//! Clients and members of either version: each pair carries the same.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, Response};
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    peers::{self, Client, balancing, echo, get, request, trailers},
    support::{self, Act, Member, PATIENCE, header, ok, send},
};

/// An HTTP/1.1 member that answers with the body that it got, as chunks with a trailer.
async fn echo1(name: &str) -> Member {
    Member::scripted(name, |ask| {
        let body = if header(&ask.head, "transfer-encoding").is_some() {
            String::from_utf8(ask.body.clone()).unwrap()
        } else {
            let body = std::str::from_utf8(&ask.body).unwrap();
            let chunk = if body.is_empty() {
                String::new()
            } else {
                format!("{:x}\r\n{body}\r\n", body.len())
            };
            format!("{chunk}0\r\n\r\n")
        };
        let body = body.replace("\r\n0\r\n\r\n", "\r\n0\r\nX-Sum: 7\r\n\r\n");
        vec![send(&format!(
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}"
        ))]
    })
    .await
}

#[tokio::test]
async fn http2_to_http1_a_request_is_rewritten_and_answered() {
    let a = Member::scripted("a", |_| {
        vec![send(
            "HTTP/1.1 201 Created\r\nConnection: keep-alive\r\nKeep-Alive: timeout=5\r\nX-A: 1\r\nContent-Length: 2\r\n\r\nhi",
        )]
    })
    .await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let asked = request("GET", "/p?q=1")
        .header("cookie", "a=1")
        .header("cookie", "b=2")
        .header("te", "trailers")
        .header("x-forwarded-for", "10.0.0.1")
        .header("x-lbpool-debug", "1")
        .body(Vec::new())
        .unwrap();
    let got = client.send(asked, None).await.unwrap();
    assert_eq!((got.status, got.text()), (201, "hi"));
    assert_eq!((got.header("x-a"), got.header("via")), ("1", "1.1 lbpool"));
    assert_eq!(got.header("x-lbpool-member"), "a");
    assert!(got.headers.get("keep-alive").is_none() && got.headers.get("connection").is_none());
    let head = a.seen.last();
    assert!(head.starts_with("GET /p?q=1 HTTP/1.1\r\n"), "{head}");
    for (name, want) in [
        ("host", Some("test")),
        ("cookie", Some("a=1; b=2")),
        ("te", Some("trailers")),
        ("connection", Some("TE")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("x-forwarded-proto", Some("http")),
        ("x-forwarded-host", Some("test")),
        ("via", Some("2 lbpool")),
        ("transfer-encoding", None),
    ] {
        assert_eq!(header(&head, name), want, "{name} in {head}");
    }
    assert_eq!(header(&head, "x-request-id").unwrap().len(), 32);
    // Its connection serves the next one, whatever stream that is.
    client.get("/", "k").await;
    assert_eq!(a.seen.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn http1_to_http2_a_request_is_rewritten_and_answered() {
    let a = peers::named("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = support::Client::to(balancer.local_addr()).await;
    client
        .send("GET /p?q=1 HTTP/1.1\r\nHost: Test:80\r\nConnection: x-hop\r\nX-Hop: 1\r\nX-A: 1\r\n\r\n")
        .await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "a"));
    assert_eq!(answer.header("via"), Some("2 lbpool"));
    let head = a.seen.last();
    for (name, want) in [
        ("host", Some("test:80")),
        ("x-a", Some("1")),
        ("x-hop", None),
        ("connection", None),
        ("via", Some("1.1 lbpool")),
        ("x-forwarded-for", Some("127.0.0.1")),
        ("te", None),
    ] {
        assert_eq!(
            header(&head, name).map(str::to_ascii_lowercase).as_deref(),
            want,
            "{name} in {head}"
        );
    }
    // The client's connection goes on, and so does the member's.
    assert_eq!(client.get("/", "k").await.body, "a");
    assert_eq!(a.seen.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn bodies_and_trailers_pass_both_ways_between_all_versions() {
    let one = echo1("one").await;
    let two = echo("two").await;
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let sum = trailers(&[("x-sum", "7")]);
        let asked = request("POST", "/").body(b"hello".to_vec()).unwrap();
        let got = client.send(asked, h2c.then(|| sum.clone())).await.unwrap();
        assert_eq!(
            (got.text(), got.trailer("x-sum")),
            ("hello", "7"),
            "HTTP/2 to {}",
            member.name
        );
        // With a length, which arrives as it was sent.
        let asked = request("POST", "/")
            .header("content-length", 5)
            .body(b"hello".to_vec())
            .unwrap();
        assert_eq!(client.send(asked, None).await.unwrap().text(), "hello");
        assert_eq!(header(&member.seen.last(), "content-length"), Some("5"));

        if !h2c {
            continue;
        }
        let mut client = support::Client::to(balancer.local_addr()).await;
        client
            .send("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n")
            .await;
        assert_eq!(client.answer().await.body, "hello", "HTTP/1.1 to {}", member.name);
        assert_eq!(client.post("/", "k", "hello").await.body, "hello");
        assert_eq!(client.get("/", "k").await.body, "");
    }
}

#[tokio::test]
async fn trailers_of_http1_reach_a_member_of_http2_and_come_back() {
    let a = echo("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = support::Client::to(balancer.local_addr()).await;
    let chunks = "5\r\nhello\r\n0\r\nX-Sum: 7\r\n\r\n";
    client
        .send(format!(
            "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n{chunks}"
        ))
        .await;
    let mut text = String::new();
    tokio::time::timeout(
        PATIENCE,
        tokio::io::AsyncReadExt::read_to_string(&mut client.stream, &mut text),
    )
    .await
    .unwrap()
    .unwrap();
    assert!(text.ends_with("5\r\nhello\r\n0\r\nx-sum: 7\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn large_bodies_pass_both_ways_whatever_the_windows() {
    let one = Member::raw("one", |mut stream, _| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut buffer = Vec::new();
        while !buffer.windows(4).any(|it| it == b"\r\n\r\n") {
            stream.read_buf(&mut buffer).await.unwrap();
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 3000000\r\n\r\n")
            .await
            .unwrap();
        let end = buffer.windows(4).position(|it| it == b"\r\n\r\n").unwrap();
        let mut rest = buffer.split_off(end + 4);
        let mut left = 3_000_000;
        loop {
            left -= rest.len();
            stream.write_all(&rest).await.unwrap();
            if left == 0 {
                break;
            }
            rest.clear();
            stream.read_buf(&mut rest).await.unwrap();
        }
        // Until the balancer ends it.
        let _ = stream.read_buf(&mut rest).await;
    })
    .await;
    let two = echo("two").await;
    let body: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let asked = request("POST", "/")
            .header("content-length", body.len())
            .body(body.clone())
            .unwrap();
        let got = client.send(asked, None).await.unwrap();
        assert!(got.body == body, "HTTP/2 to {}: {} bytes", member.name, got.body.len());
    }
    let balancer = balancing(&[(&two, true)], json!({})).await;
    let client = support::Client::to(balancer.local_addr()).await;
    let text = "0123456789".repeat(300_000);
    let (mut from, mut to) = client.stream.into_split();
    let send = async {
        use tokio::io::AsyncWriteExt;
        let head = format!(
            "POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: {}\r\n\r\n",
            text.len()
        );
        to.write_all(head.as_bytes()).await.unwrap();
        to.write_all(text.as_bytes()).await.unwrap();
    };
    let mut answer = Vec::new();
    let receive = tokio::io::AsyncReadExt::read_to_end(&mut from, &mut answer);
    let ((), read) = tokio::time::timeout(PATIENCE, async { tokio::join!(send, receive) })
        .await
        .unwrap();
    read.unwrap();
    // The body is in chunks: their sizes and the head are beside it.
    assert!(answer.len() > text.len(), "{}", answer.len());
    assert!(answer.ends_with(b"\r\n0\r\n\r\n"));
}

#[tokio::test]
async fn answers_without_a_body_have_none_in_any_version() {
    let one = Member::scripted("one", |ask| {
        vec![match ask.path() {
            "/204" => send("HTTP/1.1 204 No Content\r\n\r\n"),
            "/304" => send("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\nETag: x\r\n\r\n"),
            _ => send("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"),
        }]
    })
    .await;
    let two = peers::member("two", |request, mut respond| async move {
        let status = match request.uri().path() {
            "/204" => 204,
            "/304" => 304,
            _ => 200,
        };
        let mut response = Response::builder().status(status);
        if status != 204 {
            response = response.header("content-length", 5);
        }
        respond.send_response(response.body(()).unwrap(), true).unwrap();
    })
    .await;
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let mut old = support::Client::to(balancer.local_addr()).await;
        for (method, path, status, length) in [
            ("HEAD", "/", 200, "5"),
            ("GET", "/204", 204, ""),
            ("GET", "/304", 304, "5"),
        ] {
            let asked = request(method, path).body(Vec::new()).unwrap();
            let got = client.send(asked, None).await.unwrap();
            assert_eq!(
                (got.status, got.header("content-length"), got.body.len()),
                (status, length, 0),
                "{path} of {}",
                member.name
            );
            if h2c {
                old.send(format!("{method} {path} HTTP/1.1\r\nHost: h\r\n\r\n")).await;
                let answer = old.answer_to(method).await;
                assert_eq!((answer.status, answer.body.as_str()), (status, ""));
                assert_eq!(answer.header("content-length").unwrap_or(""), length);
            }
        }
    }
}

#[tokio::test]
async fn interim_answers_reach_the_client_before_it_sends() {
    let one = Member::raw("one", |mut stream, seen| async move {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut head = vec![0; 4096];
        let n = stream.read(&mut head).await.unwrap();
        seen.note(std::str::from_utf8(&head[..n]).unwrap());
        stream.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.unwrap();
        let n = stream.read(&mut head).await.unwrap();
        assert!(n > 0, "the body comes after it");
        let Act::Send(answer) = ok("done") else { unreachable!() };
        stream.write_all(&answer).await.unwrap();
        let _ = stream.read(&mut head).await;
    })
    .await;
    let two = peers::member("two", |request, mut respond| async move {
        let interim = Response::builder().status(100).body(()).unwrap();
        respond.send_informational(interim).unwrap();
        let (body, _) = peers::whole(&mut request.into_body()).await.unwrap();
        assert_eq!(body, b"hello");
        peers::answer(respond, 200, Bytes::from_static(b"done")).await;
    })
    .await;
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let asked = request("POST", "/")
            .header("expect", "100-continue")
            .header("content-length", 5)
            .body(())
            .unwrap();
        let (mut answer, mut stream) = client.open(asked, false).await;
        let interim = std::future::poll_fn(|cx| answer.poll_informational(cx));
        let interim = tokio::time::timeout(PATIENCE, interim).await.unwrap().unwrap().unwrap();
        assert_eq!(interim.status(), 100, "from {}", member.name);
        assert_eq!(header(&member.seen.last(), "expect"), Some("100-continue"));
        peers::write(&mut stream, Bytes::from_static(b"hello"), None)
            .await
            .unwrap();
        assert_eq!(peers::read(answer).await.unwrap().text(), "done");
    }
}

#[tokio::test]
async fn answers_arrive_piece_by_piece() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let one = Member::scripted("one", move |_| {
        vec![
            send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n"),
            Act::Wait(Arc::clone(&wait)),
            send("4\r\nlast\r\n0\r\n\r\n"),
        ]
    })
    .await;
    let balancer = balancing(&[(&one, false)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let (parts, ()) = get("/", "k").map(|_| ()).into_parts();
    let (answer, _) = client.open(http::Request::from_parts(parts, ()), true).await;
    let mut body = answer.await.unwrap().into_body();
    assert_eq!(body.data().await.unwrap().unwrap(), "first");
    go.notify_one();
    assert_eq!(
        peers::whole(&mut body).await.unwrap(),
        (b"last".to_vec(), None::<HeaderMap>)
    );
}

#[tokio::test]
async fn trailers_say_nothing_that_only_a_head_may_say_in_either_direction() {
    let a = echo("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let post = request("POST", "/").body(b"hello".to_vec()).unwrap();
    let said = trailers(&[
        ("x-forwarded-for", "6.6.6.6"),
        ("authorization", "me"),
        ("content-length", "7"),
        ("x-ok", "1"),
    ]);
    let got = client.send(post, Some(said)).await.unwrap();
    assert_eq!(got.trailers, Some(trailers(&[("x-ok", "1")])));
    let a = peers::member("a", |_, mut respond| async move {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        let said = trailers(&[("set-cookie", "a=1"), ("x-ok", "2")]);
        peers::write(&mut stream, Bytes::from_static(b"a"), Some(said))
            .await
            .unwrap();
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let got = Client::to(balancer.local_addr()).await.get("/", "k").await;
    assert_eq!(got.trailers, Some(trailers(&[("x-ok", "2")])));
}

#[tokio::test]
async fn pipelined_requests_to_an_http2_member_are_answered_although_their_client_closes_its_side() {
    let a = peers::named("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = support::Client::to(balancer.local_addr()).await;
    client.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n".repeat(3)).await;
    tokio::io::AsyncWriteExt::shutdown(&mut client.stream).await.unwrap();
    for _ in 0..3 {
        assert_eq!(client.answer().await.body, "a");
    }
    assert!(client.ends().await);
}

#[tokio::test]
async fn limits_of_heads_are_those_of_http1() {
    let a = peers::member("a", |_, mut respond| async move {
        let response = Response::builder().header("x-long", "y".repeat(5000)).body(()).unwrap();
        let _ = respond.send_response(response, true);
    })
    .await;
    let balancer = support::start_with(|config| {
        config.limits.target_bytes = 100;
        config.limits.head_bytes = 2048;
    });
    peers::publish(&balancer, 1, &[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let long = format!("/{}", "x".repeat(200));
    assert_eq!(client.get(&long, "k").await.status, 414);
    let got = client.get("/", "k").await;
    assert_eq!((got.status, got.header("x-lbpool-reason")), (502, "bad-answer"));
}

#[tokio::test]
async fn a_client_that_drips_a_body_is_told_408_as_over_http1() {
    for h2c in [false, true] {
        let a = if h2c {
            peers::member("a", |request, respond| async move {
                // The client's end is awaited, and does not come.
                if peers::whole(&mut request.into_body()).await.is_ok() {
                    peers::answer(respond, 200, Bytes::new()).await;
                }
            })
            .await
        } else {
            echo1("a").await
        };
        let balancer = support::start_with(|config| {
            config.limits.client_timeout = Duration::from_millis(200);
            config.limits.min_rate = 1_000_000;
        });
        peers::publish(&balancer, 1, &[(&a, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let post = request("POST", "/").header("content-length", "100").body(()).unwrap();
        let (answer, mut stream) = client.open(post, false).await;
        let drip = async {
            loop {
                // The client's pace is what is tested.
                tokio::time::sleep(Duration::from_millis(60)).await;
                if peers::push(&mut stream, Bytes::from_static(b"x")).await.is_err() {
                    std::future::pending::<()>().await;
                }
            }
        };
        let got = tokio::select! {
            got = peers::read(answer) => got,
            () = drip => unreachable!(),
        };
        let got = got.unwrap();
        assert_eq!((got.status, got.header("x-lbpool-reason")), (408, "body-timeout"));
    }
}
