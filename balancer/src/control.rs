//! The classroom API's way out of the data plane: requests for exactly `/rep`, `/add` and `/rm` are handed to whoever
//! holds the other end of a bounded channel, with their whole (small) body.

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

/// Longest body of a control request.
pub const BODY_MAX: usize = 64 * 1024;

/// The paths that are control requests, each as a whole.
pub const PATHS: [&str; 3] = ["/rep", "/add", "/rm"];

/// Where control requests go.
pub type Sender = mpsc::Sender<Request>;

/// One control request.
#[derive(Debug)]
pub struct Request {
    /// `GET`, `POST`, ... as it came.
    pub method: String,
    /// One of [`PATHS`].
    pub path: String,
    /// Its `Host`, so that a foreign one can be refused.
    pub host: Option<String>,
    /// Its `Origin`, so that a foreign one can be refused.
    pub origin: Option<String>,
    /// Its body, at most [`BODY_MAX`].
    pub body: Bytes,
    /// Where the answer goes. Dropped unanswered, the client gets a 503.
    pub reply: oneshot::Sender<Reply>,
}

/// The answer to a control request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body: JSON.
    pub body: String,
}
