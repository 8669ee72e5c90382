//! Changes under load: no request fails, no key moves that need not.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use lbpool_balancer::Balancer;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::support::{Client, Member, document, eventually, seats_document, start_with};

/// What a client saw: by key, the seats that answered.
type Homes = Vec<(String, String)>;

/// Answers with the name of its seat, and closes nothing by itself.
async fn sitting(seat: &str) -> Member {
    Member::named(seat).await
}

async fn client(address: SocketAddr, id: usize, stop: Arc<AtomicBool>) -> Homes {
    let mut client = Client::to(address).await;
    let mut homes = Homes::new();
    for n in 0.. {
        if stop.load(SeqCst) {
            break;
        }
        let key = format!("key-{id}-{}", n % 20);
        let answer = if n % 3 == 0 {
            client.post("/", &key, "body").await
        } else {
            client.get("/", &key).await
        };
        assert_eq!(answer.status, 200, "{answer:?}");
        if !homes.contains(&(key.clone(), answer.body.clone())) {
            homes.push((key, answer.body));
        }
    }
    homes
}

fn seats(members: &[(Member, usize)]) -> Vec<Value> {
    let seat = |(member, life): &(Member, usize)| json!({"name": member.name, "pod": format!("{}-{life}", member.name), "address": member.address});
    members.iter().map(seat).collect()
}

async fn drained(balancer: &Balancer, epoch: u64, pod: &str) {
    eventually("it is drained", || {
        let report = balancer.report();
        report.epoch >= epoch && report.in_flight.iter().all(|(name, _)| name != pod)
    })
    .await;
}

#[tokio::test]
async fn members_that_are_replaced_and_killed_once_drained_cost_no_request_and_no_key() {
    let balancer = start_with(|config| config.workers = 2);
    let mut members = Vec::new();
    for seat in ["a", "b", "c"] {
        members.push((sitting(seat).await, 0));
    }
    balancer
        .publish(seats_document(1, &seats(&members), &json!({})))
        .await
        .unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for id in 0..16 {
        clients.spawn(client(balancer.local_addr(), id, Arc::clone(&stop)));
    }
    for round in 0..30 {
        let seat = round % members.len();
        let successor = (sitting(&members[seat].0.name).await, round + 1);
        let (old, life) = std::mem::replace(&mut members[seat], successor);
        let epoch = round as u64 + 2;
        balancer
            .publish(seats_document(epoch, &seats(&members), &json!({})))
            .await
            .unwrap();
        drained(&balancer, epoch, &format!("{}-{life}", old.name)).await;
        old.kill().await;
        let reached = balancer.shared().requests() + 50;
        eventually("there is load", || balancer.shared().requests() >= reached).await;
    }
    stop.store(true, SeqCst);
    let homes: Homes = clients.join_all().await.concat();
    assert_eq!(homes.len(), 16 * 20, "each key was seen at one seat only");
}

#[tokio::test]
async fn scaling_down_and_up_under_load_costs_no_request_and_keys_come_home() {
    let balancer = start_with(|config| config.workers = 2);
    let mut members = Vec::new();
    for seat in ["a", "b", "c"] {
        members.push((sitting(seat).await, 0));
    }
    let publish = async |epoch: u64, members: &[(Member, usize)]| {
        balancer
            .publish(seats_document(epoch, &seats(members), &json!({})))
            .await
            .unwrap()
            .moved
    };
    publish(1, &members).await;
    let homes = balancer.shared().snapshot().table.digest();
    let stop = Arc::new(AtomicBool::new(false));
    let mut clients = JoinSet::new();
    for id in 0..16 {
        clients.spawn(client(balancer.local_addr(), id, Arc::clone(&stop)));
    }
    for round in 0..10 {
        let epoch = 2 * round + 2;
        let (last, _) = members.pop().unwrap();
        let moved = publish(epoch, &members).await;
        assert!((0.30..0.36).contains(&moved), "{moved}");
        drained(&balancer, epoch, "c-0").await;
        last.kill().await;
        members.push((sitting("c").await, 0));
        publish(epoch + 1, &members).await;
        assert_eq!(balancer.shared().snapshot().table.digest(), homes);
        let reached = balancer.shared().requests() + 50;
        eventually("there is load", || balancer.shared().requests() >= reached).await;
    }
    stop.store(true, SeqCst);
    clients.join_all().await;
}

#[tokio::test]
async fn a_few_connections_that_last_are_spread_evenly_over_workers() {
    let a = Member::named("a").await;
    let balancer = start_with(|config| config.workers = 4);
    balancer.publish(document(1, &[&a], &json!({}))).await.unwrap();
    let mut clients = Vec::new();
    // By the kernel's hash alone, 12 are 3 for each of 4 workers once in 45 times.
    for _ in 0..12 {
        let mut client = Client::to(balancer.local_addr()).await;
        assert_eq!(client.get("/", "k").await.body, "a");
        clients.push(client);
    }
    let shared = balancer.shared();
    let open = || {
        shared
            .stats()
            .iter()
            .map(|worker| worker.connections.get())
            .collect::<Vec<_>>()
    };
    assert_eq!(open(), [3, 3, 3, 3]);
    // What has ended counts no more.
    clients.truncate(6);
    eventually("half of them have ended", || open().iter().sum::<u64>() == 6).await;
    for _ in 0..6 {
        let mut client = Client::to(balancer.local_addr()).await;
        assert_eq!(client.get("/", "k").await.body, "a");
        clients.push(client);
    }
    assert!(open().iter().all(|open| *open <= 4), "{:?}", open());
    balancer.shutdown(std::time::Duration::from_secs(5)).await;
}
