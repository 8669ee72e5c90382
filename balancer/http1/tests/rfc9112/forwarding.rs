//! Heads as the other side sees them (RFC 9110, section 7.6; RFC 7239).

use lbpool_http1::{
    Limits, Method, Request, Response, Version,
    forwarded::Style,
    rewrite::{self, Answer, Forward, Trust},
};

const FORWARD: Forward<'_> = Forward {
    client: "192.0.2.7",
    proto: "http",
    trust: Trust::Replace,
    style: Style::XForwarded,
    request_id: "id-1",
    received: "",
};

/// What a member gets, without what a plain request gets too: the same at every cut.
fn forwarded(head: &str, forward: &Forward<'_>) -> Vec<String> {
    let feed = |cut: usize| {
        let mut request = Request::new();
        let limits = Limits::default();
        if request.parse(&head.as_bytes()[..cut], &limits) == Ok(None) {
            assert_eq!(request.parse(head.as_bytes(), &limits), Ok(Some(head.len())), "{head}");
        }
        let mut out = Vec::new();
        rewrite::request(request.head(head.as_bytes()), forward, &mut out);
        String::from_utf8(out).unwrap()
    };
    let whole = feed(head.len());
    for cut in 0..head.len() {
        assert_eq!(feed(cut), whole, "cut at {cut}");
    }
    let lines = whole.strip_suffix("\r\n\r\n").unwrap().split("\r\n");
    lines.map(str::to_owned).collect()
}

const PLAIN: [&str; 7] = [
    "GET / HTTP/1.1",
    "Host: a",
    "X-Forwarded-For: 192.0.2.7",
    "X-Forwarded-Proto: http",
    "X-Forwarded-Host: a",
    "X-Request-Id: id-1",
    "Via: 1.1 lbpool",
];

#[test]
fn fields_of_the_hop_stay_behind_and_the_others_pass() {
    for (name, section, fields, kept) in [
        (
            "end to end",
            "9110 7.6",
            "Accept:*/*\r\nCookie:  a=b \r\nX-Empty:\r\nTrailer: X\r\n",
            "Accept:*/*|Cookie:  a=b |X-Empty:|Trailer: X",
        ),
        ("order", "9110 5.3", "X: 1\r\nY: 2\r\nX: 3\r\n", "X: 1|Y: 2|X: 3"),
        ("Connection", "9110 7.6.1", "Connection: keep-alive\r\nA: 1\r\n", "A: 1"),
        (
            "what Connection names",
            "9110 7.6.1",
            "X-Hop: 1\r\nConnection: x-hop, close\r\nA: 1\r\nconnection: B\r\nb: 2\r\n",
            "A: 1",
        ),
        ("Keep-Alive", "9110 7.6.1", "Keep-Alive: timeout=5\r\nA: 1\r\n", "A: 1"),
        (
            "Proxy-Connection",
            "9110 7.6.1",
            "A: 1\r\nProxy-Connection: keep-alive\r\n",
            "A: 1",
        ),
        (
            "Proxy-Authorization",
            "9110 11.7.2",
            "A: 1\r\nProxy-Authorization: x\r\nB: 2\r\n",
            "A: 1|B: 2",
        ),
        (
            "TE",
            "9110 10.1.4",
            "TE: gzip, trailers;q=1\r\nConnection: TE\r\nA: 1\r\n",
            "A: 1",
        ),
        ("Upgrade", "9110 7.8", "Upgrade: websocket\r\nA: 1\r\n", "A: 1"),
        ("HTTP2-Settings", "7540 3.2.1", "HTTP2-Settings: x\r\nA: 1\r\n", "A: 1"),
        (
            "what anybody claims",
            "7239 8.1",
            "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: bank\r\n\
            X-Forwarded-Port: 443\r\nForwarded: for=1.1.1.1\r\nX-Real-IP: 1.1.1.1\r\nA: 1\r\n",
            "A: 1",
        ),
        ("an empty id", "9110 5.5", "X-Request-Id:\r\nA: 1\r\n", "A: 1"),
        (
            "Max-Forwards with another method",
            "9110 7.6.2",
            "Max-Forwards: 5\r\n",
            "Max-Forwards: 5",
        ),
    ] {
        let lines = forwarded(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), &FORWARD);
        let want: Vec<&str> = PLAIN[..2]
            .iter()
            .copied()
            .chain(kept.split('|'))
            .chain(PLAIN[2..].iter().copied())
            .collect();
        assert_eq!(lines, want, "{name} ({section})");
    }
}

#[test]
fn what_members_rely_on_can_not_be_talked_away() {
    let fields = "Connection: host, content-length, x-forwarded-for, x-forwarded-host, forwarded, via, x-request-id, max-forwards\r\n\
        Content-Length: 5\r\nVia: 1.1 cdn\r\nX-Request-Id: mine\r\nForwarded: for=10.0.0.1\r\n";
    let forward = Forward {
        trust: Trust::Append,
        ..FORWARD
    };
    let want = [
        PLAIN[0],
        PLAIN[1],
        "Content-Length: 5",
        "Via: 1.1 cdn",
        "X-Request-Id: mine",
        PLAIN[2],
        PLAIN[3],
        PLAIN[4],
        "Forwarded: for=10.0.0.1, for=192.0.2.7;host=\"a\";proto=http",
        PLAIN[6],
    ];
    assert_eq!(
        forwarded(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), &forward),
        want
    );
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn start_line_host_and_hops_are_written_anew() {
    for (name, section, head, want) in [
        (
            "absolute form",
            "9112 3.2.2",
            "GET http://x:1/a?b HTTP/1.1\r\nHost: h\r\n\r\n",
            &["GET /a?b HTTP/1.1", "Host: x:1"][..],
        ),
        (
            "absolute form, no path",
            "9112 3.2.1",
            "GET http://x?b HTTP/1.1\r\nHost: h\r\n\r\n",
            &["GET /?b HTTP/1.1", "Host: x"],
        ),
        (
            "absolute form of OPTIONS",
            "9112 3.2.4",
            "OPTIONS http://x HTTP/1.1\r\nHost: h\r\n\r\n",
            &["OPTIONS * HTTP/1.1", "Host: x"],
        ),
        (
            "asterisk form",
            "9112 3.2.4",
            "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
            &["OPTIONS * HTTP/1.1", "Host: h"],
        ),
        (
            "HTTP/1.0",
            "9112 2.3",
            "GET / HTTP/1.0\r\n\r\n",
            &["GET / HTTP/1.1", "Host: ", "Via: 1.0 lbpool"],
        ),
        (
            "HTTP/1.0 waits for nothing",
            "9110 10.1.1",
            "POST / HTTP/1.0\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
            &["POST / HTTP/1.1", "Host: a", "Content-Length: 1"],
        ),
        (
            "an empty line first",
            "9112 2.2",
            "\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
            &["GET / HTTP/1.1", "Host: h"],
        ),
        (
            "Max-Forwards of TRACE",
            "9110 7.6.2",
            "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 10\r\n\r\n",
            &["TRACE / HTTP/1.1", "Host: h", "Max-Forwards: 9"],
        ),
        (
            "Max-Forwards of OPTIONS",
            "9110 7.6.2",
            "OPTIONS * HTTP/1.1\r\nMax-Forwards: 1\r\nHost: h\r\n\r\n",
            &["OPTIONS * HTTP/1.1", "Host: h", "Max-Forwards: 0"],
        ),
        (
            "Via goes on",
            "9110 7.6.3",
            "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.0 fred\r\n\r\n",
            &["Via: 1.0 fred", "Via: 1.1 lbpool"],
        ),
        (
            "an id that it has",
            "-",
            "GET / HTTP/1.1\r\nHost: h\r\nx-request-id: theirs\r\n\r\n",
            &["x-request-id: theirs"],
        ),
        (
            "an id of no use to people",
            "-",
            "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: a b\r\n\r\n",
            &["X-Request-Id: a b"],
        ),
    ] {
        let lines = forwarded(head, &FORWARD);
        for line in want {
            assert!(
                lines.contains(&(*line).to_owned()),
                "{name} ({section}): {line} in {lines:?}"
            );
        }
        for once in ["Host", "X-Request-Id", "Max-Forwards", "Expect"] {
            let count = lines.iter().filter(|line| {
                line.split(':')
                    .next()
                    .is_some_and(|name| name.eq_ignore_ascii_case(once))
            });
            assert!(count.count() <= 1, "{name} ({section}): {once} in {lines:?}");
        }
        assert!(
            !lines.iter().any(|line| line.starts_with("Expect")),
            "{name} ({section})"
        );
    }
}

#[test]
fn where_a_request_came_from_is_told_in_the_style_that_is_asked_for() {
    let said = "X-Forwarded-For: 10.0.0.1\r\nX-Forwarded-For: 10.0.0.2, 10.0.0.3\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: shop\r\n\
        X-Forwarded-Port: 443\r\nX-Real-IP: 10.0.0.1\r\n";
    let rfc = "Forwarded: for=10.0.0.1;proto=https\r\nForwarded: for=\"[fd00::1]\"\r\n";
    let (x_for, x_proto, x_host) = (
        "X-Forwarded-For: 192.0.2.7",
        "X-Forwarded-Proto: http",
        "X-Forwarded-Host: a",
    );
    let element = "Forwarded: for=192.0.2.7;host=\"a\";proto=http";
    let x_on = "X-Forwarded-For: 10.0.0.1, 10.0.0.2, 10.0.0.3, 192.0.2.7";
    let rfc_on = "Forwarded: for=10.0.0.1;proto=https, for=\"[fd00::1]\", for=192.0.2.7;host=\"a\";proto=http";
    let kept = [
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: shop",
        "X-Forwarded-Port: 443",
        "X-Real-IP: 10.0.0.1",
    ];
    let nobody = [said, rfc].concat();
    for (trust, style, fields, want) in [
        (
            Trust::Replace,
            Style::XForwarded,
            nobody.as_str(),
            vec![x_for, x_proto, x_host],
        ),
        (Trust::Replace, Style::Forwarded, &nobody, vec![element]),
        (
            Trust::Replace,
            Style::Both,
            &nobody,
            vec![x_for, x_proto, x_host, element],
        ),
        (Trust::Append, Style::XForwarded, "", vec![x_for, x_proto, x_host]),
        (Trust::Append, Style::XForwarded, said, [&kept[..], &[x_on]].concat()),
        (
            Trust::Append,
            Style::XForwarded,
            rfc,
            vec![x_for, x_proto, x_host, rfc_on],
        ),
        (Trust::Append, Style::Forwarded, rfc, vec![rfc_on]),
        (
            Trust::Append,
            Style::Forwarded,
            said,
            [&kept[..], &[x_on, element]].concat(),
        ),
        (
            Trust::Append,
            Style::Both,
            &nobody,
            [&kept[..], &[x_on, rfc_on]].concat(),
        ),
    ] {
        let forward = Forward {
            trust,
            style,
            ..FORWARD
        };
        let lines = forwarded(&format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n"), &forward);
        let (start, rest) = lines.split_at(2);
        assert_eq!(start, &PLAIN[..2]);
        assert_eq!(rest[..rest.len() - 2], want, "{trust:?} {style:?} {fields}");
    }
    let v6 = Forward {
        client: "2001:db8::7",
        style: Style::Forwarded,
        proto: "https",
        ..FORWARD
    };
    let lines = forwarded("GET / HTTP/1.1\r\nHost: a:1\r\n\r\n", &v6);
    assert_eq!(lines[2], "Forwarded: for=\"[2001:db8::7]\";host=\"a:1\";proto=https");
    let lines = forwarded("GET / HTTP/1.0\r\n\r\n", &Forward { client: "", ..v6 });
    assert_eq!(lines[2], "Forwarded: for=unknown;proto=https");
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn answers_reach_the_client_as_their_status_version_and_method_want() {
    let date = "Sun, 06 Nov 1994 08:49:37 GMT";
    let (http10, http11) = (Version::Http10, Version::Http11);
    let ours = "Date: Sun, 06 Nov 1994 08:49:37 GMT|Via: 1.1 lbpool";
    for (name, section, head, to, version, want) in [
        (
            "counted",
            "9112 6.2",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 OK|Content-Length: 5|*",
        ),
        (
            "its own date stays",
            "9110 6.6.1",
            "HTTP/1.1 200 OK\r\ndate: x\r\nContent-Length: 0\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 OK|date: x|Content-Length: 0|Via: 1.1 lbpool",
        ),
        (
            "an interim answer has none",
            "9110 6.6.1",
            "HTTP/1.1 103 Early Hints\r\nLink: x\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 103 Early Hints|Link: x",
        ),
        (
            "no phrase",
            "9112 4",
            "HTTP/1.1 200\r\nContent-Length: 0\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 |Content-Length: 0|*",
        ),
        (
            "no phrase, but its space",
            "9112 4",
            "HTTP/1.1 200 \r\nContent-Length: 0\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 |Content-Length: 0|*",
        ),
        (
            "the hop's fields",
            "9110 7.6.1",
            "HTTP/1.1 200 OK\r\nConnection: close, X\r\nKeep-Alive: 5\r\nX: 1\r\nUpgrade: h2c\r\n\
            Proxy-Authenticate: x\r\nContent-Length: 0\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 OK|Content-Length: 0|*",
        ),
        (
            "chunks",
            "9112 7.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked|*",
        ),
        (
            "chunks to HTTP/1.0",
            "9112 6.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
            Method::Get,
            http10,
            "HTTP/1.1 200 OK|*|Connection: close",
        ),
        (
            "a length to HTTP/1.0",
            "9112 9.3",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
            Method::Get,
            http10,
            "HTTP/1.1 200 OK|Content-Length: 5|*|Connection: keep-alive",
        ),
        (
            "no length",
            "9112 6.3",
            "HTTP/1.1 200 OK\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 200 OK|*|Connection: close",
        ),
        (
            "no length to HEAD",
            "9110 9.3.2",
            "HTTP/1.1 200 OK\r\n",
            Method::Head,
            http11,
            "HTTP/1.1 200 OK|*",
        ),
        (
            "a length to HEAD",
            "9110 9.3.2",
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n",
            Method::Head,
            http11,
            "HTTP/1.1 200 OK|Content-Length: 5|*",
        ),
        (
            "chunks to HEAD",
            "9112 6.1",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n",
            Method::Head,
            http11,
            "HTTP/1.1 200 OK|Transfer-Encoding: chunked|*",
        ),
        (
            "204 with a length",
            "9110 8.6",
            "HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 204 No Content|*",
        ),
        (
            "204 with chunks",
            "9112 6.1",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 204 No Content|*",
        ),
        (
            "205",
            "9110 15.3.6",
            "HTTP/1.1 205 Reset Content\r\nContent-Length: 0\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 205 Reset Content|Content-Length: 0|*",
        ),
        (
            "304 with a length",
            "9110 8.6",
            "HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n",
            Method::Get,
            http11,
            "HTTP/1.1 304 Not Modified|Content-Length: 5|*",
        ),
        (
            "100 with a length",
            "9110 8.6",
            "HTTP/1.1 100 Continue\r\nContent-Length: 5\r\nConnection: close\r\n",
            Method::Post,
            http11,
            "HTTP/1.1 100 Continue",
        ),
    ] {
        let head = format!("{head}\r\n");
        let mut response = Response::new();
        let length = response.parse(head.as_bytes(), &Limits::default(), to);
        assert_eq!(length, Ok(Some(head.len())), "{name}");
        let mut out = Vec::new();
        let answer = Answer {
            version,
            date,
            ..Answer::default()
        };
        rewrite::response(response.head(head.as_bytes()), &answer, &mut out);
        let text = String::from_utf8(out).unwrap();
        let lines = text.strip_suffix("\r\n\r\n").unwrap().replace("\r\n", "|");
        assert_eq!(lines, want.replace('*', ours), "{name} ({section})");
    }
}
