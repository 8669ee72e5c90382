//! HTTP/1.1 by its letter where it takes a client and a member: the second half of the table in `balancer/http1/tests/rfc9112`.
//!
//! Each row is sent whole and in two pieces with the cut at every byte; the outcome is the same, to the byte.

mod early;
mod ends;
mod interim;
mod limits;
mod passed;
mod refused;
mod trust;

use std::net::SocketAddr;

use tokio::{io::AsyncReadExt as _, time::timeout};

use crate::support::{Client, PATIENCE};

/// Sends `bytes`, in two pieces where `cut` lies inside, and reads all that comes back until the connection ends.
async fn exchange(address: SocketAddr, bytes: &[u8], cut: usize) -> String {
    let mut client = Client::to(address).await;
    let (first, second) = bytes.split_at(cut);
    client.send(first).await;
    tokio::task::yield_now().await;
    client.send(second).await;
    let mut text = Vec::new();
    let read = timeout(PATIENCE, client.stream.read_to_end(&mut text)).await;
    let text = String::from_utf8_lossy(&text).into_owned();
    // An end, or a reset behind the last byte: both end it.
    assert!(read.is_ok(), "it does not end: {text}");
    undated(&text)
}

/// Without the lines that say when it was.
fn undated(text: &str) -> String {
    let mut lines: Vec<&str> = text.split("\r\n").collect();
    lines.retain(|line| !line.starts_with("Date: "));
    lines.join("\r\n")
}
