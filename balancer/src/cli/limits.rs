//! The flags that say what a client or a member may use at most.

use std::time::Duration;

use clap::Args;
use lbpool_balancer::Limits;

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Client connections per worker; further ones wait
    #[arg(long, value_name = "N", env = "LBPOOL_MAX_CONNECTIONS", default_value = "16384",
        value_parser = clap::value_parser!(u32).range(1..))]
    max_connections: u32,
    /// Requests at the same time on one HTTP/2 connection of a client; further ones are refused
    #[arg(long, value_name = "N", env = "LBPOOL_HTTP2_STREAMS", default_value = "128",
        value_parser = clap::value_parser!(u32).range(1..=10_000))]
    http2_streams: u32,
    /// Largest head of a request or an answer in bytes, 512 to 61440; above: 431, 502
    #[arg(long, value_name = "BYTES", env = "LBPOOL_MAX_HEAD", default_value = "32768",
        value_parser = clap::value_parser!(u32).range(512..=61440))]
    max_head: u32,
    /// Most headers of a request or an answer, 1 to 128; above: 431, 502
    #[arg(long, value_name = "N", env = "LBPOOL_MAX_HEADERS", default_value = "100",
        value_parser = clap::value_parser!(u32).range(1..=128))]
    max_headers: u32,
    /// Longest target (path and query) of a request in bytes; above: 414
    #[arg(long, value_name = "BYTES", env = "LBPOOL_MAX_TARGET", default_value = "8192",
        value_parser = clap::value_parser!(u32).range(16..=61440))]
    max_target: u32,
    /// Largest body of a request in bytes; above: 413 [default: no limit]
    #[arg(long, value_name = "BYTES", env = "LBPOOL_MAX_BODY")]
    max_body: Option<u64>,
    /// Largest body in bytes that is looked into for a key (routing.key: jsonBody), at most 65536; a larger one has none
    #[arg(long, value_name = "BYTES", env = "LBPOOL_KEY_BODY", default_value = "65536",
        value_parser = clap::value_parser!(u32).range(1..=65536))]
    key_body: u32,
    /// How long a client may take for a request's head, from its first byte; longer: 408
    #[arg(long, value_name = "TIME", env = "LBPOOL_HEAD_TIMEOUT", default_value = "10s", value_parser = time)]
    head_timeout: Duration,
    /// How long a client may take between two parts of a body (longer: 408), and to take 64 KiB of an answer
    #[arg(long, value_name = "TIME", env = "LBPOOL_CLIENT_TIMEOUT", default_value = "1m", value_parser = time)]
    client_timeout: Duration,
    /// Bytes per second that a client has to send of a body, once that took --client-timeout; slower: 408. 0: any
    #[arg(long, value_name = "BYTES", env = "LBPOOL_MIN_RATE", default_value = "0")]
    min_rate: u64,
    /// Idle connections per worker that are kept to a member
    #[arg(long, value_name = "N", env = "LBPOOL_MAX_IDLE", default_value = "256")]
    max_idle: u32,
    /// Requests per worker that wait for a member that is away; further ones spill
    #[arg(long, value_name = "N", env = "LBPOOL_MAX_HOLDS", default_value = "1024")]
    max_holds: u32,
    /// How long a tunnel (an upgraded connection, such as a WebSocket) may pass nothing either way
    #[arg(long, value_name = "TIME", env = "LBPOOL_TUNNEL_IDLE", default_value = "1h", value_parser = time)]
    tunnel_idle: Duration,
    /// How long tunnels to a member that left may last: they end one after the other in the last seconds
    #[arg(long, value_name = "TIME", env = "LBPOOL_TUNNEL_DRAIN", default_value = "30s", value_parser = crate::cli::time)]
    tunnel_drain: Duration,
    /// Requests in flight that a member may always carry: below it, routing.loadBound moves no key
    #[arg(long, value_name = "N", env = "LBPOOL_LOAD_FLOOR", default_value = "64")]
    load_floor: u64,
}

// === impl LimitArgs ===

impl From<LimitArgs> for Limits {
    fn from(args: LimitArgs) -> Self {
        // Destructured whole: a flag that nothing uses does not compile.
        let LimitArgs {
            max_connections,
            http2_streams,
            max_head,
            max_headers,
            max_target,
            max_body,
            key_body,
            head_timeout,
            client_timeout,
            min_rate,
            max_idle,
            max_holds,
            tunnel_idle,
            tunnel_drain,
            load_floor,
        } = args;
        let size = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
        Self {
            head_bytes: size(max_head),
            target_bytes: size(max_target),
            headers: size(max_headers),
            body_bytes: max_body,
            key_body_bytes: size(key_body),
            connections: size(max_connections),
            http2_streams,
            idle_per_member: size(max_idle),
            holds_per_member: size(max_holds),
            head_timeout,
            client_timeout,
            min_rate,
            tunnel_idle,
            tunnel_drain,
            load_floor,
        }
    }
}

/// A duration above zero.
fn time(text: &str) -> Result<Duration, String> {
    match text.parse::<lbpool_api::Duration>().map(lbpool_api::Duration::get) {
        Ok(Duration::ZERO) => Err("must be above zero".to_owned()),
        Ok(time) => Ok(time),
        Err(error) => Err(error.to_string()),
    }
}
