use super::*;
use crate::{Limits, Request, Response};

fn of_request(version: &str, fields: &str) -> Result<Framing, Error> {
    let head = format!("POST / HTTP/{version}\r\nHost: a\r\n{fields}\r\n");
    let mut request = Request::new();
    request
        .parse(head.as_bytes(), &Limits::default())
        .map(|_| request.framing())
}

fn of_response(line: &str, to: Method, fields: &str) -> Result<Framing, Error> {
    let head = format!("{line}\r\n{fields}\r\n");
    let mut response = Response::new();
    response
        .parse(head.as_bytes(), &Limits::default(), to)
        .map(|_| response.framing())
}

const REQUESTS: &[(&str, Result<Framing, Error>)] = &[
    ("", Ok(Framing::None)),
    ("Content-Length: 0\r\n", Ok(Framing::Length(0))),
    ("content-length:\t007 \r\n", Ok(Framing::Length(7))),
    (
        "Content-Length: 9223372036854775807\r\n",
        Ok(Framing::Length(9_223_372_036_854_775_807)),
    ),
    ("Content-Length: 9223372036854775808\r\n", Err(Error::Length)),
    ("Content-Length: 9999999999999999999\r\n", Err(Error::Length)),
    ("Transfer-Encoding: chunked\r\n", Ok(Framing::Chunked)),
    ("transfer-encoding:CHUNKED\r\n", Ok(Framing::Chunked)),
    ("Content-Length:\r\n", Err(Error::Length)),
    ("Content-Length: +5\r\n", Err(Error::Length)),
    ("Content-Length: -5\r\n", Err(Error::Length)),
    ("Content-Length: 5 5\r\n", Err(Error::Length)),
    ("Content-Length: 0x5\r\n", Err(Error::Length)),
    ("Content-Length: 5a\r\n", Err(Error::Length)),
    ("Content-Length: 18446744073709551616\r\n", Err(Error::Length)),
    ("Content-Length: 00000000000000000005\r\n", Err(Error::Length)),
    ("Content-Length: \"5\"\r\n", Err(Error::Length)),
    ("Content-Length: 5, 5\r\n", Err(Error::LengthTwice)),
    ("Content-Length: 5\r\nContent-Length: 6\r\n", Err(Error::LengthTwice)),
    ("Content-Length: 5\r\nContent-Length: 5\r\n", Err(Error::LengthTwice)),
    (
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        Err(Error::BothLengths),
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        Err(Error::BothLengths),
    ),
    (
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        Err(Error::BothLengths),
    ),
    ("Transfer-Encoding: xchunked\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding: \"chunked\"\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding: chunked;q=1\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding: identity\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding:\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding: chunked, chunked\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding: chunked, gzip\r\n", Err(Error::Encoding)),
    ("Transfer-Encoding: chunked,\r\n", Err(Error::Encoding)),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Err(Error::Encoding),
    ),
    (
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        Err(Error::Encoding),
    ),
    ("Transfer-Encoding: gzip, chunked\r\n", Err(Error::EncodingUnknown)),
];

#[test]
fn request_lengths_have_one_reading_or_are_refused() {
    for (fields, want) in REQUESTS {
        assert_eq!(of_request("1.1", fields), *want, "{fields}");
    }
}

#[test]
fn chunks_need_http_1_1() {
    assert_eq!(
        of_request("1.0", "Transfer-Encoding: chunked\r\n"),
        Err(Error::Encoding)
    );
    assert_eq!(of_request("1.0", "Content-Length: 5\r\n"), Ok(Framing::Length(5)));
    assert_eq!(
        of_response("HTTP/1.0 200 OK", Method::Get, "Transfer-Encoding: chunked\r\n"),
        Err(Error::Encoding)
    );
}

#[test]
fn response_lengths_depend_on_status_and_method() {
    let length = "Content-Length: 5\r\n";
    let chunked = "Transfer-Encoding: chunked\r\n";
    for (line, to, fields, want) in [
        ("HTTP/1.1 200 OK", Method::Get, "", Framing::Close),
        ("HTTP/1.1 200 OK", Method::Get, length, Framing::Length(5)),
        ("HTTP/1.1 200 OK", Method::Get, chunked, Framing::Chunked),
        ("HTTP/1.1 200 OK", Method::Head, "", Framing::None),
        ("HTTP/1.1 200 OK", Method::Head, length, Framing::None),
        ("HTTP/1.1 200 OK", Method::Head, chunked, Framing::None),
        ("HTTP/1.1 100 Continue", Method::Post, "", Framing::None),
        ("HTTP/1.1 204 No Content", Method::Get, length, Framing::None),
        ("HTTP/1.1 304 Not Modified", Method::Get, length, Framing::None),
        ("HTTP/1.1 404 Not Found", Method::Get, length, Framing::Length(5)),
        ("HTTP/1.0 200 OK", Method::Get, "", Framing::Close),
    ] {
        assert_eq!(of_response(line, to, fields), Ok(want), "{to:?} {line} {fields}");
    }
}

#[test]
fn responses_with_two_readings_are_refused_whatever_their_status() {
    for line in [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 304 Not Modified",
    ] {
        for (fields, want) in REQUESTS.iter().filter(|(_, want)| want.is_err()) {
            assert_eq!(of_response(line, Method::Get, fields), *want, "{line} {fields}");
        }
    }
}
