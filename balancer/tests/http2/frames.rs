//! What RFC 9113 makes of frames that a well-behaved client does not send: a table, each row on a connection of its own.
//!
//! Where the RFC names a code and a row allows `PROTOCOL_ERROR` beside it, the codec says the latter.

use serde_json::json;

use crate::{
    peers::balancing,
    raw::{
        ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, HEADERS, PADDED, PING, PREFACE, PRIORITY,
        PUSH_PROMISE, RST_STREAM, Raw, SETTINGS, Told, WINDOW_UPDATE, block, fields, frame, get, post,
    },
    support::Member,
};

const PROTOCOL: u32 = 1;
const FLOW_CONTROL: u32 = 3;
const CLOSED: u32 = 5;
const FRAME_SIZE: u32 = 6;
const REFUSED: u32 = 7;
const COMPRESSION: u32 = 9;

fn connection(code: u32) -> Vec<Told> {
    vec![Told::Connection(code)]
}

/// Where the RFC asks for a stream error, a connection error is allowed as well (section 5.4.2).
fn stream(code: u32) -> Vec<Told> {
    vec![Told::Stream(code), Told::Connection(code)]
}

/// A frame that is too short for its kind: `FRAME_SIZE_ERROR`, for which the codec says `PROTOCOL_ERROR`.
fn sized() -> Vec<Told> {
    [connection(FRAME_SIZE), connection(PROTOCOL)].concat()
}

fn setting(id: u16, value: u32) -> Vec<u8> {
    [&id.to_be_bytes()[..], &value.to_be_bytes()].concat()
}

/// A request whose fields are these alone.
fn head(fields: &[(&str, &str)]) -> Vec<u8> {
    frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(fields))
}

/// A plain request with one more field.
fn with(name: &str, value: &str) -> Vec<u8> {
    head(&fields(&[(name, value)]))
}

/// A plain request without one of its fields.
fn without(name: &str) -> Vec<u8> {
    let mut fields = fields(&[]);
    fields.retain(|(field, _)| *field != name);
    head(&fields)
}

type Row = (&'static str, Vec<Vec<u8>>, Vec<Told>);

async fn run(rows: Vec<Row>) {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut wrong = Vec::new();
    for (name, frames, want) in rows {
        let mut raw = Raw::greeted(balancer.local_addr()).await;
        raw.send(&frames.concat()).await;
        let told = raw.told().await;
        if !want.contains(&told) {
            wrong.push(format!("{name}: {told:?} instead of {want:?}"));
        }
        if !told.ends() {
            raw.send(&get(101)).await;
            let next = raw.told().await;
            if next != Told::Answer {
                wrong.push(format!("{name}: the next request: {next:?}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

impl Told {
    fn ends(self) -> bool {
        matches!(self, Self::Connection(_) | Self::End)
    }
}

#[tokio::test]
async fn a_connection_begins_with_the_preface_and_settings() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    // Cut at every byte, it is the same preface.
    for cut in 1..PREFACE.len() {
        let mut raw = Raw::connect(balancer.local_addr()).await;
        raw.send(&PREFACE[..cut]).await;
        tokio::task::yield_now().await;
        raw.send(&PREFACE[cut..]).await;
        raw.send(&frame(SETTINGS, 0, 0, &[])).await;
        raw.send(&get(1)).await;
        assert_eq!(raw.told().await, Told::Answer, "cut at {cut}");
    }
    let mut raw = Raw::connect(balancer.local_addr()).await;
    raw.send(b"PRI * HTTP/2.0\r\n\r\nXX\r\n\r\n").await;
    while let Some(frame) = raw.next().await {
        assert_ne!(frame.kind, HEADERS);
    }
    // Behind a request of HTTP/1.1 it is no preface.
    let mut old = crate::support::Client::to(balancer.local_addr()).await;
    assert_eq!(old.get("/", "k").await.status, 200);
    old.send(PREFACE).await;
    assert_eq!(old.answer().await.status, 505);
}

#[tokio::test]
async fn frames_of_the_wrong_size_or_on_the_wrong_stream_end_the_connection() {
    let large = vec![0; 16_385];
    run(vec![
        (
            "DATA above the maximum",
            vec![post(1, &[]), frame(DATA, 0, 1, &large)],
            connection(FRAME_SIZE),
        ),
        (
            "HEADERS above the maximum",
            vec![frame(HEADERS, END_HEADERS, 1, &large)],
            connection(FRAME_SIZE),
        ),
        ("SETTINGS of 3 bytes", vec![frame(SETTINGS, 0, 0, &[0; 3])], sized()),
        (
            "SETTINGS ACK with content",
            vec![frame(SETTINGS, ACK, 0, &[0; 6])],
            sized(),
        ),
        (
            "SETTINGS on a stream",
            vec![frame(SETTINGS, 0, 1, &[])],
            connection(PROTOCOL),
        ),
        ("PING of 6 bytes", vec![frame(PING, 0, 0, &[0; 6])], sized()),
        (
            "PING on a stream",
            vec![frame(PING, 0, 1, &[0; 8])],
            connection(PROTOCOL),
        ),
        (
            "WINDOW_UPDATE of 3 bytes",
            vec![frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            sized(),
        ),
        (
            "RST_STREAM of 3 bytes",
            vec![post(1, &[]), frame(RST_STREAM, 0, 1, &[0; 3])],
            sized(),
        ),
        (
            "RST_STREAM on the connection",
            vec![frame(RST_STREAM, 0, 0, &[0; 4])],
            connection(PROTOCOL),
        ),
        (
            "DATA on the connection",
            vec![frame(DATA, 0, 0, b"x")],
            connection(PROTOCOL),
        ),
        (
            "HEADERS on the connection",
            vec![frame(HEADERS, END_HEADERS, 0, &block(&fields(&[])))],
            connection(PROTOCOL),
        ),
        (
            "GOAWAY on a stream",
            vec![frame(GOAWAY, 0, 1, &[0; 8])],
            connection(PROTOCOL),
        ),
        (
            "more padding than content",
            vec![post(1, &[]), frame(DATA, PADDED, 1, &[9, 0, 0])],
            connection(PROTOCOL),
        ),
        (
            "PUSH_PROMISE of a client",
            vec![get(1), frame(PUSH_PROMISE, END_HEADERS, 1, &[0, 0, 0, 2])],
            connection(PROTOCOL),
        ),
    ])
    .await;
}

#[tokio::test]
async fn settings_are_checked_and_unknown_ones_are_ignored() {
    run(vec![
        (
            "ENABLE_PUSH 2",
            vec![frame(SETTINGS, 0, 0, &setting(2, 2))],
            connection(PROTOCOL),
        ),
        (
            "INITIAL_WINDOW_SIZE 2^31",
            vec![frame(SETTINGS, 0, 0, &setting(4, 1 << 31))],
            [connection(FLOW_CONTROL), connection(PROTOCOL)].concat(),
        ),
        (
            "MAX_FRAME_SIZE 16383",
            vec![frame(SETTINGS, 0, 0, &setting(5, 16_383))],
            connection(PROTOCOL),
        ),
        (
            "MAX_FRAME_SIZE 2^24",
            vec![frame(SETTINGS, 0, 0, &setting(5, 1 << 24))],
            connection(PROTOCOL),
        ),
        (
            "unknown",
            vec![frame(SETTINGS, 0, 0, &setting(0x99, 7))],
            vec![Told::Nothing],
        ),
        (
            "the same twice",
            vec![frame(SETTINGS, 0, 0, &[setting(4, 1), setting(4, 65_535)].concat())],
            vec![Told::Nothing],
        ),
    ])
    .await;
}

#[tokio::test]
async fn streams_have_states() {
    run(vec![
        (
            "DATA on an idle stream",
            vec![frame(DATA, 0, 1, b"x")],
            connection(PROTOCOL),
        ),
        (
            "RST_STREAM on an idle stream",
            vec![frame(RST_STREAM, 0, 1, &[0; 4])],
            connection(PROTOCOL),
        ),
        (
            "WINDOW_UPDATE on an idle stream",
            vec![frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1])],
            connection(PROTOCOL),
        ),
        ("a stream of an even number", vec![get(2)], connection(PROTOCOL)),
        ("a number below the last", vec![get(5), get(3)], connection(PROTOCOL)),
        (
            "DATA behind the end",
            vec![get(1), frame(DATA, 0, 1, b"x")],
            [stream(CLOSED), connection(PROTOCOL)].concat(),
        ),
        (
            "HEADERS behind the end",
            vec![get(1), get(1)],
            [stream(CLOSED), connection(PROTOCOL)].concat(),
        ),
        (
            "DATA behind a reset",
            vec![
                post(1, &[]),
                frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]),
                frame(DATA, 0, 1, b"x"),
            ],
            [stream(CLOSED), vec![Told::Nothing]].concat(),
        ),
        (
            "trailers that do not end the stream",
            vec![post(1, &[]), frame(HEADERS, END_HEADERS, 1, &block(&[("x", "y")]))],
            stream(PROTOCOL),
        ),
    ])
    .await;
}

#[tokio::test]
async fn blocks_of_fields_come_in_one_piece_and_unknown_frames_say_nothing() {
    run(vec![
        (
            "CONTINUATION without HEADERS",
            vec![frame(CONTINUATION, END_HEADERS, 1, &block(&[("x", "y")]))],
            connection(PROTOCOL),
        ),
        (
            "another frame before CONTINUATION",
            vec![
                frame(HEADERS, END_STREAM, 1, &block(&fields(&[]))),
                frame(PING, 0, 0, &[0; 8]),
            ],
            connection(PROTOCOL),
        ),
        (
            "CONTINUATION of another stream",
            vec![
                frame(HEADERS, END_STREAM, 1, &block(&fields(&[]))),
                frame(CONTINUATION, END_HEADERS, 3, &[]),
            ],
            connection(PROTOCOL),
        ),
        (
            "a block in parts",
            vec![
                frame(HEADERS, END_STREAM, 1, &block(&fields(&[]))),
                frame(CONTINUATION, END_HEADERS, 1, &block(&[("x", "y")])),
            ],
            vec![Told::Answer],
        ),
        (
            "a frame of an unknown kind",
            vec![frame(0x77, 0xff, 1, b"?"), get(1)],
            vec![Told::Answer],
        ),
        (
            "PRIORITY on an idle stream",
            vec![frame(PRIORITY, 0, 3, &[0, 0, 0, 1, 9]), get(5)],
            vec![Told::Answer],
        ),
        (
            "an index that is not in the table",
            vec![frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0x7f])],
            [connection(COMPRESSION), connection(PROTOCOL)].concat(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn windows_grow_by_something_and_not_beyond_their_limit() {
    let most = 0x7fff_ffff_u32.to_be_bytes();
    run(vec![
        ("by 0", vec![frame(WINDOW_UPDATE, 0, 0, &[0; 4])], connection(PROTOCOL)),
        (
            "of a stream by 0",
            vec![post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &[0; 4])],
            stream(PROTOCOL),
        ),
        (
            "too far",
            vec![frame(WINDOW_UPDATE, 0, 0, &most)],
            connection(FLOW_CONTROL),
        ),
        (
            "of a stream too far",
            vec![post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &most)],
            stream(FLOW_CONTROL),
        ),
        (
            "by a setting too far",
            vec![
                post(1, &[]),
                frame(WINDOW_UPDATE, 0, 1, &[0x7f, 0, 0, 0]),
                frame(SETTINGS, 0, 0, &setting(4, 0x7fff_ffff)),
            ],
            connection(FLOW_CONTROL),
        ),
        (
            "more DATA than the window",
            [
                vec![post(1, &[])],
                (0..5).map(|_| frame(DATA, 0, 1, &[0; 16_384])).collect(),
            ]
            .concat(),
            stream(FLOW_CONTROL),
        ),
    ])
    .await;
}

#[tokio::test]
async fn fields_are_checked() {
    let malformed = || vec![Told::Stream(PROTOCOL)];
    run(vec![
        ("a name with a capital", vec![with("X-Upper", "1")], stream(PROTOCOL)),
        ("connection", vec![with("connection", "close")], malformed()),
        ("keep-alive", vec![with("keep-alive", "5")], malformed()),
        ("proxy-connection", vec![with("proxy-connection", "close")], malformed()),
        (
            "transfer-encoding",
            vec![with("transfer-encoding", "chunked")],
            malformed(),
        ),
        ("upgrade", vec![with("upgrade", "h2c")], malformed()),
        ("te: gzip", vec![with("te", "gzip")], malformed()),
        ("te: trailers", vec![with("te", "trailers")], vec![Told::Answer]),
        ("an unknown pseudo field", vec![with(":x", "1")], stream(PROTOCOL)),
        (
            "a pseudo field of answers",
            vec![with(":status", "200")],
            stream(PROTOCOL),
        ),
        (
            ":protocol without CONNECT",
            vec![with(":protocol", "websocket")],
            malformed(),
        ),
        (
            "a pseudo field behind others",
            vec![head(&[
                ("x", "y"),
                (":method", "GET"),
                (":scheme", "http"),
                (":path", "/"),
                (":authority", "test"),
            ])],
            malformed(),
        ),
        ("two methods", vec![with(":method", "GET")], malformed()),
        ("two paths", vec![with(":path", "/")], malformed()),
        ("no method", vec![without(":method")], malformed()),
        ("no scheme", vec![without(":scheme")], malformed()),
        (
            "no path",
            vec![without(":path")],
            [malformed(), vec![Told::Answer]].concat(),
        ),
        (
            "an empty path",
            vec![head(&[
                (":method", "GET"),
                (":scheme", "http"),
                (":path", ""),
                (":authority", "test"),
            ])],
            malformed(),
        ),
        ("a value with a line end", vec![with("x", "a\r\nb")], stream(PROTOCOL)),
    ])
    .await;
}

#[tokio::test]
async fn content_length_is_the_length_of_data() {
    let malformed = || vec![Told::Stream(PROTOCOL)];
    run(vec![
        (
            "more DATA than content-length",
            vec![post(1, &[("content-length", "1")]), frame(DATA, END_STREAM, 1, b"xy")],
            malformed(),
        ),
        (
            "less DATA than content-length",
            vec![post(1, &[("content-length", "3")]), frame(DATA, END_STREAM, 1, b"xy")],
            malformed(),
        ),
        (
            "content-length and no DATA",
            vec![with("content-length", "3")],
            malformed(),
        ),
        (
            "two lengths",
            vec![
                post(1, &[("content-length", "1"), ("content-length", "2")]),
                frame(DATA, END_STREAM, 1, b"x"),
            ],
            malformed(),
        ),
    ])
    .await;
}

#[tokio::test]
async fn what_http1_would_refuse_is_refused_and_reaches_no_member() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut client = crate::peers::Client::to(balancer.local_addr()).await;
    let long = "x".repeat(9000);
    let ask = |method: &str, path: &str| crate::peers::request(method, path);
    for (asked, status) in [
        (ask("GET", "/").header("host", "other"), 400),
        (ask("GET", "/").header("x", " y"), 400),
        (ask("GET", &format!("/{long}")), 414),
        (ask("CONNECT", ""), 501),
    ] {
        let Ok(asked) = asked.body(Vec::new()) else { continue };
        let got = client.send(asked, None).await;
        // CONNECT has no path: the codec may refuse to send it so.
        if let Ok(got) = got {
            assert_eq!(got.status, status);
            assert!(!got.header("x-lbpool-reason").is_empty());
        }
    }
    assert_eq!(a.seen.count(), 0);
    assert_eq!(client.get("/", "k").await.status, 200, "the connection goes on");
}

#[tokio::test]
async fn streams_above_the_limit_are_refused() {
    let a = Member::raw("a", |stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut raw = Raw::greeted(balancer.local_addr()).await;
    let streams: Vec<u8> = (0..129).flat_map(|n| get(2 * n + 1)).collect();
    raw.send(&streams).await;
    assert_eq!(raw.told().await, Told::Stream(REFUSED));
}
