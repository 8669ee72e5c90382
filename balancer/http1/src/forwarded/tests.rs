use super::*;
use crate::{Limits, Request};

fn client(fields: &str, proxies: &Proxies, peer: &str, style: Style) -> String {
    let head = format!("GET / HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
    let mut request = Request::new();
    request.parse(head.as_bytes(), &Limits::default()).unwrap().unwrap();
    let peer = peer.parse().unwrap();
    proxies.client(request.head(head.as_bytes()), peer, style).to_string()
}

fn networks(list: &[&str]) -> Proxies {
    Proxies::Networks(list.iter().map(|network| network.parse().unwrap()).collect())
}

#[test]
fn the_client_is_the_last_address_that_is_no_trusted_proxy() {
    let ours = networks(&["10.0.0.0/8", "fd00::/8"]);
    for (fields, peer, want) in [
        ("", "10.0.0.1", "10.0.0.1"),
        ("X-Forwarded-For: 192.0.2.7\r\n", "10.0.0.1", "192.0.2.7"),
        ("X-Forwarded-For: 192.0.2.7\r\n", "198.51.100.1", "198.51.100.1"),
        ("X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n", "10.0.0.1", "192.0.2.7"),
        (
            "X-Forwarded-For: 203.0.113.9, 192.0.2.7, 10.2.0.1\r\n",
            "10.0.0.1",
            "192.0.2.7",
        ),
        (
            "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 192.0.2.7\r\n",
            "fd00::1",
            "192.0.2.7",
        ),
        ("X-Forwarded-For: 10.3.0.1, 10.2.0.1\r\n", "10.0.0.1", "10.3.0.1"),
        (
            "X-Forwarded-For: 192.0.2.7, unknown, 10.2.0.1\r\n",
            "10.0.0.1",
            "10.2.0.1",
        ),
        ("X-Forwarded-For: 192.0.2.7, nonsense\r\n", "10.0.0.1", "10.0.0.1"),
        ("X-Forwarded-For: 192.0.2.7:4711\r\n", "10.0.0.1", "192.0.2.7"),
        ("X-Forwarded-For: 2001:db8::7\r\n", "10.0.0.1", "2001:db8::7"),
        ("X-Forwarded-For: [2001:db8::7]:80\r\n", "10.0.0.1", "2001:db8::7"),
        ("X-Forwarded-For: ::ffff:192.0.2.7\r\n", "10.0.0.1", "192.0.2.7"),
        ("X-Forwarded-For: ,\r\nX-Forwarded-For:\r\n", "10.0.0.1", "10.0.0.1"),
        ("Forwarded: for=192.0.2.7\r\n", "10.0.0.1", "10.0.0.1"),
    ] {
        assert_eq!(client(fields, &ours, peer, Style::XForwarded), want, "{fields}");
    }
}

#[test]
fn forwarded_is_read_as_rfc_7239_writes_it() {
    let ours = networks(&["10.0.0.0/8"]);
    for (fields, want) in [
        ("Forwarded: for=192.0.2.43\r\n", "192.0.2.43"),
        ("Forwarded: For=\"[2001:db8:cafe::17]:4711\"\r\n", "2001:db8:cafe::17"),
        ("Forwarded: proto=http;FOR=192.0.2.60;by=203.0.113.43\r\n", "192.0.2.60"),
        (
            "Forwarded: for=203.0.113.9, for=192.0.2.43, for=10.1.1.1\r\n",
            "192.0.2.43",
        ),
        ("Forwarded: for=192.0.2.43;host=\"a, for=1.1.1.1\"\r\n", "192.0.2.43"),
        (
            "Forwarded: for=192.0.2.43;host=\"a\\\", for=1.1.1.1;x=\\\"\"\r\n",
            "192.0.2.43",
        ),
        ("Forwarded: for=192.0.2.43, for=\"_gazonk\"\r\n", "10.0.0.1"),
        ("Forwarded: for=192.0.2.43, for=unknown\r\n", "10.0.0.1"),
        ("Forwarded: for=192.0.2.43, proto=https\r\n", "10.0.0.1"),
        ("Forwarded: for=\"192.0.2.43\r\n", "10.0.0.1"),
        ("X-Forwarded-For: 192.0.2.7\r\n", "10.0.0.1"),
    ] {
        assert_eq!(client(fields, &ours, "10.0.0.1", Style::Forwarded), want, "{fields}");
    }
}

#[test]
fn a_trusted_peer_alone_is_believed_its_own_entry_and_no_other() {
    let list = "X-Forwarded-For: 203.0.113.9, 192.0.2.7\r\n";
    for (proxies, want) in [(Proxies::Peer, "192.0.2.7"), (Proxies::Nobody, "198.51.100.1")] {
        assert_eq!(client(list, &proxies, "198.51.100.1", Style::Both), want);
    }
}

#[test]
fn networks_have_the_addresses_that_their_prefix_says() {
    for (network, address, want) in [
        ("10.0.0.0/8", "10.255.0.1", true),
        ("10.0.0.0/8", "11.0.0.1", false),
        ("10.1.2.3/8", "10.9.9.9", true),
        ("0.0.0.0/0", "192.0.2.7", true),
        ("0.0.0.0/0", "::1", false),
        ("192.0.2.7", "192.0.2.7", true),
        ("192.0.2.7", "192.0.2.8", false),
        ("192.0.2.6/31", "::ffff:192.0.2.7", true),
        ("::/0", "2001:db8::1", true),
        ("fd00::/8", "fdff::1", true),
        ("fd00::/8", "fe00::1", false),
        ("2001:db8::1", "2001:db8::2", false),
    ] {
        let network: Network = network.parse().unwrap();
        assert_eq!(
            network.contains(address.parse().unwrap()),
            want,
            "{network:?} {address}"
        );
    }
}

#[test]
fn what_is_no_network_is_refused() {
    for text in [
        "",
        "10.0.0.0/33",
        "::/129",
        "10.0.0.0/",
        "10.0.0.0/+8",
        "10.0.0/8",
        "a/8",
        "10.0.0.0/8/8",
    ] {
        let error = text.parse::<Network>().unwrap_err().to_string();
        assert!(error.contains("is no network: write"), "{error}");
    }
}
