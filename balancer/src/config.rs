//! What a balancer is told once, at its start. Everything else comes with the routing document.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use crate::{control, tls};

/// How a [`Balancer`](crate::Balancer) runs. `..Config::default()` fills in what is not said.
#[derive(Clone, Debug)]
pub struct Config {
    /// Name of this balancer in reports and metrics.
    pub name: String,
    /// Where it listens for requests. Port 0: any free one, see [`Balancer::local_addr`](crate::Balancer::local_addr).
    pub listen: SocketAddr,
    /// Number of worker threads. 0: one per core.
    pub workers: usize,
    /// Where requests for exactly `/rep`, `/add` and `/rm` go. `None`: to members, as any other.
    pub control: Option<control::Sender>,
    /// Which clients are believed what they say about where a request came from.
    pub proxies: Proxies,
    /// Which headers tell members where a request came from.
    pub style: Style,
    /// What a client or a member may use at most.
    pub limits: Limits,
    /// What the first connection is accepted for.
    pub opening: Opening,
    /// The certificate that clients see: all of them speak TLS then. Whoever gives it has it followed
    /// ([`tls::Identity::follow`]). `None`: none does.
    pub tls: Option<Arc<tls::Identity>>,
    /// How members are spoken to over TLS. `None`: as they are.
    pub upstream_tls: Option<Arc<tls::Upstream>>,
}

/// When a new balancer begins to answer. Until then connections wait in the kernel's queue: who comes early waits a moment
/// longer instead of being told that there is nobody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Opening {
    /// So many members serve.
    pub members: usize,
    /// However many serve, after so long. 0: at once.
    pub within: Duration,
}

pub use lbpool_http1::forwarded::{Network, Proxies, Style};

/// What a client or a member may use at most. Counts are per worker where nothing else is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Length of a request's or answer's head, at most 60 KiB.
    pub head_bytes: usize,
    /// Length of a request's target.
    pub target_bytes: usize,
    /// Number of headers of a request or an answer, at most 128.
    pub headers: usize,
    /// Length of a request's body as it is sent, the framing of chunks included. `None`: any.
    pub body_bytes: Option<u64>,
    /// Length of a body that is looked into for a key (`jsonBody`), the framing of chunks included. A longer one has none. At
    /// most [`Limits::KEY_BODY_MAX`], whatever is said here.
    pub key_body_bytes: usize,
    /// Client connections. Further ones wait in the kernel's queue.
    pub connections: usize,
    /// Requests at the same time on one HTTP/2 connection of a client, which is told so; further ones are refused.
    pub http2_streams: u32,
    /// Idle connections that are kept to one member.
    pub idle_per_member: usize,
    /// Requests that wait for one member that is away. Further ones spill.
    pub holds_per_member: usize,
    /// How long a client may take for a request's head, from its first byte.
    pub head_timeout: Duration,
    /// How long a client may take between two parts of a body, and to take a part of an answer.
    pub client_timeout: Duration,
    /// Bytes per second that a client has to send of a body, on average, once it has kept us waiting for `client_timeout`.
    /// 0: any.
    pub min_rate: u64,
    /// How long a tunnel (a WebSocket, for one) may pass no byte either way.
    pub tunnel_idle: Duration,
    /// How long tunnels to a member may last once it has left the table: they end one after the other in the last seconds.
    pub tunnel_drain: Duration,
    /// Requests in flight that a member may always carry, whatever the mean is. Below it, the load bound moves no key:
    /// differences between members are chance there, not load.
    pub load_floor: u64,
}

// === impl Config ===

impl Default for Config {
    fn default() -> Self {
        Self {
            name: "balancer".to_owned(),
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            workers: 0,
            control: None,
            proxies: Proxies::default(),
            style: Style::default(),
            limits: Limits::default(),
            opening: Opening::default(),
            tls: None,
            upstream_tls: None,
        }
    }
}

// === impl Limits ===

impl Limits {
    /// The longest body that can be looked into for a key: a request that waits for its body has a page of memory.
    pub const KEY_BODY_MAX: usize = 64 * 1024;

    /// Those of an answer's head.
    pub(crate) fn of_answers(&self) -> lbpool_http1::Limits {
        lbpool_http1::Limits {
            head: self.head_bytes,
            headers: self.headers,
            ..lbpool_http1::Limits::default()
        }
    }

    /// Whether a client that sent `bytes` of a body in so much time is too slow.
    pub(crate) fn is_slow(&self, bytes: u64, time: Duration) -> bool {
        self.min_rate > 0
            && time > self.client_timeout
            && u128::from(bytes) * 1000 < u128::from(self.min_rate) * time.as_millis()
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            head_bytes: 32 * 1024,
            target_bytes: 8 * 1024,
            headers: 100,
            body_bytes: None,
            key_body_bytes: Self::KEY_BODY_MAX,
            connections: 16 * 1024,
            http2_streams: 128,
            idle_per_member: 256,
            holds_per_member: 1024,
            head_timeout: Duration::from_secs(10),
            client_timeout: Duration::from_mins(1),
            min_rate: 0,
            tunnel_idle: Duration::from_hours(1),
            tunnel_drain: Duration::from_secs(30),
            load_floor: 64,
        }
    }
}
