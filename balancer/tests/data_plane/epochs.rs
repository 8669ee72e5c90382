//! Documents that follow each other.

use std::sync::{Arc, atomic::Ordering::SeqCst};

use lbpool_balancer::Error;
use serde_json::json;
use tokio::sync::Notify;

use crate::support::{Act, Client, Member, document, eventually, key_of, ok, seats_document, serving, start_with};

#[tokio::test]
async fn a_member_that_leaves_is_reported_until_its_last_request_is_done() {
    let go = Arc::new(Notify::new());
    let wait = Arc::clone(&go);
    let a = Member::scripted("a", move |_| vec![Act::Wait(Arc::clone(&wait)), ok("a")]).await;
    let b = Member::named("b").await;
    let balancer = start_with(|config| config.workers = 2);
    balancer.publish(document(1, &[&a, &b], &json!({}))).await.unwrap();
    let key = key_of(&balancer, "a");
    let mut slow = Client::to(balancer.local_addr()).await;
    slow.send(format!("GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: {key}\r\n\r\n"))
        .await;
    a.seen.until("the request is there", |seen| seen.count() == 1).await;

    let published = balancer.publish(document(2, &[&b], &json!({}))).await.unwrap();
    assert!((published.moved - 0.5).abs() < 0.02, "{published:?}");
    let report = balancer.report();
    assert_eq!(
        (report.epoch, report.in_flight, report.members),
        (2, vec![("a".to_owned(), 1)], vec!["b".to_owned()])
    );
    for _ in 0..20 {
        let mut client = Client::to(balancer.local_addr()).await;
        assert_eq!(client.get("/", &key).await.body, "b", "nobody is sent there any more");
    }
    go.notify_waiters();
    assert_eq!(slow.answer().await.body, "a");
    eventually("nothing is in flight", || balancer.report().in_flight.is_empty()).await;
    a.seen
        .until("its connection is closed", |seen| seen.open.load(SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn idle_connections_to_a_member_that_left_are_closed_at_once() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let (balancer, mut client) = serving(&[&a, &b], json!({})).await;
    assert_eq!(client.get("/", &key_of(&balancer, "a")).await.body, "a");
    assert_eq!(a.seen.open.load(SeqCst), 1);
    balancer.publish(document(2, &[&b], &json!({}))).await.unwrap();
    a.seen
        .until("its connection is closed", |seen| seen.open.load(SeqCst) == 0)
        .await;
}

#[tokio::test]
async fn older_and_wrong_documents_change_nothing() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let (balancer, mut client) = serving(&[&a], json!({})).await;
    let first = document(7, &[&a], &json!({}));
    balancer.publish(first.clone()).await.unwrap();
    let again = balancer.publish(first).await.unwrap();
    assert_eq!(again.epoch, 7, "the same again is fine");
    let (older, other) = (document(6, &[&b], &json!({})), document(7, &[&b], &json!({})));
    for refused in [older, other] {
        assert!(matches!(
            balancer.publish(refused).await,
            Err(Error::Epoch { present: 7, .. })
        ));
    }
    let twice = document(8, &[&b, &b], &json!({}));
    assert!(matches!(balancer.publish(twice).await, Err(Error::Document(_))));
    let mut heavy = document(8, &[&b], &json!({"loadBound": 50}));
    heavy.members[0].weight = 0;
    let error = balancer.publish(heavy).await.unwrap_err().to_string();
    assert!(
        error.contains("members[0].weight is 0") && error.contains("routing.loadBound must be"),
        "{error}"
    );
    let body = document(8, &[&b], &json!({"key": [{"jsonBody": "user"}]}));
    let error = balancer.publish(body).await.unwrap_err().to_string();
    assert!(
        error.contains("routing.key[0].jsonBody must be a JSON pointer"),
        "{error}"
    );
    let nowhere = seats_document(
        8,
        &[json!({"name": "b", "address": "no.such.host.invalid:80"})],
        &json!({}),
    );
    assert!(matches!(balancer.publish(nowhere).await, Err(Error::Address { .. })));
    let mut digest = document(8, &[&b], &json!({}));
    "0123456789abcdef".clone_into(&mut digest.digest);
    assert!(matches!(balancer.publish(digest).await, Err(Error::Digest { .. })));

    assert_eq!(balancer.report().epoch, 7);
    assert_eq!(client.get("/", "k").await.body, "a");
}

#[tokio::test]
async fn a_document_that_states_its_digest_is_taken_where_it_is_right() {
    let a = Member::named("a").await;
    let (balancer, _) = serving(&[&a], json!({})).await;
    let mut next = document(2, &[&a], &json!({}));
    next.digest = balancer.report().digest;
    assert_eq!(balancer.publish(next).await.unwrap().epoch, 2);
}

#[tokio::test]
async fn a_member_that_is_replaced_in_its_seat_keeps_its_keys() {
    let (old, new, b) = (
        Member::named("a").await,
        Member::named("new").await,
        Member::named("b").await,
    );
    let (balancer, mut client) = serving(&[&old, &b], json!({})).await;
    let key = key_of(&balancer, "a");
    assert_eq!(client.get("/", &key).await.body, "a");
    let seats = [
        json!({"name": "a", "pod": "a-2", "address": new.address}),
        json!({"name": "b", "address": b.address}),
    ];
    let published = balancer.publish(seats_document(2, &seats, &json!({}))).await.unwrap();
    assert!(published.moved.abs() < f64::EPSILON);
    assert_eq!(client.get("/", &key).await.body, "new");
}

#[tokio::test]
async fn who_is_ready_changes_without_a_new_epoch_or_a_new_table() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let balancer = start_with(|config| config.workers = 2);
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let moved = balancer
        .publish(document(5, &[&a, &b], &json!({})))
        .await
        .unwrap()
        .moved;
    let before = balancer.shared().snapshot();
    let key = key_of(&balancer, "a");
    for (state, answers) in [("Vacant", "b"), ("Serving", "a"), ("Vacant", "b")] {
        let seats = [
            json!({"name": "a", "pod": "a", "address": a.address, "state": state}),
            json!({"name": "b", "pod": "b", "address": b.address}),
        ];
        let published = balancer.replace(seats_document(5, &seats, &json!({}))).await.unwrap();
        assert_eq!((published.epoch, balancer.report().epoch), (5, 5));
        assert!(
            (published.moved - moved).abs() < f64::EPSILON,
            "as the epoch's document had it"
        );
        assert!(
            Arc::ptr_eq(&balancer.shared().snapshot().table, &before.table),
            "no table is built"
        );
        for _ in 0..10 {
            let mut client = Client::to(balancer.local_addr()).await;
            assert_eq!(client.get("/", &key).await.body, answers, "on every worker, at once");
        }
    }
    let shared = balancer.shared();
    assert_eq!(shared.tables(), 2, "changes of who is ready are no documents");
    assert!((shared.moved() - moved).abs() < 1e-6, "and moved nothing");
}

#[tokio::test]
async fn whoever_knows_better_may_go_back_to_a_smaller_epoch() {
    let (a, b) = (Member::named("a").await, Member::named("b").await);
    let balancer = start_with(|config| config.workers = 2);
    balancer.publish(document(7, &[&a], &json!({}))).await.unwrap();
    let anew = document(1, &[&b], &json!({}));
    assert!(matches!(
        balancer.publish(anew.clone()).await,
        Err(Error::Epoch { present: 7, .. })
    ));
    assert_eq!(balancer.replace(anew).await.unwrap().epoch, 1);
    assert_eq!(balancer.report().epoch, 1, "all workers");
    let mut client = Client::to(balancer.local_addr()).await;
    assert_eq!(client.get("/", "k").await.body, "b");
}
