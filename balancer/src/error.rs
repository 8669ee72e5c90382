//! What can go wrong around the data plane: at its start, and with a routing document.

use std::{io, net::SocketAddr};

use lbpool_api::MemberName;

use crate::{discovery::document::Problems, policy};

/// Why a balancer did not start, or a routing document was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Another process listens there.
    #[error("port {} of {} is in use by another process: stop it, or choose another port", .0.port(), .0.ip())]
    PortInUse(SocketAddr),
    /// The address can not be listened at for another reason.
    #[error("can not listen at {address}: {source}")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        source: io::Error,
    },
    /// A limit that makes no sense.
    #[error("{limit} is {value}: {expected}")]
    Limit {
        /// Its name.
        limit: &'static str,
        /// Its value.
        value: u64,
        /// What was expected.
        expected: &'static str,
    },
    /// A worker could not be started.
    #[error("can not start a worker thread: {0}")]
    Thread(io::Error),
    /// A document that is older than the one that is routed by, or another one of the same epoch.
    #[error("epoch {offered} is refused: epoch {present} is routed by; a changed document needs a greater epoch")]
    Epoch {
        /// The document's.
        offered: u64,
        /// The present one.
        present: u64,
    },
    /// What the document says can not be.
    #[error("the routing document: {0}")]
    Document(#[from] Problems),
    /// The table can not be built.
    #[error("members: {0}")]
    Table(#[from] lbpool_ring::Error),
    /// The routing policy can not be used.
    #[error("routing.{0}")]
    Policy(#[from] policy::Error),
    /// The table that follows is not the one that the document's writer computed.
    #[error(
        "the document's digest is {stated}, its table's is {computed}: its writer places keys in another way; use the same version"
    )]
    Digest {
        /// What the document says.
        stated: String,
        /// What follows from its members.
        computed: String,
    },
    /// An address that is none, or a name that does not resolve.
    #[error("members: {member}: address {address:?}: {source}; expected host:port")]
    Address {
        /// The seat.
        member: MemberName,
        /// Its address as written.
        address: String,
        /// What the system said.
        source: io::Error,
    },
    /// The workers did not all take the new table in time; it is routed by where they did.
    #[error("not all workers route by epoch {epoch} after {seconds} s")]
    Stalled {
        /// The document's epoch.
        epoch: u64,
        /// How long was waited.
        seconds: u64,
    },
    /// The balancer is ending.
    #[error("the balancer is shutting down")]
    Ended,
}
