//! Status lines and heads of answers (RFC 9112, section 4). Each that is refused is a 502 to the client.

use lbpool_http1::{Error, Framing, Limits, Method, Response};

use crate::support::{Reader, Refused, SMALL, Want, Whole, outcome};

type Row = (&'static str, &'static str, &'static [u8], Want);

const ANSWERS: &[Row] = &[
    (
        "counted",
        "9112 4",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
        Whole(Framing::Length(2)),
    ),
    (
        "no phrase",
        "9112 4",
        b"HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n",
        Whole(Framing::Length(0)),
    ),
    (
        "neither phrase nor space",
        "9112 4",
        b"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n",
        Whole(Framing::Length(0)),
    ),
    (
        "a phrase of several words",
        "9112 4",
        b"HTTP/1.1 404 Not  \tHere\r\nContent-Length: 0\r\n\r\n",
        Whole(Framing::Length(0)),
    ),
    (
        "a status that nobody knows",
        "9110 15",
        b"HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n",
        Whole(Framing::Length(0)),
    ),
    (
        "HTTP/1.0",
        "9112 2.3",
        b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n",
        Whole(Framing::Length(0)),
    ),
    ("not HTTP", "9112 4", b"SSH-2.0-x\r\n\r\n", Refused(505, Error::Version)),
    (
        "HTTP/2",
        "9112 2.3",
        b"HTTP/2.0 200 OK\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "HTTP/0.9: a body without a head",
        "9112 2.3",
        b"<html>\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "status of two digits",
        "9112 4",
        b"HTTP/1.1 20 OK\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "status of four digits",
        "9112 4",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "status below 100",
        "9110 15",
        b"HTTP/1.1 099 X\r\n\r\n",
        Refused(400, Error::Status),
    ),
    (
        "two spaces",
        "9112 4",
        b"HTTP/1.1  200 OK\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "an empty line first",
        "9112 2.2",
        b"\r\nHTTP/1.1 200 OK\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "bare LF",
        "9112 2.2",
        b"HTTP/1.1 200 OK\nX: y\n\n",
        Refused(400, Error::LineEnd),
    ),
    (
        "bare CR in the phrase",
        "9112 2.2",
        b"HTTP/1.1 200 O\rK\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "control character in the phrase",
        "9112 4",
        b"HTTP/1.1 200 O\x01K\r\n\r\n",
        Refused(400, Error::StartLine),
    ),
    (
        "folded line",
        "9112 5.2",
        b"HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "space before the colon",
        "9112 5.1",
        b"HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n",
        Refused(400, Error::FieldName),
    ),
    (
        "NUL in a value",
        "9110 5.5",
        b"HTTP/1.1 200 OK\r\nX: \0\r\n\r\n",
        Refused(400, Error::FieldValue),
    ),
    (
        "a request",
        "9112 4",
        b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        Refused(505, Error::Version),
    ),
    (
        "too many headers",
        "9110 5.4",
        b"HTTP/1.1 200 OK\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n",
        Refused(431, Error::TooManyHeaders),
    ),
    (
        "a first line without end",
        "9112 4",
        &[b'H'; 200],
        Refused(431, Error::HeadTooLarge),
    ),
    (
        "a switch that nobody asked for",
        "9110 15.2.2",
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        Refused(400, Error::Switched),
    ),
];

#[test]
fn an_answer_is_read_or_refused_alike_at_every_cut() {
    for (name, section, bytes, want) in ANSWERS {
        let reader = || Reader::response(SMALL, Method::Get);
        let (seen, taken) = outcome(name, bytes, reader);
        assert_eq!(seen, *want, "{name} ({section})");
        let more = [bytes, &b"HTTP/1.1 200 OK\r\n\r\n"[..]].concat();
        assert_eq!(
            outcome(name, &more, reader),
            (seen, taken),
            "{name} ({section}), and more"
        );
    }
}

#[test]
fn informational_answers_precede_the_final_one_at_every_cut() {
    let bytes =
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 204 No Content\r\n\r\n";
    for step in 1..=bytes.len() {
        let mut response = Response::new();
        let (mut start, mut seen) = (0, Vec::new());
        for end in (0..bytes.len()).step_by(step).chain([bytes.len()]) {
            while let Some(length) = response
                .parse(&bytes[start..end], &Limits::default(), Method::Post)
                .unwrap()
            {
                start += length;
                seen.push((response.status(), response.is_informational(), response.framing()));
                if start == end {
                    break;
                }
            }
        }
        let none = Framing::None;
        assert_eq!(
            seen,
            [(100, true, none), (103, true, none), (204, false, none)],
            "pieces of {step}"
        );
    }
}
