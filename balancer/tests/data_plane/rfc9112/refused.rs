//! What is refused: with the right status, a closed connection, and nothing of it at a member.

use std::sync::atomic::Ordering::SeqCst;

use serde_json::json;

use super::exchange;
use crate::support::{Member, document, start_with};

/// Name, section, what the client sends, status, reason.
type Row = (&'static str, &'static str, &'static str, u16, &'static str);

/// Heads that end at us: no member ever sees a connection for them.
const HEADS: &[Row] = &[
    ("no Host", "9112 3.2", "GET / HTTP/1.1\r\n\r\n", 400, "malformed"),
    (
        "Host twice",
        "9112 3.2",
        "GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n",
        400,
        "ambiguous",
    ),
    ("bare LF", "9112 2.2", "GET / HTTP/1.1\nHost: h\n\n", 400, "malformed"),
    (
        "bare CR",
        "9112 2.2",
        "GET / HTTP/1.1\r\nHost: h\r\nX: y\rZ: z\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "NUL",
        "9110 5.5",
        "GET / HTTP/1.1\r\nHost: h\r\nX: \0\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "a folded line",
        "9112 5.2",
        "GET / HTTP/1.1\r\nHost: h\r\nX: y\r\n z\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "a space before the colon",
        "9112 5.1",
        "GET / HTTP/1.1\r\nHost : h\r\n\r\n",
        400,
        "malformed",
    ),
    ("HTTP/0.9", "9112 3", "GET /\r\n\r\n", 400, "malformed"),
    (
        "a fragment",
        "9112 3.2",
        "GET /#a HTTP/1.1\r\nHost: h\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "both lengths",
        "9112 6.3",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "ambiguous",
    ),
    (
        "two lengths",
        "9112 6.3",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
        400,
        "ambiguous",
    ),
    (
        "chunks in HTTP/1.0",
        "9112 6.1",
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        400,
        "ambiguous",
    ),
    (
        "a body above the limit",
        "9110 15.5.14",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\n\r\n",
        413,
        "too-large",
    ),
    (
        "a body above the limit that waits for leave",
        "9110 10.1.1",
        "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 65\r\nExpect: 100-continue\r\n\r\n",
        413,
        "too-large",
    ),
    (
        "a target above the limit",
        "9110 15.5.15",
        "GET /0123456789012345678901234567890123456789 HTTP/1.1\r\nHost: h\r\n\r\n",
        414,
        "too-large",
    ),
    (
        "another expectation",
        "9110 15.5.18",
        "GET / HTTP/1.1\r\nHost: h\r\nExpect: tea\r\n\r\n",
        417,
        "unsupported",
    ),
    (
        "an https target without TLS",
        "9110 7.4",
        "GET https://h/ HTTP/1.1\r\nHost: h\r\n\r\n",
        421,
        "misdirected",
    ),
    (
        "too many headers",
        "9110 5.4",
        "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\nA: 1\r\n\r\n",
        431,
        "too-large",
    ),
    (
        "a head above the limit",
        "9110 5.4",
        "GET / HTTP/1.1\r\nHost: h\r\nX: xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\
        xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\r\n\r\n",
        431,
        "too-large",
    ),
    (
        "CONNECT",
        "9110 9.3.6",
        "CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n",
        501,
        "unsupported",
    ),
    (
        "a coding that is not served",
        "9112 6.1",
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        501,
        "unsupported",
    ),
    (
        "TRACE that ends here",
        "9110 7.6.2",
        "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n",
        501,
        "unsupported",
    ),
    (
        "HTTP/1.2",
        "9110 15.6.6",
        "GET / HTTP/1.2\r\nHost: h\r\n\r\n",
        505,
        "unsupported",
    ),
    (
        "HTTP/3",
        "9110 15.6.6",
        "GET / HTTP/3\r\nHost: h\r\n\r\n",
        505,
        "unsupported",
    ),
    (
        "a circle",
        "9110 7.6",
        "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, 1.1 lbpool, \
        1.1 lbpool, 1.1 lbpool, 1.1 lbpool\r\n\r\n",
        508,
        "misdirected",
    ),
];

/// Bodies that go wrong: their heads may have gone on, their ends never do.
const BODIES: &[Row] = &[
    ("no chunk size", "9112 7.1", "x\r\n", 400, "malformed"),
    (
        "a size with a sign",
        "9112 7.1",
        "+5\r\nhello\r\n0\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "a size that overflows",
        "9112 7.1",
        "10000000000000000\r\n\r\n0\r\n\r\n",
        413,
        "too-large",
    ),
    ("too much data", "9112 7.1", "3\r\nhello\r\n0\r\n\r\n", 400, "malformed"),
    (
        "bare LF behind the size",
        "9112 2.2",
        "5\nhello\r\n0\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "bare LF in an extension",
        "9112 7.1.1",
        "5;a\nb\r\nhello\r\n0\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "a length as trailer",
        "9110 6.5.1",
        "0\r\nContent-Length: 5\r\n\r\n",
        400,
        "malformed",
    ),
    (
        "more than the limit",
        "9110 15.5.14",
        "40\r\n0123456789012345678901234567890123456789012345678901234567890123\r\n0\r\n\r\n",
        413,
        "too-large",
    ),
];

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";

async fn check(rows: &'static [Row], before: &'static str) -> Member {
    let member = Member::named("member").await;
    let balancer = start_with(|config| {
        config.limits.body_bytes = Some(64);
        config.limits.target_bytes = 32;
        config.limits.headers = 8;
        config.limits.head_bytes = 512;
    });
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    for (name, section, request, status, reason) in rows {
        let bytes = [before, request, SMUGGLED].concat();
        for cut in 0..before.len() + request.len() {
            let seen = exchange(balancer.local_addr(), bytes.as_bytes(), cut).await;
            let told = format!("{name} ({section}), cut at {cut}: {seen}");
            assert!(seen.starts_with(&format!("HTTP/1.1 {status} ")), "{told}");
            assert!(seen.contains(&format!("\r\nX-Lbpool-Reason: {reason}\r\n")), "{told}");
            assert!(seen.contains("\r\nConnection: close\r\n"), "{told}");
            assert_eq!(seen.matches("\r\nX-Lbpool-Reason: ").count(), 1, "{told}");
        }
    }
    member
}

#[tokio::test]
async fn a_refused_head_ends_its_connection_and_nothing_of_it_reaches_a_member() {
    let member = check(HEADS, "").await;
    assert_eq!(member.seen.connections.load(SeqCst), 0);
}

#[tokio::test]
async fn a_refused_body_ends_its_connection_and_its_member_sees_no_end_of_it() {
    let member = check(
        BODIES,
        "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
    )
    .await;
    assert_eq!(member.seen.count(), 0);
}

#[tokio::test]
async fn the_preface_of_http_2_behind_a_request_is_refused() {
    let member = Member::named("member").await;
    let balancer = start_with(|_| {});
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    let first = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    let bytes = [first, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"].concat();
    for cut in 0..bytes.len() {
        let seen = exchange(balancer.local_addr(), bytes.as_bytes(), cut).await;
        assert!(seen.contains("memberHTTP/1.1 505 "), "cut at {cut}: {seen}");
    }
}

#[tokio::test]
async fn a_refusal_of_head_has_no_body() {
    let balancer = start_with(|_| {});
    let seen = exchange(balancer.local_addr(), b"HEAD / HTTP/1.1\r\n\r\n", 0).await;
    assert!(
        seen.starts_with("HTTP/1.1 400 ") && seen.ends_with("\r\n\r\n"),
        "{seen}"
    );
}
