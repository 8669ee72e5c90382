//! Calls of gRPC as its wire format has them: a unary call, both kinds of stream, a deadline, errors of the server and ours.

use std::{net::SocketAddr, time::Duration};

use bytes::{BufMut, Bytes, BytesMut};
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, Request, Response};
use serde_json::json;
use tokio::{net::TcpStream, time::timeout};

use crate::{
    peers::{self, Client, Got, balancing, push, request, trailers, whole},
    support::{Member, PATIENCE, header, key_of, send, start_with},
};

/// A message with its prefix: not compressed, and its length.
fn message(text: &str) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(text.len()).unwrap());
    bytes.put_slice(text.as_bytes());
    bytes.freeze()
}

/// The messages in a body.
fn messages(mut body: &[u8]) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((prefix, rest)) = body.split_at_checked(5) {
        let length = u32::from_be_bytes(prefix[1..].try_into().unwrap()) as usize;
        let (text, rest) = rest.split_at(length);
        found.push(String::from_utf8(text.to_vec()).unwrap());
        body = rest;
    }
    found
}

fn call(method: &str) -> http::request::Builder {
    request("POST", &format!("/demo.Echo/{method}"))
        .header("content-type", "application/grpc+proto")
        .header("te", "trailers")
}

async fn ask(client: &mut Client, call: http::request::Builder, texts: &[&str]) -> Got {
    let body: Vec<u8> = texts.iter().flat_map(|text| message(text)).collect();
    client.send(call.body(body).unwrap(), None).await.unwrap()
}

/// A server of gRPC.
async fn server(name: &str) -> Member {
    peers::member(name, serve).await
}

async fn serve(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) {
    let (parts, mut body) = request.into_parts();
    let response = Response::builder().header("content-type", "application/grpc+proto");
    assert_eq!(
        parts.headers.get("te").unwrap(),
        "trailers",
        "servers of gRPC insist on it"
    );
    let method = parts.uri.path().rsplit('/').next().unwrap();
    if method == "Missing" {
        // Trailers only.
        let only = response
            .header("grpc-status", "12")
            .header("grpc-message", "no such method");
        respond.send_response(only.body(()).unwrap(), true).unwrap();
        return;
    }
    let mut stream = respond.send_response(response.body(()).unwrap(), false).unwrap();
    let status = match method {
        "Unary" | "Collect" => {
            let (data, _) = whole(&mut body).await.unwrap();
            push(&mut stream, message(&messages(&data).join("+"))).await.unwrap();
            "0"
        }
        "Count" => {
            for n in ["1", "2", "3"] {
                push(&mut stream, message(n)).await.unwrap();
            }
            "0"
        }
        "Chat" => {
            while let Some(Ok(piece)) = body.data().await {
                let n = piece.len();
                push(&mut stream, piece).await.unwrap();
                body.flow_control().release_capacity(n).unwrap();
            }
            "0"
        }
        "Slow" => {
            let left = parts.headers.get("grpc-timeout").unwrap();
            assert_eq!(left, "50m");
            tokio::time::sleep(Duration::from_millis(50)).await;
            "4"
        }
        _ => "5",
    };
    stream
        .send_trailers(
            trailers(&[("grpc-message", "said%20so")])
                .into_iter()
                .chain([(
                    Some(http::HeaderName::from_static("grpc-status")),
                    http::HeaderValue::from_static(status),
                )])
                .filter_map(|(name, value)| Some((name?, value)))
                .collect::<HeaderMap>(),
        )
        .unwrap();
}

#[tokio::test]
async fn calls_of_all_four_kinds_pass() {
    let a = server("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    for (method, texts, want) in [
        ("Unary", &["hello"][..], &["hello"][..]),
        ("Collect", &["a", "b", "c"], &["a+b+c"]),
        ("Count", &[], &["1", "2", "3"]),
        ("Chat", &["x", "y"], &["x", "y"]),
    ] {
        let got = ask(&mut client, call(method), texts).await;
        assert_eq!(
            (got.status, messages(&got.body)),
            (200, want.iter().map(ToString::to_string).collect()),
            "{method}"
        );
        assert_eq!(
            (got.trailer("grpc-status"), got.trailer("grpc-message")),
            ("0", "said%20so"),
            "{method}"
        );
    }
    assert_eq!(header(&a.seen.last(), "content-type"), Some("application/grpc+proto"));
}

#[tokio::test]
async fn both_sides_of_a_chat_speak_in_turn() {
    let a = server("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let (answer, mut say) = client.open(call("Chat").body(()).unwrap(), false).await;
    let chat = async {
        let mut heard = None;
        let mut answer = Some(answer);
        for text in ["one", "two", "three"] {
            push(&mut say, message(text)).await.unwrap();
            let body: &mut RecvStream = match &mut heard {
                Some(body) => body,
                none => none.insert(answer.take().unwrap().await.unwrap().into_body()),
            };
            let piece = body.data().await.unwrap().unwrap();
            assert_eq!(messages(&piece), [text]);
        }
        say.send_data(Bytes::new(), true).unwrap();
        let (rest, trailers) = whole(&mut heard.unwrap()).await.unwrap();
        assert!(rest.is_empty());
        assert_eq!(trailers.unwrap().get("grpc-status").unwrap(), "0");
    };
    tokio::time::timeout(PATIENCE, chat).await.unwrap();
}

#[tokio::test]
async fn what_the_server_says_about_errors_and_deadlines_is_passed_on() {
    let a = server("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let got = ask(&mut client, call("Missing"), &["x"]).await;
    assert_eq!(
        (got.header("grpc-status"), got.header("grpc-message")),
        ("12", "no such method")
    );
    assert_eq!(got.header("x-lbpool-reason"), "");
    let got = ask(&mut client, call("Slow").header("grpc-timeout", "50m"), &["x"]).await;
    assert_eq!(got.trailer("grpc-status"), "4");
}

#[tokio::test]
async fn our_own_failures_are_told_in_the_words_of_grpc() {
    let hang = peers::member("hang", |_, respond| async move {
        std::future::pending::<()>().await;
        drop(respond);
    })
    .await;
    let gone = Member::named("gone").await;
    let address = gone.address;
    gone.kill().await;
    let balancer = start_with(|_| {});
    let seat = |name: &str, address| json!({"name": name, "pod": name, "address": address, "protocol": "H2c"});
    let routing =
        json!({"timeouts": {"response": "100ms"}, "retries": {"attempts": 0}, "whenAway": {"policy": "Fail"}});
    let mut client = Client::to(balancer.local_addr()).await;
    let none = ask(&mut client, call("Unary"), &["x"]).await;
    assert_eq!(
        (none.status, none.header("grpc-status"), none.header("x-lbpool-reason")),
        (200, "14", "no-member")
    );
    assert_eq!(none.header("content-type"), "application/grpc");
    assert_eq!(none.header("grpc-message"), "no member is there to answer");
    assert!(none.trailers.is_none() && none.body.is_empty(), "trailers only");

    let seats = [seat("hang", hang.address), seat("gone", address)];
    balancer
        .publish(crate::support::seats_document(1, &seats, &routing))
        .await
        .unwrap();
    for (name, status, reason) in [("hang", "14", "response-timeout"), ("gone", "14", "connect-failed")] {
        let key = key_of(&balancer, name);
        let got = ask(&mut client, call("Unary").header("x-request-id", key), &["x"]).await;
        assert_eq!(
            (got.status, got.header("grpc-status"), got.header("x-lbpool-reason")),
            (200, status, reason)
        );
    }
}

/// What came of a call that no member answered: the reason and its status.
async fn failed(client: &mut Client, call: http::request::Builder, text: &str) -> (String, String) {
    let got = ask(client, call, &[text]).await;
    assert_eq!(got.status, 200);
    assert!(got.body.is_empty() && !got.header("grpc-message").is_empty());
    let said = |name| got.header(name).to_owned();
    (said("x-lbpool-reason"), said("grpc-status"))
}

fn told(reason: &str, status: &str) -> (String, String) {
    (reason.to_owned(), status.to_owned())
}

#[tokio::test]
async fn what_a_client_did_wrong_has_the_status_that_says_so() {
    let a = server("a").await;
    let balancer = start_with(|config| {
        config.limits.body_bytes = Some(100);
        config.limits.client_timeout = Duration::from_millis(300);
    });
    peers::publish(&balancer, 1, &[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let long = "x".repeat(9000);
    for (call, text, reason, status) in [
        (call("Unary").header("x", " y"), "x", "malformed", "13"),
        (call("Unary").header("host", "other"), "x", "ambiguous", "13"),
        (
            call("Unary").uri("https://test/demo.Echo/Unary"),
            "x",
            "misdirected",
            "13",
        ),
        (call("Unary").header("expect", "more"), "x", "unsupported", "12"),
        (call(&long), "x", "too-large", "8"),
        (call("Unary"), &long[..200], "too-large", "8"),
    ] {
        assert_eq!(failed(&mut client, call, text).await, told(reason, status));
    }
    let (answer, _more) = client.open(call("Collect").body(()).unwrap(), false).await;
    let got = peers::read(answer).await.unwrap();
    // The member had answered by then: its answer ends with the reason.
    assert_eq!(got.trailer("grpc-status"), "4");
    assert_eq!(
        ask(&mut client, call("Unary"), &["fine"]).await.trailer("grpc-status"),
        "0"
    );
}

#[tokio::test]
async fn what_a_member_did_wrong_is_unavailable_as_502_to_504_are() {
    let hang = peers::member("hang", |_, respond| async move {
        std::future::pending::<()>().await;
        drop(respond);
    })
    .await;
    let reset = peers::member("reset", |_, mut respond| async move {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
    })
    .await;
    let odd = Member::scripted("odd", |_| vec![send("<html>\r\n\r\n")]).await;
    let gone = Member::named("gone").await;
    let refuses = gone.address;
    gone.kill().await;
    // One that nobody accepts from, and whose queue is full: the kernel answers no further connection.
    let full = tokio::net::TcpSocket::new_v4().unwrap();
    full.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let full = full.listen(1).unwrap();
    let silent = full.local_addr().unwrap();
    let mut queue = Vec::new();
    while let Ok(queued) = timeout(peers::MOMENT, TcpStream::connect(silent)).await {
        queue.push(queued.unwrap());
    }

    let balancer = start_with(|_| {});
    let routing = json!({"timeouts": {"response": "500ms", "connect": "500ms"}, "retries": {"attempts": 0},
        "whenAway": {"policy": "Fail"}});
    let seat = |name: &str, address: SocketAddr, protocol: &str, state: &str| json!({"name": name, "pod": name, "address": address, "protocol": protocol, "state": state});
    let seats = [
        seat("hang", hang.address, "H2c", "Serving"),
        seat("reset", reset.address, "H2c", "Serving"),
        seat("odd", odd.address, "Http1", "Serving"),
        seat("gone", refuses, "H2c", "Serving"),
        seat("full", silent, "H2c", "Serving"),
        seat("away", hang.address, "H2c", "Vacant"),
    ];
    let document = crate::support::seats_document(1, &seats, &routing);
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(failed(&mut client, call("Unary"), "x").await, told("no-member", "14"));
    balancer.publish(document).await.unwrap();
    for (name, reason) in [
        ("hang", "response-timeout"),
        ("reset", "member-closed"),
        ("odd", "bad-answer"),
        ("gone", "connect-failed"),
        ("full", "connect-timeout"),
        ("away", "member-away"),
    ] {
        let call = call("Unary").header("x-request-id", key_of(&balancer, name));
        assert_eq!(failed(&mut client, call, "x").await, told(reason, "14"), "{name}");
    }
}

#[tokio::test]
async fn a_call_that_is_cut_in_the_middle_ends_with_a_status() {
    let a = peers::member("a", |_, mut respond| async move {
        let mut stream = respond.send_response(Response::new(()), false).unwrap();
        push(&mut stream, message("half")).await.unwrap();
        tokio::time::sleep(peers::MOMENT).await;
        stream.send_reset(h2::Reason::INTERNAL_ERROR);
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let got = ask(&mut client, call("Count"), &["x"]).await;
    assert_eq!(
        (messages(&got.body), got.trailer("grpc-status")),
        (vec!["half".to_owned()], "14")
    );
    assert_eq!(got.trailer("x-lbpool-reason"), "member-closed");
    // Nobody else has a place for it: a reset says that there was more to come.
    let plain = client.send(request("GET", "/").body(vec![]).unwrap(), None).await;
    assert_eq!(plain.unwrap_err().reason(), Some(h2::Reason::INTERNAL_ERROR));
}
