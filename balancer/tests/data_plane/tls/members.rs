//! Members that are spoken to over TLS, in both versions of HTTP.

use std::{io, path::Path, sync::Arc};

use lbpool_api::routing::Protocol;
use lbpool_balancer::{
    Balancer,
    target::Probe,
    tls::Upstream,
    upstream::health::{self, When},
};
use serde_json::json;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::{Authority, identity, rest};
use crate::support::{Client, Member, Seen, document, eventually, header, start_with};

/// A member with a certificate that does with each connection whatever the closure does.
async fn secret_member<F>(
    folder: &Path,
    serve: impl Fn(tokio_rustls::server::TlsStream<TcpStream>, Arc<Seen>) -> F + Send + Sync + 'static,
) -> Member
where
    F: Future<Output = ()> + Send + 'static,
{
    member_with(ServerConfig::clone(&identity(folder).config()), serve).await
}

/// The same, with handshakes as configured.
async fn member_with<F>(
    config: ServerConfig,
    serve: impl Fn(tokio_rustls::server::TlsStream<TcpStream>, Arc<Seen>) -> F + Send + Sync + 'static,
) -> Member
where
    F: Future<Output = ()> + Send + 'static,
{
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let serve = Arc::new(serve);
    Member::raw("a", move |stream, seen| {
        let (acceptor, serve) = (acceptor.clone(), Arc::clone(&serve));
        async move {
            if let Ok(stream) = acceptor.accept(stream).await {
                serve(stream, seen).await;
            }
        }
    })
    .await
}

async fn answers_all(mut stream: tokio_rustls::server::TlsStream<TcpStream>, seen: Arc<Seen>) {
    let mut head = Vec::new();
    while let Ok(byte) = stream.read_u8().await {
        head.push(byte);
        if head.ends_with(b"\r\n\r\n") {
            seen.note(&String::from_utf8(std::mem::take(&mut head)).unwrap());
            stream
                .write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nsecret")
                .await
                .unwrap();
            stream.flush().await.unwrap();
        }
    }
}

/// A balancer without a certificate of its own, in front of a member with one.
async fn in_front_of(member: &Member, authorities: &Path, name: Option<&str>) -> (Balancer, Client) {
    let upstream = Arc::new(Upstream::open(authorities, name).unwrap());
    let balancer = start_with(|config| config.upstream_tls = Some(upstream));
    let routing = json!({"retries": {"attempts": 0}});
    balancer.publish(document(1, &[member], &routing)).await.unwrap();
    let client = Client::to(balancer.local_addr()).await;
    (balancer, client)
}

#[tokio::test]
async fn members_are_spoken_to_over_tls_and_connections_are_kept() {
    let authority = Authority::new();
    let folder = authority.signs("member", &["127.0.0.1"]);
    let a = secret_member(&folder, answers_all).await;
    let (balancer, mut client) = in_front_of(&a, &authority.ca, None).await;
    for _ in 0..20 {
        assert_eq!(client.get("/", "k").await.body, "secret");
    }
    let shared = balancer.shared();
    assert_eq!(
        shared.stats()[0].upstream_connects.get(),
        1,
        "a ticket in between is no word of the member's"
    );
    assert_eq!(header(&a.seen.last(), "x-forwarded-proto"), Some("http"));
}

#[tokio::test]
async fn a_member_whose_certificate_is_of_another_ca_or_name_gets_no_request() {
    let (authority, other) = (Authority::new(), Authority::new());
    let folder = authority.signs("member", &["cache.internal"]);
    let a = secret_member(&folder, answers_all).await;
    for (authorities, name, want) in [
        (&authority.ca, Some("cache.internal"), 200),
        (&authority.ca, Some("other.internal"), 502),
        (&authority.ca, None, 502),
        (&other.ca, Some("cache.internal"), 502),
    ] {
        let before = a.seen.count();
        let (_balancer, mut client) = in_front_of(&a, authorities, name).await;
        let answer = client.get("/", "k").await;
        assert_eq!(answer.status, want, "{name:?}: {}", answer.body);
        if want == 502 {
            assert_eq!(answer.reason(), "connect-failed");
            assert!(answer.body.contains("certificate"), "{}", answer.body);
            assert_eq!(a.seen.count(), before);
        }
    }
    // The document may say the name, for one member.
    let mut routed = document(1, &[&a], &json!({}));
    routed.members[0].host = Some("cache.internal".to_owned());
    let upstream = Arc::new(Upstream::open(&authority.ca, None).unwrap());
    let balancer = start_with(|config| config.upstream_tls = Some(upstream));
    balancer.publish(routed).await.unwrap();
    assert_eq!(
        Client::to(balancer.local_addr()).await.get("/", "k").await.body,
        "secret"
    );
}

#[tokio::test]
async fn an_answer_up_to_the_end_of_a_connection_is_whole_with_a_close_notify_alone() {
    let authority = Authority::new();
    let folder = authority.signs("member", &["127.0.0.1"]);
    let a = secret_member(&folder, |mut stream, _| async move {
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        stream.write_all(b"HTTP/1.1 200 OK\r\n\r\nall of it").await.unwrap();
        stream.flush().await.unwrap();
        if head.starts_with(b"GET /whole ") {
            stream.shutdown().await.unwrap();
        } else {
            stream.get_mut().0.shutdown().await.unwrap();
        }
    })
    .await;
    let (balancer, mut client) = in_front_of(&a, &authority.ca, None).await;
    let answer = client.get("/whole", "k").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, "all of it"));
    let mut client = Client::to(balancer.local_addr()).await;
    client.send("GET /cut HTTP/1.1\r\nHost: h\r\n\r\n").await;
    let error = rest(&mut client.stream).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset, "it was cut");
}

#[tokio::test]
async fn probes_speak_tls_too() {
    let authority = Authority::new();
    let folder = authority.signs("member", &["127.0.0.1"]);
    let a = secret_member(&folder, answers_all).await;
    let plain = Member::named("b").await;
    let upstream = Arc::new(Upstream::open(&authority.ca, None).unwrap());
    let balancer = start_with(|config| config.upstream_tls = Some(upstream));
    let mut routed = document(1, &[&a, &plain], &json!({}));
    routed.health = serde_json::from_value(json!({"period": "100ms", "timeout": "2s"})).unwrap();
    balancer.publish(routed).await.unwrap();
    let shared = balancer.shared();
    let mut tasks = JoinSet::new();
    tasks.spawn(health::run(Arc::clone(&shared), When::Always));
    let says = |name: &str| {
        let snapshot = shared.snapshot();
        let member = snapshot.members.iter().find(|member| *member.name == *name).unwrap();
        member.target.as_ref().unwrap().probe()
    };
    eventually("the one is well", || says("a") == Probe::Well).await;
    eventually("the other speaks no TLS", || says("b") == Probe::Ill).await;
    assert!(a.seen.last().starts_with("GET /heartbeat "));
}

// === members that speak HTTP/2 ===

async fn answers_streams(stream: tokio_rustls::server::TlsStream<TcpStream>, seen: Arc<Seen>) {
    let mut connection = h2::server::handshake(stream).await.unwrap();
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        seen.note(&format!("{} {}", request.method(), request.uri()));
        let mut stream = respond.send_response(http::Response::new(()), false).unwrap();
        stream.send_data("stream".into(), true).unwrap();
    }
}

/// As [`in_front_of`], of a member whose entry says that it speaks HTTP/2.
async fn in_front_of_h2c(member: &Member, authorities: &Path) -> (Balancer, Client) {
    let upstream = Arc::new(Upstream::open(authorities, None).unwrap());
    let balancer = start_with(|config| config.upstream_tls = Some(upstream));
    let mut routed = document(1, &[member], &json!({"retries": {"attempts": 0}}));
    routed.members[0].protocol = Protocol::H2c;
    routed.health = serde_json::from_value(json!({"period": "100ms", "timeout": "2s"})).unwrap();
    balancer.publish(routed).await.unwrap();
    let client = Client::to(balancer.local_addr()).await;
    (balancer, client)
}

#[tokio::test]
async fn members_agree_to_http2_in_the_handshake_and_have_their_streams_on_one_connection() {
    let authority = Authority::new();
    let folder = authority.signs("member", &["127.0.0.1"]);
    let a = secret_member(&folder, answers_streams).await;
    let (balancer, mut client) = in_front_of_h2c(&a, &authority.ca).await;
    for _ in 0..20 {
        assert_eq!(client.get("/", "k").await.body, "stream");
    }
    let shared = balancer.shared();
    assert_eq!(shared.stats()[0].upstream_connects.get(), 1);
    assert!(a.seen.last().starts_with("GET https://"), "{}", a.seen.last());
    let mut tasks = JoinSet::new();
    tasks.spawn(health::run(Arc::clone(&shared), When::Always));
    eventually("probes speak it too", || {
        shared.snapshot().members[0].target.as_ref().unwrap().probe() == Probe::Well
    })
    .await;
}

#[tokio::test]
async fn a_member_that_does_not_agree_to_http2_gets_no_request_and_the_answer_says_why() {
    let authority = Authority::new();
    let folder = authority.signs("member", &["127.0.0.1"]);
    for (known, want) in [(&[][..], "ALPN"), (&[b"http/1.1".to_vec()], "protocol")] {
        let mut config = ServerConfig::clone(&identity(&folder).config());
        config.alpn_protocols = known.to_vec();
        let a = member_with(config, answers_all).await;
        let (_balancer, mut client) = in_front_of_h2c(&a, &authority.ca).await;
        let answer = client.get("/", "k").await;
        assert_eq!((answer.status, answer.reason()), (502, "connect-failed"));
        assert!(
            answer.body.to_lowercase().contains(&want.to_lowercase()),
            "{}",
            answer.body
        );
        assert_eq!(a.seen.count(), 0);
    }
}
