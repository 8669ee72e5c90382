//! `lbpool-load`: asks an HTTP balancer without pause, checks every answer, and reports what came of it.

use std::{
    io::{Write as _, stdout},
    net::{SocketAddr, ToSocketAddrs as _},
    process::ExitCode,
    thread,
    time::Duration,
};

use anyhow::Context as _;
use clap::Parser;
use lbpool_load::{Load, Plan};
use serde_json::json;
use tokio::time::Instant;

/// Asks an HTTP balancer without pause and checks every answer: status, body, and which server gave it.
#[derive(Parser, Debug)]
#[command(name = "lbpool-load", version, about)]
struct Args {
    /// Host and port of the balancer
    #[arg(default_value = "127.0.0.1:5000")]
    address: String,
    /// Connections, each with one request at a time
    #[arg(short, long, default_value_t = 64, value_parser = at_least_one)]
    connections: usize,
    /// Seconds to ask for
    #[arg(short, long, default_value_t = 10)]
    seconds: u64,
    /// Number of different keys
    #[arg(short, long, default_value_t = 2000, value_parser = at_least_one)]
    keys: usize,
    /// Header that carries the key
    #[arg(long, default_value = "X-Request-Id")]
    header: String,
    /// Percent of the requests that are POSTs to /echo
    #[arg(long, value_name = "PERCENT", default_value_t = 0)]
    posts: usize,
    /// Bytes that a POST carries
    #[arg(long, value_name = "BYTES", default_value_t = 256)]
    body: usize,
    /// Requests each second. Default: as many as are answered
    #[arg(short, long)]
    rate: Option<u32>,
    /// Print the figures as JSON
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<ExitCode> {
    let Args {
        address,
        connections,
        seconds,
        keys,
        header,
        posts,
        body,
        rate,
        json,
    } = Args::parse();
    let resolved: SocketAddr = address
        .to_socket_addrs()
        .ok()
        .and_then(|mut all| all.next())
        .with_context(|| format!("`{address}` is no address: expected one such as 127.0.0.1:5000"))?;
    let load = Load::start(Plan {
        connections,
        keys,
        header,
        posts,
        body,
        rate,
        ..Plan::new(resolved)
    })?;
    let (began, seconds) = (Instant::now(), Duration::from_secs(seconds));
    // Too short or too slow for one answer per key: what was seen so far is what there is to compare with.
    let before = load.round(seconds).unwrap_or_else(|_| load.homes());
    thread::sleep(seconds.saturating_sub(began.elapsed()));
    let after = load.homes();
    let figures = load.stop();
    let moved = after.moved_from(&before);
    let mut out = stdout();
    if json {
        let figures = json!({
            "figures": figures.json(), "keys": keys, "seen": after.seen(), "moved": moved,
            "perServer": after.per_server(),
        });
        writeln!(out, "{figures:#}")?;
    } else {
        writeln!(out, "{figures}")?;
        writeln!(
            out,
            "{moved} of {keys} keys moved; keys of each server: {:?}",
            after.per_server()
        )?;
    }
    Ok(if figures.failed_in_all() == 0 {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(number) if number > 0 => Ok(number),
        _ => Err("expected a number from 1 on".to_owned()),
    }
}
