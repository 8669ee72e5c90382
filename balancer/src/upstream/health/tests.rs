use std::sync::atomic::{AtomicU16, Ordering::Relaxed};

use tokio::net::TcpListener;

use super::*;
use crate::{Balancer, Config, upstream::breaker::Failure};

const HEALTH: &str = "health: {path: /well, period: 20ms, timeout: 200ms, failures: 2, successes: 2}";

/// A member whose answer to each probe is the status that it is told.
struct Member {
    address: SocketAddr,
    status: Arc<AtomicU16>,
    _task: JoinSet<()>,
}

/// A status that stands for no answer at all.
const SILENT: u16 = 0;

impl Member {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, status) = (listener.local_addr().unwrap(), Arc::new(AtomicU16::new(200)));
        let told = Arc::clone(&status);
        let mut task = JoinSet::new();
        task.spawn(async move {
            let mut silent = Vec::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut head = [0; 512];
                let n = stream.read(&mut head).await.unwrap();
                assert!(head[..n].starts_with(b"GET /well HTTP/1.1\r\nHost: 127.0.0.1:"));
                match told.load(Relaxed) {
                    SILENT => silent.push(stream),
                    status => {
                        let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                        drop(stream.write_all(answer.as_bytes()).await);
                    }
                }
            }
        });
        Self {
            address,
            status,
            _task: task,
        }
    }

    fn answers(&self, status: u16) {
        self.status.store(status, Relaxed);
    }
}

/// A balancer in front of members `a` and `b`, and a prober beside it.
struct Fixture {
    balancer: Balancer,
    _prober: JoinSet<()>,
}

impl Fixture {
    async fn start(when: When, members: [SocketAddr; 2]) -> Self {
        let balancer = Balancer::start(Config {
            workers: 1,
            ..Config::default()
        })
        .unwrap();
        let [a, b] = members;
        let text = format!(
            "pool: web\nepoch: 1\nmembers: [{{name: a, address: '{a}'}}, {{name: b, address: '{b}'}}]\n{HEALTH}"
        );
        balancer.publish(serde_yaml::from_str(&text).unwrap()).await.unwrap();
        let mut prober = JoinSet::new();
        prober.spawn(run(balancer.shared(), when));
        Self {
            balancer,
            _prober: prober,
        }
    }

    fn target(&self) -> Arc<Target> {
        Arc::clone(self.balancer.shared().snapshot().targets().next().unwrap())
    }

    async fn until(&self, what: &str, condition: impl Fn(&Target, u64) -> bool) {
        let shared = self.balancer.shared();
        let reached = async {
            while !condition(&self.target(), shared.now()) {
                sleep(Duration::from_millis(2)).await;
            }
        };
        timeout(Duration::from_secs(10), reached)
            .await
            .unwrap_or_else(|_| panic!("never {what}"));
    }
}

#[tokio::test]
async fn a_member_that_is_always_probed_goes_and_comes_with_its_answers() {
    let (a, b) = (Member::start().await, Member::start().await);
    let fixture = Fixture::start(When::Always, [a.address, b.address]).await;
    fixture.until("well", |target, _| target.probe() == Probe::Well).await;
    for ill in [500, 404, 199, SILENT] {
        a.answers(ill);
        fixture
            .until("ill", |target, now| target.probe() == Probe::Ill && !target.admits(now))
            .await;
        a.answers(302);
        fixture
            .until("well again", |target, now| {
                target.probe() == Probe::Well && target.admits(now)
            })
            .await;
    }
}

#[tokio::test]
async fn a_member_that_failed_a_request_is_probed_and_brought_back_early() {
    let (a, b) = (Member::start().await, Member::start().await);
    let fixture = Fixture::start(When::Wrong, [a.address, b.address]).await;
    let shared = fixture.balancer.shared();
    let snapshot = shared.snapshot();
    shared.on_failure(&snapshot, &fixture.target(), Failure::Connect);
    let until = match fixture.target().breaker().state(shared.now()) {
        State::Open { until } => until,
        other => panic!("ejected: {other:?}"),
    };
    fixture.until("back", Target::admits).await;
    assert!(shared.now() < until, "brought back by probes, not by time");
    assert_eq!(fixture.target().probe(), Probe::Unknown);
}

#[tokio::test]
async fn a_member_that_is_down_stays_away_after_its_ejection_has_ended() {
    let (a, b) = (Member::start().await, Member::start().await);
    a.answers(503);
    let fixture = Fixture::start(When::Wrong, [a.address, b.address]).await;
    let shared = fixture.balancer.shared();
    shared.on_failure(&shared.snapshot(), &fixture.target(), Failure::Connect);
    fixture.until("ill", |target, _| target.probe() == Probe::Ill).await;
    fixture.until("over", |target, now| target.breaker().admits(now)).await;
    assert!(!fixture.target().admits(shared.now()));
    a.answers(200);
    fixture.until("back", Target::admits).await;
}

#[tokio::test]
async fn a_member_that_leaves_is_not_probed_any_more() {
    let (a, b) = (Member::start().await, Member::start().await);
    let fixture = Fixture::start(When::Always, [a.address, b.address]).await;
    a.answers(500);
    fixture.until("ill", |target, _| target.probe() == Probe::Ill).await;
    let target = fixture.target();
    let text = format!(
        "pool: web\nepoch: 2\nmembers: [{{name: b, address: '{}'}}]\n{HEALTH}",
        b.address
    );
    fixture
        .balancer
        .publish(serde_yaml::from_str(&text).unwrap())
        .await
        .unwrap();
    timeout(Duration::from_secs(10), async {
        while target.probe() != Probe::Unknown {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("its verdict is forgotten");
}

#[test]
fn so_many_in_a_row_make_a_verdict() {
    let health = Health {
        failures: 2,
        successes: 3,
        ..Health::default()
    };
    let mut run = Run::default();
    let answers = [true, true, false, true, false, false, false, true, true, true, true];
    let verdicts: Vec<_> = answers.map(|well| run.note(well, &health)).into();
    let (n, ill, well) = (None, Some(Verdict::Ill), Some(Verdict::Well));
    assert_eq!(verdicts, [n, n, n, n, n, ill, ill, n, n, well, well]);
}

#[test]
fn a_status_line_is_read_strictly() {
    for (start, want) in [
        (b"HTTP/1.1 200", Some(200)),
        (b"HTTP/1.0 503", Some(503)),
        (b"HTTP/2.0 200", None),
        (b"HTTP/1.1 2x0", None),
        (b"HTTP/1.1 +20", None),
        (b"SSH-2.0-Open", None),
    ] {
        assert_eq!(status(start), want, "{start:?}");
    }
}

#[test]
fn members_are_not_all_probed_at_once() {
    let period = Duration::from_secs(1);
    let pauses: Vec<Duration> = (0..100).map(|i| spread(period, &format!("m-{i}"))).collect();
    assert!(pauses.iter().all(|pause| (period / 2..period).contains(pause)));
    let first_half = pauses.iter().filter(|pause| **pause < period * 3 / 4).count();
    assert!((25..75).contains(&first_half), "{first_half}");
}
