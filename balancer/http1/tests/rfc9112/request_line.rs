//! Request lines and targets (RFC 9112, section 3), and what comes on the port that is no HTTP/1.1.

use lbpool_http1::{Error, Framing, Limits};

use crate::support::{Case, Open, Refused, SMALL, Whole, check, read};

const NONE: crate::support::Want = Whole(Framing::None);

const LINES: &[Case] = &[
    ("least", "9112 3", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n", NONE),
    ("half a line", "9112 2.2", b"GET / HT", Open),
    (
        "a line without its head's end",
        "9112 2.2",
        b"GET / HTTP/1.1\r\nHost: a\r\n",
        Open,
    ),
    (
        "an empty line first",
        "9112 2.2",
        b"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "two empty lines first",
        "9112 2.2",
        b"\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "a bare LF first",
        "9112 2.2",
        b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "a space first",
        "9112 3",
        b" GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    ("no target", "9112 3", b"GET\r\n\r\n", Refused(400, Error::Target)),
    (
        "no version, as in HTTP/0.9",
        "9112 3",
        b"GET /\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "two spaces",
        "9112 3",
        b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "two spaces before the version",
        "9112 3",
        b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "a tab between",
        "9112 3",
        b"GET\t/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Method),
    ),
    (
        "space behind the version",
        "9112 3",
        b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "a fourth word",
        "9112 3",
        b"GET / HTTP/1.1 x\r\nHost: a\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "a space in the target",
        "9112 3.2",
        b"GET /a b HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "method with a colon",
        "9110 9.1",
        b"GE:T / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Method),
    ),
    (
        "method with NUL",
        "9110 9.1",
        b"G\0ET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Method),
    ),
    (
        "method of one's own",
        "9110 9.1",
        b"PURGE / HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "method in lower case is another method",
        "9110 9.1",
        b"connect / HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "bare LF",
        "9112 2.2",
        b"GET / HTTP/1.1\nHost: a\n\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "bare CR behind the version",
        "9112 2.2",
        b"GET / HTTP/1.1\rHost: a\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "CR CR LF",
        "9112 2.2",
        b"GET / HTTP/1.1\r\r\nHost: a\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    ("HTTP/1.0", "9112 2.3", b"GET / HTTP/1.0\r\n\r\n", NONE),
    (
        "HTTP/0.9, named",
        "9110 15.6.6",
        b"GET / HTTP/0.9\r\nHost: a\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "HTTP/1.2",
        "9110 15.6.6",
        b"GET / HTTP/1.2\r\nHost: a\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "HTTP/2.0",
        "9110 15.6.6",
        b"GET / HTTP/2.0\r\nHost: a\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "HTTP/3",
        "9110 15.6.6",
        b"GET / HTTP/3\r\nHost: a\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "version of two digits",
        "9112 2.3",
        b"GET / HTTP/1.10\r\nHost: a\r\n\r\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "version in lower case",
        "9112 2.3",
        b"GET / http/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "version without a dot",
        "9112 2.3",
        b"GET / HTTP/11\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "other protocol",
        "9112 2.3",
        b"GET / RTSP/1.0\r\nHost: a\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "preface of HTTP/2",
        "9113 3.4",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "TLS on the wrong port",
        "9112 3",
        b"\x16\x03\x01\x02\x00\x01\x00",
        Refused(400, Error::StartLine),
    ),
    (
        "target over its limit",
        "9110 15.5.15",
        b"GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(414, Error::TargetTooLong),
    ),
    (
        "a first line without end",
        "9112 3",
        &[b'G'; 128],
        Refused(414, Error::TargetTooLong),
    ),
];

#[test]
fn a_request_line_is_three_words_and_nothing_else() {
    check(LINES, SMALL);
}

const TARGETS: &[Case] = &[
    (
        "origin form",
        "9112 3.2.1",
        b"GET /a/b?c=d&e HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "what browsers leave as it is",
        "9112 3.2.1",
        b"GET /a|b?{\"c\"}=[d]^`<e>\\ HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "half an escape passes",
        "9112 3.2.1",
        b"GET /%2 HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "absolute form",
        "9112 3.2.2",
        b"GET http://a.example:80/b?c HTTP/1.1\r\nHost: x\r\n\r\n",
        NONE,
    ),
    (
        "absolute form without a path",
        "9112 3.2.2",
        b"GET http://a HTTP/1.1\r\nHost: x\r\n\r\n",
        NONE,
    ),
    (
        "absolute form, scheme in upper case",
        "9110 4.2.3",
        b"GET HTTP://a/ HTTP/1.1\r\nHost: x\r\n\r\n",
        NONE,
    ),
    (
        "absolute form of an address",
        "9112 3.2.2",
        b"GET http://[::1]:80/ HTTP/1.1\r\nHost: x\r\n\r\n",
        NONE,
    ),
    (
        "absolute form with a name and no port",
        "9112 3.2.2",
        b"GET http://a:/ HTTP/1.1\r\nHost: x\r\n\r\n",
        NONE,
    ),
    (
        "absolute form without Host",
        "9112 3.2",
        b"GET http://a/ HTTP/1.1\r\n\r\n",
        Refused(400, Error::HostMissing),
    ),
    (
        "absolute form, other scheme",
        "9112 3.2.2",
        b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "absolute form, no host",
        "9110 4.2.1",
        b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "absolute form with a user",
        "9110 4.2.4",
        b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "absolute form, one slash",
        "9112 3.2.2",
        b"GET http:/a HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "authority form without CONNECT",
        "9112 3.2.3",
        b"GET a:80 HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "authority form",
        "9112 3.2.3",
        b"CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(501, Error::Connect),
    ),
    (
        "CONNECT with a path",
        "9110 9.3.6",
        b"CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(501, Error::Connect),
    ),
    (
        "asterisk form",
        "9112 3.2.4",
        b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        NONE,
    ),
    (
        "asterisk without OPTIONS",
        "9112 3.2.4",
        b"GET * HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "asterisk with a query",
        "9112 3.2.4",
        b"OPTIONS *?a HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "relative target",
        "9112 3.2.1",
        b"GET path HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "fragment",
        "9112 3.2",
        b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "raw UTF-8",
        "9112 3.2",
        "GET /ä HTTP/1.1\r\nHost: a\r\n\r\n".as_bytes(),
        Refused(400, Error::Target),
    ),
    (
        "control character",
        "9112 3.2",
        b"GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "NUL",
        "9112 3.2",
        b"GET /\0 HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "DEL",
        "9112 3.2",
        b"GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
];

#[test]
fn a_target_has_one_of_three_forms() {
    check(TARGETS, Limits::default());
}

#[test]
fn targets_fall_into_their_parts() {
    for (line, path, query, authority, scheme) in [
        ("GET / HTTP/1.1", "/", None, "h", None),
        ("GET /? HTTP/1.1", "/", Some(""), "h", None),
        ("GET //a//b HTTP/1.1", "//a//b", None, "h", None),
        ("GET /a/../b HTTP/1.1", "/a/../b", None, "h", None),
        ("OPTIONS * HTTP/1.1", "*", None, "h", None),
        ("GET http://a:1/b?c HTTP/1.1", "/b", Some("c"), "a:1", Some("http")),
        ("GET HTTPS://[::1]?c HTTP/1.1", "/", Some("c"), "[::1]", Some("https")),
        ("GET http://a HTTP/1.1", "/", None, "a", Some("http")),
        ("OPTIONS http://a HTTP/1.1", "*", None, "a", Some("http")),
        ("OPTIONS http://a/ HTTP/1.1", "/", None, "a", Some("http")),
        ("OPTIONS http://a?b HTTP/1.1", "/", Some("b"), "a", Some("http")),
        ("GET /http://b/ HTTP/1.1", "/http://b/", None, "h", None),
    ] {
        let bytes = format!("{line}\r\nHost: h\r\n\r\n");
        let request = read(&bytes);
        let head = request.head(bytes.as_bytes());
        let seen = (head.path(), head.query(), head.authority(), head.scheme());
        assert_eq!(seen, (path, query, authority, scheme), "{line}");
    }
}
