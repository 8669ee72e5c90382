//! Members that hang: they neither answer nor end a connection. What may be sent again is, once probes find them ill.

use std::{
    io::{BufRead as _, BufReader},
    net::SocketAddr,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use lbpool_api::RoutingDocument;
use lbpool_balancer::{
    Balancer,
    target::Probe,
    upstream::health::{self, When},
};
use serde_json::{Value, json};
use tokio::{io::AsyncWriteExt as _, sync::Notify, task::JoinSet, time::Instant};

use crate::support::{Act, Client, Member, eventually, key_of, ok, read_ask, seats_document, start_with};

/// The longest that a request may wait whose member hangs.
const LONGEST: Duration = Duration::from_secs(4);
/// What tells this test's binary to be a member.
const ROLE: &str = "LBPOOL_TEST_MEMBER";

/// A member that answers until it is told to hang; then it reads and says nothing.
struct Hanging {
    member: Member,
    hangs: Arc<AtomicBool>,
    resumes: Arc<Notify>,
}

impl Hanging {
    async fn start(name: &str) -> Self {
        let (hangs, resumes) = (Arc::new(AtomicBool::new(false)), Arc::new(Notify::new()));
        let (own, state) = (name.to_owned(), (Arc::clone(&hangs), Arc::clone(&resumes)));
        let member = Member::raw(name, move |mut stream, seen| {
            let (own, (hangs, resumes)) = (own.clone(), state.clone());
            async move {
                let mut buffer = Vec::new();
                while let Some(ask) = read_ask(&mut stream, &mut buffer).await {
                    seen.note(&ask.head);
                    let again = resumes.notified();
                    if hangs.load(SeqCst) {
                        again.await;
                    }
                    let Act::Send(answer) = ok(&own) else { return };
                    drop(stream.write_all(&answer).await);
                }
            }
        })
        .await;
        Self { member, hangs, resumes }
    }

    fn hang(&self) {
        self.hangs.store(true, SeqCst);
    }

    fn resume(&self) {
        self.hangs.store(false, SeqCst);
        self.resumes.notify_waiters();
    }
}

/// A balancer in front of seats, with a prober beside it.
struct Fixture {
    balancer: Balancer,
    tasks: JoinSet<()>,
}

fn document_of(epoch: u64, seats: &[(&str, &str, SocketAddr)], routing: &Value) -> RoutingDocument {
    let seats = seats
        .iter()
        .map(|(name, pod, address)| json!({"name": name, "pod": pod, "address": address}));
    seats_document(epoch, &seats.collect::<Vec<_>>(), routing)
}

impl Fixture {
    async fn start(seats: &[(&str, SocketAddr)], routing: Value) -> Self {
        let balancer = start_with(|config| config.workers = 2);
        let seats: Vec<_> = seats.iter().map(|(name, address)| (*name, *name, *address)).collect();
        balancer.publish(document_of(1, &seats, &routing)).await.unwrap();
        let mut tasks = JoinSet::new();
        tasks.spawn(health::run(balancer.shared(), When::Wrong));
        Self { balancer, tasks }
    }

    /// One request over a connection of its own: its answer and how long it took.
    fn request(&mut self, method: &'static str, key: &str) -> tokio::sync::oneshot::Receiver<(u16, String, Duration)> {
        let (to, answered) = tokio::sync::oneshot::channel();
        let (address, key) = (self.balancer.local_addr(), key.to_owned());
        self.tasks.spawn(async move {
            let mut client = Client::to(address).await;
            let start = Instant::now();
            let answer = match method {
                "POST" => client.post("/", &key, "once").await,
                _ => client.get("/", &key).await,
            };
            let _ = to.send((answer.status, answer.body, start.elapsed()));
        });
        answered
    }

    fn probe(&self, name: &str) -> Probe {
        let snapshot = self.balancer.shared().snapshot();
        snapshot
            .targets()
            .find(|target| **target.member() == *name)
            .unwrap()
            .probe()
    }
}

#[tokio::test]
async fn gets_of_a_member_that_hangs_are_sent_again_and_its_posts_wait_for_it() {
    let (a, b) = (Hanging::start("a").await, Member::named("b").await);
    let routing = json!({"loadBound": 0});
    let mut fixture = Fixture::start(&[("a", a.member.address), ("b", b.address)], routing).await;
    let key = key_of(&fixture.balancer, "a");
    a.hang();
    let mut post = fixture.request("POST", &key);
    a.member.seen.until("it is there", |seen| seen.count() == 1).await;
    let gets: Vec<_> = (0..100).map(|_| fixture.request("GET", &key)).collect();
    for get in gets {
        let (status, body, took) = get.await.unwrap();
        assert_eq!((status, &*body), (200, "b"));
        assert!(took < LONGEST, "{took:?}");
    }
    let (status, body, took) = fixture.request("GET", &key).await.unwrap();
    assert_eq!((status, &*body), (200, "b"));
    assert!(took < Duration::from_secs(1), "it is known by now: {took:?}");
    let shared = fixture.balancer.shared();
    let sum = |of: fn(&lbpool_balancer::stats::WorkerStats) -> u64| shared.stats().iter().map(of).sum::<u64>();
    assert_eq!(sum(|stats| stats.retries[3].get()), 100);
    assert_eq!(sum(|stats| stats.retries_denied.get()), 0);
    assert!(
        post.try_recv().is_err(),
        "it may have been carried out: nobody else gets it"
    );
    let before = b.seen.count();
    a.resume();
    let (status, body, _) = post.await.unwrap();
    assert_eq!((status, &*body), (200, "a"));
    assert_eq!(b.seen.count(), before);
    eventually("it is well again", || fixture.probe("a") == Probe::Unknown).await;
    assert_eq!(fixture.request("GET", &key).await.unwrap().1, "a", "its keys are home");
}

#[tokio::test]
async fn a_member_that_is_slow_and_well_keeps_its_requests() {
    let slow = Arc::new(Notify::new());
    let until = Arc::clone(&slow);
    // Its health path is another one: an answer is an answer.
    let a = Member::scripted("a", move |ask| match ask.path() {
        "/heartbeat" => vec![Act::Send(
            b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n".to_vec(),
        )],
        _ => vec![Act::Wait(Arc::clone(&until)), ok("a")],
    })
    .await;
    let b = Member::named("b").await;
    let mut fixture = Fixture::start(&[("a", a.address), ("b", b.address)], json!({})).await;
    let key = key_of(&fixture.balancer, "a");
    let mut get = fixture.request("GET", &key);
    let probed = |seen: &crate::support::Seen| {
        let heads = seen.heads.lock().unwrap();
        heads.iter().any(|head| head.starts_with("GET /heartbeat"))
    };
    a.seen.until("it is probed", probed).await;
    // Longer than a verdict takes.
    let verdict = tokio::time::timeout(Duration::from_secs(3), &mut get).await;
    assert!(verdict.is_err(), "it still waits");
    assert_eq!(fixture.probe("a"), Probe::Unknown);
    slow.notify_one();
    assert_eq!(get.await.unwrap().1, "a");
    assert_eq!(b.seen.count(), 0);
}

#[tokio::test]
async fn what_waits_for_a_pod_whose_seat_has_another_one_is_sent_there_once_it_is_known_to_hang() {
    let (a, b) = (Hanging::start("a").await, Member::named("b").await);
    let (old, new) = (a.member.address, Member::named("successor").await);
    let mut fixture = Fixture::start(&[("a", old), ("b", b.address)], json!({})).await;
    let key = key_of(&fixture.balancer, "a");
    a.hang();
    let get = fixture.request("GET", &key);
    a.member.seen.until("it waits", |seen| seen.count() == 1).await;
    let seats = [("a", "a-2", new.address), ("b", "b", b.address)];
    fixture
        .balancer
        .publish(document_of(2, &seats, &json!({})))
        .await
        .unwrap();
    let (status, body, took) = get.await.unwrap();
    assert_eq!((status, &*body), (200, "successor"));
    assert!(took < LONGEST, "{took:?}");
}

#[tokio::test]
async fn where_nobody_is_better_a_request_waits_as_before() {
    let a = Hanging::start("a").await;
    let mut fixture = Fixture::start(&[("a", a.member.address)], json!({})).await;
    a.hang();
    let get = fixture.request("GET", "k");
    eventually("it is ill", || fixture.probe("a") == Probe::Ill).await;
    a.resume();
    let (status, body, _) = get.await.unwrap();
    assert_eq!((status, &*body), (200, "a"));
    let sent = a.member.seen.heads.lock().unwrap();
    assert_eq!(sent.iter().filter(|head| head.starts_with("GET / ")).count(), 1);
}

// === processes ===

/// A member in a process of its own: this binary, with another role.
struct Process {
    child: Child,
    address: SocketAddr,
}

impl Process {
    fn start(name: &str) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "hanging::is_a_member_where_it_is_told_so", "--nocapture"])
            .env(ROLE, name)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let address = lines
            .find_map(|line| Some(line.unwrap().split_once("serves at ")?.1.parse().unwrap()))
            .unwrap();
        Self { child, address }
    }

    fn signal(&self, name: &str) {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &pid]).status().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

#[tokio::test]
#[expect(clippy::disallowed_methods, reason = "the test binary starts itself as a member")]
async fn is_a_member_where_it_is_told_so() {
    if let Ok(name) = std::env::var(ROLE) {
        let member = Member::named(&name).await;
        println!("serves at {}", member.address);
        std::future::pending::<()>().await;
    }
}

#[tokio::test]
async fn a_process_that_is_stopped_under_load_costs_no_get() {
    let members = ["a", "b", "c"].map(Process::start);
    let seats = [
        ("a", members[0].address),
        ("b", members[1].address),
        ("c", members[2].address),
    ];
    let fixture = Fixture::start(&seats, json!({})).await;
    let (stop, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut clients = JoinSet::new();
    for id in 0..12 {
        let (stop, done, address) = (Arc::clone(&stop), Arc::clone(&done), fixture.balancer.local_addr());
        clients.spawn(async move {
            let mut client = Client::to(address).await;
            let mut longest = Duration::ZERO;
            for n in 0.. {
                if stop.load(SeqCst) {
                    break;
                }
                let start = Instant::now();
                let answer = client.get("/", &format!("key-{id}-{}", n % 20)).await;
                assert_eq!(answer.status, 200, "{answer:?}");
                longest = longest.max(start.elapsed());
                done.fetch_add(1, SeqCst);
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            longest
        });
    }
    eventually("there is load", || done.load(SeqCst) > 200).await;
    members[0].signal("-STOP");
    eventually("it is ill", || fixture.probe("a") == Probe::Ill).await;
    let reached = done.load(SeqCst) + 500;
    eventually("others answer", || done.load(SeqCst) > reached).await;
    members[0].signal("-CONT");
    eventually("it is well again", || fixture.probe("a") == Probe::Unknown).await;
    stop.store(true, SeqCst);
    let longest = clients.join_all().await.into_iter().max().unwrap();
    println!(
        "stopped: {} GETs, none failed, longest wait {longest:?}",
        done.load(SeqCst)
    );
    assert!(longest < LONGEST, "{longest:?}");
}
