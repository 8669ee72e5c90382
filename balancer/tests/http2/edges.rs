//! Rules of HTTP/1.1 that hold for streams as well: hosts and schemes, ids, what is said of trailers.

use lbpool_balancer::Proxies;
use serde_json::{Value, json};

use crate::{
    peers::{self, Client, balancing, publish, request},
    raw::{END_HEADERS, END_STREAM, HEADERS, Raw, Told, block, frame},
    support::{self, Member, header, start, start_with},
};

#[tokio::test]
async fn https_without_tls_is_misdirected_unless_a_trusted_proxy_says_it() {
    let a = Member::named("a").await;
    let trusted = Proxies::Networks(vec!["127.0.0.0/8".parse().unwrap()].into());
    for (proxies, scheme, status, reason) in [
        (Proxies::Nobody, "https", 421, "misdirected"),
        (Proxies::Nobody, "http", 200, ""),
        (trusted.clone(), "https", 200, ""),
        (Proxies::Peer, "https", 200, ""),
        (trusted, "ftp", 400, "malformed"),
    ] {
        let balancer = start_with(|config| config.proxies = proxies.clone());
        publish(&balancer, 1, &[(&a, false)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        for method in ["GET", "HEAD"] {
            let asked = http::Request::builder()
                .method(method)
                .uri(format!("{scheme}://test/"))
                .header("x-request-id", "id-1")
                .body(Vec::new());
            let got = client.send(asked.unwrap(), None).await.unwrap();
            assert_eq!(
                (got.status, got.header("x-lbpool-reason")),
                (status, reason),
                "{scheme}, {proxies:?}"
            );
            if !reason.is_empty() {
                assert_eq!(got.header("x-request-id"), "id-1");
                assert_eq!(got.body.is_empty(), method == "HEAD");
            }
        }
        assert_eq!(client.send(peers::get("/", "k"), None).await.unwrap().status, 200);
    }
}

#[tokio::test]
async fn a_host_is_one_and_is_a_host() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let head = |more: &[(&str, &str)]| {
        let mut fields = vec![(":method", "GET"), (":scheme", "http"), (":path", "/")];
        fields.extend(more);
        frame(HEADERS, END_HEADERS | END_STREAM, 1, &block(&fields))
    };
    for (fields, status) in [
        (&[(":authority", "h")][..], "200"),
        (&[("host", "h")], "200"),
        (&[(":authority", "h"), ("host", "H")], "200"),
        (&[(":authority", "h"), ("host", "h:80")], "400"),
        (&[(":authority", "h"), ("host", "other")], "400"),
        (&[("host", "h"), ("host", "h")], "400"),
        (&[("host", "a b")], "400"),
        (&[("host", "user@h")], "400"),
        (&[(":authority", "user@h")], "400"),
        (&[(":authority", "h:port")], "400"),
        (&[], "400"),
    ] {
        let seen = a.seen.count();
        let mut raw = Raw::greeted(balancer.local_addr()).await;
        raw.send(&head(fields)).await;
        let told = raw.told().await;
        let refused = status == "400";
        // The codec refuses an authority that is none by itself.
        assert!(
            told == Told::Answer || refused && told == Told::Stream(1),
            "{fields:?}: {told:?}"
        );
        assert_eq!(a.seen.count() - seen, usize::from(!refused), "{fields:?}");
    }
}

#[tokio::test]
async fn an_id_that_is_of_no_use_goes_on_as_it_came_and_is_in_no_answer_of_ours() {
    let long = "x".repeat(129);
    let a = Member::named("a").await;
    for (given, told) in [("id-1", "id-1"), (&*long, ""), ("two words", "")] {
        let balancer = start();
        let mut client = Client::to(balancer.local_addr()).await;
        let asked = || {
            request("GET", "/")
                .header("x-request-id", given)
                .body(Vec::new())
                .unwrap()
        };
        let got = client.send(asked(), None).await.unwrap();
        assert_eq!((got.status, got.header("x-request-id")), (503, told), "{given}");
        let body: Value = serde_json::from_slice(&got.body).unwrap();
        assert_eq!(body["requestId"].as_str().unwrap_or_default(), told, "{given}");

        publish(&balancer, 1, &[(&a, false)], json!({})).await;
        assert_eq!(client.send(asked(), None).await.unwrap().status, 200);
        assert_eq!(header(&a.seen.last(), "x-request-id"), Some(given));
    }
    // An empty one is none.
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let asked = request("GET", "/").header("x-request-id", "").body(Vec::new());
    assert_eq!(client.send(asked.unwrap(), None).await.unwrap().status, 200);
    assert_eq!(header(&a.seen.last(), "x-request-id").map(str::len), Some(32));
}

#[tokio::test]
async fn members_of_either_version_are_told_that_the_client_takes_trailers() {
    let (one, two) = (Member::named("one").await, peers::named("two").await);
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let connection = (!h2c).then_some("TE");
        let mut client = Client::to(balancer.local_addr()).await;
        let asked = request("GET", "/").header("te", "trailers").body(Vec::new());
        assert_eq!(client.send(asked.unwrap(), None).await.unwrap().status, 200);
        let head = member.seen.last();
        assert_eq!(
            (header(&head, "te"), header(&head, "connection")),
            (Some("trailers"), connection),
            "HTTP/2 to {}",
            member.name
        );
        client.get("/", "k").await;
        assert_eq!(header(&member.seen.last(), "te"), None);

        let mut client = support::Client::to(balancer.local_addr()).await;
        for (fields, te) in [
            ("TE: trailers\r\nConnection: TE\r\n", Some("trailers")),
            ("TE: gzip;q=0.5, trailers\r\nConnection: TE\r\n", Some("trailers")),
            ("TE: trailers\r\n", None),
            ("TE: gzip\r\nConnection: TE\r\n", None),
        ] {
            client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n")).await;
            assert_eq!(client.answer().await.status, 200);
            let head = member.seen.last();
            assert_eq!(
                (header(&head, "te"), header(&head, "connection")),
                (te, te.and(connection)),
                "HTTP/1.1 to {}, {fields:?}",
                member.name
            );
        }
    }
}
