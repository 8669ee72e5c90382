//! Host (RFC 9110, section 7.2; RFC 9112, section 3.2).

use lbpool_http1::{Error, Framing, Limits};

use crate::support::{Case, Refused, Whole, check};

const NONE: crate::support::Want = Whole(Framing::None);

const HOSTS: &[Case] = &[
    (
        "none",
        "9112 3.2",
        b"GET / HTTP/1.1\r\n\r\n",
        Refused(400, Error::HostMissing),
    ),
    ("none in HTTP/1.0", "9112 3.2", b"GET / HTTP/1.0\r\n\r\n", NONE),
    (
        "twice",
        "9112 3.2",
        b"GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
        Refused(400, Error::HostTwice),
    ),
    (
        "twice in HTTP/1.0",
        "9112 3.2",
        b"GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n",
        Refused(400, Error::HostTwice),
    ),
    (
        "twice beside an absolute target",
        "9112 3.2.2",
        b"GET http://a/ HTTP/1.1\r\nHost: a\r\nhost: a\r\n\r\n",
        Refused(400, Error::HostTwice),
    ),
    ("empty", "9112 3.2", b"GET / HTTP/1.1\r\nHost:\r\n\r\n", NONE),
    (
        "empty in an absolute target",
        "9110 4.2.1",
        b"GET http://:80/ HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(400, Error::Target),
    ),
    (
        "name and port",
        "9110 7.2",
        b"GET / HTTP/1.1\r\nHost: a_b.example:8080\r\n\r\n",
        NONE,
    ),
    (
        "an empty port",
        "3986 3.2.3",
        b"GET / HTTP/1.1\r\nHost: a:\r\n\r\n",
        NONE,
    ),
    (
        "an address",
        "9110 7.2",
        b"GET / HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n",
        NONE,
    ),
    (
        "an escaped name",
        "3986 3.2.2",
        b"GET / HTTP/1.1\r\nHost: %61.example\r\n\r\n",
        NONE,
    ),
    (
        "a list",
        "9112 3.2",
        b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "two names",
        "9112 3.2",
        b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a path",
        "9112 3.2",
        b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a scheme",
        "9112 3.2",
        b"GET / HTTP/1.1\r\nHost: http://a\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a query",
        "9112 3.2",
        b"GET / HTTP/1.1\r\nHost: a?b\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a user",
        "9110 4.2.4",
        b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a word as port",
        "3986 3.2.3",
        b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "two ports",
        "3986 3.2.3",
        b"GET / HTTP/1.1\r\nHost: a:1:2\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a bare IPv6 address",
        "3986 3.2.2",
        b"GET / HTTP/1.1\r\nHost: 2001:db8::1\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "half an address",
        "3986 3.2.2",
        b"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "an odd address",
        "3986 3.2.2",
        b"GET / HTTP/1.1\r\nHost: [::x]\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "Latin-1",
        "3986 3.2.2",
        b"GET / HTTP/1.1\r\nHost: \xe4\r\n\r\n",
        Refused(400, Error::Host),
    ),
    (
        "a quotation mark",
        "3986 3.2.2",
        b"GET / HTTP/1.1\r\nHost: \"a\"\r\n\r\n",
        Refused(400, Error::Host),
    ),
];

#[test]
fn host_names_one_host_with_an_optional_port() {
    check(HOSTS, Limits::default());
}
