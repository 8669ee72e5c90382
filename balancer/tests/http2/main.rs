//! HTTP/2 over real sockets: clients and members of either version, frames written by hand, and calls of gRPC.

// For clippy: helpers are tests too, and may panic.
#![cfg(test)]

mod edges;
mod ending;
mod floods;
mod frames;
mod grpc;
mod interim;
mod matrix;
mod peers;
mod raw;
mod routing;
#[path = "../data_plane/support.rs"]
#[expect(dead_code, reason = "shared with the tests of HTTP/1.1, which need more of it")]
mod support;
