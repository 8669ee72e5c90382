//! How connections end: in good order, in two steps, and in time.

use std::{sync::Arc, time::Duration};

use serde_json::json;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpSocket,
    sync::Notify,
};

use crate::{
    peers::{self, Client, balancing, request},
    raw::{self, GOAWAY, PING, Raw},
    support::{Act, Member, PATIENCE, becomes, eventually, ok},
};

async fn slow(go: &Arc<Notify>) -> Member {
    let wait = Arc::clone(go);
    Member::scripted("a", move |ask| match ask.path() {
        "/slow" => vec![Act::Wait(Arc::clone(&wait)), ok("done")],
        _ => vec![ok("quick")],
    })
    .await
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_ends_idle_connections() {
    let go = Arc::new(Notify::new());
    let a = slow(&go).await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut idle = Client::to(balancer.local_addr()).await;
    assert_eq!(idle.get("/", "k").await.text(), "quick");
    let mut busy = Client::to(balancer.local_addr()).await;
    let (answer, _) = busy.open(request("GET", "/slow").body(()).unwrap(), true).await;
    a.seen.until("the request is there", |seen| seen.count() == 2).await;
    let client = async {
        idle.ended().await.unwrap();
        go.notify_one();
        assert_eq!(peers::read(answer).await.unwrap().text(), "done");
        busy.ended().await.unwrap();
    };
    let start = tokio::time::Instant::now();
    tokio::join!(balancer.shutdown(PATIENCE), client);
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
}

#[tokio::test]
async fn goaway_comes_in_two_steps_and_streams_between_them_are_served() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut raw = Raw::greeted(balancer.local_addr()).await;
    raw.send(&raw::get(1)).await;
    while raw.next().await.unwrap().kind != raw::DATA {}
    let client = async {
        let first = until(&mut raw, GOAWAY).await;
        assert_eq!(raw::code(&first.payload), 0x7fff_ffff, "no stream is left out yet");
        let ping = until(&mut raw, PING).await;
        // It was on its way.
        raw.send(&raw::get(3)).await;
        raw.send(&raw::frame(PING, raw::ACK, 0, &ping.payload)).await;
        let mut seen = Vec::new();
        while let Some(frame) = raw.next().await {
            seen.push((frame.kind, frame.id, frame.payload));
        }
        assert!(
            seen.iter().any(|(kind, id, _)| (*kind, *id) == (raw::HEADERS, 3)),
            "{seen:?}"
        );
        let last = seen.iter().find(|(kind, ..)| *kind == GOAWAY).expect("a second GOAWAY");
        assert_eq!(raw::code(&last.2), 3);
    };
    tokio::join!(balancer.shutdown(PATIENCE), client);
}

#[tokio::test]
async fn an_answer_that_is_read_slowly_is_whole_although_the_balancer_drains() {
    const LENGTH: usize = 2 << 20;
    let a = peers::member("a", |_, respond| peers::answer(respond, 200, vec![b'x'; LENGTH].into())).await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(64 * 1024).unwrap();
    let mut client = socket.connect(balancer.local_addr()).await.unwrap();
    let windows = [
        raw::PREFACE,
        &raw::frame(raw::SETTINGS, 0, 0, &[0, 4, 0, 0x40, 0, 0]),
        &raw::frame(raw::WINDOW_UPDATE, 0, 0, &[0, 0x40, 0, 0]),
        &raw::get(1),
    ];
    client.write_all(&windows.concat()).await.unwrap();
    let shared = balancer.shared();
    // All of it is out of the hands of its stream.
    becomes(1, || shared.stats()[0].requests[2].get()).await;
    let read = async {
        let (mut bytes, mut piece) = (0, vec![0; 96 * 1024]);
        loop {
            match client.read(&mut piece).await {
                Ok(0) => return bytes,
                Ok(n) => bytes += n,
                Err(error) => panic!("{error} after {bytes} bytes"),
            }
            // As clients do while they read; where our end is behind us already, nobody takes it.
            let _ = client
                .write_all(&raw::frame(raw::WINDOW_UPDATE, 0, 0, &[0, 0, 0, 1]))
                .await;
            // The client's pace is what is tested: longer than an idle connection is waited for.
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    let (bytes, ()) = tokio::join!(read, balancer.shutdown(PATIENCE));
    assert!(bytes > LENGTH, "{bytes} bytes");
}

async fn until(raw: &mut Raw, kind: u8) -> raw::Frame {
    loop {
        let frame = raw.next().await.expect("a frame");
        if frame.kind == kind && frame.flags & raw::ACK == 0 {
            return frame;
        }
    }
}

#[tokio::test]
async fn a_balancer_that_leaves_answers_and_sends_its_clients_away() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", "k").await.status, 200);
    balancer.shared().leave();
    // The worker hears of it in its own time: some request is the last one.
    let mut answered = 0;
    while let Ok(mut ready) = client.requests.clone().ready().await {
        let Ok((answer, _)) = ready.send_request(request("GET", "/").body(()).unwrap(), true) else {
            break;
        };
        match peers::read(answer).await {
            Ok(got) => assert_eq!(got.status, 200),
            Err(error) => {
                assert!(error.is_go_away(), "{error}");
                break;
            }
        }
        answered += 1;
    }
    assert!(answered > 0);
    client.ended().await.unwrap();
    let mut again = Client::to(balancer.local_addr()).await;
    assert_eq!(again.get("/", "k").await.status, 200, "connections are taken as before");
}

#[tokio::test]
async fn what_does_not_end_in_its_grace_is_cut() {
    let go = Arc::new(Notify::new());
    let a = slow(&go).await;
    let balancer = balancing(&[(&a, false)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let (answer, _) = client.open(request("GET", "/slow").body(()).unwrap(), true).await;
    a.seen.until("the request is there", |seen| seen.count() == 1).await;
    balancer.shutdown(Duration::from_millis(50)).await;
    assert!(peers::read(answer).await.is_err());
}

#[tokio::test]
async fn an_idle_connection_is_ended_in_good_order() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, false)], json!({"timeouts": {"idle": "100ms"}})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", "k").await.status, 200);
    client.ended().await.unwrap();
    let silent = Raw::greeted(balancer.local_addr()).await;
    // It does not answer the PING that asks whether it has understood: it is cut.
    let mut silent = silent;
    while silent.next().await.is_some() {}
    let shared = balancer.shared();
    eventually("none is open", || shared.stats()[0].http2_connections.get() == 0).await;
    becomes(0, || shared.stats()[0].connections.get()).await;
}
