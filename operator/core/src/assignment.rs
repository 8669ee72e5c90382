//! The classroom assignment's API, as far as it is the same wherever it is served: what is asked, and how answers look.

use lbpool_api::{LoadBalancerPool, PoolSpec};
use serde::Deserialize;
use serde_json::json;

use crate::{
    edit::{self, EditError},
    seats::seats,
};

/// Its paths, each as a whole.
pub const PATHS: [&str; 3] = ["/rep", "/add", "/rm"];

/// What is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Call {
    /// Who is there: `GET /rep`.
    List,
    /// More of them: `POST /add`.
    Add(Change),
    /// Fewer of them: `DELETE /rm`.
    Remove(Change),
}

/// The body of `/add` and `/rm`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Change {
    /// How many.
    pub n: i64,
    /// Which of them; the others are our choice.
    #[serde(default)]
    pub hostnames: Vec<String>,
}

/// Why a request is no [`Call`].
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The path is used in another way.
    #[error("{path} takes {expected}, not {method}")]
    Method {
        /// The path.
        path: String,
        /// How it is used.
        expected: &'static str,
        /// How it was.
        method: String,
    },
    /// The body is not what it should be.
    #[error("expected JSON such as {{\"n\":1,\"hostnames\":[\"S5\"]}}: {0}")]
    Json(#[from] serde_json::Error),
}

/// The method that a path is used with. A path that is none of [`PATHS`] is read.
#[must_use]
pub fn method(path: &str) -> &'static str {
    match path {
        "/add" => "POST",
        "/rm" => "DELETE",
        _ => "GET",
    }
}

/// Body of the answer to all that went well: who is there.
#[must_use]
pub fn replicas(pool: &LoadBalancerPool) -> String {
    let seats = seats(pool.metadata.name.as_deref().unwrap_or_default(), &pool.spec);
    let replicas: Vec<_> = seats.iter().map(|seat| seat.name.as_str()).collect();
    json!({"message": {"N": replicas.len(), "replicas": replicas}, "status": "successful"}).to_string()
}

/// Body of the answer to a change that is made and not routed yet.
#[must_use]
pub fn accepted(message: &str) -> String {
    json!({"message": message, "status": "accepted"}).to_string()
}

/// Body of the answer to what was refused.
#[must_use]
pub fn failure(message: &str) -> String {
    json!({"message": format!("<Error> {message}"), "status": "failure"}).to_string()
}

// === impl Call ===

impl Call {
    /// What a request to one of [`PATHS`] asks for.
    ///
    /// # Errors
    /// The method or the body is wrong.
    pub fn parse(method: &str, path: &str, body: &[u8]) -> Result<Self, CallError> {
        let expected = self::method(path);
        if method != expected {
            let (path, method) = (path.to_owned(), method.to_owned());
            return Err(CallError::Method { path, expected, method });
        }
        Ok(match path {
            "/add" => Self::Add(serde_json::from_slice(body)?),
            "/rm" => Self::Remove(serde_json::from_slice(body)?),
            _ => Self::List,
        })
    }

    /// The spec that the pool gets by it: its own, where it only asks.
    ///
    /// # Errors
    /// Where the change makes no sense. Nothing is changed then.
    pub fn apply(&self, pool: &LoadBalancerPool) -> Result<PoolSpec, EditError> {
        match self {
            Self::List => Ok(pool.spec.clone()),
            Self::Add(change) => edit::add(pool, change.n, &change.hostnames),
            Self::Remove(change) => edit::remove(pool, change.n, &change.hostnames),
        }
    }
}
