use super::*;
use crate::{
    Error, Limits, Request, Response,
    rewrite::{self, Answer, Forward},
};

/// The request's head as a member sees it.
fn passed_on(head: &str) -> (bool, String) {
    let mut request = Request::new();
    request.parse(head.as_bytes(), &Limits::default()).unwrap();
    let mut out = Vec::new();
    rewrite::request(request.head(head.as_bytes()), &Forward::default(), &mut out);
    (request.is_upgrade(), String::from_utf8(out).unwrap())
}

fn ask(fields: &str) -> String {
    format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
}

#[test]
fn an_offer_reaches_the_member_with_its_two_fields_and_no_other_of_the_hop() {
    let (upgrade, text) = passed_on(&ask(
        "Connection: keep-alive, Upgrade, X-Hop\r\nX-Hop: 1\r\nUpgrade: WebSocket\r\nKeep-Alive: 5\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n",
    ));
    assert!(upgrade);
    let lines: Vec<&str> = text.split("\r\n").collect();
    assert!(
        lines.contains(&"Connection: Upgrade") && lines.contains(&"Upgrade: WebSocket"),
        "{text}"
    );
    assert!(lines.contains(&"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="), "{text}");
    assert!(!text.contains("Keep-Alive") && !text.contains("X-Hop"), "{text}");
}

#[test]
fn of_several_offers_those_that_would_be_read_as_http_stay_behind() {
    for (value, want) in [
        ("websocket", Some("websocket")),
        ("h2c, websocket", Some("websocket")),
        ("websocket, IRC/6.9, HTTP/2.0", Some("websocket, IRC/6.9")),
        ("tcp", Some("tcp")),
        ("SPDY/3.1", Some("SPDY/3.1")),
        ("h2c", None),
        ("H2C", None),
        ("HTTP/3", None),
        ("TLS/1.2", None),
        ("", None),
        (",", None),
        ("/1", None),
        ("a b", None),
        ("a/b/c", None),
        ("web\u{e9}", None),
    ] {
        let (upgrade, text) = passed_on(&ask(&format!("Connection: upgrade\r\nUpgrade: {value}\r\n")));
        assert_eq!(upgrade, want.is_some(), "{value}");
        let passed = text.split("\r\n").find_map(|line| line.strip_prefix("Upgrade: "));
        assert_eq!(passed, want, "{value}");
        assert_eq!(text.contains("Connection:"), want.is_some(), "{value}");
    }
    let (_, text) = passed_on(&ask("Connection: upgrade\r\nUpgrade: a\r\nX: y\r\nUpgrade: b\r\n"));
    assert!(text.contains("\r\nUpgrade: a, b\r\n"), "{text}");
}

#[test]
fn an_offer_that_is_none_is_an_ordinary_request() {
    for head in [
        ask("Upgrade: websocket\r\n"),
        ask("Connection: upgrade\r\n"),
        ask("Connection: close\r\nUpgrade: websocket\r\n"),
        "GET / HTTP/1.0\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n".to_owned(),
    ] {
        let (upgrade, text) = passed_on(&head);
        assert!(!upgrade && !text.contains("pgrade"), "{text}");
    }
}

/// What becomes of an answer to an offer of `websocket, IRC/6.9`.
fn answered(fields: &str) -> bool {
    let ask = ask("Connection: upgrade\r\nUpgrade: websocket, h2c, IRC/6.9\r\n");
    let answer = format!("HTTP/1.1 101 Switching Protocols\r\n{fields}\r\n");
    let (mut request, mut response) = (Request::new(), Response::new());
    request.parse(ask.as_bytes(), &Limits::default()).unwrap();
    response.allow_switch(true);
    response
        .parse(answer.as_bytes(), &Limits::default(), request.method())
        .unwrap();
    assert!(response.is_switch() && !response.is_informational());
    is_agreed(request.head(ask.as_bytes()), response.head(answer.as_bytes()))
}

#[test]
fn an_answer_switches_to_what_was_offered_and_to_nothing_else() {
    for (fields, want) in [
        ("Connection: Upgrade\r\nUpgrade: websocket\r\n", true),
        ("connection: keep-alive, upgrade\r\nupgrade: WebSocket\r\n", true),
        ("Connection: Upgrade\r\nUpgrade: irc/6.9\r\n", true),
        ("Connection: Upgrade\r\nUpgrade: IRC/6.9, websocket\r\n", true),
        (
            "Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n",
            true,
        ),
        ("Connection: Upgrade\r\nUpgrade: h2c\r\n", false),
        ("Connection: Upgrade\r\nUpgrade: websocket, h2c\r\n", false),
        ("Connection: Upgrade\r\nUpgrade: IRC\r\n", false),
        ("Connection: Upgrade\r\nUpgrade: IRC/7\r\n", false),
        ("Connection: Upgrade\r\nUpgrade: mqtt\r\n", false),
        ("Connection: Upgrade\r\nUpgrade:\r\n", false),
        ("Connection: Upgrade\r\n", false),
        ("Upgrade: websocket\r\n", false),
        ("Connection: close\r\nUpgrade: websocket\r\n", false),
        ("", false),
    ] {
        assert_eq!(answered(fields), want, "{fields}");
    }
}

#[test]
fn a_switch_is_refused_wherever_it_is_not_allowed_for_this_very_answer() {
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
    let limits = Limits::default();
    let mut response = Response::new();
    response.allow_switch(true);
    assert!(response.parse(answer, &limits, crate::Method::Get).is_ok());
    response.clear();
    let verdict = response.parse(answer, &limits, crate::Method::Get);
    assert_eq!(
        verdict,
        Err(Error::Switched),
        "an answer is allowed nothing by the one before"
    );
}

#[test]
fn the_client_sees_the_switch_with_its_two_fields_and_no_framing() {
    let answer = b"HTTP/1.1 101 Web Socket Protocol Handshake\r\nServer: x\r\nKeep-Alive: 5\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nContent-Length: 0\r\nSec-WebSocket-Accept: x\r\n\r\n";
    let mut response = Response::new();
    response.allow_switch(true);
    response.parse(answer, &Limits::default(), crate::Method::Get).unwrap();
    let mut out = Vec::new();
    rewrite::response(response.head(answer), &Answer::default(), &mut out);
    let want = "HTTP/1.1 101 Web Socket Protocol Handshake\r\nServer: x\r\nSec-WebSocket-Accept: x\r\n\
        Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(String::from_utf8(out).unwrap(), want);
}

#[test]
fn an_answer_that_asks_for_an_upgrade_says_to_what() {
    let answer =
        b"HTTP/1.1 426 Upgrade Required\r\nUpgrade: websocket, h2c\r\nConnection: Upgrade\r\nContent-Length: 0\r\n\r\n";
    let mut response = Response::new();
    response.parse(answer, &Limits::default(), crate::Method::Get).unwrap();
    let mut out = Vec::new();
    rewrite::response(response.head(answer), &Answer::default(), &mut out);
    let text = String::from_utf8(out).unwrap();
    assert!(
        text.contains("\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"),
        "{text}"
    );
}
