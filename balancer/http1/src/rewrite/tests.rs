use super::*;
use crate::{Body, Limits, Method, Response};

const FORWARD: Forward<'_> = Forward {
    client: "192.0.2.7",
    proto: "http",
    trust: Trust::Replace,
    style: Style::XForwarded,
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
fn a_member_is_told_that_the_client_takes_trailers_where_it_does() {
    const SAID: &[&str] = &["TE: trailers", "Connection: TE"];
    let upgrade = "Connection: TE, upgrade\r\nTE: trailers\r\nUpgrade: websocket\r\n";
    for (fields, want) in [
        ("TE: trailers\r\nConnection: TE\r\n", SAID),
        ("Connection: close, te\r\nTE: gzip;q=0.5, Trailers\r\n", SAID),
        ("TE: deflate\r\nConnection: TE\r\nTE: trailers\r\n", SAID),
        // Somebody in front may have passed it on unread.
        ("TE: trailers\r\n", &[]),
        ("TE: gzip\r\nConnection: TE\r\n", &[]),
        ("Connection: TE\r\n", &[]),
        (upgrade, &["Connection: Upgrade", "Upgrade: websocket"]),
    ] {
        let text = forwarded(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), &FORWARD);
        let lines = lines(&text);
        let (before, via) = lines.split_at(lines.len() - 1);
        assert_eq!(via, ["Via: 1.1 lbpool"]);
        assert!(before.ends_with(want), "{fields}: {text}");
        assert_eq!(before.len(), 6 + want.len(), "{fields}: {text}");
    }
    let old = forwarded("GET / HTTP/1.0\r\nConnection: TE\r\nTE: trailers\r\n\r\n", &FORWARD);
    assert!(!old.contains("TE"), "{old}");
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
