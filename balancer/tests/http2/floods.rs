//! Clients that make work and ask for nothing.

use std::net::SocketAddr;

use lbpool_balancer::stats::Abuse;
use serde_json::json;

use crate::{
    peers::{Client, balancing},
    raw::{
        self, CONTINUATION, DATA, END_STREAM, GOAWAY, HEADERS, PING, PRIORITY, RST_STREAM, Raw, SETTINGS,
        WINDOW_UPDATE, block, fields, frame, get, post,
    },
    support::{Member, start_with},
};

const CALM: u32 = 11;

/// Sends `again` until the balancer ends the connection: with which code. Where what was still on its way to it made a
/// reset of the end, the code may be lost: [`CALM`] then, for the counters tell more.
async fn flood(address: SocketAddr, begin: &[u8], again: impl Fn(u32) -> Vec<u8>) -> u32 {
    let mut raw = Raw::greeted(address).await;
    raw.send(begin).await;
    let (mut n, mut sent) = (0, 0_usize);
    loop {
        let batch: Vec<u8> = (0..64).flat_map(|k| again(n + k)).collect();
        n += 64;
        sent += batch.len();
        assert!(sent < 64 << 20, "it takes whatever comes");
        let open = raw.send(&batch).await;
        while let Some(frame) = raw.ready().await {
            if frame.kind == GOAWAY {
                return raw::code(&frame.payload[4..]);
            }
        }
        if !open {
            while let Some(frame) = raw.next().await {
                if frame.kind == GOAWAY {
                    return raw::code(&frame.payload[4..]);
                }
            }
            return CALM;
        }
    }
}

#[tokio::test]
async fn frames_that_ask_for_nothing_end_the_connection() {
    let a = Member::raw("a", |stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let address = balancer.local_addr();
    let stats = || balancer.shared().stats()[0].http2_abuses[Abuse::Flood as usize].get();
    let kinds: [(&str, Vec<u8>, Vec<u8>); 5] = [
        ("PING", vec![], frame(PING, 0, 0, &[7; 8])),
        ("SETTINGS", vec![], frame(SETTINGS, 0, 0, &[])),
        ("PRIORITY", vec![], frame(PRIORITY, 0, 1, &[0, 0, 0, 0, 9])),
        ("unknown", vec![], frame(0x55, 0, 0, &[0; 100])),
        // Back and forth, so that the window itself stays.
        (
            "WINDOW_UPDATE",
            post(1, &[]),
            [
                frame(WINDOW_UPDATE, 0, 1, &[0, 0, 0, 1]),
                frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0xff, 0xff]),
            ]
            .concat(),
        ),
    ];
    for (n, (kind, begin, again)) in (1..).zip(kinds) {
        assert_eq!(flood(address, &begin, |_| again.clone()).await, CALM, "{kind}");
        assert_eq!(stats(), n, "{kind}");
    }
    let empty = frame(DATA, 0, 1, &[]);
    assert_eq!(
        flood(address, &post(1, &[]), |_| empty.clone()).await,
        CALM,
        "empty DATA"
    );
}

#[tokio::test]
async fn a_block_of_fields_without_end_ends_the_connection() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let begin = frame(HEADERS, END_STREAM, 1, &block(&fields(&[])));
    let empty = frame(CONTINUATION, 0, 1, &[]);
    assert_eq!(flood(balancer.local_addr(), &begin, |_| empty.clone()).await, CALM);
    let more = frame(CONTINUATION, 0, 1, &block(&[("x", &"y".repeat(100))]));
    let code = flood(balancer.local_addr(), &begin, |_| more.clone()).await;
    assert!([1, CALM].contains(&code), "{code}");
    assert_eq!(a.seen.count(), 0);
}

#[tokio::test]
async fn streams_that_are_reset_at_once_end_the_connection() {
    let a = Member::raw("a", |stream, _| async move {
        let _open = stream;
        std::future::pending::<()>().await;
    })
    .await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let reset = |n: u32| [get(2 * n + 1), frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])].concat();
    assert_eq!(flood(balancer.local_addr(), &[], reset).await, CALM);
    let shared = balancer.shared();
    crate::support::eventually("nothing is left at the member", || shared.in_flight() == 0).await;

    // One at a time, so that the codec's own limit does not see it.
    let mut raw = Raw::greeted(balancer.local_addr()).await;
    let mut code = None;
    for n in 0..2000 {
        raw.send(&get(2 * n + 1)).await;
        crate::support::eventually("it is at the member, or the end", || {
            shared.in_flight() > 0 || abuses(&balancer) > 0
        })
        .await;
        raw.send(&frame(RST_STREAM, 0, 2 * n + 1, &[0, 0, 0, 8])).await;
        crate::support::eventually("it is not", || shared.in_flight() == 0).await;
        if abuses(&balancer) > 0 {
            while let Some(frame) = raw.next().await {
                if frame.kind == GOAWAY {
                    code = Some(raw::code(&frame.payload[4..]));
                }
            }
            break;
        }
    }
    assert_eq!(code, Some(CALM));
}

fn abuses(balancer: &lbpool_balancer::Balancer) -> u64 {
    balancer.shared().stats()[0].http2_abuses[Abuse::RapidReset as usize].get()
}

#[tokio::test]
async fn a_head_above_its_limit_is_answered_and_costs_no_more() {
    let a = Member::named("a").await;
    let balancer = start_with(|config| config.limits.head_bytes = 2048);
    crate::peers::publish(&balancer, 1, &[(&a, false)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let asked = crate::peers::request("GET", "/")
        .header("x", "y".repeat(2048))
        .body(vec![])
        .unwrap();
    match client.send(asked, None).await {
        Ok(got) => assert_eq!(got.status, 431),
        Err(error) => assert!(error.is_reset(), "{error}"),
    }
    let mut asked = crate::peers::request("GET", "/");
    for n in 0..40 {
        asked = asked.header("x", n);
    }
    let got = client.send(asked.body(vec![]).unwrap(), None).await.unwrap();
    assert_eq!(got.status, 200, "the connection goes on");
    assert_eq!(a.seen.count(), 1);
}

#[tokio::test]
async fn a_client_that_takes_nothing_holds_its_own_streams_alone() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let a = Member::raw("a", |mut stream, _| async move {
        let mut head = vec![0; 4096];
        while stream.read(&mut head).await.is_ok_and(|n| n > 0) {
            let head = b"HTTP/1.1 200 OK\r\nContent-Length: 10000000\r\n\r\n";
            if stream.write_all(head).await.is_err() || stream.write_all(&vec![0; 10_000_000]).await.is_err() {
                return;
            }
        }
    })
    .await;
    let balancer = start_with(|config| config.limits.client_timeout = std::time::Duration::from_millis(200));
    crate::peers::publish(&balancer, 1, &[(&a, false)], json!({})).await;
    let mut raw = Raw::greeted(balancer.local_addr()).await;
    // No window at all: not a byte of the body may leave.
    raw.send(&frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])).await;
    raw.send(&get(1)).await;
    let mut seen = Vec::new();
    while let Some(frame) = raw.next().await {
        assert_ne!(frame.kind, DATA);
        seen.push(frame.kind);
        if frame.kind == RST_STREAM {
            break;
        }
    }
    assert!(seen.contains(&HEADERS), "{seen:?}");
    let shared = balancer.shared();
    crate::support::eventually("the member's side is ended", || shared.in_flight() == 0).await;
}
