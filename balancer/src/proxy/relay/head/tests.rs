use http::{Request, Response};

use super::*;

fn request(uri: &str, fields: &[(&str, &str)], ended: bool) -> Result<String, Error> {
    let mut request = Request::builder().method("POST").uri(uri);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    let (parts, ()) = request.body(()).unwrap().into_parts();
    let mut out = Vec::new();
    of_request(&parts, ended, &mut out).map(|()| String::from_utf8(out).unwrap())
}

#[test]
fn a_request_of_http2_is_one_of_http1() {
    let fields = [
        ("cookie", "a=1"),
        ("x-key", "k"),
        ("cookie", "b=2"),
        ("content-length", "5"),
    ];
    assert_eq!(
        request("http://a:80/p?q", &fields, false).unwrap(),
        "POST /p?q HTTP/1.1\r\nhost: a:80\r\nx-key: k\r\ncontent-length: 5\r\ncookie: a=1; b=2\r\n\r\n"
    );
    assert_eq!(
        request("http://a/", &[], false).unwrap(),
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n"
    );
    assert_eq!(
        request("http://a/", &[], true).unwrap(),
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn the_authority_is_the_host_and_there_is_one() {
    let host = |uri, host| request(uri, &[("host", host)], true);
    let post = |host| format!("POST / HTTP/1.1\r\nhost: {host}\r\ncontent-length: 0\r\n\r\n");
    assert_eq!(host("http://a/", "A").unwrap(), post("a"));
    assert_eq!(host("/", "b").unwrap(), post("b"));
    assert_eq!(host("http://a/", "b"), Err(Error::HostTwice));
    assert_eq!(
        request("/", &[("host", "a"), ("host", "b")], true),
        Err(Error::HostTwice)
    );
}

#[test]
fn https_belongs_on_an_encrypted_connection_and_other_schemes_nowhere() {
    for (scheme, plain, secret) in [
        (None, Ok(()), Ok(())),
        (Some("http"), Ok(()), Ok(())),
        (Some("HTTPS"), Err(Error::Misdirected), Ok(())),
        (Some("https"), Err(Error::Misdirected), Ok(())),
        (Some("ftp"), Err(Error::Target), Err(Error::Target)),
    ] {
        assert_eq!(
            (check_scheme(scheme, false), check_scheme(scheme, true)),
            (plain, secret),
            "{scheme:?}"
        );
    }
}

#[test]
fn te_is_said_as_in_http1() {
    assert_eq!(
        request("http://a/", &[("te", "trailers"), ("x", "y")], true).unwrap(),
        "POST / HTTP/1.1\r\nhost: a\r\nte: trailers\r\nconnection: te\r\nx: y\r\ncontent-length: 0\r\n\r\n"
    );
}

#[test]
fn white_space_around_a_value_is_malformed() {
    assert_eq!(request("http://a/", &[("x", " y")], true), Err(Error::FieldValue));
    assert_eq!(request("http://a/", &[("x", "y\t")], true), Err(Error::FieldValue));
}

#[test]
fn a_rewritten_head_is_a_request_without_what_belongs_to_the_hop() {
    let head = b"PUT /p?q HTTP/1.1\r\nHost: a:1\r\nTransfer-Encoding: chunked\r\nX-A:  1 \r\nx-a: 2\r\nConnection: TE\r\nTE: trailers\r\nVia: 1.1 lbpool\r\n\r\n";
    let made = to_request(head, "http").unwrap();
    assert_eq!(
        (made.method().as_str(), made.uri().to_string()),
        ("PUT", "http://a:1/p?q".to_owned())
    );
    let fields: Vec<_> = made
        .headers()
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .collect();
    assert_eq!(
        fields,
        [
            ("x-a", &b"1"[..]),
            ("x-a", b"2"),
            ("te", b"trailers"),
            ("via", b"1.1 lbpool")
        ]
    );
    let star = to_request(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", "http").unwrap();
    assert_eq!(star.uri().path(), "*");
}

#[test]
fn an_answer_of_http2_is_one_of_http1() {
    let text = |status: u16, fields: &[(&str, &str)], ended, bodiless| {
        let mut response = Response::builder().status(status);
        for (name, value) in fields {
            response = response.header(*name, *value);
        }
        let (parts, ()) = response.body(()).unwrap().into_parts();
        let mut out = Vec::new();
        of_response(&parts, ended, bodiless, &mut out);
        String::from_utf8(out).unwrap()
    };
    let long = [("content-length", "5")];
    for (got, want) in [
        (
            text(200, &[], false, false),
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n",
        ),
        (
            text(200, &[], true, false),
            "HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n",
        ),
        (
            text(200, &long, false, false),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        ),
        (
            text(200, &long, true, true),
            "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n",
        ),
        (text(204, &[], true, false), "HTTP/1.1 204 No Content\r\n\r\n"),
        (
            text(103, &[("link", "x")], false, false),
            "HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n",
        ),
    ] {
        assert_eq!(got, want);
    }
}

#[test]
fn trailers_say_nothing_that_only_a_head_may_say() {
    let trailers = to_trailers(b"Grpc-Status: 0\r\nContent-Length: 5\r\nx-sum:7\r\nHost: a\r\n").unwrap();
    assert_eq!(trailers.len(), 2);
    let mut out = Vec::new();
    let mut with_host = trailers.clone();
    with_host.insert("host", HeaderValue::from_static("a"));
    of_trailers(&with_host, &mut out);
    assert_eq!(out, b"grpc-status: 0\r\nx-sum: 7\r\n");
}
