//! Right answers before quick ones: what every contestant has to do, asked once.

use std::{
    collections::HashSet,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    thread::sleep,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use lbpool_http1::{Body, Limits, Method, Response};

use crate::{
    clock::{SECOND, nanos},
    contestant::Contestant,
    load::{Load, Pace},
    origin::MEMBERS,
    workload::{GOT, LARGE, Protocol, SMALL, Workload},
};

/// How long a contestant may take until it proxies.
const START: u64 = 10 * SECOND;

type Check = fn(SocketAddr) -> anyhow::Result<()>;

/// A connection that asks one thing after the other.
struct Client(TcpStream);

/// Checks that a contestant proxies as it should.
pub fn contestant(contestant: &Contestant) -> anyhow::Result<()> {
    let address = contestant.address;
    let all: [(&str, Check); 2] = [("answers", answers), ("a head in pieces", pieces)];
    let proxies: [(&str, Check); 3] = [
        ("homes of keys", homes),
        ("what a member sees", forwarding),
        ("the end of a connection", end),
    ];
    let proxies = if contestant.is_floor() { &[][..] } else { &proxies };
    // Whoever listens may still be reading who its servers are.
    let begun = nanos();
    while Client::open(address)?.get("/", "").is_err() && nanos() - begun < START {
        sleep(Duration::from_millis(20));
    }
    for (what, check) in all.iter().chain(proxies) {
        check(address).with_context(|| format!("{} {}: {what}", contestant.name, contestant.version))?;
    }
    Ok(())
}

/// Whether a contestant takes this load at all, and answers it rightly; why not.
pub fn workload(contestant: &Contestant, workload: &Workload) -> Result<(), String> {
    let address = address(contestant, workload);
    let requests = workload.requests();
    let outcome = Load::open(address, workload, &requests).and_then(|mut load| load.run(Pace::Rate(200), SECOND / 2));
    match outcome {
        Ok(outcome) if outcome.failed == 0 && outcome.answered > 0 => Ok(()),
        Ok(outcome) => Err(outcome.why.unwrap_or_else(|| "no answer".to_owned())),
        Err(error) => Err(format!("{error:#}")),
    }
}

/// Where a contestant takes a load.
pub fn address(contestant: &Contestant, workload: &Workload) -> SocketAddr {
    match workload.protocol {
        Protocol::Http1 { .. } => contestant.address,
        Protocol::Http2 { .. } => contestant.address_h2,
    }
}

fn answers(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::open(address)?;
    for n in 0..50 {
        let body = client.get(&format!("/p/{n}?x=1"), "")?;
        ensure!(
            body.len() == SMALL && body.contains("hello from the origin"),
            "the small answer is {body:?}"
        );
    }
    ensure!(
        client.get("/large/1", "")? == "x".repeat(LARGE),
        "the large answer is another"
    );
    let body = "y".repeat(64 * 1024);
    let post = format!(
        "POST /u HTTP/1.1\r\nHost: h\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    ensure!(
        client.ask(&post)? == format!("{:<GOT$}", r#"{"got":65536}"#),
        "a POST of 64 KB"
    );
    let chunks = format!("3e8\r\n{}\r\n", "z".repeat(1000)).repeat(20);
    let post = format!("POST /u HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n{chunks}0\r\n\r\n");
    ensure!(
        client.ask(&post)? == format!("{:<GOT$}", r#"{"got":20000}"#),
        "a POST in 20 chunks"
    );
    Ok(())
}

fn homes(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::open(address)?;
    let all = (0..100)
        .map(|n| client.get(&format!("/p/{n}"), ""))
        .collect::<anyhow::Result<HashSet<_>>>()?;
    ensure!(all.len() == MEMBERS, "{} of {MEMBERS} members are used", all.len());
    let same = (0..20)
        .map(|_| client.get("/p/7", ""))
        .collect::<anyhow::Result<HashSet<_>>>()?;
    ensure!(same.len() == 1, "one key has {} homes", same.len());
    Ok(())
}

fn forwarding(address: SocketAddr) -> anyhow::Result<()> {
    let fields = "X-Keep: yes\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n";
    let seen = Client::open(address)?.get("/echo", fields)?.to_ascii_lowercase();
    ensure!(seen.contains("x-keep: yes"), "a header is missing: {seen}");
    ensure!(seen.contains("x-forwarded-for: "), "X-Forwarded-For is missing: {seen}");
    Ok(())
}

fn pieces(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::open(address)?;
    for piece in ["GE", "T /a HT", "TP/1.1\r\nHo", "st: h\r\n\r", "\n"] {
        client.0.write_all(piece.as_bytes())?;
        sleep(Duration::from_millis(5));
    }
    ensure!(client.answer()?.len() == SMALL, "another answer");
    Ok(())
}

fn end(address: SocketAddr) -> anyhow::Result<()> {
    let mut client = Client::open(address)?;
    client.get("/a", "Connection: close\r\n")?;
    ensure!(client.0.read(&mut [0])? == 0, "bytes follow the last answer");
    Ok(())
}

// === impl Client ===

impl Client {
    fn open(address: SocketAddr) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        Ok(Self(stream))
    }

    fn get(&mut self, target: &str, fields: &str) -> anyhow::Result<String> {
        self.ask(&format!("GET {target} HTTP/1.1\r\nHost: h\r\n{fields}\r\n"))
    }

    fn ask(&mut self, request: &str) -> anyhow::Result<String> {
        self.0.write_all(request.as_bytes())?;
        self.answer()
    }

    /// The body of an answer with status 200.
    fn answer(&mut self) -> anyhow::Result<String> {
        let mut bytes = Vec::new();
        let mut response = Response::new();
        let mut body: Option<(usize, Body)> = None;
        let mut data = Vec::new();
        loop {
            if body.is_none() {
                body = response
                    .parse(&bytes, &Limits::default(), Method::Get)?
                    .map(|length| (length, Body::new(response.framing())));
            }
            if let Some((read, body)) = &mut body {
                *read += body.decode(&bytes[*read..], usize::MAX, &mut data)?;
                if body.is_done() {
                    ensure!(response.status() == 200, "status {}", response.status());
                    return Ok(String::from_utf8(data)?);
                }
            }
            let mut scratch = [0; 16 * 1024];
            match self.0.read(&mut scratch)? {
                0 => bail!("the connection ended"),
                n => bytes.extend_from_slice(&scratch[..n]),
            }
        }
    }
}
