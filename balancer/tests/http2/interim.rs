//! Interim answers without end, where the client, the member or both speak HTTP/2.

use std::future::poll_fn;

use bytes::Bytes;
use h2::client::ResponseFuture;
use http::Response;
use serde_json::json;
use tokio::time::timeout;

use crate::{
    peers::{self, Client, Got, balancing, request},
    support::{self, Member, PATIENCE, header, ok, send},
};

/// As many interim answers as the request asks for, over HTTP/1.1.
async fn hints1(name: &str) -> Member {
    Member::scripted(name, |ask| {
        let many = header(&ask.head, "x-many").map_or(0, |many| many.parse().unwrap());
        let hints = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n".repeat(many);
        vec![send(&hints), ok("done")]
    })
    .await
}

/// The same over HTTP/2.
async fn hints2(name: &str) -> Member {
    peers::member(name, |request, mut respond| async move {
        let many = request.headers().get("x-many");
        let many: usize = many.map_or(0, |many| many.to_str().unwrap().parse().unwrap());
        for _ in 0..many {
            let hint = Response::builder().status(103).header("link", "</a>");
            if respond.send_informational(hint.body(()).unwrap()).is_err() {
                return;
            }
        }
        peers::answer(respond, 200, Bytes::from_static(b"done")).await;
    })
    .await
}

/// How many interim answers there were, and the answer.
async fn read(mut answer: ResponseFuture) -> (usize, Got) {
    let reading = async {
        let mut interim = 0;
        while let Some(hint) = poll_fn(|cx| answer.poll_informational(cx)).await {
            assert_eq!(hint.unwrap().status(), 103);
            interim += 1;
        }
        (interim, peers::read(answer).await.unwrap())
    };
    timeout(PATIENCE, reading).await.expect("an answer in time")
}

const CASES: [(usize, (usize, u16, &str)); 4] = [
    (0, (0, 200, "")),
    (64, (64, 200, "")),
    (65, (64, 502, "bad-answer")),
    (1000, (64, 502, "bad-answer")),
];

#[tokio::test]
async fn as_many_as_a_member_needs_reach_a_client_of_http2_and_no_more() {
    let (one, two) = (hints1("one").await, hints2("two").await);
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        for (many, want) in CASES {
            let asked = request("GET", "/").header("x-many", many).body(()).unwrap();
            let (answer, _) = client.open(asked, true).await;
            let (interim, got) = read(answer).await;
            let got = (interim, got.status, got.header("x-lbpool-reason"));
            assert_eq!(got, want, "{many} of {}", member.name);
        }
        assert_eq!(client.get("/", "k").await.text(), "done", "the connection goes on");
    }
}

#[tokio::test]
async fn as_many_as_a_member_of_http2_needs_reach_a_client_of_http1_and_no_more() {
    let two = hints2("two").await;
    let balancer = balancing(&[(&two, true)], json!({})).await;
    for (many, want) in CASES {
        let mut client = support::Client::to(balancer.local_addr()).await;
        client
            .send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Many: {many}\r\n\r\n"))
            .await;
        let mut interim = 0;
        let answer = loop {
            let answer = client.answer().await;
            if answer.status >= 200 {
                break answer;
            }
            interim += 1;
        };
        assert_eq!((interim, answer.status, answer.reason()), want, "{many}");
        assert_eq!(client.get("/", "k").await.body, "done", "the connection goes on");
    }
}
