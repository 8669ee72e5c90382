//! Who is believed where a request came from.

use lbpool_balancer::{Proxies, Style};
use serde_json::json;

use crate::support::{Client, Member, document, header, start_with};

fn networks(list: &[&str]) -> Proxies {
    Proxies::Networks(list.iter().map(|network| network.parse().unwrap()).collect())
}

#[tokio::test]
async fn proxies_in_the_list_are_believed_and_nobody_else_is() {
    let said = "X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-Proto: https\r\nForwarded: for=192.0.2.7\r\n";
    let ours = "for=127.0.0.1;host=\"h\";proto=http";
    for (proxies, style, x_for, proto, forwarded) in [
        (Proxies::Nobody, Style::XForwarded, "127.0.0.1", "http", None),
        (
            networks(&["10.0.0.0/8"]),
            Style::Both,
            "127.0.0.1",
            "http",
            Some(ours.to_owned()),
        ),
        (
            networks(&["10.0.0.0/8", "127.0.0.0/8"]),
            Style::XForwarded,
            "192.0.2.7, 127.0.0.1",
            "https",
            Some(format!("for=192.0.2.7, {ours}")),
        ),
        (
            Proxies::Peer,
            Style::XForwarded,
            "192.0.2.7, 127.0.0.1",
            "https",
            Some(format!("for=192.0.2.7, {ours}")),
        ),
    ] {
        let member = Member::named("member").await;
        let balancer = start_with(|config| {
            config.proxies = proxies.clone();
            config.style = style;
        });
        balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
        let mut client = Client::to(balancer.local_addr()).await;
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{said}\r\n")).await;
        assert_eq!(client.answer().await.status, 200);
        let head = member.seen.last();
        assert_eq!(header(&head, "x-forwarded-for"), Some(x_for), "{proxies:?}");
        assert_eq!(header(&head, "x-forwarded-proto"), Some(proto), "{proxies:?}");
        assert_eq!(header(&head, "forwarded"), forwarded.as_deref(), "{proxies:?}");
    }
}

#[tokio::test]
async fn the_key_of_an_address_is_the_one_behind_trusted_proxies() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let balancer = start_with(|config| config.proxies = networks(&["127.0.0.0/8", "10.0.0.0/8"]));
    let routing = json!({"key": [{"sourceIP": true}], "loadBound": 0});
    balancer.publish(document(1, &[&a, &b], &routing)).await.unwrap();
    let snapshot = balancer.shared().snapshot();
    let owner = |address: &str| {
        let member = snapshot.table.owner(snapshot.table.hash(address.as_bytes()));
        snapshot.members[member.unwrap()].name.to_string()
    };
    let mut client = Client::to(balancer.local_addr()).await;
    let mut owners = std::collections::HashSet::new();
    for n in 0..32 {
        let address = format!("192.0.2.{n}");
        // Whoever is in front of the trusted ones may say what it likes.
        client
            .send(format!(
                "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.{n}, {address}, 10.0.0.9\r\n\r\n"
            ))
            .await;
        assert_eq!(client.answer().await.body, owner(&address), "{address}");
        owners.insert(owner(&address));
    }
    assert_eq!(owners.len(), 2);
}

#[tokio::test]
async fn a_proxy_that_is_believed_may_have_ended_the_tls_of_an_https_target() {
    let member = Member::named("member").await;
    let balancer = start_with(|config| config.proxies = Proxies::Peer);
    balancer.publish(document(1, &[&member], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    client.send("GET https://shop/a HTTP/1.1\r\nHost: h\r\n\r\n").await;
    assert_eq!(client.answer().await.status, 200);
    assert_eq!(header(&member.seen.last(), "host"), Some("shop"));
}

#[tokio::test]
async fn an_id_that_is_of_no_use_goes_on_as_it_came_and_is_not_replaced_in_our_answers() {
    let balancer = start_with(|_| {});
    let mut client = Client::to(balancer.local_addr()).await;
    for (given, told) in [("X-Request-Id: k\r\n", Some("k")), ("X-Request-Id: a b\r\n", None)] {
        client.send(format!("GET / HTTP/1.1\r\nHost: h\r\n{given}\r\n")).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.header("x-request-id")), (503, told), "{given}");
        assert!(
            answer.header("date").is_some_and(|date| date.ends_with(" GMT")),
            "{answer:?}"
        );
    }
}
