//! Requests over TLS, in HTTP/1.1 and HTTP/2, on connections that last and on new ones.

mod client;

use std::{
    collections::BTreeSet,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use lbpool_load::Histogram;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};
use tokio_rustls::rustls::pki_types::CertificateDer;

use self::client::{Client, Failure, Version};
use crate::{Authority, Cluster, Table};

/// Connections that last, of each version.
const LASTING: [(Version, usize); 2] = [(Version::Http1, 8), (Version::Http2, 4)];
/// Requests that a connection of HTTP/2 has under way at the same time.
const STREAMS: usize = 4;
/// Between two requests of a connection or stream.
const PAUSE: Duration = Duration::from_millis(60);
/// Between two new connections of a version.
const RENEW: Duration = Duration::from_millis(150);
/// Of so many requests one is a POST.
const POSTS: u32 = 4;
/// What a POST carries.
const BODY: usize = 10 * 1024;
/// Failures that are kept with their reason.
const SAMPLES: usize = 10;

/// Where a pool is reached over TLS, and who is trusted.
#[derive(Clone, Debug)]
pub struct Site {
    address: SocketAddr,
    host: String,
    roots: Vec<CertificateDer<'static>>,
}

/// Asks without pause until it is stopped.
#[derive(Debug)]
pub struct Https {
    shared: Arc<Shared>,
    tasks: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    stop: AtomicBool,
    phase: Mutex<Phase>,
}

/// What came of the requests of a phase.
#[derive(Debug, Default)]
pub struct Phase {
    rows: [Row; Kind::ALL.len()],
    /// Connections that last and were opened in this phase.
    pub opened: usize,
    /// Servers that answered.
    pub servers: BTreeSet<String>,
    /// `Via` of the answers: what members speak.
    pub via: BTreeSet<String>,
    /// Certificates that new connections were shown.
    pub shown: BTreeSet<Vec<u8>>,
    samples: Vec<String>,
}

/// Requests of one kind.
#[derive(Debug, Default)]
struct Row {
    answered: u64,
    failed: u64,
    resent: u64,
    latency: Histogram,
}

/// What is counted apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Get(Version),
    Post(Version),
    New(Version),
}

// === impl Site ===

impl Site {
    /// The pool at `address`, whose certificate is for `host`.
    #[must_use]
    pub fn new(address: SocketAddr, host: &str, trusted: &[&Authority]) -> Self {
        Self {
            address,
            host: host.to_owned(),
            roots: trusted.iter().map(|authority| authority.root().clone()).collect(),
        }
    }

    /// The same pool, reached elsewhere.
    #[must_use]
    pub fn at(&self, address: SocketAddr) -> Self {
        Self {
            address,
            ..self.clone()
        }
    }

    /// The certificate that a new connection is shown, once it has carried a request.
    ///
    /// # Errors
    /// No connection, a certificate that nobody trusted has signed, or no answer.
    pub fn shows(&self) -> Result<CertificateDer<'static>, String> {
        let shown = async {
            let mut client = Client::connect(self, Version::Http1).await?;
            client.get(0).await?;
            Ok(client.certificate)
        };
        let shown: Result<_, Failure> = Cluster::get().runtime().block_on(shown);
        shown.map_err(|Failure { reason, .. }| reason)
    }
}

// === impl Https ===

impl Https {
    /// Starts to ask: GETs of /home, POSTs of 10 KB to /echo, and a GET on each of the new connections. Of a GET that a connection
    /// swallowed which had carried others before, one repeat is sent, as every client does.
    #[must_use]
    pub fn start(site: &Site) -> Self {
        let shared = Arc::new(Shared::default());
        let runtime = Cluster::get().runtime();
        let mut tasks = Vec::new();
        for (version, connections) in LASTING {
            for connection in 0..connections {
                let (site, shared) = (site.clone(), shared.clone());
                tasks.push(runtime.spawn(async move { last(&site, version, connection, &shared).await }));
            }
            let (site, shared) = (site.clone(), shared.clone());
            tasks.push(runtime.spawn(async move { renew(&site, version, &shared).await }));
        }
        Self { shared, tasks }
    }

    /// Ends a phase: what came of it, and a new one from now on.
    #[must_use]
    pub fn mark(&self) -> Phase {
        std::mem::take(&mut *self.shared.phase())
    }

    /// What came of the present phase so far.
    pub fn look<T>(&self, look: impl FnOnce(&Phase) -> T) -> T {
        look(&self.shared.phase())
    }

    /// Asks for no more, and waits for the answers that are due.
    #[must_use]
    pub fn stop(self) -> Phase {
        self.shared.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            Cluster::get().runtime().block_on(task).unwrap();
        }
        std::mem::take(&mut *self.shared.phase())
    }
}

/// Asks on one connection, and on a new one where it has ended.
async fn last(site: &Site, version: Version, connection: usize, shared: &Shared) {
    while !shared.stopped() {
        let client = match Client::connect(site, version).await {
            Ok(client) => client,
            Err(failure) => {
                shared.failed(Kind::Get(version), failure);
                sleep(PAUSE).await;
                continue;
            }
        };
        shared.phase().opened += 1;
        let streams = if version == Version::Http1 { 1 } else { STREAMS };
        let asked = (0..streams).map(|stream| ask(client.another(), connection * STREAMS + stream, shared));
        futures_util::future::join_all(asked).await;
    }
}

/// Asks until the connection is at its end.
async fn ask(mut client: Client, number: usize, shared: &Shared) {
    let version = client.version;
    let mut used = false;
    for count in 0_u32.. {
        if shared.stopped() || !client.is_open().await {
            return;
        }
        let post = count % POSTS == POSTS - 1;
        let kind = if post { Kind::Post(version) } else { Kind::Get(version) };
        let key = number * 1000 + count as usize % 50;
        let began = Instant::now();
        let mut outcome = if post {
            client
                .post(key, &vec![b'a' + u8::try_from(count % 26).unwrap_or(0); BODY])
                .await
        } else {
            client.get(key).await
        };
        if let Err(Failure { unanswered: true, .. }) = &outcome
            && !post
            && used
        {
            shared.phase().rows[kind.row()].resent += 1;
            let again = Client::connect(&client.site, version).await;
            outcome = match again {
                Ok(again) => {
                    client = again;
                    client.get(key).await
                }
                Err(failure) => Err(failure),
            };
        }
        used = true;
        match outcome {
            Ok(answer) => shared.answered(kind, began.elapsed(), answer),
            Err(failure) => shared.failed(kind, failure),
        }
        sleep(PAUSE).await;
    }
}

/// Opens one connection after the other, each for one request.
async fn renew(site: &Site, version: Version, shared: &Shared) {
    while !shared.stopped() {
        let began = Instant::now();
        let outcome = async {
            let mut client = Client::connect(site, version).await?;
            let answer = client.get(0).await?;
            Ok((answer, client.certificate))
        };
        match outcome.await {
            Ok((answer, certificate)) => {
                shared.phase().shown.insert(certificate.to_vec());
                shared.answered(Kind::New(version), began.elapsed(), answer);
            }
            Err(failure) => shared.failed(Kind::New(version), failure),
        }
        sleep(RENEW).await;
    }
}

// === impl Shared ===

impl Shared {
    fn phase(&self) -> MutexGuard<'_, Phase> {
        self.phase.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    fn answered(&self, kind: Kind, took: Duration, answer: client::Answer) {
        let mut phase = self.phase();
        let row = &mut phase.rows[kind.row()];
        row.answered += 1;
        row.latency.add(took);
        phase.servers.insert(answer.server);
        phase.via.insert(answer.via);
    }

    fn failed(&self, kind: Kind, Failure { reason, .. }: Failure) {
        let mut phase = self.phase();
        phase.rows[kind.row()].failed += 1;
        if phase.samples.len() < SAMPLES {
            phase.samples.push(format!("{}: {reason}", kind.name()));
        }
    }
}

// === impl Phase ===

impl Phase {
    /// All failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.rows.iter().map(|row| row.failed).sum()
    }

    /// New connections that carried a request.
    #[must_use]
    pub fn renewed(&self) -> u64 {
        let new = |kind: &&Kind| matches!(kind, Kind::New(_));
        let rows = Kind::ALL.iter().filter(new).map(|kind| &self.rows[kind.row()]);
        rows.map(|row| row.answered).sum()
    }

    /// The test fails if any request has.
    pub fn assert_none_failed(&self, what: &str) {
        assert_eq!(self.failed(), 0, "{what}: requests failed: {:?}", self.samples);
    }

    /// Prints what came of them.
    pub fn print(&self, what: &str) {
        let columns = [
            "requests",
            "answered",
            "failed",
            "sent again",
            "p50 ms",
            "p99 ms",
            "longest ms",
        ];
        let mut table = Table::new(what, &columns);
        for kind in Kind::ALL {
            let row = &self.rows[kind.row()];
            let ms = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1e3);
            table.row(&[
                &kind.name(),
                &row.answered,
                &row.failed,
                &row.resent,
                &ms(row.latency.permille(500)),
                &ms(row.latency.permille(990)),
                &ms(row.latency.max()),
            ]);
        }
        table.print();
        for sample in &self.samples {
            println!("  {sample}");
        }
    }
}

// === impl Kind ===

impl Kind {
    const ALL: [Self; 6] = [
        Self::Get(Version::Http1),
        Self::Post(Version::Http1),
        Self::New(Version::Http1),
        Self::Get(Version::Http2),
        Self::Post(Version::Http2),
        Self::New(Version::Http2),
    ];

    const fn row(self) -> usize {
        match self {
            Self::Get(version) => version.index() * 3,
            Self::Post(version) => version.index() * 3 + 1,
            Self::New(version) => version.index() * 3 + 2,
        }
    }

    fn name(self) -> String {
        match self {
            Self::Get(version) => format!("GET /home, {}", version.name()),
            Self::Post(version) => format!("POST /echo 10 KB, {}", version.name()),
            Self::New(version) => format!("GET on a new connection, {}", version.name()),
        }
    }
}
