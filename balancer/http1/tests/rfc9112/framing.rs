//! Where a body ends, by the fields of its head: both sides (RFC 9112, section 6).

use lbpool_http1::{Error, Framing, Limits, Method};

use crate::support::{Case, Open, Reader, Refused, Want, Whole, check, outcome};

const HEAD: &str = "POST / HTTP/1.1\r\nHost: a\r\n";

/// Fields, and what they say about a message whose kind may have a body.
const LENGTHS: &[(&str, &str, &str, Want)] = &[
    (
        "length 0",
        "9112 6.2",
        "Content-Length: 0\r\n",
        Whole(Framing::Length(0)),
    ),
    (
        "zeros in front",
        "9110 8.6",
        "content-length:\t007 \r\n",
        Whole(Framing::Length(7)),
    ),
    (
        "chunks",
        "9112 7.1",
        "Transfer-Encoding: chunked\r\n",
        Whole(Framing::Chunked),
    ),
    (
        "chunks in capitals",
        "9112 7",
        "transfer-encoding:CHUNKED\r\n",
        Whole(Framing::Chunked),
    ),
    (
        "empty length",
        "9110 8.6",
        "Content-Length:\r\n",
        Refused(400, Error::Length),
    ),
    (
        "plus",
        "9110 8.6",
        "Content-Length: +5\r\n",
        Refused(400, Error::Length),
    ),
    (
        "minus",
        "9110 8.6",
        "Content-Length: -5\r\n",
        Refused(400, Error::Length),
    ),
    (
        "a space inside",
        "9110 8.6",
        "Content-Length: 5 5\r\n",
        Refused(400, Error::Length),
    ),
    (
        "a fraction",
        "9110 8.6",
        "Content-Length: 5.0\r\n",
        Refused(400, Error::Length),
    ),
    (
        "hexadecimal",
        "9110 8.6",
        "Content-Length: 0x5\r\n",
        Refused(400, Error::Length),
    ),
    (
        "letters behind",
        "9110 8.6",
        "Content-Length: 5a\r\n",
        Refused(400, Error::Length),
    ),
    (
        "2^64",
        "9110 8.6",
        "Content-Length: 18446744073709551616\r\n",
        Refused(400, Error::Length),
    ),
    (
        "2^63",
        "9110 8.6",
        "Content-Length: 9223372036854775808\r\n",
        Refused(400, Error::Length),
    ),
    (
        "20 digits",
        "9110 8.6",
        "Content-Length: 00000000000000000005\r\n",
        Refused(400, Error::Length),
    ),
    (
        "quotation marks",
        "9110 8.6",
        "Content-Length: \"5\"\r\n",
        Refused(400, Error::Length),
    ),
    (
        "Arabic digits",
        "9110 8.6",
        "Content-Length: \u{665}\r\n",
        Refused(400, Error::Length),
    ),
    (
        "a list of equal lengths",
        "9110 8.6",
        "Content-Length: 5, 5\r\n",
        Refused(400, Error::LengthTwice),
    ),
    (
        "a list of one",
        "9110 8.6",
        "Content-Length: 5,\r\n",
        Refused(400, Error::LengthTwice),
    ),
    (
        "two lengths",
        "9112 6.3",
        "Content-Length: 5\r\nContent-Length: 6\r\n",
        Refused(400, Error::LengthTwice),
    ),
    (
        "two equal lengths",
        "9112 6.3",
        "Content-Length: 5\r\nContent-Length: 5\r\n",
        Refused(400, Error::LengthTwice),
    ),
    (
        "length, then chunks",
        "9112 6.3",
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        Refused(400, Error::BothLengths),
    ),
    (
        "chunks, then length",
        "9112 6.3",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        Refused(400, Error::BothLengths),
    ),
    (
        "chunks and length 0",
        "9112 6.3",
        "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n",
        Refused(400, Error::BothLengths),
    ),
    (
        "almost chunked",
        "9112 7",
        "Transfer-Encoding: xchunked\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "chunked, quoted",
        "9112 7",
        "Transfer-Encoding: \"chunked\"\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "chunked with a parameter",
        "9112 7.1",
        "Transfer-Encoding: chunked;q=1\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "identity",
        "9112 7",
        "Transfer-Encoding: identity\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "empty coding",
        "9112 6.1",
        "Transfer-Encoding:\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "chunked twice in a list",
        "9112 6.1",
        "Transfer-Encoding: chunked, chunked\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "chunked first",
        "9112 6.3",
        "Transfer-Encoding: chunked, gzip\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "an empty member behind",
        "9112 6.1",
        "Transfer-Encoding: chunked,\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "chunked on two lines",
        "9112 6.1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "chunked, then identity",
        "9112 6.1",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "identity, then chunked",
        "9112 6.1",
        "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "gzip alone",
        "9112 6.3",
        "Transfer-Encoding: gzip\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "a coding that is not served",
        "9112 6.1",
        "Transfer-Encoding: gzip, chunked\r\n",
        Refused(501, Error::EncodingUnknown),
    ),
    (
        "a space before the colon",
        "9112 5.1",
        "Content-Length : 5\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "a length in a folded line",
        "9112 5.2",
        "Content-Length:\r\n 5\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "another name that ends alike",
        "9110 5.1",
        "X-Content-Length: 5\r\nContent-Length: 0\r\n",
        Whole(Framing::Length(0)),
    ),
    (
        "another name with underscores",
        "9110 5.1",
        "Content_Length: 5\r\nContent-Length: 0\r\n",
        Whole(Framing::Length(0)),
    ),
];

/// The body that such a framing announces.
fn body(want: Want) -> &'static str {
    match want {
        Whole(Framing::Length(7)) => "7 bytes",
        Whole(Framing::Chunked) => "5\r\nhello\r\n0\r\n\r\n",
        _ => "",
    }
}

#[test]
fn a_request_has_one_length_or_is_refused() {
    for (name, section, fields, want) in LENGTHS {
        let bytes = format!("{HEAD}{fields}\r\n{}", body(*want));
        let (seen, taken) = outcome(name, bytes.as_bytes(), || Reader::request(Limits::default()));
        assert_eq!(seen, *want, "{name} ({section})");
        assert!(
            taken == bytes.len() || matches!(want, Refused(..)),
            "{name} ({section})"
        );
    }
}

#[test]
fn an_answer_has_one_length_or_is_refused_whatever_its_status() {
    for line in [
        "HTTP/1.1 200 OK",
        "HTTP/1.1 204 No Content",
        "HTTP/1.1 205 Reset Content",
        "HTTP/1.1 304 Not Modified",
    ] {
        for (name, section, fields, want) in LENGTHS {
            let none = line.contains("204") || line.contains("304");
            let bytes = format!("{line}\r\n{fields}\r\n{}", if none { "" } else { body(*want) });
            let (seen, _) = outcome(name, bytes.as_bytes(), || {
                Reader::response(Limits::default(), Method::Get)
            });
            let want = if none && matches!(want, Whole(_)) {
                Whole(Framing::None)
            } else {
                *want
            };
            assert_eq!(seen, want, "{line}: {name} ({section})");
        }
    }
}

const REQUESTS: &[Case] = &[
    (
        "nothing is said",
        "9112 6.3",
        b"POST / HTTP/1.1\r\nHost: a\r\n\r\n",
        Whole(Framing::None),
    ),
    (
        "the body of a GET",
        "9110 9.3.1",
        b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
        Whole(Framing::Length(5)),
    ),
    (
        "a body that stops",
        "9112 8",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhell",
        Open,
    ),
    (
        "the most that a length may be",
        "9110 8.6",
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775807\r\n\r\nx",
        Open,
    ),
    (
        "chunks in HTTP/1.0",
        "9112 6.1",
        b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        Refused(400, Error::Encoding),
    ),
    (
        "a length in HTTP/1.0",
        "9112 6.2",
        b"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\nhello",
        Whole(Framing::Length(5)),
    ),
];

#[test]
fn a_request_that_says_nothing_has_no_body() {
    check(REQUESTS, Limits::default());
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn the_length_of_an_answer_depends_on_status_method_and_version() {
    let (none, length, chunked) = ("", "Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n");
    for (line, to, fields, section, want) in [
        ("HTTP/1.1 200 OK", Method::Get, none, "9112 6.3 (8)", Open),
        (
            "HTTP/1.1 200 OK",
            Method::Head,
            none,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 200 OK",
            Method::Head,
            length,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 200 OK",
            Method::Head,
            chunked,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 404 Not Found",
            Method::Head,
            length,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 100 Continue",
            Method::Post,
            none,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 103 Early Hints",
            Method::Get,
            length,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 204 No Content",
            Method::Get,
            length,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 304 Not Modified",
            Method::Get,
            length,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 304 Not Modified",
            Method::Get,
            chunked,
            "9112 6.3 (1)",
            Whole(Framing::None),
        ),
        (
            "HTTP/1.1 205 Reset Content",
            Method::Get,
            "Content-Length: 0\r\n",
            "9110 15.3.6",
            Whole(Framing::Length(0)),
        ),
        ("HTTP/1.1 205 Reset Content", Method::Get, none, "9110 15.3.6", Open),
        ("HTTP/1.0 200 OK", Method::Get, none, "9112 6.3 (8)", Open),
        (
            "HTTP/1.0 200 OK",
            Method::Get,
            chunked,
            "9112 6.1",
            Refused(400, Error::Encoding),
        ),
    ] {
        let bytes = format!("{line}\r\n{fields}\r\n");
        let (seen, _) = outcome(line, bytes.as_bytes(), || Reader::response(Limits::default(), to));
        assert_eq!(seen, want, "{to:?} {line} {fields} ({section})");
    }
}
