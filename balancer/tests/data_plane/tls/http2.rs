//! HTTP/2 over TLS: the handshake says which version is spoken.

use std::net::SocketAddr;

use bytes::Bytes;
use h2::client::SendRequest;
use http::Request;
use lbpool_balancer::stats::Handshake;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    task::JoinSet,
    time::timeout,
};
use tokio_rustls::rustls::version::{TLS12, TLS13};

use super::{Authority, GET, connect, rest, serving};
use crate::support::{Member, PATIENCE, header, ok};

/// A client's connection that has agreed to HTTP/2, and the task that drives it.
async fn http2(authority: &Authority, address: SocketAddr) -> (SendRequest<Bytes>, JoinSet<Result<(), h2::Error>>) {
    let connector = authority.connector(&[&TLS13, &TLS12], &[&b"http/1.1"[..], b"h2"]);
    let stream = connect(&connector, address).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let (requests, connection) = h2::client::handshake(stream).await.unwrap();
    let mut task = JoinSet::new();
    task.spawn(connection);
    (requests, task)
}

/// Sends a POST and reads the whole answer: its status and its body.
async fn post(requests: &SendRequest<Bytes>, body: Bytes) -> (u16, Vec<u8>) {
    let request = Request::post("https://web.test/").header("content-length", body.len());
    let request = request.body(()).unwrap();
    let exchange = async {
        let mut ready = requests.clone().ready().await.unwrap();
        let (answer, mut stream) = ready.send_request(request, false).unwrap();
        stream.send_data(body, true).unwrap();
        let (parts, mut body) = answer.await.unwrap().into_parts();
        let mut data = Vec::new();
        while let Some(piece) = body.data().await {
            let piece = piece.unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            data.extend_from_slice(&piece);
        }
        (parts.status.as_u16(), data)
    };
    timeout(PATIENCE, exchange).await.expect("an answer in time")
}

#[tokio::test]
async fn a_client_that_offers_http2_gets_it_and_its_streams_are_answered() {
    const LARGE: usize = 300_000;
    let authority = Authority::new();
    let a = Member::scripted("a", |ask| vec![ok(&"x".repeat(ask.body.len()))]).await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let (requests, mut task) = http2(&authority, balancer.local_addr()).await;
    for length in [1, LARGE, 1] {
        let (status, body) = post(&requests, vec![b'y'; length].into()).await;
        assert_eq!((status, body.len()), (200, length));
    }
    let seen = a.seen.last();
    assert_eq!(header(&seen, "x-forwarded-proto"), Some("https"), "{seen}");
    assert_eq!(header(&seen, "host"), Some("web.test"));
    let shared = balancer.shared();
    let stats = &shared.stats()[0];
    assert_eq!((stats.http2_connections.get(), stats.http2_requests.get()), (1, 3));
    assert_eq!(stats.handshakes[Handshake::Done as usize].get(), 1);
    drop(requests);
    let (ended, ()) = tokio::join!(timeout(PATIENCE, task.join_next()), balancer.shutdown(PATIENCE));
    ended.unwrap().unwrap().unwrap().expect("an orderly end");
}

#[tokio::test]
async fn who_agreed_to_one_version_and_speaks_the_other_is_refused() {
    let authority = Authority::new();
    let a = Member::named("a").await;
    let balancer = serving(&authority, &[&a], |_| {}).await;
    let agreed = async |protocol: &[u8]| {
        let connector = authority.connector(&[&TLS13], &[protocol]);
        connect(&connector, balancer.local_addr()).await.unwrap()
    };

    let mut client = agreed(b"h2").await;
    client.write_all(GET).await.unwrap();
    client.flush().await.unwrap();
    let mut said = Vec::new();
    // The end may be an abrupt one: what counts is what was said before.
    let _ = timeout(PATIENCE, client.read_to_end(&mut said)).await.unwrap();
    assert!(!said.starts_with(b"HTTP/1.1"), "{said:?}");

    let mut client = agreed(b"http/1.1").await;
    client.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    client.flush().await.unwrap();
    let said = String::from_utf8(rest(&mut client).await.unwrap()).unwrap();
    assert!(said.starts_with("HTTP/1.1 505 "), "{said}");
    assert_eq!(a.seen.count(), 0);
}
