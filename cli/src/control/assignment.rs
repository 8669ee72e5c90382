//! The classroom assignment's API: `/rep`, `/add` and `/rm` on the main port, in its own formats.
//!
//! Anyone who reaches the port may use it, so a browser must not be made to: a request whose `Host` or `Origin` is not
//! this machine's is refused.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use lbpool_balancer::control::{Reply, Request};
use lbpool_core::{
    assignment::{self, Call, CallError},
    edit::EditError,
};
use lbpool_operator::{Category, Error, PoolHandle};
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

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("Host {0:?} is not this balancer's: use localhost or the address that it listens at")]
    Host(String),
    #[error("Origin {0:?} is foreign: pages of other sites may not use this")]
    Origin(String),
    #[error(transparent)]
    Call(#[from] CallError),
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
        let call = Call::parse(&request.method, &request.path, &request.body)?;
        if call == Call::List {
            return Ok(self.replicas());
        }
        let generation = self.handle.edit(|pool| call.apply(pool).map_err(Refusal::from))?;
        match self.handle.routed(generation, self.within).await {
            Ok(()) => Ok(self.replicas()),
            Err(late @ Error::NotRouted { .. }) => Ok(Reply {
                status: 202,
                body: assignment::accepted(&late.to_string()),
            }),
            Err(error) => Err(error.into()),
        }
    }

    fn replicas(&self) -> Reply {
        Reply {
            status: 200,
            body: assignment::replicas(&self.handle.get()),
        }
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

// === impl Refusal ===

impl Refusal {
    fn reply(&self) -> Reply {
        let status = match self {
            Self::Host(_) | Self::Origin(_) => 403,
            Self::Call(CallError::Method { .. }) => 405,
            Self::Call(CallError::Json(_)) | Self::Edit(_) => 400,
            Self::Pool(error) if error.category() == Category::Spec => 400,
            Self::Pool(_) => 503,
        };
        Reply {
            status,
            body: assignment::failure(&self.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
