//! From the API server's notice of a change to the first request that is routed by it.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    sync::{Arc, Mutex},
    thread,
    time::Duration,
};

use lbpool_tests_cluster::{Cluster, Namespace, Pool, Table, wait_for};
use serde_json::json;
use tokio::time::Instant;

const CHANGES: u32 = 60;
const LIMIT: Duration = Duration::from_secs(30);
/// What p99 should stay below.
const AIM: Duration = Duration::from_millis(50);

/// Asks one balancer without pause which epoch it routes by, on one connection; keeps when each was first seen.
fn watch(address: SocketAddr, seen: &Mutex<BTreeMap<u64, Instant>>, last: u64) {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(LIMIT)).unwrap();
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        write!(
            stream,
            "GET /home HTTP/1.1\r\nHost: demo\r\nX-Request-Id: a\r\nX-Lbpool-Debug: 1\r\n\r\n"
        )
        .unwrap();
        let epoch = answer(&mut reader);
        seen.lock().unwrap().entry(epoch).or_insert_with(Instant::now);
        if epoch >= last {
            return;
        }
        // Often enough for a figure in milliseconds, and a processor that is left to the balancer.
        thread::sleep(Duration::from_millis(1));
    }
}

/// The epoch of an answer with a length.
fn answer(reader: &mut BufReader<TcpStream>) -> u64 {
    let (mut epoch, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let (name, value) = line.trim().split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "x-lbpool-epoch" => epoch = value.parse().unwrap(),
            "content-length" => length = value.parse().unwrap(),
            _ if line == "\r\n" => break,
            _ => {}
        }
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    epoch
}

/// Prints the times and gives their p99.
fn report(mut took: Vec<Duration>) -> Duration {
    took.sort();
    let at = |permille: usize| took[(took.len() * permille / 1000).min(took.len() - 1)];
    let title = "from the API server's notice to the first request routed by it";
    let mut table = Table::new(&format!("{title} ({} cases)", took.len()), &["", "ms"]);
    for (name, permille) in [("p50", 500), ("p99", 990), ("worst", 1000)] {
        table.row(&[&name, &format_args!("{:.1}", at(permille).as_secs_f64() * 1e3)]);
    }
    table.print();
    at(990)
}

#[test]
fn a_change_is_routed_by_within_milliseconds_and_everywhere_alike() {
    let cluster = Cluster::get();
    if cluster.harness_or_skip("the latency of a change").is_none() {
        return;
    }
    let namespace = Namespace::new("latency");
    let pool = namespace.pool(&Pool {
        replicas: 10,
        ..Pool::default()
    });
    let first = pool.status("epoch").as_u64().unwrap();
    let last = first + u64::from(CHANGES);
    let path = format!("/api/v1/namespaces/{}/configmaps", namespace.name());
    let maps = cluster.api().get(&path).unwrap();
    let version = maps["metadata"]["resourceVersion"].as_str().unwrap().to_owned();

    // Our own watch stands for the API server's notice: a balancer's watch gets the same event at the same time.
    let announced = Arc::new(Mutex::new(BTreeMap::new()));
    let (noticed, api) = (announced.clone(), cluster.api().clone());
    let watching = cluster.runtime().spawn(async move {
        api.watch(&format!("{path}?"), &version, |event| {
            let now = Instant::now();
            let text = event["object"]["data"]["routing.json"].as_str().unwrap_or("null");
            let document: serde_json::Value = serde_json::from_str(text).unwrap();
            if let Some(epoch) = document["epoch"].as_u64() {
                noticed.lock().unwrap().entry(epoch).or_insert(now);
            }
            true
        })
        .await;
    });
    let routed: Vec<_> = pool
        .balancers()
        .iter()
        .map(|pod| {
            let seen = Arc::new(Mutex::new(BTreeMap::new()));
            let address = format!("{}:8080", pod.ip).parse().unwrap();
            let watched = seen.clone();
            (seen, thread::spawn(move || watch(address, &watched, last)))
        })
        .collect();
    for change in 1..=CHANGES {
        pool.patch(&json!({ "routing": { "retries": { "budget": 20 + change } } }));
        wait_for("every balancer routes by the change", LIMIT, || {
            let epoch = first + u64::from(change);
            let there = routed
                .iter()
                .all(|(seen, _)| seen.lock().unwrap().keys().any(|&seen| seen >= epoch));
            if there {
                Ok(())
            } else {
                Err(format!("epoch {epoch} is not there"))
            }
        });
    }
    let mut took: Vec<Duration> = Vec::new();
    for (seen, thread) in routed {
        thread.join().unwrap();
        let seen = seen.lock().unwrap();
        for (epoch, noticed) in announced.lock().unwrap().range(first + 1..=last) {
            // A change that another one overtook is routed by with it.
            let routed = seen.range(epoch..).next().unwrap().1;
            took.push(routed.saturating_duration_since(*noticed));
        }
    }
    watching.abort();
    let p99 = report(took);
    pool.settled(10);
    if p99 > AIM {
        println!("p99 {p99:?} is above the aim of {AIM:?}");
    }
    // A machine that is starved of processors must not fail the run; ten times the aim is no starvation.
    assert!(p99 < AIM * 10, "{p99:?}");
}
