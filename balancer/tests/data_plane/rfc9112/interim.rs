//! Interim answers (RFC 9110, section 15.2) that do not come to an end.

use lbpool_balancer::Balancer;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use crate::support::{Client, Member, document, header, ok, read_ask, send, serving, start_with};

const HINT: &str = "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n";

/// The statuses of the interim answers, as many as they are, and the answer's behind them.
async fn statuses(client: &mut Client) -> (usize, u16, String) {
    let mut interim = 0;
    loop {
        let answer = client.answer().await;
        if answer.status >= 200 {
            return (interim, answer.status, answer.reason().to_owned());
        }
        interim += 1;
    }
}

/// A client that asks for an answer behind so many interim ones.
async fn asking(balancer: &Balancer, many: usize) -> Client {
    let mut client = Client::to(balancer.local_addr()).await;
    client
        .send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Many: {many}\r\n\r\n"))
        .await;
    client
}

#[tokio::test]
async fn as_many_as_a_member_needs_pass_and_more_are_a_bad_answer() {
    let member = Member::scripted("member", |ask| {
        let many = header(&ask.head, "x-many").map_or(0, |many| many.parse().unwrap());
        vec![send(&HINT.repeat(many)), ok("done")]
    })
    .await;
    let (balancer, _) = serving(&[&member], json!({})).await;
    for (many, want) in [
        (0, (0, 200, "")),
        (3, (3, 200, "")),
        (64, (64, 200, "")),
        (65, (64, 502, "bad-answer")),
        (1000, (64, 502, "bad-answer")),
    ] {
        let mut client = asking(&balancer, many).await;
        let (interim, status, reason) = statuses(&mut client).await;
        assert_eq!((interim, status, reason.as_str()), want, "{many}");
        assert_eq!(client.get("/", "k").await.body, "done", "the connection goes on");
        // A client of HTTP/1.0 sees none of them, and they are as many.
        let mut client = Client::to(balancer.local_addr()).await;
        client.send(format!("GET / HTTP/1.0\r\nX-Many: {many}\r\n\r\n")).await;
        let (interim, status, _) = statuses(&mut client).await;
        assert_eq!((interim, status), (0, want.1), "{many}");
    }
}

#[tokio::test]
async fn together_they_are_no_longer_than_a_head_may_be() {
    let long = format!("HTTP/1.1 103 Early Hints\r\nLink: <{}>\r\n\r\n", "a".repeat(400));
    let member = Member::scripted("member", move |ask| {
        let many = header(&ask.head, "x-many").unwrap().parse().unwrap();
        vec![send(&long.repeat(many)), ok("done")]
    })
    .await;
    let balancer = start_with(|config| config.limits.head_bytes = 1000);
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    for (many, want) in [(2, (2, 200, "")), (3, (2, 502, "bad-answer"))] {
        let mut client = asking(&balancer, many).await;
        let (interim, status, reason) = statuses(&mut client).await;
        assert_eq!((interim, status, reason.as_str()), want, "{many}");
    }
}

#[tokio::test]
async fn a_member_that_never_comes_to_its_answer_is_let_go() {
    let member = Member::raw("member", |mut stream, _| async move {
        read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        while stream.write_all(HINT.as_bytes()).await.is_ok() {}
    })
    .await;
    let (_balancer, mut client) = serving(&[&member], json!({})).await;
    client
        .send("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n")
        .await;
    assert_eq!(statuses(&mut client).await, (64, 502, "bad-answer".to_owned()));
    let open = |seen: &crate::support::Seen| seen.open.load(std::sync::atomic::Ordering::SeqCst);
    member
        .seen
        .until("its connection has ended", |seen| open(seen) == 0)
        .await;
}
