//! Upgrades: offered, agreed to, refused, and tunnels from their first byte to their last.

use std::{
    io,
    sync::{Arc, Mutex, atomic::Ordering::SeqCst},
    time::Duration,
};

use lbpool_balancer::{Balancer, stats::Count};
use serde_json::json;
use socket2::SockRef;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::{Notify, mpsc},
    time::{Instant, timeout},
};

use crate::support::{
    Client, Member, PATIENCE, becomes, document, eventually, header, key_of, ok, read_ask, serving, start_with,
};

const ASK: &str = "GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n";
const SWITCH: &str = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

/// A member that switches, then sends everything back.
async fn echo(name: &str) -> Member {
    Member::raw(name, |mut stream, seen| async move {
        let mut rest = Vec::new();
        let Some(ask) = read_ask(&mut stream, &mut rest).await else {
            return;
        };
        seen.note(&ask.head);
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        stream.write_all(&rest).await.unwrap();
        let (mut from, mut to) = stream.split();
        drop(tokio::io::copy(&mut from, &mut to).await);
        drop(to.shutdown().await);
    })
    .await
}

/// A client's side of an open tunnel.
async fn open(client: &mut Client) {
    client.send(ASK).await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.header("upgrade")), (101, Some("websocket")));
}

async fn receive(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    timeout(PATIENCE, stream.read_exact(&mut bytes)).await.unwrap().unwrap();
    bytes
}

/// All up to the end, or the error that ends it.
async fn rest(stream: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    timeout(PATIENCE, stream.read_to_end(&mut bytes)).await.unwrap()?;
    Ok(bytes)
}

fn ends(balancer: &Balancer) -> Vec<u64> {
    balancer.shared().stats()[0]
        .tunnel_ends
        .iter()
        .map(Count::get)
        .collect()
}

#[tokio::test]
async fn bytes_pass_both_ways_behind_a_101_and_are_counted() {
    let a = echo("a").await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    open(&mut client).await;
    let head = a.seen.last();
    assert_eq!(
        (header(&head, "connection"), header(&head, "upgrade")),
        (Some("Upgrade"), Some("websocket"))
    );
    assert!(head.contains("\r\nVia: 1.1 lbpool\r\n"), "{head}");
    let shared = balancer.shared();
    let stats = &shared.stats()[0];
    becomes((1, 1, 1), || {
        (stats.tunnels.get(), stats.requests[1].get(), stats.in_flight.get())
    })
    .await;
    assert_eq!(balancer.report().in_flight, [("a".to_owned(), 1)]);
    for _ in 0..3 {
        client.send(b"\0\r\n\r\n\xff").await;
        assert_eq!(receive(&mut client.stream, 6).await, b"\0\r\n\r\n\xff");
    }
    client.stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut client.stream).await.unwrap(), b"");
    // One after the other, while we look.
    eventually("the tunnel and all that counted it are gone", || {
        (stats.tunnels.get(), stats.sent.get(), stats.in_flight.get()) == (0, 0, 0)
    })
    .await;
    assert_eq!((stats.tunnel_up.get(), stats.tunnel_down.get()), (18, 18));
    assert_eq!(stats.tunnels_opened.get(), 1);
    assert_eq!(ends(&balancer), [1, 0, 0, 0]);
}

#[tokio::test]
async fn what_either_side_sends_early_is_neither_lost_nor_early_wherever_it_is_cut() {
    let stream_of_client = [ASK.as_bytes(), b"from the client"].concat();
    let stream_of_member = [SWITCH.as_bytes(), b"from the member"].concat();
    let cuts = stream_of_client.len().max(stream_of_member.len());
    let cut_of_member = Arc::new(Mutex::new(0));
    let (cut, answer) = (Arc::clone(&cut_of_member), stream_of_member.clone());
    let a = Member::raw("a", move |mut stream, _| {
        let (cut, answer) = (*cut.lock().unwrap(), answer.clone());
        async move {
            let mut early = Vec::new();
            read_ask(&mut stream, &mut early).await.unwrap();
            assert!(early.is_empty(), "nothing passes before the member has agreed");
            stream.write_all(&answer[..cut]).await.unwrap();
            tokio::task::yield_now().await;
            stream.write_all(&answer[cut..]).await.unwrap();
            let mut got = [0; 15];
            stream.read_exact(&mut got).await.unwrap();
            assert_eq!(&got, b"from the client");
            stream.write_all(b"!").await.unwrap();
        }
    })
    .await;
    let (balancer, _) = serving(&[&a], json!({})).await;
    for cut in 0..cuts {
        *cut_of_member.lock().unwrap() = cut.min(stream_of_member.len());
        let mut client = Client::to(balancer.local_addr()).await;
        let (first, second) = stream_of_client.split_at(cut.min(stream_of_client.len()));
        client.send(first).await;
        tokio::task::yield_now().await;
        client.send(second).await;
        let end = rest(&mut client.stream).await.unwrap();
        let text = String::from_utf8(end).unwrap();
        let behind = text.split_once("\r\n\r\n").map(|(_, behind)| behind);
        assert_eq!(behind, Some("from the member!"), "cut at {cut}: {text}");
    }
}

#[tokio::test]
async fn a_refused_upgrade_is_an_ordinary_answer_and_what_follows_is_http() {
    let a = Member::raw("a", |mut stream, seen| async move {
        let mut rest = Vec::new();
        let Some(ask) = read_ask(&mut stream, &mut rest).await else {
            return;
        };
        seen.note(&ask.head);
        let status = if ask.path() == "/chat" {
            "403 Forbidden"
        } else {
            "200 OK"
        };
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: 2\r\n\r\nno");
        stream.write_all(answer.as_bytes()).await.unwrap();
        if ask.path() == "/chat" {
            // The connection ends here: it may not believe what it was offered.
            stream.read_to_end(&mut rest).await.unwrap();
            assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
        }
    })
    .await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    // What would be the tunnel's first bytes is a request, and reaches the member as one.
    client
        .send(format!(
            "{ASK}GET /next HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: evil\r\n\r\n"
        ))
        .await;
    let first = client.answer().await;
    assert_eq!((first.status, first.body.as_str()), (403, "no"));
    assert_eq!(client.answer().await.status, 200);
    let next = a.seen.last();
    assert!(
        next.starts_with("GET /next ") && !next.contains("evil") && next.contains("\r\nVia:"),
        "{next}"
    );
    // And what is no request is told so, and reaches nobody.
    let mut client = Client::to(balancer.local_addr()).await;
    client.send(format!("{ASK}\x01\x02 nonsense\r\n\r\n")).await;
    assert_eq!(client.answer().await.status, 403);
    assert_eq!(client.answer().await.status, 400);
    assert!(client.ends().await);
    assert_eq!(a.seen.count(), 3);
    assert_eq!(balancer.shared().stats()[0].tunnels_opened.get(), 0);
    assert_eq!(balancer.shared().stats()[0].upstream_reuses.get(), 0);
}

#[tokio::test]
async fn a_switch_that_was_not_asked_for_is_a_502() {
    let a = Member::scripted("a", |ask| {
        let answer = match ask.path() {
            "/other" => SWITCH.replace("websocket", "mqtt"),
            "/silent" => SWITCH.replace("Connection: Upgrade\r\n", ""),
            _ => SWITCH.to_owned(),
        };
        vec![
            crate::support::Act::Send((answer + "secret").into_bytes()),
            crate::support::Act::Close,
        ]
    })
    .await;
    let (balancer, _) = serving(&[&a], json!({"retries": {"attempts": 0}})).await;
    let plain = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    for (name, ask) in [
        ("no upgrade", plain.to_owned()),
        ("no Connection", ASK.replace("Upgrade\r\n", "x\r\n")),
        ("HTTP/1.0", ASK.replace("HTTP/1.1", "HTTP/1.0")),
        ("h2c", ASK.replace("websocket", "h2c")),
        ("another protocol", ASK.replace("/chat", "/other")),
        ("without Connection", ASK.replace("/chat", "/silent")),
    ] {
        let mut client = Client::to(balancer.local_addr()).await;
        client.send(ask).await;
        let answer = client.answer().await;
        assert_eq!((answer.status, answer.reason()), (502, "bad-answer"), "{name}");
        assert!(!answer.body.contains("secret"));
    }
    let offered = a
        .seen
        .heads
        .lock()
        .unwrap()
        .iter()
        .filter(|head| header(head, "upgrade").is_some())
        .count();
    assert_eq!(offered, 2, "only the last two are upgrades");
}

#[tokio::test]
async fn an_upgrade_may_have_a_body_and_switches_behind_it_alone() {
    let early = Arc::new(Notify::new());
    let too_early = Arc::clone(&early);
    let a = Member::raw("a", move |mut stream, _| {
        let too_early = Arc::clone(&too_early);
        async move {
            let mut buffer = Vec::new();
            while !buffer.ends_with(b"\r\n\r\n") {
                buffer.push(stream.read_u8().await.unwrap());
            }
            if buffer.starts_with(b"POST /early ") {
                stream.write_all(SWITCH.as_bytes()).await.unwrap();
                return too_early.notified().await;
            }
            let mut body = [0; 5];
            stream.read_exact(&mut body).await.unwrap();
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            stream.write_all(&body).await.unwrap();
            let mut got = [0; 4];
            stream.read_exact(&mut got).await.unwrap();
            stream.write_all(&got).await.unwrap();
        }
    })
    .await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    let ask = |path| {
        ASK.replace("GET /chat", &format!("POST {path}"))
            .replace("Host", "Content-Length: 5\r\nHost")
    };
    client.send(ask("/attach") + "hellomore").await;
    let text = rest(&mut client.stream).await.unwrap();
    assert!(
        text.ends_with(b"\r\n\r\nhellomore"),
        "{}",
        String::from_utf8_lossy(&text)
    );
    let mut client = Client::to(balancer.local_addr()).await;
    client.send(ask("/early") + "he").await;
    let answer = client.answer().await;
    assert_eq!((answer.status, answer.reason()), (502, "bad-answer"));
    early.notify_waiters();
}

#[tokio::test]
async fn each_side_ends_for_itself() {
    let a = Member::raw("a", |mut stream, _| async move {
        read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        let mut all = Vec::new();
        stream.read_to_end(&mut all).await.unwrap();
        all.reverse();
        stream.write_all(&all).await.unwrap();
    })
    .await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    open(&mut client).await;
    client.send("abc").await;
    client.stream.shutdown().await.unwrap();
    assert_eq!(rest(&mut client.stream).await.unwrap(), b"cba");
    eventually("it is finished", || ends(&balancer) == [1, 0, 0, 0]).await;
    // The member first.
    let b = Member::raw("b", |mut stream, seen| async move {
        read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        stream.write_all((SWITCH.to_owned() + "bye").as_bytes()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut all = String::new();
        stream.read_to_string(&mut all).await.unwrap();
        seen.note(&all);
    })
    .await;
    balancer.publish(document(2, &[&b], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    client.send(ASK).await;
    let text = rest(&mut client.stream).await.unwrap();
    assert!(text.ends_with(b"\r\n\r\nbye"));
    client.send("still here").await;
    client.stream.shutdown().await.unwrap();
    b.seen
        .until("all has arrived", |seen| {
            seen.heads.lock().unwrap().iter().any(|all| all == "still here")
        })
        .await;
}

#[tokio::test]
async fn a_connection_that_breaks_is_told_from_one_that_ends() {
    let a = Member::raw("a", |mut stream, _| async move {
        read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        if stream.read_u8().await.is_ok() {
            SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
        }
    })
    .await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    open(&mut client).await;
    client.send("x").await;
    let error = rest(&mut client.stream).await.unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    eventually("it is broken", || ends(&balancer) == [0, 0, 0, 1]).await;

    let (told, mut tells) = mpsc::unbounded_channel();
    let b = Member::raw("b", move |mut stream, _| {
        let told = told.clone();
        async move {
            read_ask(&mut stream, &mut Vec::new()).await.unwrap();
            stream.write_all(SWITCH.as_bytes()).await.unwrap();
            told.send(stream.read_u8().await.unwrap_err().kind()).unwrap();
        }
    })
    .await;
    balancer.publish(document(2, &[&b], &json!({}))).await.unwrap();
    let mut client = Client::to(balancer.local_addr()).await;
    open(&mut client).await;
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    drop(client);
    assert_eq!(tells.recv().await, Some(io::ErrorKind::ConnectionReset));
}

#[tokio::test]
async fn much_passes_both_ways_at_once_and_waits_for_who_does_not_read() {
    // More than the kernel keeps between the two: it lets the buffers of four connections grow to 32 MB each.
    const ENDLESS: usize = 256 << 20;
    const MORE: usize = 8 << 20;
    let a = echo("a").await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    open(&mut client).await;
    // This one stays small, so that it does not take as long.
    SockRef::from(&client.stream).set_recv_buffer_size(1 << 16).unwrap();
    let piece: Vec<u8> = (0..1 << 16).map(|n: u32| n.to_le_bytes()[0].wrapping_mul(31)).collect();
    let (mut from, mut to) = client.stream.split();
    // Nobody reads: what lies between fills up, and then the writer waits.
    let mut sent = 0;
    while let Ok(n) = timeout(Duration::from_millis(500), to.write(&piece[sent % piece.len()..])).await {
        sent += n.unwrap();
        assert!(sent < ENDLESS, "all of it lies somewhere between");
    }
    let (start, enough) = (sent % piece.len(), sent + MORE);
    let write = async {
        while sent < enough {
            sent += to.write(&piece[sent % piece.len()..]).await.unwrap();
        }
        to.shutdown().await.unwrap();
        sent
    };
    let read = async {
        let mut all = Vec::new();
        from.read_to_end(&mut all).await.unwrap();
        all
    };
    let (sent, all) = timeout(PATIENCE, async { tokio::join!(write, read) }).await.unwrap();
    assert_eq!(all.len(), sent, "{start}");
    assert!(all.chunks(piece.len()).all(|chunk| *chunk == piece[..chunk.len()]));
    let passed = balancer.shared().stats()[0].tunnel_up.get();
    assert_eq!(passed, sent as u64);
}

#[tokio::test]
async fn a_tunnel_that_is_idle_ends_and_one_that_talks_in_one_direction_does_not() {
    let idle = Duration::from_millis(300);
    let a = Member::raw("a", |mut stream, _| async move {
        let ask = read_ask(&mut stream, &mut Vec::new()).await.unwrap();
        stream.write_all(SWITCH.as_bytes()).await.unwrap();
        let talks = ask.path() == "/talks";
        while talks && stream.write_all(b".").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        drop(stream.read_u8().await);
    })
    .await;
    let balancer = start_with(|config| config.limits.tunnel_idle = idle);
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let mut quiet = Client::to(balancer.local_addr()).await;
    let mut talking = Client::to(balancer.local_addr()).await;
    talking.send(ASK.replace("/chat", "/talks")).await;
    assert_eq!(talking.answer().await.status, 101);
    open(&mut quiet).await;
    let start = Instant::now();
    assert!(quiet.ends().await && start.elapsed() >= idle, "{:?}", start.elapsed());
    eventually("it is counted", || ends(&balancer) == [0, 1, 0, 0]).await;
    while start.elapsed() < idle * 3 {
        assert_eq!(receive(&mut talking.stream, 1).await, b".");
    }
}

/// Opens so many tunnels with the same key.
async fn many(balancer: &Balancer, n: usize, key: &str) -> Vec<Client> {
    let mut clients = Vec::new();
    for _ in 0..n {
        let mut client = Client::to(balancer.local_addr()).await;
        client
            .send(ASK.replace("Host: h", &format!("Host: h\r\nX-Request-Id: {key}")))
            .await;
        assert_eq!(client.answer().await.status, 101);
        clients.push(client);
    }
    clients
}

/// When each of them ends, in order.
async fn times_of_ends(clients: Vec<Client>, start: Instant) -> Vec<Duration> {
    let mut waits = tokio::task::JoinSet::new();
    for mut client in clients {
        waits.spawn(async move {
            assert!(client.ends().await, "an orderly end");
            start.elapsed()
        });
    }
    let mut times = waits.join_all().await;
    times.sort_unstable();
    times
}

#[tokio::test]
async fn tunnels_to_a_member_that_leaves_hold_its_drain_up_and_end_one_after_the_other() {
    let (a, b) = (echo("a").await, echo("b").await);
    let limit = Duration::from_secs(2);
    let balancer = start_with(|config| config.limits.tunnel_drain = limit);
    balancer.publish(document(1, &[&a, &b], &json!({}))).await.unwrap();
    let (of_a, of_b) = (key_of(&balancer, "a"), key_of(&balancer, "b"));
    let leaving = many(&balancer, 40, &of_a).await;
    let mut staying = many(&balancer, 2, &of_b).await;
    balancer.publish(document(2, &[&b], &json!({}))).await.unwrap();
    let start = Instant::now();
    assert_eq!(balancer.report().in_flight, [("a".to_owned(), 40), ("b".to_owned(), 2)]);
    let times = times_of_ends(leaving, start).await;
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(
        first >= limit / 2 && last <= limit + Duration::from_millis(500),
        "{first:?} to {last:?}"
    );
    assert!(last >= first + limit / 5, "spread: {first:?} to {last:?}");
    eventually("the member may go", || {
        balancer.report().in_flight == [("b".to_owned(), 2)]
    })
    .await;
    assert_eq!(ends(&balancer), [0, 0, 40, 0]);
    staying[0].send("x").await;
    assert_eq!(receive(&mut staying[0].stream, 1).await, b"x");
}

#[tokio::test]
async fn tunnels_to_a_member_that_comes_back_stay() {
    let (a, b) = (echo("a").await, echo("b").await);
    // It comes back within the first half, on a busy machine too.
    let limit = Duration::from_secs(2);
    let balancer = start_with(|config| config.limits.tunnel_drain = limit);
    balancer.publish(document(1, &[&a, &b], &json!({}))).await.unwrap();
    let key = key_of(&balancer, "a");
    let mut clients = many(&balancer, 1, &key).await;
    balancer.publish(document(2, &[&b], &json!({}))).await.unwrap();
    balancer.publish(document(3, &[&a, &b], &json!({}))).await.unwrap();
    let start = Instant::now();
    while start.elapsed() < limit + limit / 4 {
        clients[0].send("x").await;
        assert_eq!(receive(&mut clients[0].stream, 1).await, b"x");
    }
    balancer.publish(document(4, &[&b], &json!({}))).await.unwrap();
    assert!(clients[0].ends().await, "it leaves for good");
}

#[tokio::test]
async fn a_balancer_that_ends_leaves_tunnels_its_grace_and_then_ends_them_gently() {
    let a = echo("a").await;
    let (balancer, _) = serving(&[&a], json!({})).await;
    let mut clients = many(&balancer, 40, "k").await;
    let mut finished = clients.pop().unwrap();
    let grace = Duration::from_secs(2);
    let start = Instant::now();
    let shared = balancer.shared();
    let (times, (), ()) = tokio::join!(times_of_ends(clients, start), balancer.shutdown(grace), async {
        eventually("it drains", || {
            shared.phases().now() == lbpool_balancer::Phase::Draining
        })
        .await;
        finished.send("last words").await;
        assert_eq!(receive(&mut finished.stream, 10).await, b"last words");
        finished.stream.shutdown().await.unwrap();
        assert!(finished.ends().await);
        assert!(start.elapsed() < grace / 2);
    });
    let (first, last) = (times[0], times[times.len() - 1]);
    assert!(first >= grace / 2 && last < grace, "{first:?} to {last:?}");
    assert!(last >= first + grace / 5, "spread: {first:?} to {last:?}");
    assert!(
        start.elapsed() < grace + Duration::from_millis(500),
        "{:?}",
        start.elapsed()
    );
}

#[tokio::test]
async fn a_client_that_goes_before_the_switch_leaves_nothing_behind() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let a = Member::scripted("a", move |ask| match ask.path() {
        "/chat" => vec![
            crate::support::Act::Wait(Arc::clone(&wait)),
            crate::support::send(SWITCH),
        ],
        _ => vec![ok("fine")],
    })
    .await;
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    client.send(ASK).await;
    a.seen.until("the member has it", |seen| seen.count() == 1).await;
    drop(client);
    let shared = balancer.shared();
    let stats = &shared.stats()[0];
    eventually("it is given up", || {
        stats.client_aborts.get() == 1 && stats.sent.get() == 0
    })
    .await;
    go.notify_waiters();
    a.seen
        .until("its connection ends", |seen| seen.open.load(SeqCst) == 0)
        .await;
    assert_eq!(stats.tunnels_opened.get(), 0);
}
