//! What is asked for.

use anyhow::ensure;

/// How a connection is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// HTTP/1.1; `true`: the connection ends with each answer.
    Http1 { close: bool },
    /// HTTP/2 with prior knowledge, so many streams at a time on each connection.
    Http2 { streams: usize },
}

/// One kind of load.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    /// For people.
    pub title: &'static str,
    pub protocol: Protocol,
    pub connections: usize,
    path: &'static str,
    /// Bytes that a request carries. 0: it is a GET.
    pub sends: usize,
    /// Bytes of an answer's body.
    pub gets: usize,
    /// What ours may use at most of the CPU time per request of the better of HAProxy and nginx, in percent.
    pub goal: Option<u64>,
}

/// Length of the small answer.
pub const SMALL: usize = 70;
/// Length of the large one.
pub const LARGE: usize = 100 * 1024;
/// Length of the answer to a POST.
pub const GOT: usize = 16;
/// Different requests: their keys spread over the members.
const KEYS: usize = 1000;
const KEEP: Protocol = Protocol::Http1 { close: false };

const GET: Workload = Workload {
    name: "get",
    title: "small GETs, 64 connections",
    protocol: KEEP,
    connections: 64,
    path: "/api/v1/items/",
    sends: 0,
    gets: SMALL,
    goal: Some(70),
};

/// All of them, in the order of the table.
pub const ALL: [Workload; 6] = [
    GET,
    Workload {
        name: "large",
        title: "answers of 100 KB, 64 connections",
        path: "/large/",
        gets: LARGE,
        goal: Some(80),
        ..GET
    },
    Workload {
        name: "post",
        title: "POSTs of 64 KB, 32 connections",
        path: "/upload/",
        connections: 32,
        sends: 64 * 1024,
        gets: GOT,
        ..GET
    },
    Workload {
        name: "many",
        title: "small GETs, 1,000 connections",
        connections: 1000,
        goal: Some(85),
        ..GET
    },
    Workload {
        name: "connect",
        title: "small GETs, a connection each, 64 at a time",
        protocol: Protocol::Http1 { close: true },
        goal: None,
        ..GET
    },
    Workload {
        name: "h2",
        title: "small GETs over HTTP/2, 8 connections of 8 streams",
        protocol: Protocol::Http2 { streams: 8 },
        connections: 8,
        goal: None,
        ..GET
    },
];

/// Those of these names, in the order of the table; all where none is named.
pub fn named(names: &[String]) -> anyhow::Result<Vec<Workload>> {
    let known = || ALL.iter().map(|workload| workload.name);
    for name in names {
        ensure!(
            known().any(|known| known == name),
            "no load is named {name}: {}",
            known().collect::<Vec<_>>().join(", ")
        );
    }
    let wanted = |workload: &&Workload| names.is_empty() || names.iter().any(|name| name == workload.name);
    Ok(ALL.iter().filter(wanted).copied().collect())
}

/// Connections of the one that has most.
pub fn most_connections(workloads: &[Workload]) -> usize {
    workloads.iter().map(|workload| workload.connections).max().unwrap_or(0)
}

/// The requests of a workload, as bytes.
#[derive(Debug)]
pub struct Requests {
    pub heads: Vec<Vec<u8>>,
    pub body: Vec<u8>,
}

impl Workload {
    pub fn requests(&self) -> Requests {
        let targets = (0..KEYS).map(|n| format!("{}{n}?user={}", self.path, n * 7919 % 10007));
        let heads = match self.protocol {
            Protocol::Http1 { close } => targets.map(|target| self.head(&target, close)).collect(),
            Protocol::Http2 { .. } => targets.map(|target| block(&target)).collect(),
        };
        Requests {
            heads,
            body: vec![b'y'; self.sends],
        }
    }

    fn head(&self, target: &str, close: bool) -> Vec<u8> {
        let method = if self.sends == 0 { "GET" } else { "POST" };
        let length = match self.sends {
            0 => String::new(),
            sends => format!("Content-Length: {sends}\r\n"),
        };
        let close = if close { "Connection: close\r\n" } else { "" };
        let common = "Host: bench.local\r\nUser-Agent: lbpool-bench\r\nAccept: */*\r\n";
        format!("{method} {target} HTTP/1.1\r\n{common}{length}{close}\r\n").into_bytes()
    }
}

/// The fields of a GET in HPACK (RFC 7541): what the static table has by its index, the rest as literals that are not
/// indexed, so that a block is the same whenever it is sent.
fn block(target: &str) -> Vec<u8> {
    let mut block = vec![0x82, 0x86];
    for (name, value) in [(1, "bench.local"), (4, target)] {
        block.push(name);
        // Both are shorter than 127 bytes: their length is one byte.
        block.push(u8::try_from(value.len()).unwrap_or(0));
        block.extend_from_slice(value.as_bytes());
    }
    block
}
