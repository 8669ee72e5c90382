//! HTTP/1.1 by its letter: RFC 9110 and RFC 9112 as one table of cases, a file per part of it.
//!
//! Each row has a name, the section that it is about, the bytes, and what becomes of them. Each is fed whole, in two pieces
//! with the cut at every byte, and byte by byte: the outcome must not depend on how the bytes arrive. What needs a client, a
//! member and time is in the balancer's own table (`balancer/tests/data_plane/rfc9112.rs`).

// For clippy: helpers are tests too, and may panic.
#![cfg(test)]

mod chunked;
mod connection;
mod fields;
mod forwarding;
mod framing;
mod host;
mod request_line;
mod responses;
mod support;
