use super::*;
use crate::{Error, Framing};

fn parse(bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
    Request::new().parse(bytes, limits)
}

/// Feeds the head once per cut position, each in two pieces; the verdict must not depend on it.
fn at_every_cut(name: &str, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Error> {
    let whole = parse(bytes, limits);
    for cut in 0..bytes.len() {
        let mut request = Request::new();
        let verdict = match request.parse(&bytes[..cut], limits) {
            Ok(None) => request.parse(bytes, limits),
            early => early,
        };
        assert_eq!(verdict, whole, "{name}, cut at {cut}");
    }
    let mut request = Request::new();
    let drip = (0..=bytes.len()).find_map(|end| request.parse(&bytes[..end], limits).transpose());
    assert_eq!(drip.transpose(), whole, "{name}, byte by byte");
    whole
}

fn response_at_every_cut(name: &str, bytes: &[u8]) -> Result<Response, Error> {
    let limits = Limits::default();
    let mut whole = Response::new();
    let verdict = whole.parse(bytes, &limits, Method::Get);
    for cut in 0..bytes.len() {
        let mut response = Response::new();
        let again = match response.parse(&bytes[..cut], &limits, Method::Get) {
            Ok(None) => response.parse(bytes, &limits, Method::Get),
            early => early,
        };
        assert_eq!(again, verdict, "{name}, cut at {cut}");
    }
    verdict.map(|length| {
        assert!(length.is_some(), "{name} is complete");
        whole
    })
}

const REFUSED: &[(&str, &[u8], Error)] = &[
    ("no target", b"GET\r\n\r\n", Error::Target),
    ("HTTP/0.9", b"GET /\r\n\r\n", Error::Target),
    ("two spaces", b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", Error::Target),
    (
        "space behind the version",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        Error::LineEnd,
    ),
    (
        "method with a colon",
        b"GE:T / HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Method,
    ),
    ("TLS on the wrong port", b"\x16\x03\x01\x02\x00", Error::StartLine),
    (
        "two empty lines first",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::StartLine,
    ),
    ("CONNECT", b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n", Error::Connect),
    (
        "relative target",
        b"GET path HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Target,
    ),
    (
        "asterisk without OPTIONS",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Target,
    ),
    ("fragment", b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", Error::Target),
    (
        "raw UTF-8 in the target",
        "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(),
        Error::Target,
    ),
    (
        "control character in the target",
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Target,
    ),
    (
        "other scheme",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Target,
    ),
    (
        "absolute without host",
        b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Target,
    ),
    (
        "absolute with user",
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::Target,
    ),
    ("HTTP/2 preface", b"PRI * HTTP/2.0\r\n\r\n", Error::Version),
    ("HTTP/1.2", b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", Error::Version),
    ("other protocol", b"GET / RTSP/1.0\r\nHost: a\r\n\r\n", Error::StartLine),
    ("bare LF", b"GET / HTTP/1.1\nHost: a\n\n", Error::LineEnd),
    (
        "bare LF behind a field",
        b"GET / HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
        Error::LineEnd,
    ),
    (
        "bare LF as last line",
        b"GET / HTTP/1.1\r\nHost: a\r\n\n",
        Error::LineEnd,
    ),
    (
        "bare CR in a value",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\rZ: z\r\n\r\n",
        Error::FieldValue,
    ),
    (
        "bare CR in a name",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\rY: z\r\n\r\n",
        Error::FieldName,
    ),
    (
        "folded line",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n z\r\n\r\n",
        Error::FieldName,
    ),
    (
        "folded with a tab",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: y\r\n\tz\r\n\r\n",
        Error::FieldName,
    ),
    (
        "space before the first name",
        b"GET / HTTP/1.1\r\n Host: a\r\n\r\n",
        Error::FieldName,
    ),
    (
        "space before the colon",
        b"GET / HTTP/1.1\r\nHost : a\r\n\r\n",
        Error::FieldName,
    ),
    (
        "tab before the colon",
        b"GET / HTTP/1.1\r\nHost\t: a\r\n\r\n",
        Error::FieldName,
    ),
    ("no colon", b"GET / HTTP/1.1\r\nHost: a\r\nX\r\n\r\n", Error::FieldName),
    (
        "empty name",
        b"GET / HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
        Error::FieldName,
    ),
    (
        "name with NUL",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\0: x\r\n\r\n",
        Error::FieldName,
    ),
    (
        "name with 0xA0",
        b"GET / HTTP/1.1\r\nHost: a\r\nX\xa0: x\r\n\r\n",
        Error::FieldName,
    ),
    (
        "value with NUL",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n",
        Error::FieldValue,
    ),
    (
        "value with DEL",
        b"GET / HTTP/1.1\r\nHost: a\r\nX: \x7f\r\n\r\n",
        Error::FieldValue,
    ),
    (
        "vertical tab as white space",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:\x0bx\r\n\r\n",
        Error::FieldValue,
    ),
    ("no Host", b"GET / HTTP/1.1\r\n\r\n", Error::HostMissing),
    (
        "Host twice",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Error::HostTwice,
    ),
    (
        "Host twice in 1.0",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        Error::HostTwice,
    ),
    ("Host with a list", b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", Error::Host),
    ("Host with a path", b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", Error::Host),
    ("Host with a user", b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", Error::Host),
    (
        "Host with a word as port",
        b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        Error::Host,
    ),
    (
        "Host with two ports",
        b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
        Error::Host,
    ),
    (
        "Host with half an address",
        b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        Error::Host,
    ),
    (
        "Host with an odd address",
        b"GET / HTTP/1.1\r\nHost: [::x]\r\n\r\n",
        Error::Host,
    ),
    (
        "target over its limit",
        b"GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: a\r\n\r\n",
        Error::TargetTooLong,
    ),
    (
        "four headers",
        b"GET / HTTP/1.1\r\nHost: a\r\nA: 1\r\nB: 2\r\nC: 3\r\n\r\n",
        Error::TooManyHeaders,
    ),
];

#[test]
fn malformed_heads_are_refused_alike_at_every_cut() {
    let limits = Limits {
        head: 256,
        target: 32,
        headers: 3,
    };
    for (name, head, want) in REFUSED {
        assert_eq!(at_every_cut(name, head, &limits), Err(*want), "{name}");
    }
}

const ACCEPTED: &[(&str, &[u8])] = &[
    ("least", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("HTTP/1.0 without Host", b"GET / HTTP/1.0\r\n\r\n"),
    ("an empty line first", b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("no space behind the colon", b"GET / HTTP/1.1\r\nHost:a\r\n\r\n"),
    (
        "white space around the value",
        b"GET / HTTP/1.1\r\nHost: \t a \t \r\n\r\n",
    ),
    ("empty value", b"GET / HTTP/1.1\r\nHost: a\r\nX:\r\n\r\n"),
    (
        "empty value last, with spaces",
        b"GET / HTTP/1.1\r\nHost: a\r\nX:   \r\n\r\n",
    ),
    ("empty Host", b"GET / HTTP/1.1\r\nHost:\r\n\r\n"),
    ("Host with a port", b"GET / HTTP/1.1\r\nHost: a_b.example:8080\r\n\r\n"),
    (
        "Host with an address",
        b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
    ),
    ("Latin-1 in a value", b"GET / HTTP/1.1\r\nHost: a\r\nX: \xe4\r\n\r\n"),
    (
        "what browsers leave as it is",
        b"GET /a|b?{\"c\"}=[d]^`<e> HTTP/1.1\r\nHost: a\r\n\r\n",
    ),
    ("OPTIONS *", b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"),
    ("method of one's own", b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n"),
];

#[test]
fn well_formed_heads_are_read_alike_at_every_cut() {
    for (name, head) in ACCEPTED {
        assert_eq!(
            at_every_cut(name, head, &Limits::default()),
            Ok(Some(head.len())),
            "{name}"
        );
        let pipelined = [head, &b"GET /next HTTP/1.1\r\n\r\n"[..]].concat();
        assert_eq!(
            at_every_cut(name, &pipelined, &Limits::default()),
            Ok(Some(head.len())),
            "{name}, pipelined"
        );
    }
}

#[test]
fn head_of_exactly_the_limit_is_read_and_one_byte_more_is_refused() {
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nX: yyyyyyyyyyyyyyyy\r\n\r\n";
    let limits = |head| Limits {
        head,
        ..Limits::default()
    };
    assert_eq!(at_every_cut("exact", head, &limits(head.len())), Ok(Some(head.len())));
    assert_eq!(
        at_every_cut("one more", head, &limits(head.len() - 1)),
        Err(Error::HeadTooLarge)
    );
    assert_eq!(
        at_every_cut("inside the first line", head, &limits(8)),
        Err(Error::TargetTooLong)
    );
}

#[test]
fn endless_first_line_is_refused_before_it_ends() {
    let limits = Limits {
        target: 100,
        ..Limits::default()
    };
    let mut line = b"GET /".to_vec();
    line.resize(1000, b'a');
    assert_eq!(parse(&line, &limits), Err(Error::TargetTooLong));
}

#[test]
fn limits_never_exceed_what_offsets_can_hold() {
    let limits = Limits {
        head: usize::MAX,
        target: usize::MAX,
        headers: usize::MAX,
    };
    let mut head = b"GET / HTTP/1.1\r\nHost: a\r\nX: ".to_vec();
    head.resize(MAX_HEAD - 4, b'x');
    head.extend_from_slice(b"\r\n\r\n");
    let mut request = Request::new();
    assert_eq!(request.parse(&head, &limits), Ok(Some(MAX_HEAD)));
    assert_eq!(
        request.head(&head).header("x").map(<[u8]>::len).collect::<Vec<_>>(),
        [MAX_HEAD - 32]
    );
    head.insert(30, b'x');
    assert_eq!(request.parse(&head, &limits), Err(Error::HeadTooLarge));
    let many = |count| ["GET / HTTP/1.1\r\nHost: a\r\n", &"X: y\r\n".repeat(count - 1), "\r\n"].concat();
    assert!(request.parse(many(MAX_HEADERS).as_bytes(), &limits).is_ok());
    assert_eq!(
        request.parse(many(MAX_HEADERS + 1).as_bytes(), &limits),
        Err(Error::TooManyHeaders)
    );
}

#[test]
fn view_reads_what_the_client_sent() {
    let bytes = b"\r\nPUT /cart/42?user=7&x?y HTTP/1.1\r\nhost: shop:80\r\nCookie: a=1; session=abc=\r\nX-Key: one\r\n\
        cookie: late=2;quoted=\"q\"\r\nx-key: two \r\nX-Request-Id: r-1\r\n\r\nbody";
    let mut request = Request::new();
    let length = request.parse(bytes, &Limits::default()).unwrap().unwrap();
    let head = request.head(bytes);
    assert_eq!(&bytes[length..], b"body");
    assert_eq!(head.len(), length);
    assert_eq!(
        (head.method(), head.method_name(), head.version()),
        (Method::Put, "PUT", Version::Http11)
    );
    assert_eq!(
        (head.target(), head.path(), head.query()),
        ("/cart/42?user=7&x?y", "/cart/42", Some("user=7&x?y"))
    );
    assert_eq!((head.authority(), head.is_absolute()), ("shop:80", false));
    assert_eq!(head.header("X-KEY").collect::<Vec<_>>(), [b"one", b"two"]);
    assert_eq!(head.header("X-Ke").count(), 0);
    assert_eq!(head.cookie("session"), Some(&b"abc="[..]));
    assert_eq!(head.cookie("late"), Some(&b"2"[..]));
    assert_eq!(head.cookie("sess"), None);
    assert_eq!(head.request_id(), Some("r-1"));
}

#[test]
fn targets_fall_into_their_parts() {
    for (line, path, query, authority) in [
        ("GET / HTTP/1.1", "/", None, "h"),
        ("GET /? HTTP/1.1", "/", Some(""), "h"),
        ("GET //a//b HTTP/1.1", "//a//b", None, "h"),
        ("OPTIONS * HTTP/1.1", "*", None, "h"),
        ("GET http://a:1/b?c HTTP/1.1", "/b", Some("c"), "a:1"),
        ("GET HTTPS://[::1]?c HTTP/1.1", "/", Some("c"), "[::1]"),
        ("GET http://a HTTP/1.1", "/", None, "a"),
        ("OPTIONS http://a HTTP/1.1", "*", None, "a"),
        ("OPTIONS http://a/ HTTP/1.1", "/", None, "a"),
        ("OPTIONS http://a?b HTTP/1.1", "/", Some("b"), "a"),
        ("GET /http://b/ HTTP/1.1", "/http://b/", None, "h"),
    ] {
        let bytes = format!("{line}\r\nHost: h\r\n\r\n");
        let mut request = Request::new();
        request.parse(bytes.as_bytes(), &Limits::default()).unwrap();
        let head = request.head(bytes.as_bytes());
        assert_eq!(
            (head.path(), head.query(), head.authority()),
            (path, query, authority),
            "{line}"
        );
    }
}

#[test]
fn connection_says_whether_the_client_goes_on() {
    for (head, keep_alive) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", false),
    ] {
        let mut request = Request::new();
        request.parse(head.as_bytes(), &Limits::default()).unwrap();
        assert_eq!(request.keep_alive(), keep_alive, "{head}");
    }
}

#[test]
fn expectations_and_upgrades_count_in_http_1_1_alone() {
    let read = |head: &str| {
        let mut request = Request::new();
        request.parse(head.as_bytes(), &Limits::default()).unwrap();
        (request.expects_continue(), request.is_upgrade())
    };
    let fields = "Host: a\r\nExpect: 100-Continue\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    assert_eq!(read(&format!("GET / HTTP/1.1\r\n{fields}")), (true, true));
    assert_eq!(read(&format!("GET / HTTP/1.0\r\n{fields}")), (false, false));
    assert_eq!(
        read("GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nExpect: tea\r\n\r\n"),
        (false, false)
    );
}

#[test]
fn nothing_of_a_request_is_left_in_the_next() {
    let limits = Limits::default();
    let first =
        b"POST http://x/y?z HTTP/1.0\r\nHost: a\r\nContent-Length: 3\r\nConnection: keep-alive, X\r\nX: 1\r\n\r\n";
    let second = b"GET / HTTP/1.1\r\nHost: b\r\n\r\n";
    let (mut reused, mut fresh) = (Request::new(), Request::new());
    reused.parse(first, &limits).unwrap();
    reused.parse(&first[..20], &limits).unwrap();
    reused.clear();
    assert_eq!(reused.parse(second, &limits), fresh.parse(second, &limits));
    assert_eq!(format!("{reused:?}"), format!("{fresh:?}"));
}

#[test]
fn broken_responses_are_refused_alike_at_every_cut() {
    for (name, head, want) in [
        ("not HTTP", &b"SSH-2.0-x\r\n\r\n"[..], Error::Version),
        ("status of two digits", b"HTTP/1.1 20 OK\r\n\r\n", Error::StartLine),
        ("status below 100", b"HTTP/1.1 099 X\r\n\r\n", Error::Status),
        ("an empty line first", b"\r\nHTTP/1.1 200 OK\r\n\r\n", Error::StartLine),
        ("HTTP/2", b"HTTP/2.0 200 OK\r\n\r\n", Error::Version),
        ("bare LF", b"HTTP/1.1 200 OK\nX: y\n\n", Error::LineEnd),
        (
            "folded line",
            b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
            Error::FieldName,
        ),
        (
            "space before the colon",
            b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
            Error::FieldName,
        ),
        ("NUL in a value", b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n", Error::FieldValue),
        (
            "control character in the reason",
            b"HTTP/1.1 200 O\x01K\r\n\r\n",
            Error::StartLine,
        ),
        (
            "upgrade that nobody asked for",
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
            Error::Switched,
        ),
    ] {
        assert_eq!(response_at_every_cut(name, head).map(|_| ()), Err(want), "{name}");
    }
}

#[test]
fn responses_say_whether_the_member_goes_on() {
    for (head, keep_alive, framing) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true, Framing::Length(0)),
        ("HTTP/1.1 200\r\nContent-Length: 1\r\n\r\n", true, Framing::Length(1)),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
            false,
            Framing::Length(1),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n",
            false,
            Framing::Length(1),
        ),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
            true,
            Framing::Length(1),
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", false, Framing::Close),
        (
            "HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
            true,
            Framing::Length(0),
        ),
    ] {
        let response = response_at_every_cut(head, head.as_bytes()).unwrap();
        assert_eq!(
            (response.keep_alive(), response.framing()),
            (keep_alive, framing),
            "{head}"
        );
    }
}

#[test]
fn informational_answers_precede_the_final_one() {
    let bytes =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    let mut response = Response::new();
    let (mut start, mut seen) = (0, Vec::new());
    while start < bytes.len() {
        start += response
            .parse(&bytes[start..], &Limits::default(), Method::Post)
            .unwrap()
            .unwrap();
        seen.push((response.status(), response.is_informational(), response.framing()));
    }
    assert_eq!(
        seen,
        [
            (100, true, Framing::None),
            (103, true, Framing::None),
            (204, false, Framing::None)
        ]
    );
}
