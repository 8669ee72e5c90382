//! Requests on their way: from a client's connection to a member and back.
//!
//! A client that speaks HTTP/1.1 is `connection.rs` and `http1.rs`, one that speaks HTTP/2 is `http2.rs`. One attempt is
//! `exchange.rs` where both sides speak HTTP/1.1, and `relay.rs` where one or both speak HTTP/2. `attempt.rs` decides where
//! an attempt goes and whether there is another one, for all of them.

mod attempt;
mod body;
mod connection;
mod control;
pub mod error;
mod exchange;
mod handshake;
mod http1;
mod http2;
mod id;
mod interim;
mod io;
mod relay;
mod tunnel;

pub(crate) use connection::client;
