//! The running data plane, as those who embed it hold it.

use std::{
    net::SocketAddr,
    sync::Arc,
    thread::{self, JoinHandle},
    time::Duration,
};

use lbpool_api::RoutingDocument;
use lbpool_http1::head::MAX_HEADERS;
use lbpool_ring::Table;
use tokio::sync::watch;

use crate::{
    config::{Config, Limits},
    error::Error,
    publisher::{Order, Published, Publisher},
    shared::{Phase, Shared},
    snapshot::Snapshot,
    spread::{Closed, doors},
    worker,
};

/// How long workers may take to end once their connections are cut.
const END: Duration = Duration::from_secs(2);

/// A running data plane: a port, and a worker on each of its threads.
///
/// Dropped without [`Balancer::shutdown`], it ends at once and cuts what is in flight.
#[derive(Debug)]
pub struct Balancer {
    shared: Arc<Shared>,
    publisher: Publisher,
    address: SocketAddr,
    threads: Vec<JoinHandle<()>>,
    /// Closed once every worker has ended: each holds a receiver.
    ended: watch::Sender<()>,
}

/// What a balancer says about itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Report {
    /// Its name.
    pub name: String,
    /// The epoch that all its workers route by.
    pub epoch: u64,
    /// Digest of its newest table, 16 hexadecimal digits.
    pub digest: String,
    /// Requests in flight by name of the pod, those above zero; pods that left the table included.
    pub in_flight: Vec<(String, u64)>,
    /// Names of the newest table's members, in its order.
    pub members: Vec<String>,
}

// === impl Balancer ===

impl Balancer {
    /// Binds the port and starts the workers. Until the first [`Balancer::publish`] requests are answered 503.
    ///
    /// # Errors
    /// Where the port can not be listened at, a limit makes no sense, or a thread can not be started.
    pub fn start(mut config: Config) -> Result<Self, Error> {
        check(&config.limits)?;
        if config.workers == 0 {
            config.workers = thread::available_parallelism().map_or(1, std::num::NonZero::get);
        }
        let (address, listeners) = worker::listen(config.listen, config.workers)?;
        let table = Arc::new(Table::build(&[])?);
        let shared = Arc::new(Shared::new(config, Snapshot::empty(table)));
        let mut balancer = Self {
            publisher: Publisher::new(Arc::clone(&shared)),
            shared,
            address,
            threads: Vec::new(),
            ended: watch::Sender::new(()),
        };
        for (id, door) in doors(listeners).into_iter().enumerate() {
            let thread = balancer.spawn(id, door)?;
            balancer.threads.push(thread);
        }
        Ok(balancer)
    }

    fn spawn(&self, id: usize, door: Closed) -> Result<JoinHandle<()>, Error> {
        let (shared, alive) = (Arc::clone(&self.shared), self.ended.subscribe());
        let run = move || {
            if let Err(error) = worker::run(id, &shared, door) {
                tracing::error!(worker = id, %error, "worker ended");
            }
            drop(alive);
        };
        thread::Builder::new()
            .name(format!("lbpool-data-{id}"))
            .spawn(run)
            .map_err(Error::Thread)
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Routes by `document` from now on: returns when every worker does, so that no request is routed by an older one
    /// any more. Repeating the present document is fine and changes nothing.
    ///
    /// # Errors
    /// Where the document is older than the present one or wrong: then nothing changes. And where a worker does not
    /// follow in time.
    pub async fn publish(&self, document: RoutingDocument) -> Result<Published, Error> {
        self.publisher.publish(document, Order::Epoch).await
    }

    /// As [`Balancer::publish`], for a caller who knows better than epochs do which document is the newer one: who is
    /// ready changes without a new epoch, and a document that was lost and made anew counts from the start.
    ///
    /// # Errors
    /// Where the document is wrong: then nothing changes. And where a worker does not follow in time.
    pub async fn replace(&self, document: RoutingDocument) -> Result<Published, Error> {
        self.publisher.publish(document, Order::Caller).await
    }

    /// What it routes by, and who has requests in flight.
    #[must_use]
    pub fn report(&self) -> Report {
        self.shared.report()
    }

    /// What workers, admin, metrics and health have in common.
    #[must_use]
    pub fn shared(&self) -> Arc<Shared> {
        Arc::clone(&self.shared)
    }

    /// Stops accepting, ends idle connections, answers what is in flight with `Connection: close`, for at most `grace`.
    /// Tunnels end one after the other in its last seconds.
    pub async fn shutdown(mut self, grace: Duration) {
        self.shared.leave();
        self.shared.end_within(grace);
        self.shared.phases().advance(Phase::Draining);
        if tokio::time::timeout(grace, self.ended.closed()).await.is_err() {
            tracing::warn!(
                in_flight = self.shared.in_flight(),
                ?grace,
                "requests are cut: the grace period is over"
            );
        }
        self.shared.phases().advance(Phase::Stopped);
        if tokio::time::timeout(END, self.ended.closed()).await.is_ok() {
            for thread in self.threads.drain(..) {
                // Each has dropped its receiver as its last act.
                drop(thread.join());
            }
        }
    }
}

impl Drop for Balancer {
    fn drop(&mut self) {
        self.shared.phases().advance(Phase::Stopped);
    }
}

// === checks ===

/// Longest head, and with it longest target, that may be allowed: a page has room for it and for what is read behind it.
const HEAD_MOST: usize = 60 * 1024;

fn check(limits: &Limits) -> Result<(), Error> {
    let checks = [
        (
            "limits.head_bytes",
            limits.head_bytes,
            512,
            HEAD_MOST,
            "from 512 bytes to 60 KiB",
        ),
        (
            "limits.target_bytes",
            limits.target_bytes,
            16,
            HEAD_MOST,
            "from 16 bytes to 60 KiB",
        ),
        (
            "limits.headers",
            limits.headers,
            1,
            MAX_HEADERS,
            "at least 1, and no more than the parser holds",
        ),
        ("limits.connections", limits.connections, 1, usize::MAX, "at least 1"),
        (
            "limits.http2_streams",
            limits.http2_streams as usize,
            1,
            10_000,
            "from 1 to 10000",
        ),
    ];
    for (limit, value, least, most, expected) in checks {
        if value < least || value > most {
            return Err(Error::Limit {
                limit,
                value: value as u64,
                expected,
            });
        }
    }
    Ok(())
}
