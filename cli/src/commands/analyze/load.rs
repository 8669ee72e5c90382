//! Requests that are sent at the same time, and what came of each: no retry, nothing left out.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, StatusCode,
    client::conn::http1::{self, SendRequest},
    header,
};
use hyper_util::rt::TokioIo;
use lbpool_report::Check;
use serde::Deserialize;
use tokio::{
    net::TcpStream,
    task::JoinSet,
    time::{Instant, sleep_until, timeout},
};

use super::{progress::Progress, subject::Arranged};

/// The header that carries a key.
pub const KEY: &str = "x-request-id";
/// The header in which a server says who it is.
const SERVER: &str = "x-server-id";
/// What the sample server says before its name.
const HELLO: &str = "Hello from Server: ";

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(30);
/// A request that leaves later than this was not late because of the timer: it waited, and its wait counts.
const SLACK: Duration = Duration::from_millis(2);

/// Where requests go.
#[derive(Clone, Debug)]
pub struct Target {
    /// Host and port.
    pub authority: String,
    /// What is asked for.
    pub path: String,
    /// How many ask at the same time.
    pub connections: usize,
}

/// What came of one request.
#[derive(Debug)]
pub struct Answer {
    /// Which of the keys it carried.
    pub key: usize,
    /// When it was sent.
    pub sent: Instant,
    /// How long it took.
    pub took: Duration,
    /// Who answered, or why nobody did.
    pub outcome: Result<Arc<str>, String>,
}

/// What came of all requests, in the order of the keys.
#[derive(Debug)]
pub struct Answers {
    keys: Arc<[Arc<str>]>,
    /// One for each key.
    pub all: Vec<Answer>,
}

/// One of those who ask.
struct Client {
    target: Arc<Target>,
    connection: Option<SendRequest<Empty<Bytes>>>,
    /// Ends with the client.
    driver: JoinSet<()>,
}

/// The sample server's answer.
#[derive(Deserialize)]
struct Home {
    message: String,
}

/// Sends a request for each key, at most `rate` in a second.
///
/// Dropped, it sends no more.
pub async fn ask(target: &Target, keys: &Arc<[Arc<str>]>, rate: Option<u32>, progress: &Progress) -> Answers {
    let (target, next, started) = (Arc::new(target.clone()), Arc::new(AtomicUsize::new(0)), Instant::now());
    let mut clients = JoinSet::new();
    for _ in 0..target.connections.min(keys.len()) {
        let (keys, next, progress) = (Arc::clone(keys), Arc::clone(&next), progress.clone());
        let mut client = Client::new(&target);
        clients.spawn(async move {
            let mut answers = Vec::new();
            loop {
                let at = next.fetch_add(1, Relaxed);
                let Some(key) = keys.get(at) else { return answers };
                let due = rate.and_then(|rate| Some(started + Duration::from_secs(1) * u32::try_from(at).ok()? / rate));
                if let Some(due) = due {
                    sleep_until(due).await;
                }
                let now = Instant::now();
                let sent = due
                    .filter(|due| now.saturating_duration_since(*due) > SLACK)
                    .unwrap_or(now);
                let outcome = client.exchange(key).await;
                answers.push(Answer {
                    key: at,
                    sent,
                    took: sent.elapsed(),
                    outcome,
                });
                progress.tick();
            }
        });
    }
    let mut all: Vec<Answer> = clients.join_all().await.into_iter().flatten().collect();
    all.sort_by_key(|answer| answer.key);
    Answers {
        keys: Arc::clone(keys),
        all,
    }
}

// === impl Answers ===

impl Answers {
    /// How many requests each server answered.
    pub fn counts(&self, servers: &[String]) -> Vec<u64> {
        let count = |server: &String| self.given().filter(|(_, by)| by == server).count() as u64;
        servers.iter().map(count).collect()
    }

    /// Keys with the servers that answered.
    pub fn given(&self) -> impl Iterator<Item = (&str, &str)> {
        self.all
            .iter()
            .filter_map(|answer| Some((&*self.keys[answer.key], &**answer.outcome.as_ref().ok()?)))
    }

    /// The server that answered for each key, where one did.
    pub fn homes(&self) -> Vec<Option<&str>> {
        self.all.iter().map(|answer| answer.outcome.as_deref().ok()).collect()
    }

    /// Keys that another server answered for than in `before`; those without an answer on either side do not count.
    pub fn astray(&self, before: &Self) -> u64 {
        let homes = self.homes();
        let pairs = homes.iter().zip(before.homes());
        pairs
            .filter(|(now, then)| matches!((now, then), (Some(now), Some(then)) if *now != *then))
            .count() as u64
    }

    /// Requests that failed, by reason.
    pub fn failures(&self) -> BTreeMap<String, u64> {
        let mut failures = BTreeMap::new();
        for reason in self.all.iter().filter_map(|answer| answer.outcome.as_ref().err()) {
            *failures.entry(reason.clone()).or_default() += 1;
        }
        failures
    }

    /// Every answer against the table that requests were to be routed by.
    pub fn check(&self, arranged: &Arranged) -> Check {
        arranged.oracle.check(&arranged.digest, self.given())
    }
}

// === impl Client ===

impl Client {
    fn new(target: &Arc<Target>) -> Self {
        Self {
            target: Arc::clone(target),
            connection: None,
            driver: JoinSet::new(),
        }
    }

    async fn exchange(&mut self, key: &str) -> Result<Arc<str>, String> {
        let late = |_| format!("no answer within {} s", LIMIT.as_secs());
        let outcome = timeout(LIMIT, self.send_and_read(key)).await.map_err(late).flatten();
        if outcome.is_err() {
            self.connection = None;
        }
        outcome
    }

    async fn send_and_read(&mut self, key: &str) -> Result<Arc<str>, String> {
        let mut open = self.connection.take();
        // Between two requests the other side may end a connection; nobody loses anything then.
        let usable = match &mut open {
            Some(open) => open.ready().await.is_ok(),
            None => false,
        };
        let mut connection = match open {
            Some(open) if usable => open,
            _ => self.connect().await?,
        };
        let request = Request::get(&self.target.path)
            .header(header::HOST, &self.target.authority)
            .header(KEY, key)
            .body(Empty::new())
            .map_err(|error| format!("no request: {error}"))?;
        let response = connection.send_request(request).await.map_err(|error| broken(&error))?;
        let (head, body) = response.into_parts();
        let body = body.collect().await.map_err(|error| broken(&error))?.to_bytes();
        self.connection = Some(connection);
        if head.status != StatusCode::OK {
            return Err(format!("status {}", head.status.as_u16()));
        }
        let header = head.headers.get(SERVER).and_then(|name| name.to_str().ok());
        named(header, &body)
    }

    async fn connect(&mut self) -> Result<SendRequest<Empty<Bytes>>, String> {
        let refused = |error: std::io::Error| format!("no connection: {}", error.kind());
        let stream = TcpStream::connect(&self.target.authority).await.map_err(refused)?;
        stream.set_nodelay(true).map_err(refused)?;
        let (connection, driver) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        // The connection before it has ended; its error was a request's.
        self.driver.abort_all();
        self.driver.spawn(async move { _ = driver.await });
        Ok(connection)
    }
}

/// A closed set of reasons: they are counted.
fn broken(error: &hyper::Error) -> String {
    if error.is_incomplete_message() {
        "the connection ended before the answer".to_owned()
    } else if error.is_parse() {
        "the answer is not HTTP".to_owned()
    } else {
        "the connection broke".to_owned()
    }
}

/// The server's name: its header's, and where the body is the sample server's, that one's too; they must agree.
fn named(header: Option<&str>, body: &[u8]) -> Result<Arc<str>, String> {
    let home: Option<Home> = serde_json::from_slice(body).ok();
    let said = home.as_ref().and_then(|home| home.message.strip_prefix(HELLO));
    match (header, said) {
        (Some(header), Some(said)) if header != said => Err("header and body name two servers".to_owned()),
        (Some(name), _) | (None, Some(name)) => Ok(name.into()),
        (None, None) => Err(format!("the answer does not say who gave it (no {SERVER})")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_known_by_its_header_and_by_the_sample_servers_body() {
        let body = br#"{"message":"Hello from Server: S1","status":"successful"}"#;
        assert_eq!(named(Some("S1"), body).as_deref(), Ok("S1"));
        assert_eq!(named(None, body).as_deref(), Ok("S1"));
        assert_eq!(named(Some("S2"), b"whatever").as_deref(), Ok("S2"));
        assert!(named(Some("S2"), body).is_err());
        assert!(named(None, b"{}").is_err());
    }
}
