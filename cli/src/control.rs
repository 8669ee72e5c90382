//! What a running pool answers: its control socket for our own commands, and the assignment's API on the main port.

pub mod assignment;
pub mod server;
#[cfg(test)]
mod testing;

use std::net::SocketAddr;

use lbpool_api::status::SeatState;
use serde::{Deserialize, Serialize};

use crate::runtime::Record;

/// The body of `PUT /v1/scale`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Scale {
    /// Number of seats.
    pub replicas: i64,
}

/// The answer to an edit.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Edited {
    /// Generation of the spec that is in force.
    pub generation: i64,
    /// Whether it is another one than before.
    pub changed: bool,
    /// Why it is not routed yet, where it was waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pending: Option<String>,
}

/// The answer to what was refused.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Failure {
    /// What is wrong and what was expected.
    pub message: String,
}

/// What the resource does not say: where things are, on this machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Details {
    /// The process and its addresses.
    pub record: Record,
    /// Requests so far.
    pub requests: u64,
    /// What sits in the seats.
    pub seats: Vec<Seat>,
}

/// What sits in a seat.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seat {
    /// Name of the seat.
    pub name: String,
    /// Share of the keys, relative to the others.
    pub weight: u32,
    /// What it is doing.
    pub state: Option<SeatState>,
    /// Who sits in it.
    pub pod: Option<String>,
    /// Its process.
    pub pid: Option<u32>,
    /// Where it listens.
    pub address: Option<SocketAddr>,
    /// Requests in flight on it.
    pub in_flight: u64,
}
