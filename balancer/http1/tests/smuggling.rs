//! Ways in which others were talked into two readings of one message: here each has one reading, or none.
//!
//! Each case is a stream of bytes as a client sends it. A server that reads it as its author wants sees a request for
//! `/smuggled`.

use lbpool_http1::{Body, Category, Error, Limits, Request, Response, rewrite};

/// Reads requests until the stream ends or one is refused, as a proxy does.
fn requests(stream: &[u8]) -> (Vec<String>, Option<Error>) {
    let (mut rest, mut seen) = (stream, Vec::new());
    let mut request = Request::new();
    loop {
        match request.parse(rest, &Limits::default()) {
            Ok(None) => return (seen, None),
            Ok(Some(length)) => {
                seen.push(request.head(rest).target().to_owned());
                rest = &rest[length..];
            }
            Err(error) => return (seen, Some(error)),
        }
        match Body::new(request.framing()).feed(rest) {
            Ok(length) => rest = &rest[length..],
            Err(error) => return (seen, Some(error)),
        }
    }
}

/// The first request is refused, and nothing behind it is looked at.
fn refused(stream: &str, want: Error) {
    assert_eq!(requests(stream.as_bytes()), (vec![], Some(want)), "{stream}");
}

/// The first request's body is refused, so its head went on but its end never did.
fn body_refused(stream: &str, want: Error) {
    assert_eq!(
        requests(stream.as_bytes()),
        (vec!["/".to_owned()], Some(want)),
        "{stream}"
    );
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n";

#[test]
fn both_lengths() {
    let body = format!("0\r\n\r\n{SMUGGLED}");
    let length = body.len();
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{body}"),
        Error::BothLengths,
    );
}

#[test]
fn content_length_twice() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nContent-Length: 39\r\n\r\n{SMUGGLED}"),
        Error::LengthTwice,
    );
}

#[test]
fn length_that_overflows_to_another() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 18446744073709551616\r\n\r\n{SMUGGLED}"),
        Error::Length,
    );
}

#[test]
fn length_that_is_negative_where_it_is_counted_with_a_sign() {
    // Found beside HAProxy and nginx, which refuse it (docs/reference/differences.md).
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\n{SMUGGLED}"),
        Error::Length,
    );
}

#[test]
fn length_with_a_sign() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +0\r\n\r\n{SMUGGLED}"),
        Error::Length,
    );
}

#[test]
fn name_so_long_that_its_length_overflows() {
    // HAProxy CVE-2021-40346: the length of a name in eight bits turned the name into another.
    let name = format!("Content-Length0{}", "a".repeat(255));
    let stream = format!("POST / HTTP/1.1\r\nHost: a\r\n{name}: 39\r\nContent-Length: 0\r\n\r\n{SMUGGLED}");
    assert_eq!(
        requests(stream.as_bytes()),
        (vec!["/".to_owned(), "/smuggled".to_owned()], None)
    );
}

#[test]
fn empty_content_length() {
    // HAProxy CVE-2023-40225: passed on as it came, and read as 0 behind it.
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n{SMUGGLED}"),
        Error::Length,
    );
}

#[test]
fn encoding_that_is_almost_chunked() {
    for value in [
        "xchunked",
        "chunked\x0b",
        "\x0bchunked",
        "chunke\u{212a}",
        "cow",
        "chunked, identity",
    ] {
        let stream = format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: {value}\r\n\r\n0\r\n\r\n{SMUGGLED}");
        let (seen, error) = requests(stream.as_bytes());
        assert!(seen.is_empty(), "{value:?}");
        assert!(
            matches!(error, Some(Error::Encoding | Error::FieldValue)),
            "{value:?}: {error:?}"
        );
    }
}

#[test]
fn encodings_of_which_only_one_is_looked_at() {
    // Pingora CVE-2026-2835: lists and repetitions took the length away and left the body without an end.
    for (fields, want) in [
        (
            "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
            Error::Encoding,
        ),
        (
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n",
            Error::Encoding,
        ),
        ("Transfer-Encoding: x, chunked\r\n", Error::EncodingUnknown),
    ] {
        refused(
            &format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n0\r\n\r\n{SMUGGLED}"),
            want,
        );
    }
}

#[test]
fn encoding_in_http_1_0() {
    refused(
        &format!("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::Encoding,
    );
}

#[test]
fn encoding_with_a_space_before_the_colon() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::FieldName,
    );
}

#[test]
fn encoding_in_a_folded_line() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nX: y\r\n Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::FieldName,
    );
}

#[test]
fn encoding_behind_a_bare_line_feed() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nX: y\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::LineEnd,
    );
}

#[test]
fn encoding_behind_a_bare_carriage_return() {
    refused(
        &format!("POST / HTTP/1.1\r\nHost: a\r\nX: y\rTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::FieldValue,
    );
}

#[test]
fn head_that_ends_in_bare_line_feeds() {
    refused(&format!("GET / HTTP/1.1\r\nHost: a\r\n\n{SMUGGLED}"), Error::LineEnd);
}

const CHUNKED: &str = "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n";

#[test]
fn chunk_size_that_overflows() {
    // hyper RUSTSEC-2021-0079 and others: 2^64 read as 0.
    body_refused(
        &format!("{CHUNKED}10000000000000000\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::ChunkTooLarge,
    );
    body_refused(
        &format!("{CHUNKED}FFFFFFFFFFFFFFFE\r\n\r\n0\r\n\r\n{SMUGGLED}"),
        Error::ChunkTooLarge,
    );
}

#[test]
fn chunk_size_with_a_prefix_or_white_space() {
    for size in ["0x0", "+0", " 0", "0 ", "0\t", "0_0"] {
        body_refused(&format!("{CHUNKED}{size}\r\n\r\n{SMUGGLED}"), Error::ChunkSize);
    }
}

#[test]
fn chunk_extension_that_hides_a_line_feed() {
    body_refused(&format!("{CHUNKED}5;\nhello\r\n0\r\n\r\n{SMUGGLED}"), Error::Extension);
}

#[test]
fn chunk_extensions_without_end() {
    let extension = "e".repeat(2000);
    body_refused(
        &format!("{CHUNKED}5;{extension}\r\nhello\r\n0\r\n\r\n{SMUGGLED}"),
        Error::ExtensionTooLong,
    );
}

#[test]
fn chunk_that_is_longer_than_its_size() {
    body_refused(&format!("{CHUNKED}3\r\nhello\r\n0\r\n\r\n{SMUGGLED}"), Error::ChunkEnd);
}

#[test]
fn trailers_that_change_the_framing() {
    body_refused(
        &format!("{CHUNKED}0\r\nContent-Length: 39\r\n\r\n{SMUGGLED}"),
        Error::TrailerForbidden,
    );
}

#[test]
fn pipelined_request_behind_a_refused_one_is_not_read() {
    for first in [
        "GET / HTTP/1.1\r\n\r\n",
        "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/3.0\r\nHost: a\r\n\r\n",
    ] {
        let (seen, error) = requests(format!("{first}{SMUGGLED}").as_bytes());
        assert!(seen.is_empty() && error.is_some(), "{first}");
    }
}

#[test]
fn body_of_a_get_is_not_the_next_request() {
    // Pingora CVE-2025-4366: a body left on the connection was read as a request.
    let stream = format!(
        "GET / HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n{SMUGGLED}",
        SMUGGLED.len()
    );
    assert_eq!(requests(stream.as_bytes()), (vec!["/".to_owned()], None));
}

#[test]
fn a_switch_that_nobody_was_asked_for_is_refused() {
    // Pingora CVE-2026-2833: bytes behind an upgrade went through before the member had accepted it.
    let head = b"GET / HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\n\r\n";
    let mut request = Request::new();
    request.parse(head, &Limits::default()).unwrap();
    assert!(!request.is_upgrade());
    let mut out = Vec::new();
    rewrite::request(request.head(head), &rewrite::Forward::default(), &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(!out.contains("pgrade"), "{out}");
    let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    let verdict = Response::new().parse(answer, &Limits::default(), request.method());
    assert_eq!(verdict, Err(Error::Switched));
}

#[test]
fn absolute_target_decides_over_host() {
    let head = b"GET http://inner/ HTTP/1.1\r\nHost: outer\r\n\r\n";
    let mut request = Request::new();
    request.parse(head, &Limits::default()).unwrap();
    let mut out = Vec::new();
    rewrite::request(request.head(head), &rewrite::Forward::default(), &mut out);
    let out = String::from_utf8(out).unwrap();
    assert!(out.contains("\r\nHost: inner\r\n") && !out.contains("outer"), "{out}");
}

#[test]
fn ambiguity_is_told_from_mere_mistakes() {
    assert_eq!(
        (Error::BothLengths.category(), Error::BothLengths.status()),
        (Category::Ambiguous, 400)
    );
    assert_eq!(
        (Error::LineEnd.category(), Error::LineEnd.status()),
        (Category::Malformed, 400)
    );
    assert_eq!(
        (Error::HeadTooLarge.category(), Error::HeadTooLarge.status()),
        (Category::TooLarge, 431)
    );
    assert_eq!(
        (Error::TargetTooLong.status(), Error::BodyTooLarge.status()),
        (414, 413)
    );
    assert_eq!((Error::EncodingUnknown.status(), Error::Version.status()), (501, 505));
}
