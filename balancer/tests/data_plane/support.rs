//! Scripted members, a client that sends what it is told, and a balancer between them.

use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use lbpool_api::RoutingDocument;
use lbpool_balancer::{Balancer, Config};
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::Notify,
    task::JoinSet,
    time::timeout,
};

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(20);

// === members ===

/// A member: its place, and what came to it.
pub struct Member {
    pub name: String,
    pub address: SocketAddr,
    pub seen: Arc<Seen>,
    tasks: JoinSet<()>,
}

/// What a member has seen so far.
#[derive(Default)]
pub struct Seen {
    pub heads: Mutex<Vec<String>>,
    pub connections: AtomicUsize,
    pub open: AtomicUsize,
    pub changed: Notify,
}

/// One step of a scripted answer.
pub enum Act {
    Send(Vec<u8>),
    Wait(Arc<Notify>),
    Close,
}

/// A request as a member reads it.
pub struct Ask {
    pub head: String,
    pub body: Vec<u8>,
}

impl Ask {
    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }
}

pub fn ok(body: &str) -> Act {
    Act::Send(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len()).into_bytes())
}

pub fn send(text: &str) -> Act {
    Act::Send(text.as_bytes().to_vec())
}

impl Member {
    /// Answers every request with its name.
    pub async fn named(name: &str) -> Self {
        let own = name.to_owned();
        Self::scripted(name, move |_| vec![ok(&own)]).await
    }

    /// Answers every request with the steps of a script.
    pub async fn scripted(name: &str, script: impl Fn(&Ask) -> Vec<Act> + Send + Sync + 'static) -> Self {
        let script = Arc::new(script);
        Self::raw(name, move |mut stream, seen| {
            let script = Arc::clone(&script);
            async move {
                let mut buffer = Vec::new();
                while let Some(ask) = read_ask(&mut stream, &mut buffer).await {
                    seen.note(&ask.head);
                    for act in script(&ask) {
                        match act {
                            Act::Send(bytes) => drop(stream.write_all(&bytes).await),
                            Act::Wait(until) => until.notified().await,
                            Act::Close => return,
                        }
                    }
                }
            }
        })
        .await
    }

    /// Does with each connection whatever the closure does.
    pub async fn raw<F>(name: &str, serve: impl Fn(TcpStream, Arc<Seen>) -> F + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen::default());
        let mut tasks = JoinSet::new();
        let noted = Arc::clone(&seen);
        tasks.spawn(async move {
            let mut clients = JoinSet::new();
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                stream.set_nodelay(true).unwrap();
                noted.connections.fetch_add(1, SeqCst);
                noted.changed.notify_waiters();
                let open = Open::new(&noted);
                let served = serve(stream, Arc::clone(&noted));
                clients.spawn(async move {
                    served.await;
                    drop(open);
                });
            }
        });
        Self {
            name: name.to_owned(),
            address,
            seen,
            tasks,
        }
    }

    /// Ends at once, listener, connections and all.
    pub async fn kill(mut self) {
        self.tasks.shutdown().await;
    }
}

struct Open(Arc<Seen>);

impl Open {
    fn new(seen: &Arc<Seen>) -> Self {
        seen.open.fetch_add(1, SeqCst);
        Self(Arc::clone(seen))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, SeqCst);
        self.0.changed.notify_waiters();
    }
}

impl Seen {
    pub fn note(&self, head: &str) {
        self.heads.lock().unwrap().push(head.to_owned());
        self.changed.notify_waiters();
    }

    pub fn count(&self) -> usize {
        self.heads.lock().unwrap().len()
    }

    pub fn last(&self) -> String {
        self.heads.lock().unwrap().last().cloned().unwrap()
    }

    /// Waits until something holds of what was seen.
    pub async fn until(&self, what: &str, holds: impl Fn(&Self) -> bool) {
        let wait = async {
            loop {
                let mut changed = std::pin::pin!(self.changed.notified());
                changed.as_mut().enable();
                if holds(self) {
                    return;
                }
                changed.await;
            }
        };
        timeout(PATIENCE, wait)
            .await
            .unwrap_or_else(|_| panic!("never: {what}"));
    }
}

/// Reads a request with a counted or chunked body; the body is given as it came, chunks and all.
pub async fn read_ask(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> Option<Ask> {
    let end = read_until(stream, buffer, b"\r\n\r\n").await?;
    let head = String::from_utf8(buffer.drain(..end).collect()).unwrap();
    let body = if let Some(length) = header(&head, "content-length") {
        let length: usize = length.parse().unwrap();
        while buffer.len() < length {
            if stream.read_buf(buffer).await.ok()? == 0 {
                return None;
            }
        }
        buffer.drain(..length).collect()
    } else if header(&head, "transfer-encoding").is_some() {
        let end = read_until(stream, buffer, b"0\r\n\r\n").await?;
        buffer.drain(..end).collect()
    } else {
        Vec::new()
    };
    Some(Ask { head, body })
}

async fn read_until(stream: &mut TcpStream, buffer: &mut Vec<u8>, mark: &[u8]) -> Option<usize> {
    loop {
        if let Some(at) = memchr::memmem::find(buffer, mark) {
            return Some(at + mark.len());
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

pub fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (key, value) = line.split_once(':')?;
        key.eq_ignore_ascii_case(name).then(|| value.trim())
    })
}

// === client ===

/// A connection to the balancer.
pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

/// An answer; its body without chunks.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        header(&self.head, name)
    }

    pub fn reason(&self) -> &str {
        self.header("x-lbpool-reason").unwrap_or_default()
    }
}

impl Client {
    pub async fn to(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            buffer: Vec::new(),
        }
    }

    pub async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        self.stream.write_all(bytes.as_ref()).await.unwrap();
    }

    /// GETs `path` with `key` as its key.
    pub async fn get(&mut self, path: &str, key: &str) -> Answer {
        self.send(format!(
            "GET {path} HTTP/1.1\r\nHost: test\r\nX-Request-Id: {key}\r\n\r\n"
        ))
        .await;
        self.answer().await
    }

    /// POSTs a body with `key` as its key.
    pub async fn post(&mut self, path: &str, key: &str, body: &str) -> Answer {
        let length = body.len();
        let head =
            format!("POST {path} HTTP/1.1\r\nHost: test\r\nX-Request-Id: {key}\r\nContent-Length: {length}\r\n\r\n");
        self.send(head + body).await;
        self.answer().await
    }

    pub async fn answer(&mut self) -> Answer {
        self.answer_to("GET").await
    }

    /// The next answer, or a panic where there is none.
    pub async fn answer_to(&mut self, method: &str) -> Answer {
        timeout(PATIENCE, self.try_answer(method))
            .await
            .expect("an answer in time")
            .expect("an answer")
    }

    /// The next answer; `None` where the connection ends before its end.
    pub async fn try_answer(&mut self, method: &str) -> Option<Answer> {
        let end = read_until(&mut self.stream, &mut self.buffer, b"\r\n\r\n").await?;
        let head = String::from_utf8(self.buffer.drain(..end).collect()).unwrap();
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        let body = if method == "HEAD" || matches!(status, 100..=199 | 204 | 304) {
            Vec::new()
        } else if let Some(length) = header(&head, "content-length") {
            let length: usize = length.parse().unwrap();
            while self.buffer.len() < length {
                if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                    return None;
                }
            }
            self.buffer.drain(..length).collect()
        } else if header(&head, "transfer-encoding").is_some() {
            self.chunks().await?
        } else {
            while self.stream.read_buf(&mut self.buffer).await.ok()? > 0 {}
            std::mem::take(&mut self.buffer)
        };
        Some(Answer {
            status,
            head,
            body: String::from_utf8(body).unwrap(),
        })
    }

    async fn chunks(&mut self) -> Option<Vec<u8>> {
        let mut data = Vec::new();
        loop {
            let end = read_until(&mut self.stream, &mut self.buffer, b"\r\n").await?;
            let line: Vec<u8> = self.buffer.drain(..end).collect();
            let size = std::str::from_utf8(&line).unwrap().trim().split(';').next().unwrap();
            let size = usize::from_str_radix(size, 16).unwrap();
            while self.buffer.len() < size + 2 {
                if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                    return None;
                }
            }
            data.extend(self.buffer.drain(..size));
            self.buffer.drain(..2);
            if size == 0 {
                return Some(data);
            }
        }
    }

    /// Whether the balancer ends the connection without a further byte.
    pub async fn ends(&mut self) -> bool {
        let ended = matches!(
            timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await,
            Ok(Ok(0) | Err(_))
        );
        ended && self.buffer.is_empty()
    }
}

// === balancer ===

/// A balancer with one worker on a free port.
pub fn start() -> Balancer {
    start_with(|_| {})
}

pub fn start_with(change: impl FnOnce(&mut Config)) -> Balancer {
    let mut config = Config {
        name: "test".to_owned(),
        workers: 1,
        ..Config::default()
    };
    change(&mut config);
    Balancer::start(config).unwrap()
}

/// A document with a seat for each member, each under its own name.
pub fn document(epoch: u64, members: &[&Member], routing: &Value) -> RoutingDocument {
    let seats = members
        .iter()
        .map(|m| json!({"name": m.name, "pod": m.name, "address": m.address}));
    seats_document(epoch, &seats.collect::<Vec<_>>(), routing)
}

pub fn seats_document(epoch: u64, seats: &[Value], routing: &Value) -> RoutingDocument {
    serde_json::from_value(json!({"pool": "web", "epoch": epoch, "members": seats, "routing": routing})).unwrap()
}

/// A balancer that routes to `members`, and a client of it.
pub async fn serving(members: &[&Member], routing: Value) -> (Balancer, Client) {
    let balancer = start();
    balancer.publish(document(1, members, &routing)).await.unwrap();
    let client = Client::to(balancer.local_addr()).await;
    (balancer, client)
}

/// A key that the table gives to the member of that name.
pub fn key_of(balancer: &Balancer, name: &str) -> String {
    let snapshot = balancer.shared().snapshot();
    let owner = |key: &String| {
        let member = snapshot.table.owner(snapshot.table.hash(key.as_bytes()));
        *snapshot.members[member.unwrap()].name == *name
    };
    (0..10_000).map(|n| format!("key-{n}")).find(owner).unwrap()
}

/// Waits until something holds that nobody tells of.
/// What is counted comes to be `expected`: a request is counted when it is done with, a moment after its answer is there.
pub async fn becomes<T: PartialEq + std::fmt::Debug>(expected: T, now: impl Fn() -> T) {
    let wait = async {
        while now() != expected {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    if timeout(PATIENCE, wait).await.is_err() {
        assert_eq!(now(), expected);
    }
}

pub async fn eventually(what: &str, holds: impl Fn() -> bool) {
    let wait = async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(PATIENCE, wait)
        .await
        .unwrap_or_else(|_| panic!("never: {what}"));
}
