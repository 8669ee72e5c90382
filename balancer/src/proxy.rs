//! Requests on their way: from a client's connection to a member and back.

mod attempt;
mod body;
mod connection;
mod control;
pub mod error;
mod exchange;
mod handshake;
mod http1;
mod id;
mod io;
mod tunnel;

pub(crate) use connection::client;
