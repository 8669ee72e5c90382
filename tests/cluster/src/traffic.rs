//! Three kinds of requests at once, each counted for itself.

use std::{
    fmt,
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use lbpool_load::{Figures, Homes, Load, Plan, Stream};

use crate::{Table, seconds, wait_for};

/// Different keys of the GETs: a round over them takes 4 s, a sample of them is off by 2 %.
const KEYS: usize = 1200;
const GETS: u32 = 300;
const GET_CONNECTIONS: usize = 16;
const POSTS: u32 = 40;
const POST_CONNECTIONS: usize = 8;
/// Answers under way at any time.
const STREAMS: usize = 10;
const PART: Duration = Duration::from_millis(100);
const ROUND: Duration = Duration::from_mins(1);

/// GETs of /home, POSTs of 10 KB that are never sent again, and streamed answers, on connections of their own. Of a GET
/// that an old connection swallowed, one repeat is sent, as every client does.
#[derive(Debug)]
pub struct Traffic {
    gets: Load,
    /// POSTs and streams; none where the servers have no trial paths.
    others: Option<(Load, Load)>,
}

/// What came of them. POSTs and streams are nothing where there were none.
#[derive(Clone, Debug)]
pub struct Mix {
    /// GETs of /home.
    pub gets: Figures,
    /// POSTs to /echo.
    pub posts: Figures,
    /// GETs of /stream.
    pub streams: Figures,
}

/// How long a streamed answer takes: `LBPOOL_E2E_STREAM`, or 20 s.
fn stream() -> Stream {
    let parts = seconds("LBPOOL_E2E_STREAM", 20).as_millis() / PART.as_millis();
    Stream {
        chunks: u32::try_from(parts).unwrap(),
        interval: u32::try_from(PART.as_millis()).unwrap(),
    }
}

/// Waits until the cluster leads to the pool: a Service is there before every node knows of it. kube-proxy with iptables loses
/// connections for good that come while it writes a Service's first rules: the first packet passes untranslated, and what the kernel
/// remembers of it holds for all that are sent again.
fn reached(address: SocketAddr) {
    wait_for("the Service answers", Duration::from_secs(30), || {
        let connected = TcpStream::connect_timeout(&address, Duration::from_secs(1));
        connected.map_err(|error| error.to_string())
    });
}

impl Traffic {
    /// Starts to ask, once somebody is there.
    #[must_use]
    pub fn start(address: SocketAddr) -> Self {
        reached(address);
        let stream = stream();
        let gets = Self::gets(address);
        let posts = Plan {
            connections: POST_CONNECTIONS,
            keys: KEYS / 4,
            rate: Some(POSTS),
            posts: 100,
            body: 10 * 1024,
            resend: false,
            ..gets.clone()
        };
        // Without a rate: each connection asks for the next stream when one has ended.
        let streams = Plan {
            connections: STREAMS,
            keys: STREAMS * 10,
            rate: None,
            stream: Some(stream),
            timeout: PART * (stream.chunks * 3),
            ..gets.clone()
        };
        let start = |plan| Load::start(plan).unwrap();
        Self {
            gets: start(gets),
            others: Some((start(posts), start(streams))),
        }
    }

    /// Starts to ask for /home and nothing else, once somebody is there.
    #[must_use]
    pub fn gets_only(address: SocketAddr) -> Self {
        reached(address);
        Self {
            gets: Load::start(Self::gets(address)).unwrap(),
            others: None,
        }
    }

    fn gets(address: SocketAddr) -> Plan {
        Plan {
            connections: GET_CONNECTIONS,
            keys: KEYS,
            rate: Some(GETS),
            resend: true,
            timeout: Duration::from_secs(30),
            ..Plan::new(address)
        }
    }

    /// Waits until each key was asked for and answered after this call, and says by whom.
    #[must_use]
    pub fn homes(&self) -> Homes {
        self.gets.round(ROUND).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Ends a phase: its figures, and new ones from now on. Streams count in the phase that they end in.
    #[must_use]
    pub fn mark(&self) -> Mix {
        let mark = |load: fn(&(Load, Load)) -> &Load| self.others.as_ref().map(|others| load(others).mark());
        Mix {
            gets: self.gets.mark(),
            posts: mark(|others| &others.0).unwrap_or_default(),
            streams: mark(|others| &others.1).unwrap_or_default(),
        }
    }

    /// Asks for no more, and waits for the answers that are due, streams among them.
    #[must_use]
    pub fn stop(self) -> Mix {
        let (posts, streams) = self.others.unzip();
        Mix {
            gets: self.gets.stop(),
            posts: posts.map(Load::stop).unwrap_or_default(),
            streams: streams.map(Load::stop).unwrap_or_default(),
        }
    }

    /// Number of different keys.
    #[must_use]
    pub const fn keys() -> usize {
        KEYS
    }

    /// Requests that may be under way at the same time: GETs, POSTs, streams.
    #[must_use]
    pub const fn under_way() -> [u64; 3] {
        [GET_CONNECTIONS as u64, POST_CONNECTIONS as u64, STREAMS as u64]
    }
}

// === impl Mix ===

impl Mix {
    /// All failures.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.kinds().iter().map(|(_, figures)| figures.failed_in_all()).sum()
    }

    /// Answers by another server than the time before, of GETs.
    #[must_use]
    pub const fn changes(&self) -> u64 {
        self.gets.changes
    }

    /// The test fails if any request has.
    pub fn assert_none_failed(&self, what: &str) {
        assert_eq!(self.failed(), 0, "{what}: {self}");
    }

    /// The test fails if GETs have, or if more POSTs or streams have than were under way: those can not be sent again.
    pub fn assert_only_under_way_failed(&self, what: &str) {
        let [_, posts, streams] = Traffic::under_way();
        let failed = |figures: &Figures| figures.failed_in_all();
        assert_eq!(failed(&self.gets), 0, "{what}: GETs failed: {}", self.gets);
        assert!(failed(&self.posts) <= posts, "{what}: {}", self.posts);
        assert!(failed(&self.streams) <= streams, "{what}: {}", self.streams);
    }

    const fn kinds(&self) -> [(&str, &Figures); 3] {
        [
            ("GET /home", &self.gets),
            ("POST /echo, 10 KB", &self.posts),
            ("GET /stream", &self.streams),
        ]
    }

    /// Prints what came of them.
    pub fn print(&self, what: &str) {
        let columns = [
            "requests",
            "answered",
            "failed",
            "sent again",
            "left home",
            "p50 ms",
            "p99 ms",
            "longest ms",
        ];
        let mut table = Table::new(what, &columns);
        for (kind, figures) in self.kinds() {
            let ms = |took: Duration| format!("{:.1}", took.as_secs_f64() * 1e3);
            table.row(&[
                &kind,
                &figures.answered,
                &figures.failed_in_all(),
                &figures.resent,
                &figures.changes,
                &ms(figures.latency.permille(500)),
                &ms(figures.latency.permille(990)),
                &ms(figures.latency.max()),
            ]);
        }
        table.print();
        if self.failed() > 0 {
            println!("  {self}");
        }
    }
}

/// What failed, and why.
impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds = self
            .kinds()
            .into_iter()
            .filter(|(_, figures)| figures.failed_in_all() > 0);
        kinds.try_for_each(|(kind, figures)| writeln!(f, "{kind}: {figures}"))
    }
}
