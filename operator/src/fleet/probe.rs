//! Whether a member answers its health path.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use http_body_util::Empty;
use hyper::{Request, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use lbpool_api::{pool::Health, routing::Protocol};
use tokio::{
    net::TcpStream,
    sync::watch,
    time::{Instant, sleep_until, timeout},
};

/// Pause after the first probe of a member that starts; it grows up to the period.
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// From when on a member that does not get ready says why.
const SLOW_START: Duration = Duration::from_secs(10);

/// What probing found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum News {
    Ready,
    Unready(String),
    /// It is not ready yet.
    Slow(String),
}

/// Probes a member for as long as it is asked.
#[derive(Debug)]
pub(super) struct Follow {
    watch: Watch,
    /// Until when it is not asked why it is not ready yet.
    patient: Option<Instant>,
}

/// Probes one member.
#[derive(Clone, Debug)]
pub(super) struct Probe {
    pub address: SocketAddr,
    /// What the member speaks.
    pub protocol: Protocol,
    /// As the spec says now: an edit of it is no new template, so it has to reach members that run.
    pub health: watch::Receiver<Health>,
}

/// Follows whether a member is ready.
#[derive(Debug)]
struct Watch {
    probe: Probe,
    verdict: Verdict,
    pause: Duration,
    started: bool,
}

/// Judges a row of probes: `successes` in a row make a member ready, `failures` in a row make it not ready.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Verdict {
    ready: bool,
    row: u32,
}

// === impl Follow ===

impl Follow {
    /// Follows a member that starts.
    pub fn new(probe: Probe) -> Self {
        Self {
            watch: Watch::new(probe),
            patient: Some(Instant::now() + SLOW_START),
        }
    }

    /// Follows a member that answered just now.
    #[cfg(feature = "docker")]
    pub fn ready(probe: Probe) -> Self {
        let mut watch = Watch::new(probe);
        watch.verdict.ready = true;
        watch.started = true;
        Self { watch, patient: None }
    }

    /// The next news. May be dropped and asked again.
    pub async fn next(&mut self) -> News {
        loop {
            let slow = async {
                match self.patient {
                    Some(until) => sleep_until(until).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                verdict = self.watch.changed() => return verdict.map_or_else(News::Unready, |()| News::Ready),
                () = slow => {
                    self.patient = None;
                    if let Err(why) = self.watch.probe.once().await {
                        return News::Slow(why);
                    }
                }
            }
        }
    }
}

// === impl Verdict ===

impl Verdict {
    /// Counts a probe; true where the verdict changed.
    fn count(&mut self, well: bool, health: &Health) -> bool {
        if well == self.ready {
            self.row = 0;
            return false;
        }
        self.row += 1;
        let changed = self.row >= if well { health.successes } else { health.failures };
        if changed {
            *self = Self { ready: well, row: 0 };
        }
        changed
    }
}

// === impl Watch ===

impl Watch {
    /// Follows a member that starts.
    pub fn new(probe: Probe) -> Self {
        Self {
            probe,
            verdict: Verdict::default(),
            pause: Duration::ZERO,
            started: false,
        }
    }

    /// Probes until the verdict changes: `Ok` for ready, the reason for not ready. A member that starts is probed often
    /// at first, so that it serves as soon as it can.
    pub async fn changed(&mut self) -> Result<(), String> {
        loop {
            // Other settings are tried at once: the pause may be long.
            _ = timeout(self.pause, self.probe.edited()).await;
            let health = self.probe.health.borrow_and_update().clone();
            let period = health.period.get();
            let answer = self.probe.once().await;
            let changed = self.verdict.count(answer.is_ok(), &health);
            self.started |= changed;
            self.pause = if self.started {
                period
            } else {
                (self.pause * 3 / 2).max(FIRST_PAUSE).min(period)
            };
            if changed {
                return answer;
            }
        }
    }
}

// === impl Probe ===

impl Probe {
    /// Returns when the settings changed; never where nobody can change them any more.
    async fn edited(&mut self) {
        if self.health.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// One probe.
    pub async fn once(&self) -> Result<(), String> {
        let health = self.health.borrow().clone();
        let asked = async {
            match self.protocol {
                Protocol::Http1 => self.ask(&health.path).await,
                Protocol::H2c => self.ask_http2(&health.path).await,
            }
        };
        let answer = timeout(health.timeout.get(), asked).await;
        let problem = match answer {
            Ok(Ok(status)) if (200..400).contains(&status) => return Ok(()),
            Ok(Ok(status)) => format!("status {status}"),
            Ok(Err(error)) => error,
            Err(_) => format!("no answer within {}", health.timeout),
        };
        Err(format!("GET {} on {}: {problem}", health.path, self.address))
    }

    async fn ask(&self, path: &str) -> Result<u16, String> {
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| error.to_string())?;
        let request = Request::get(path)
            .header(header::HOST, self.address.to_string())
            .header(header::USER_AGENT, "lbpool-probe")
            .header(header::CONNECTION, "close")
            .body(Empty::<Bytes>::new())
            .map_err(|error| error.to_string())?;
        let mut response = std::pin::pin!(sender.send_request(request));
        let answer = tokio::select! {
            answer = &mut response => answer,
            // The connection's task has handed the answer over before it ends.
            _ = connection => response.await,
        };
        answer
            .map(|response| response.status().as_u16())
            .map_err(|error| error.to_string())
    }

    /// The same over HTTP/2 with prior knowledge (RFC 9113, section 3.3).
    async fn ask_http2(&self, path: &str) -> Result<u16, String> {
        let failed = |error: h2::Error| error.to_string();
        let stream = TcpStream::connect(self.address)
            .await
            .map_err(|error| error.to_string())?;
        let (mut sender, connection) = h2::client::handshake(stream).await.map_err(failed)?;
        let request = Request::get(format!("http://{}{path}", self.address))
            .header(header::USER_AGENT, "lbpool-probe")
            .body(())
            .map_err(|error| error.to_string())?;
        let (answer, _) = sender.send_request(request, true).map_err(failed)?;
        tokio::select! {
            biased;
            answer = answer => answer.map(|response| response.status().as_u16()).map_err(failed),
            ended = connection => {
                ended.map_err(|error| format!("{error}: does it speak HTTP/2 without TLS?"))?;
                Err("the connection ended without an answer".to_owned())
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::task::JoinSet;

    use super::*;

    #[test]
    fn verdicts_need_their_number_in_a_row() {
        let health = Health {
            failures: 2,
            successes: 2,
            ..Health::default()
        };
        let mut verdict = Verdict::default();
        let probes = [true, false, true, true, false, true, false, false, false, true, true];
        let changes: Vec<usize> = probes
            .iter()
            .enumerate()
            .filter_map(|(i, &well)| verdict.count(well, &health).then_some(i))
            .collect();
        assert_eq!(changes, [3, 7, 10]);
    }

    fn probe(address: SocketAddr, protocol: Protocol) -> (watch::Sender<Health>, Probe) {
        let (sender, health) = watch::channel(Health::default());
        let probe = Probe {
            address,
            protocol,
            health,
        };
        (sender, probe)
    }

    #[tokio::test]
    async fn a_member_is_asked_in_what_it_speaks() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut connection) = h2::server::handshake(stream).await else {
                    continue;
                };
                while let Some(Ok((request, mut answer))) = connection.accept().await {
                    let status = if request.uri().path() == "/heartbeat" { 200 } else { 404 };
                    let head = hyper::Response::builder().status(status).body(()).unwrap();
                    drop(answer.send_response(head, true));
                }
            }
        });
        let (settings, asked) = probe(address, Protocol::H2c);
        assert_eq!(asked.once().await, Ok(()));
        settings.send_modify(|health| health.path = "/none".to_owned());
        let refused = asked.once().await.unwrap_err();
        assert!(refused.ends_with("status 404"), "{refused}");
        let (_settings, asked) = probe(address, Protocol::Http1);
        assert!(asked.once().await.is_err(), "it speaks HTTP/2 alone");
    }

    #[tokio::test]
    async fn who_answers_http_2_in_http_1_is_not_ready_and_it_is_said_why() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (_settings, asked) = probe(listener.local_addr().unwrap(), Protocol::H2c);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
                drop(tokio::io::AsyncWriteExt::write_all(&mut stream, answer).await);
            }
        });
        let why = asked.once().await.unwrap_err();
        assert!(why.contains("does it speak HTTP/2 without TLS?"), "{why}");
    }
}
