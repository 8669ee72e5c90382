//! The classroom assignment's API: `/rep`, `/add` and `/rm` on the main port, in its own formats.
//!
//! Anyone who reaches the port may use it, so a browser must not be made to: a request whose `Host` or `Origin` is not
//! this machine's is refused.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use lbpool_api::{LoadBalancerPool, PoolSpec};
use lbpool_balancer::control::{Reply, Request};
use lbpool_core::{
    edit::{self, EditError},
    seats,
};
use lbpool_operator::{Category, Error, PoolHandle};
use serde::{Deserialize, Serialize};
use tokio::{sync::mpsc, task::JoinSet};

/// Requests that wait for the data plane's hand-over, and that are answered at the same time.
pub const QUEUE: usize = 64;

/// How long a client waits until its change is routed, before it is told why it is not.
const ROUTED: Duration = Duration::from_secs(10);

/// Answers the assignment's requests about one pool.
#[derive(Clone, Debug)]
pub struct Assignment {
    handle: PoolHandle,
    listen: SocketAddr,
    within: Duration,
}

/// An answer: the message and how it went.
#[derive(Serialize)]
struct Answer<T> {
    message: T,
    status: &'static str,
}

/// Who is there.
#[derive(Serialize)]
struct Replicas {
    #[serde(rename = "N")]
    n: usize,
    replicas: Vec<String>,
}

/// The body of `/add` and `/rm`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    n: i64,
    #[serde(default)]
    hostnames: Vec<String>,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Host {0:?} is not this balancer's: use localhost or the address that it listens at")]
    Host(String),
    #[error("Origin {0:?} is foreign: pages of other sites may not use this")]
    Origin(String),
    #[error("{path} takes {expected}, not {method}")]
    Method {
        path: String,
        expected: &'static str,
        method: String,
    },
    #[error("expected JSON such as {{\"n\":1,\"hostnames\":[\"S5\"]}}: {0}")]
    Json(#[from] serde_json::Error),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("{}", .0.chain())]
    Pool(#[from] Error),
}

// === impl Assignment ===

impl Assignment {
    /// For a pool behind the balancer at `listen`.
    pub const fn new(handle: PoolHandle, listen: SocketAddr) -> Self {
        Self {
            handle,
            listen,
            within: ROUTED,
        }
    }

    /// Answers requests, each for itself, for as long as it is polled.
    pub async fn run(self, mut requests: mpsc::Receiver<Request>) {
        let this = Arc::new(self);
        let mut answers = JoinSet::new();
        loop {
            tokio::select! {
                request = requests.recv(), if answers.len() < QUEUE => match request {
                    Some(request) => drop(answers.spawn(Arc::clone(&this).serve(request))),
                    None => return,
                },
                Some(ended) = answers.join_next() => if let Err(error) = ended {
                    tracing::error!(%error, "a request of the assignment's API failed");
                },
            }
        }
    }

    async fn serve(self: Arc<Self>, request: Request) {
        let answer = match self.answer(&request).await {
            Ok(reply) => reply,
            Err(refusal) => refusal.reply(),
        };
        // A client that went away does not undo its change.
        _ = request.reply.send(answer);
    }

    async fn answer(&self, request: &Request) -> Result<Reply, Refusal> {
        self.check_source(request.host.as_deref(), request.origin.as_deref())?;
        let expected = match request.path.as_str() {
            "/add" => "POST",
            "/rm" => "DELETE",
            _ => "GET",
        };
        if request.method != expected {
            let (path, method) = (request.path.clone(), request.method.clone());
            return Err(Refusal::Method { path, expected, method });
        }
        match request.path.as_str() {
            "/add" => self.change(&request.body, edit::add).await,
            "/rm" => self.change(&request.body, edit::remove).await,
            _ => Ok(self.replicas()),
        }
    }

    async fn change(
        &self,
        body: &[u8],
        edit: fn(&LoadBalancerPool, i64, &[String]) -> Result<PoolSpec, EditError>,
    ) -> Result<Reply, Refusal> {
        let Change { n, hostnames } = serde_json::from_slice(body)?;
        let generation = self
            .handle
            .edit(|pool| edit(pool, n, &hostnames).map_err(Refusal::from))?;
        match self.handle.routed(generation, self.within).await {
            Ok(()) => Ok(self.replicas()),
            Err(late @ Error::NotRouted { .. }) => Ok(reply(
                202,
                &Answer {
                    message: late.to_string(),
                    status: "accepted",
                },
            )),
            Err(error) => Err(error.into()),
        }
    }

    fn replicas(&self) -> Reply {
        let pool = self.handle.get();
        let seats = seats::seats(pool.metadata.name.as_deref().unwrap_or_default(), &pool.spec);
        let replicas: Vec<_> = seats.into_iter().map(|seat| seat.name.to_string()).collect();
        reply(
            200,
            &Answer {
                message: Replicas {
                    n: replicas.len(),
                    replicas,
                },
                status: "successful",
            },
        )
    }

    fn check_source(&self, host: Option<&str>, origin: Option<&str>) -> Result<(), Refusal> {
        let host = host.unwrap_or_default();
        if !is_ours(host, self.listen.ip()) {
            return Err(Refusal::Host(host.to_owned()));
        }
        // A page of ours would be served by a member, through this very port.
        let ours = |origin: &str| {
            origin
                .strip_prefix("http://")
                .is_some_and(|from| from.eq_ignore_ascii_case(host))
        };
        match origin {
            Some(origin) if !ours(origin) => Err(Refusal::Origin(origin.to_owned())),
            _ => Ok(()),
        }
    }
}

/// Whether a `Host` names this machine in a way that no name server of others can bring about.
fn is_ours(host: &str, listen: IpAddr) -> bool {
    let name = match host.rsplit_once(':') {
        // The colons within [::1] are no port's.
        Some((name, port)) if !port.ends_with(']') => {
            if port.parse::<u16>().is_err() {
                return false;
            }
            name
        }
        _ => host,
    };
    let bare = name
        .strip_prefix('[')
        .and_then(|name| name.strip_suffix(']'))
        .unwrap_or(name);
    name.eq_ignore_ascii_case("localhost")
        || bare
            .parse::<IpAddr>()
            .is_ok_and(|ip| ip.is_loopback() || (ip == listen && !ip.is_unspecified()))
}

fn reply(status: u16, answer: &impl Serialize) -> Reply {
    match serde_json::to_string(answer) {
        Ok(body) => Reply { status, body },
        Err(error) => Reply {
            status: 500,
            body: format!("{{\"message\":\"<Error> {error}\",\"status\":\"failure\"}}"),
        },
    }
}

// === impl Refusal ===

impl Refusal {
    fn reply(&self) -> Reply {
        let status = match self {
            Self::Host(_) | Self::Origin(_) => 403,
            Self::Method { .. } => 405,
            Self::Json(_) | Self::Edit(_) => 400,
            Self::Pool(error) if error.category() == Category::Spec => 400,
            Self::Pool(_) => 503,
        };
        reply(
            status,
            &Answer {
                message: format!("<Error> {self}"),
                status: "failure",
            },
        )
    }
}

#[cfg(test)]
mod tests;
