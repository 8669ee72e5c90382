use super::*;
use crate::{Body, Limits, Method, Response};

const FORWARD: Forward<'_> = Forward {
    client: "192.0.2.7",
    proto: "http",
    trust: Trust::Replace,
    request_id: "id-1",
    received: "",
};

fn forwarded(head: &str, forward: &Forward<'_>) -> String {
    let mut index = Request::new();
    index.parse(head.as_bytes(), &Limits::default()).unwrap().unwrap();
    let mut out = Vec::new();
    request(index.head(head.as_bytes()), forward, &mut out);
    String::from_utf8(out).unwrap()
}

fn answered(head: &str, to: Method, answer: &Answer<'_>) -> (String, Delivery) {
    let mut index = Response::new();
    index.parse(head.as_bytes(), &Limits::default(), to).unwrap().unwrap();
    let mut out = Vec::new();
    let delivery = response(index.head(head.as_bytes()), answer, &mut out);
    (String::from_utf8(out).unwrap(), delivery)
}

fn lines(text: &str) -> Vec<&str> {
    let head = text.strip_suffix("\r\n\r\n").expect("an empty line ends the head");
    head.split("\r\n").collect()
}

const OURS: [&str; 5] = [
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: a",
    "X-Request-Id: id-1",
    "Via: 1.1 lbpool",
];

/// The lines of a forwarded `GET / HTTP/1.1` with `Host: a` between the start line and our own.
fn kept(fields: &str) -> Vec<String> {
    let text = forwarded(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), &FORWARD);
    let lines = lines(&text);
    assert_eq!(lines[..2], ["GET / HTTP/1.1", "Host: a"]);
    let (kept, ours) = lines[2..].split_at(lines.len() - 2 - OURS.len());
    assert_eq!(ours, OURS);
    kept.iter().map(ToString::to_string).collect()
}

#[test]
fn fields_for_the_member_stay_as_they_came() {
    let fields =
        "Accept:*/*\r\nCookie:  a=b \r\nX-Empty:\r\nContent-Length: 5\r\nExpect: 100-continue\r\nTrailer: X\r\n";
    assert_eq!(kept(fields).join("\r\n") + "\r\n", fields);
}

#[test]
fn fields_of_the_hop_stay_behind() {
    for hop in [
        "Connection: close",
        "Connection: keep-alive",
        "Keep-Alive: timeout=5",
        "Proxy-Connection: keep-alive",
        "Proxy-Authorization: x",
        "Proxy-Authenticate: x",
        "TE: trailers",
        "Upgrade: websocket",
        "HTTP2-Settings: x",
    ] {
        assert_eq!(
            kept(&format!("A: 1\r\n{hop}\r\nB: 2\r\n")),
            ["A: 1", "B: 2"],
            "{hop} between"
        );
        assert_eq!(
            kept(&format!("{hop}\r\n{hop}\r\nB: 2\r\n")),
            ["B: 2"],
            "{hop} first and twice"
        );
        assert_eq!(kept(&format!("A: 1\r\n{hop}\r\n")), ["A: 1"], "{hop} last");
    }
}

#[test]
fn fields_that_connection_names_stay_behind() {
    assert_eq!(
        kept("X-Hop: 1\r\nConnection: x-hop, close\r\nA: 1\r\nconnection: B\r\nb: 2\r\n"),
        ["A: 1"]
    );
}

#[test]
fn connection_cannot_talk_away_what_members_rely_on() {
    let fields = "Connection: host, content-length, x-forwarded-for, x-forwarded-host, via, x-request-id\r\n\
        Content-Length: 5\r\nVia: 1.1 cdn\r\nX-Request-Id: mine\r\n";
    let text = forwarded(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), &FORWARD);
    let want = [
        "Host: a",
        "Content-Length: 5",
        "Via: 1.1 cdn",
        "X-Request-Id: mine",
        OURS[0],
        OURS[1],
        OURS[2],
        OURS[4],
    ];
    assert_eq!(lines(&text)[1..], want);
}

#[test]
fn what_anybody_claims_about_the_client_is_replaced() {
    let claims = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank\r\n\
        X-Forwarded-Port: 443\r\nForwarded: for=10.0.0.1\r\nX-Real-IP: 10.0.0.1\r\n";
    assert!(kept(claims).is_empty());
}

#[test]
fn what_a_trusted_proxy_says_about_the_client_is_continued() {
    let forward = Forward {
        trust: Trust::Append,
        ..FORWARD
    };
    let said = "GET / HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 10.0.0.1\r\nX-Forwarded-Proto: https\r\n\
        X-Forwarded-For: 10.0.0.2, 10.0.0.3\r\nX-Forwarded-Host: shop\r\nForwarded: for=10.0.0.1\r\n\r\n";
    assert_eq!(
        lines(&forwarded(said, &forward))[2..],
        [
            "X-Forwarded-Proto: https",
            "X-Forwarded-Host: shop",
            "Forwarded: for=10.0.0.1",
            "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7",
            "X-Request-Id: id-1",
            "Via: 1.1 lbpool",
        ]
    );
    assert_eq!(
        lines(&forwarded("GET / HTTP/1.1\r\nHost: a\r\n\r\n", &forward))[2..],
        OURS
    );
}

#[test]
fn request_without_an_id_gets_one() {
    assert_eq!(kept("X-Request-Id:\r\n"), Vec::<String>::new());
    let text = forwarded("GET / HTTP/1.1\r\nHost: a\r\nx-request-id: theirs\r\n\r\n", &FORWARD);
    assert!(
        text.contains("x-request-id: theirs\r\n") && !text.contains("id-1"),
        "{text}"
    );
}

#[test]
fn members_get_origin_form_and_exactly_one_host() {
    for (head, want) in [
        ("GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n", ["GET /a?b HTTP/1.1", "Host: h"]),
        (
            "GET http://x:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
            ["GET /a?b HTTP/1.1", "Host: x:1"],
        ),
        (
            "GET http://x?b HTTP/1.1\r\nHost: h\r\n\r\n",
            ["GET /?b HTTP/1.1", "Host: x"],
        ),
        (
            "OPTIONS http://x HTTP/1.1\r\nHost: h\r\n\r\n",
            ["OPTIONS * HTTP/1.1", "Host: x"],
        ),
        (
            "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            ["OPTIONS * HTTP/1.1", "Host: h"],
        ),
        ("purge / HTTP/1.1\r\nHost: h\r\n\r\n", ["purge / HTTP/1.1", "Host: h"]),
        ("GET / HTTP/1.0\r\n\r\n", ["GET / HTTP/1.1", "Host: "]),
        ("GET http://x/ HTTP/1.0\r\n\r\n", ["GET / HTTP/1.1", "Host: x"]),
        ("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", ["GET / HTTP/1.1", "Host: h"]),
    ] {
        let text = forwarded(head, &FORWARD);
        let lines = lines(&text);
        assert_eq!(lines[..2], want, "{head}");
        assert_eq!(
            lines.iter().filter(|line| line.starts_with("Host:")).count(),
            1,
            "{head}"
        );
    }
}

#[test]
fn http_1_0_is_named_in_via_and_waits_for_nothing() {
    let text = forwarded(
        "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        &FORWARD,
    );
    assert!(
        text.ends_with("\r\nVia: 1.0 lbpool\r\n\r\n") && !text.contains("Expect"),
        "{text}"
    );
}

#[test]
fn answers_lose_the_hop_and_keep_the_rest() {
    let head = "HTTP/1.0 404 Not  Here\r\nServer: x\r\nConnection: keep-alive, X-Hop\r\nKeep-Alive: 5\r\nX-Hop: 1\r\n\
        Upgrade: h2c\r\nContent-Length: 5\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\r\n";
    let (text, delivery) = answered(head, Method::Get, &Answer::default());
    assert_eq!(
        lines(&text),
        [
            "HTTP/1.1 404 Not  Here",
            "Server: x",
            "Content-Length: 5",
            "Set-Cookie: a",
            "Set-Cookie: b",
            "Via: 1.0 lbpool"
        ]
    );
    assert_eq!(
        delivery,
        Delivery {
            close: false,
            decode: false
        }
    );
}

#[test]
fn answers_say_whether_the_connection_goes_on() {
    let counted = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    let endless = "HTTP/1.1 200 OK\r\n\r\n";
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let empty = "HTTP/1.1 204 No Content\r\n\r\n";
    let (close, keep, nothing) = ("Connection: close", "Connection: keep-alive", "Via: 1.1 lbpool");
    for (head, version, asked, last, delivery) in [
        (counted, Version::Http11, false, nothing, (false, false)),
        (counted, Version::Http11, true, close, (true, false)),
        (counted, Version::Http10, false, keep, (false, false)),
        (counted, Version::Http10, true, close, (true, false)),
        (endless, Version::Http11, false, close, (true, false)),
        (chunked, Version::Http11, false, nothing, (false, false)),
        (chunked, Version::Http10, false, close, (true, true)),
        (empty, Version::Http11, false, nothing, (false, false)),
    ] {
        let (text, seen) = answered(
            head,
            Method::Get,
            &Answer {
                version,
                close: asked,
                ..Answer::default()
            },
        );
        assert_eq!(lines(&text).last(), Some(&last), "{head} {version:?} {asked}");
        assert_eq!((seen.close, seen.decode), delivery, "{head} {version:?} {asked}");
        let chunks = text.contains("Transfer-Encoding");
        assert_eq!(
            chunks,
            head == chunked && version == Version::Http11,
            "{head} {version:?}"
        );
    }
}

#[test]
fn head_answers_keep_the_length_of_the_body_that_is_not_there() {
    let (text, delivery) = answered(
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n",
        Method::Head,
        &Answer::default(),
    );
    assert_eq!(lines(&text)[1], "Content-Length: 5");
    assert!(!delivery.close);
}

#[test]
fn answers_without_a_body_promise_none() {
    for (head, want) in [
        ("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 0),
        ("HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n", 0),
        ("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n", 0),
        ("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", 1),
    ] {
        let (text, _) = answered(head, Method::Get, &Answer::default());
        let found = lines(&text)
            .iter()
            .filter(|line| line.contains("Length") || line.contains("Encoding"))
            .count();
        assert_eq!(found, want, "{text}");
    }
}

#[test]
fn informational_answers_say_nothing_about_the_connection() {
    let head = "HTTP/1.1 103 Early Hints\r\nLink: x\r\nConnection: close\r\n\r\n";
    let (text, delivery) = answered(
        head,
        Method::Get,
        &Answer {
            close: true,
            ..Answer::default()
        },
    );
    assert_eq!(lines(&text), ["HTTP/1.1 103 Early Hints", "Link: x"]);
    assert!(!delivery.close);
}

#[test]
fn extra_headers_cannot_begin_another_answer() {
    let extra = [("X-Lbpool-Member", "m-0"), ("X-Bad", "a\r\nSet-Cookie: b")];
    let head = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    let (text, _) = answered(
        head,
        Method::Get,
        &Answer {
            extra: &extra,
            ..Answer::default()
        },
    );
    assert_eq!(lines(&text)[2..], ["X-Lbpool-Member: m-0", "Via: 1.1 lbpool"]);
}

#[test]
fn answers_to_a_request_go_on_when_it_wants_that() {
    let mut request = Request::new();
    for (head, version, close) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", Version::Http11, false),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
            Version::Http11,
            true,
        ),
        ("GET / HTTP/1.0\r\n\r\n", Version::Http10, true),
    ] {
        request.parse(head.as_bytes(), &Limits::default()).unwrap();
        let answer = Answer::to(&request);
        assert_eq!((answer.version, answer.close), (version, close), "{head}");
    }
}

#[test]
fn http_1_0_client_gets_the_data_without_chunks() {
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    let answer = Answer {
        version: Version::Http10,
        ..Answer::default()
    };
    let (mut text, delivery) = answered(head, Method::Get, &answer);
    assert!(delivery.decode);
    let mut data = Vec::new();
    Body::new(Framing::Chunked)
        .decode(b"5\r\nhello\r\n0\r\n\r\n", usize::MAX, &mut data)
        .unwrap();
    text.push_str(std::str::from_utf8(&data).unwrap());
    assert_eq!(
        text,
        "HTTP/1.1 200 OK\r\nVia: 1.1 lbpool\r\nConnection: close\r\n\r\nhello"
    );
}
