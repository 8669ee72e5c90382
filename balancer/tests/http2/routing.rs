//! Streams are routed each by its own key, held, spilled and sent again as requests of HTTP/1.1 are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use lbpool_balancer::{
    stats::{Abuse, Retry, Spill},
    target::Probe,
    upstream::health,
};
use serde_json::json;
use tokio::{sync::Notify, task::JoinSet};

use crate::{
    peers::{self, Client, balancing, get, publish, request},
    support::{self, Act, Member, PATIENCE, becomes, eventually, header, key_of, ok, start, start_with},
};

#[tokio::test]
async fn streams_of_one_connection_go_each_to_the_owner_of_its_key() {
    let a = Member::named("a").await;
    let b = peers::named("b").await;
    let balancer = balancing(&[(&a, false), (&b, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let keys = [key_of(&balancer, "a"), key_of(&balancer, "b")];
    for _ in 0..3 {
        assert_eq!(client.get("/", &keys[0]).await.text(), "a");
        assert_eq!(client.get("/", &keys[1]).await.text(), "b");
    }
    let shared = balancer.shared();
    let stats = &shared.stats()[0];
    assert_eq!((stats.http2_connections.get(), stats.http2_requests.get()), (1, 6));
    becomes((1, 6), || (stats.accepted.get(), stats.requests[2].get())).await;
    assert_eq!((stats.upstream_connects.get(), stats.upstream_reuses.get()), (2, 4));
}

#[tokio::test]
async fn keys_from_cookies_and_paths_are_found_in_streams() {
    let a = peers::named("a").await;
    let b = peers::named("b").await;
    let routing = json!({"key": [{"cookie": "user"}, {"pathPrefix": 1}]});
    let balancer = balancing(&[(&a, true), (&b, true)], routing).await;
    let mut client = Client::to(balancer.local_addr()).await;
    for name in ["a", "b"] {
        let key = key_of(&balancer, name);
        let asked = request("GET", "/x/y")
            .header("cookie", "other=1")
            .header("cookie", format!("user={key}"))
            .body(Vec::new());
        assert_eq!(client.send(asked.unwrap(), None).await.unwrap().text(), name);
    }
}

#[tokio::test]
async fn keys_from_json_bodies_are_found_and_the_body_arrives_whole() {
    let a = peers::echo("a").await;
    let b = peers::echo("b").await;
    let routing = json!({"key": [{"jsonBody": "/user"}, {"header": "X-Request-Id"}]});
    let balancer = balancing(&[(&a, true), (&b, true)], routing).await;
    let mut client = Client::to(balancer.local_addr()).await;
    for (member, other) in [(&a, "b"), (&b, "a")] {
        let before = member.seen.count();
        let body = json!({"user": key_of(&balancer, &member.name)}).to_string();
        let post = request("POST", "/").header("x-request-id", key_of(&balancer, other));
        let got = client
            .send(post.body(body.clone().into_bytes()).unwrap(), None)
            .await
            .unwrap();
        assert_eq!(got.text(), body);
        // Too long to be looked into: the next source counts, and nothing is lost.
        let post = request("POST", "/").header("x-request-id", key_of(&balancer, &member.name));
        let long = json!({"user": key_of(&balancer, other), "more": "x".repeat(100_000)}).to_string();
        let got = client
            .send(post.body(long.clone().into_bytes()).unwrap(), None)
            .await
            .unwrap();
        assert_eq!(got.text().len(), long.len());
        assert_eq!(member.seen.count(), before + 2);
    }
}

#[tokio::test]
async fn many_streams_share_one_connection_to_a_member() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let a = peers::member("a", move |_, respond| {
        let wait = Arc::clone(&wait);
        async move {
            wait.notified().await;
            peers::answer(respond, 200, Bytes::from_static(b"a")).await;
        }
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let mut answers = Vec::new();
    for _ in 0..20 {
        answers.push(client.open(request("GET", "/").body(()).unwrap(), true).await.0);
    }
    a.seen.until("all are there", |seen| seen.count() == 20).await;
    assert_eq!(a.seen.connections.load(SeqCst), 1);
    let in_flight = balancer.report().in_flight;
    assert_eq!(in_flight, [("a".to_owned(), 20)], "each stream counts for a drain");
    go.notify_waiters();
    for answer in answers {
        assert_eq!(peers::read(answer).await.unwrap().status, 200);
    }
    let shared = balancer.shared();
    eventually("nothing is in flight", || shared.in_flight() == 0).await;
}

#[tokio::test]
async fn a_member_that_is_not_there_spills_and_a_held_one_is_waited_for() {
    let a = Member::named("a").await;
    let gone = Member::named("b").await;
    let balancer = balancing(&[(&a, false), (&gone, true)], json!({})).await;
    let key = key_of(&balancer, "b");
    gone.kill().await;
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", &key).await.text(), "a");
    assert_eq!(balancer.shared().stats()[0].spills[Spill::Failed as usize].get(), 1);

    let b = peers::named("b").await;
    let hold = json!({"whenAway": {"policy": "Hold", "holdTimeout": "20s"}});
    let vacant = json!({"name": "b", "pod": "b", "address": b.address, "protocol": "H2c", "state": "Vacant"});
    let document = support::seats_document(2, &[vacant], &hold);
    balancer.publish(document).await.unwrap();
    let shared = balancer.shared();
    let come_back = async {
        eventually("it waits", || shared.stats()[0].held.get() == 1).await;
        publish(&balancer, 3, &[(&b, true)], hold).await;
    };
    let (got, ()) = tokio::join!(client.get("/", &key), come_back);
    assert_eq!(got.text(), "b");
}

#[tokio::test]
async fn bodies_that_wait_for_their_member_are_no_flood() {
    let a = peers::member("a", |request, respond| async move {
        let (body, _) = peers::whole(&mut request.into_body()).await.unwrap();
        peers::answer(respond, 200, body.len().to_string().into()).await;
    })
    .await;
    let hold = json!({"whenAway": {"policy": "Hold", "holdTimeout": "20s"}});
    let vacant = json!({"name": "a", "pod": "a", "address": a.address, "protocol": "H2c", "state": "Vacant"});
    let balancer = start();
    let document = support::seats_document(1, &[vacant], &hold);
    balancer.publish(document).await.unwrap();
    let shared = balancer.shared();
    let body = "x".repeat(60_000);
    let mut client = Client::to(balancer.local_addr()).await;
    let mut answers = Vec::new();
    for _ in 0..12 {
        let post = request("POST", "/").header("x-request-id", "k");
        let (answer, mut stream) = client.open(post.body(()).unwrap(), false).await;
        peers::write(&mut stream, body.clone().into(), None).await.unwrap();
        answers.push(answer);
    }
    becomes(12, || shared.stats()[0].held.get()).await;
    publish(&balancer, 2, &[(&a, true)], hold).await;
    for answer in answers {
        assert_eq!(peers::read(answer).await.unwrap().text(), "60000");
    }
}

#[tokio::test]
async fn bodies_that_nobody_wants_are_no_flood() {
    let balancer = balancing(&[], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    for n in 0..60 {
        let post = request("POST", "/").body(vec![b'x'; 60_000]).unwrap();
        assert_eq!(client.send(post, None).await.unwrap().status, 503, "{n}");
    }
}

#[tokio::test]
async fn a_burst_keeps_to_what_the_member_allows() {
    let a = Member::raw("a", |stream, seen| async move {
        let Ok(mut connection) = h2::server::Builder::new()
            .max_concurrent_streams(10)
            .handshake::<_, Bytes>(stream)
            .await
        else {
            return;
        };
        let mut tasks = JoinSet::new();
        while let Some(Ok((_, respond))) = connection.accept().await {
            seen.note("POST");
            tasks.spawn(peers::answer(respond, 200, Bytes::from_static(b"a")));
        }
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let mut answers = Vec::new();
    for _ in 0..60 {
        let (answer, _) = client.open(request("POST", "/").body(()).unwrap(), true).await;
        answers.push(answer);
    }
    for answer in answers {
        assert_eq!(peers::read(answer).await.unwrap().status, 200);
    }
    let refused = balancer.shared().stats()[0].retries[Retry::Refused as usize].get();
    assert_eq!((a.seen.count(), refused), (60, 0));
}

#[tokio::test]
async fn a_connection_that_has_gone_silent_is_left() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let a = peers::member("a", move |_, respond| {
        let silent = count.fetch_add(1, SeqCst) == 1;
        async move {
            if silent {
                std::future::pending::<()>().await;
            }
            peers::answer(respond, 200, Bytes::from_static(b"a")).await;
        }
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({"timeouts": {"response": "300ms"}})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    for want in [200, 504, 200] {
        let post = request("POST", "/").body(b"hello".to_vec()).unwrap();
        assert_eq!(client.send(post, None).await.unwrap().status, want);
    }
    assert_eq!(a.seen.connections.load(SeqCst), 2);
}

#[tokio::test]
async fn a_connection_that_was_said_goodbye_to_costs_no_request() {
    let go = Arc::new(Notify::new());
    let leave = Arc::clone(&go);
    let a = Member::raw("a", move |stream, seen| {
        let leave = Arc::clone(&leave);
        async move {
            let Ok(mut connection) = h2::server::handshake(stream).await else {
                return;
            };
            let (mut open, mut left) = (Vec::new(), false);
            loop {
                tokio::select! {
                    accepted = connection.accept() => match accepted {
                        // The first stays open, so that its connection does.
                        Some(Ok((_, respond))) if seen.count() == 0 => {
                            seen.note("GET");
                            open.push(respond);
                        }
                        Some(Ok((_, respond))) => {
                            seen.note("POST");
                            peers::answer(respond, 200, Bytes::new()).await;
                        }
                        _ => return,
                    },
                    () = leave.notified(), if !left => {
                        connection.graceful_shutdown();
                        left = true;
                    }
                }
            }
        }
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({"retries": {"budget": 0}})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let (_open, _) = client.open(request("GET", "/").body(()).unwrap(), true).await;
    a.seen.until("it is there", |seen| seen.count() == 1).await;
    go.notify_one();
    let shared = balancer.shared();
    let retries = || {
        shared.stats()[0]
            .retries
            .iter()
            .map(lbpool_balancer::stats::Count::get)
            .sum::<u64>()
    };
    // The goodbye arrives in its own time: some request is the first one that goes elsewhere.
    while a.seen.connections.load(SeqCst) == 1 {
        let post = request("POST", "/").body(b"hello".to_vec()).unwrap();
        assert_eq!(client.send(post, None).await.unwrap().status, 200);
    }
    assert_eq!(retries(), 0);
}

#[tokio::test]
async fn a_refused_stream_is_sent_again_with_its_body() {
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let a = peers::member("a", move |request, mut respond| {
        let refused = count.fetch_add(1, SeqCst).is_multiple_of(2);
        async move {
            let (body, _) = peers::whole(&mut request.into_body()).await.unwrap();
            if refused {
                respond.send_reset(h2::Reason::REFUSED_STREAM);
            } else {
                peers::answer(respond, 200, body.into()).await;
            }
        }
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    // Not idempotent: only whoever has not looked at it lets it be sent again.
    let post = request("POST", "/").body(b"hello".to_vec()).unwrap();
    assert_eq!(client.send(post, None).await.unwrap().text(), "hello");
    assert_eq!(asked.load(SeqCst), 2);
    // A long body that came with its head.
    let long = "x".repeat(60_000);
    let mut client = support::Client::to(balancer.local_addr()).await;
    assert!(client.post("/", "k", &long).await.body == long);
    assert_eq!(asked.load(SeqCst), 4);
    assert_eq!(balancer.shared().stats()[0].retries[Retry::Refused as usize].get(), 2);
    assert_eq!(
        balancer.shared().targets()[0].failures(),
        0,
        "it is no failure of the member"
    );
}

#[tokio::test]
async fn a_stream_that_goaway_left_out_is_sent_again_and_others_finish() {
    // Its first connection ends in good order with the first request on it; the second request is on its way then.
    let go = Arc::new(Notify::new());
    let (wait, served) = (Arc::clone(&go), Arc::new(AtomicUsize::new(0)));
    let a = Member::raw("a", move |stream, seen| {
        let (wait, served) = (Arc::clone(&wait), Arc::clone(&served));
        async move {
            let mut connection = h2::server::handshake(stream).await.unwrap();
            let first = served.fetch_add(1, SeqCst) == 0;
            let mut waiting = JoinSet::new();
            while let Some(Ok((request, respond))) = connection.accept().await {
                seen.note(request.uri().path());
                if first {
                    connection.graceful_shutdown();
                    let wait = Arc::clone(&wait);
                    waiting.spawn(async move {
                        wait.notified().await;
                        peers::answer(respond, 200, Bytes::from_static(b"first")).await;
                    });
                } else {
                    peers::answer(respond, 200, Bytes::from_static(b"second")).await;
                }
            }
        }
    })
    .await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let (first, _) = client.open(request("POST", "/1").body(()).unwrap(), true).await;
    a.seen.until("the first is there", |seen| seen.count() == 1).await;
    let post = request("POST", "/2").body(b"x".to_vec()).unwrap();
    assert_eq!(client.send(post, None).await.unwrap().text(), "second");
    go.notify_one();
    assert_eq!(peers::read(first).await.unwrap().text(), "first");
}

#[tokio::test]
async fn a_post_that_a_member_may_have_seen_is_not_sent_again() {
    let a = peers::member("a", |_, mut respond| async move {
        respond.send_reset(h2::Reason::INTERNAL_ERROR);
    })
    .await;
    let b = Member::raw("b", |stream, seen| async move {
        let mut connection = h2::server::handshake(stream).await.unwrap();
        let accepted = connection.accept().await;
        seen.note("asked");
        drop(accepted);
    })
    .await;
    for member in [&a, &b] {
        let balancer = balancing(&[(member, true)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let post = request("POST", "/").body(b"x".to_vec()).unwrap();
        let got = client.send(post, None).await.unwrap();
        assert_eq!((got.status, got.header("x-lbpool-reason")), (502, "member-closed"));
        assert_eq!(member.seen.count(), 1);
    }
}

#[tokio::test]
async fn what_is_no_http2_is_a_bad_answer() {
    let a = Member::named("a").await;
    let balancer = balancing(&[(&a, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let got = client
        .send(request("POST", "/").body(vec![]).unwrap(), None)
        .await
        .unwrap();
    assert_eq!(got.status, 502);
    assert!(
        ["bad-answer", "member-closed"].contains(&got.header("x-lbpool-reason")),
        "{got:?}"
    );
}

#[tokio::test]
async fn a_client_that_resets_its_stream_ends_the_members_side() {
    let reset = Arc::new(Notify::new());
    let told = Arc::clone(&reset);
    let two = peers::member("two", move |_, mut respond| {
        let told = Arc::clone(&told);
        async move {
            let reason = std::future::poll_fn(|cx| respond.poll_reset(cx)).await;
            assert_eq!(reason.unwrap(), h2::Reason::CANCEL);
            told.notify_one();
        }
    })
    .await;
    let hang = Arc::new(Notify::new());
    let one = Member::scripted("one", move |_| vec![Act::Wait(Arc::clone(&hang)), ok("late")]).await;
    for (member, h2c) in [(&one, false), (&two, true)] {
        let balancer = balancing(&[(member, h2c)], json!({})).await;
        let mut client = Client::to(balancer.local_addr()).await;
        let (answer, mut stream) = client.open(request("POST", "/").body(()).unwrap(), false).await;
        stream.send_data(Bytes::from_static(b"x"), false).unwrap();
        member
            .seen
            .until("it is asked", |seen| usize::from(h2c) <= seen.count())
            .await;
        let shared = balancer.shared();
        eventually("it is in flight", || shared.in_flight() == 1).await;
        stream.send_reset(h2::Reason::CANCEL);
        drop(answer);
        eventually("it is not in flight any more", || shared.in_flight() == 0).await;
        becomes(1, || shared.stats()[0].client_aborts.get()).await;
        if h2c {
            tokio::time::timeout(PATIENCE, reset.notified()).await.unwrap();
        }
        assert_eq!(shared.stats()[0].http2_abuses[Abuse::RapidReset as usize].get(), 0);
    }
}

#[tokio::test]
async fn an_early_answer_ends_the_request() {
    let one = Member::scripted("one", |_| vec![ok("unused")]).await;
    let two = peers::member("two", |_, respond| async move {
        peers::answer(respond, 413, Bytes::from_static(b"too much")).await;
    })
    .await;
    drop(one);
    let balancer = balancing(&[(&two, true)], json!({})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let (answer, mut stream) = client.open(request("POST", "/").body(()).unwrap(), false).await;
    stream.send_data(Bytes::from_static(b"x"), false).unwrap();
    assert_eq!(peers::read(answer).await.unwrap().status, 413);
    let reset = std::future::poll_fn(|cx| stream.poll_reset(cx));
    let reset = tokio::time::timeout(PATIENCE, reset).await.unwrap();
    assert_eq!(reset.unwrap(), h2::Reason::NO_ERROR);
    assert_eq!(
        client
            .send(request("GET", "/").body(vec![]).unwrap(), None)
            .await
            .unwrap()
            .status,
        413
    );
}

#[tokio::test]
async fn members_are_probed_in_their_own_version() {
    let well = Arc::new(AtomicUsize::new(200));
    let status = Arc::clone(&well);
    let a = peers::member("a", move |request, respond| {
        let status = u16::try_from(status.load(SeqCst)).unwrap();
        assert_eq!((request.method().as_str(), request.uri().path()), ("GET", "/well"));
        peers::answer(respond, status, Bytes::new())
    })
    .await;
    let balancer = balancing(&[], json!({})).await;
    let seat = json!({"name": "a", "address": a.address, "protocol": "H2c"});
    let document = serde_json::from_value(json!({"pool": "web", "epoch": 2, "members": [seat],
        "health": {"path": "/well", "period": "20ms", "timeout": "2s"}}));
    balancer.publish(document.unwrap()).await.unwrap();
    let shared = balancer.shared();
    let mut prober = JoinSet::new();
    prober.spawn(health::run(balancer.shared(), health::When::Always));
    let target = Arc::clone(shared.snapshot().targets().next().unwrap());
    eventually("it is well", || target.probe() == Probe::Well).await;
    well.store(503, SeqCst);
    eventually("it is ill", || target.probe() == Probe::Ill).await;
}

#[tokio::test]
async fn bodies_and_waits_have_limits() {
    let a = peers::member("a", |request, respond| async move {
        let _ = peers::whole(&mut request.into_body()).await;
        std::future::pending::<()>().await;
        drop(respond);
    })
    .await;
    let balancer = start_with(|config| {
        config.limits.body_bytes = Some(10);
        config.limits.client_timeout = Duration::from_millis(100);
    });
    publish(&balancer, 1, &[(&a, true)], json!({"timeouts": {"response": "100ms"}})).await;
    let mut client = Client::to(balancer.local_addr()).await;
    let post = |body: &[u8]| request("POST", "/").body(body.to_vec()).unwrap();
    let got = client.send(post(b"more than ten bytes"), None).await.unwrap();
    assert_eq!((got.status, got.header("x-lbpool-reason")), (413, "too-large"));
    let got = client.send(get("/", "k"), None).await.unwrap();
    assert_eq!((got.status, got.header("x-lbpool-reason")), (504, "response-timeout"));
    let (answer, _stream) = client.open(request("POST", "/").body(()).unwrap(), false).await;
    let got = peers::read(answer).await.unwrap();
    assert_eq!((got.status, got.header("x-lbpool-reason")), (408, "body-timeout"));
    let body: serde_json::Value = serde_json::from_slice(&got.body).unwrap();
    assert_eq!(body["reason"], "body-timeout");
    assert_eq!(header(&a.seen.last(), "via"), Some("2 lbpool"));
}
