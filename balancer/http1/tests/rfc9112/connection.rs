//! Whether a connection goes on (RFC 9112, section 9.3; RFC 9110, section 7.6.1).

use lbpool_http1::{Limits, Method, Response};

use crate::support::read;

#[test]
fn a_client_goes_on_as_its_version_and_connection_say() {
    for (head, goes_on) in [
        ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: x, CLOSE\r\n\r\n", false),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection:close,\r\n\r\n", false),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive\r\nConnection: close\r\n\r\n",
            false,
        ),
        (
            "GET / HTTP/1.1\r\nHost: a\r\nConnection: close, keep-alive\r\n\r\n",
            false,
        ),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: closed\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection: \"close\"\r\n\r\n", true),
        ("GET / HTTP/1.1\r\nHost: a\r\nConnection:\r\n\r\n", true),
        ("GET / HTTP/1.0\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", true),
        ("GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n", false),
        ("GET / HTTP/1.0\r\nProxy-Connection: keep-alive\r\n\r\n", false),
    ] {
        assert_eq!(read(head).keep_alive(), goes_on, "{head}");
    }
}

#[test]
fn a_member_goes_on_as_its_answer_says_and_only_behind_an_end() {
    for (head, goes_on) in [
        ("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", true),
        ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        ("HTTP/1.1 204 No Content\r\n\r\n", true),
        (
            "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: close\r\n\r\n",
            false,
        ),
        ("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n", false),
        (
            "HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n",
            true,
        ),
        ("HTTP/1.1 200 OK\r\n\r\n", false),
        ("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n", false),
    ] {
        let mut response = Response::new();
        response
            .parse(head.as_bytes(), &Limits::default(), Method::Get)
            .unwrap()
            .unwrap();
        assert_eq!(response.keep_alive(), goes_on, "{head}");
    }
}
