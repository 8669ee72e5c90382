//! The control socket: HTTP over a Unix socket that the pool's owner alone can reach.

use std::{convert::Infallible, fmt, io, os::unix::fs::PermissionsExt as _, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::stream;
use http_body_util::{BodyExt as _, Full, Limited, StreamBody, combinators::UnsyncBoxBody};
use hyper::{
    Method, Request, Response, StatusCode,
    body::{Frame, Incoming},
    header,
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use lbpool_api::{LoadBalancerPool, PoolSpec};
use lbpool_balancer::explain::Explanation;
use lbpool_core::edit;
use lbpool_daemon::Cause;
use lbpool_operator::{Category, Error, Prospect};
use serde::Serialize;
use tokio::{
    net::{UnixListener, UnixStream},
    sync::watch,
    task::JoinSet,
    time::{Instant, timeout},
};

use super::{Edited, Failure, Scale};
use crate::{
    local::Pool,
    manifest::{self, Overrides},
};

/// Commands at the same time; further ones wait in the socket's queue.
const CONNECTIONS: usize = 64;
/// Longest body: the largest pool that a cluster would take.
const BODY_MAX: usize = 4 * 1024 * 1024;
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);
/// How often to try again where the system is out of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// Why a request is refused.
#[derive(Debug)]
struct Refusal {
    status: StatusCode,
    message: String,
}

/// Makes the socket, for the owner alone.
///
/// # Errors
/// Where it can not be made.
pub fn bind(path: &Path) -> io::Result<UnixListener> {
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
    Ok(listener)
}

/// Answers commands for as long as it is polled.
pub async fn run(listener: UnixListener, pool: Arc<Pool>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept(), if connections.len() < CONNECTIONS => match accepted {
                Ok((stream, _)) => drop(connections.spawn(serve(stream, Arc::clone(&pool)))),
                Err(error) => {
                    tracing::warn!(%error, "a command could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(ended) = connections.join_next() => if let Err(error) = ended {
                tracing::error!(%error, "a command failed");
            },
        }
    }
}

async fn serve(stream: UnixStream, pool: Arc<Pool>) {
    let service = service_fn(|request| {
        let pool = Arc::clone(&pool);
        async move { Ok::<_, Infallible>(answer(&pool, request).await.unwrap_or_else(Refusal::response)) }
    });
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD_TIMEOUT);
    if let Err(error) = http.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "a command went away");
    }
}

async fn answer(pool: &Pool, request: Request<Incoming>) -> Result<Response<Body>, Refusal> {
    const PATHS: [&str; 8] = [
        "/v1/pool",
        "/v1/details",
        "/v1/watch",
        "/v1/explain",
        "/v1/plan",
        "/v1/plan/scale",
        "/v1/scale",
        "/v1/down",
    ];
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    match (&method, path.as_str()) {
        (&Method::GET, "/v1/pool") => json(StatusCode::OK, &*pool.handle.get()),
        (&Method::GET, "/v1/details") => json(StatusCode::OK, &pool.details()),
        (&Method::GET, "/v1/watch") => Ok(changes(pool.handle.watch())),
        // The key is the body: it may have any bytes that a text has.
        (&Method::POST, "/v1/explain") => {
            let key = body(request).await?;
            let key = std::str::from_utf8(&key).map_err(Refusal::bad)?;
            json(StatusCode::OK, &Explanation::of(&pool.balancer, key))
        }
        (&Method::POST, "/v1/plan") => {
            let wanted = parse(&body(request).await?)?;
            outlook(pool.handle.prospect(|now| spec_for(now, wanted))?).await
        }
        (&Method::POST, "/v1/plan/scale") => {
            let Scale { replicas } = serde_json::from_slice(&body(request).await?).map_err(Refusal::bad)?;
            let prospect = pool
                .handle
                .prospect(|now| edit::scale(now, replicas).map_err(Refusal::bad))?;
            outlook(prospect).await
        }
        (&Method::PUT, "/v1/pool") => {
            let wait = wait(&request)?;
            let wanted = parse(&body(request).await?)?;
            change(pool, wait, |now| spec_for(now, wanted)).await
        }
        (&Method::PUT, "/v1/scale") => {
            let wait = wait(&request)?;
            let Scale { replicas } = serde_json::from_slice(&body(request).await?).map_err(Refusal::bad)?;
            change(pool, wait, |now| edit::scale(now, replicas).map_err(Refusal::bad)).await
        }
        (&Method::POST, "/v1/down") => {
            pool.shutdown.request(Cause::Command);
            json(StatusCode::ACCEPTED, &serde_json::json!({}))
        }
        (_, path) if PATHS.contains(&path) => Err(Refusal::new(
            StatusCode::METHOD_NOT_ALLOWED,
            format!("{path} does not take {method}"),
        )),
        (_, path) => Err(Refusal::new(
            StatusCode::NOT_FOUND,
            format!("there is nothing at {path}"),
        )),
    }
}

/// Edits the pool, and waits until that is routed where it was asked for.
async fn change(
    pool: &Pool,
    wait: Option<Duration>,
    edit: impl FnOnce(&LoadBalancerPool) -> Result<PoolSpec, Refusal>,
) -> Result<Response<Body>, Refusal> {
    let mut before = 0;
    let generation = pool.handle.edit(|now| {
        before = now.metadata.generation.unwrap_or(1);
        edit(now)
    })?;
    let pending = match wait {
        Some(wait) => complete(pool, generation, wait).await.err(),
        None => None,
    };
    let status = if pending.is_some() {
        StatusCode::ACCEPTED
    } else {
        StatusCode::OK
    };
    json(
        status,
        &Edited {
            generation,
            changed: generation != before,
            pending,
        },
    )
}

/// What a change would do. Tables take milliseconds to seconds: on a thread of their own.
async fn outlook(prospect: Prospect) -> Result<Response<Body>, Refusal> {
    let outlook = tokio::task::spawn_blocking(move || prospect.outlook()).await;
    let outlook = outlook.map_err(|error| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, error))??;
    json(StatusCode::OK, &outlook)
}

/// Waits until a change is routed and every seat has a ready member of the newest template; or says why it is not so.
async fn complete(pool: &Pool, generation: i64, within: Duration) -> Result<(), String> {
    let start = Instant::now();
    pool.handle
        .routed(generation, within)
        .await
        .map_err(|error| error.to_string())?;
    let mut changes = pool.handle.watch();
    let updated = changes.wait_for(|pool| is_complete(pool, generation));
    let outcome = timeout(within.saturating_sub(start.elapsed()), updated)
        .await
        .map(|found| found.is_ok());
    let status = pool.handle.get().status.clone().unwrap_or_default();
    match outcome {
        Ok(true) => Ok(()),
        Ok(false) => Err("the pool has ended".to_owned()),
        Err(_) => Err(format!(
            "after {within:?} only {} members are ready and {} have the newest template",
            status.ready, status.updated_replicas
        )),
    }
}

fn is_complete(pool: &LoadBalancerPool, generation: i64) -> bool {
    pool.metadata.generation > Some(generation)
        || pool.status.as_ref().is_some_and(|status| {
            status.observed_generation >= Some(generation)
                && status.ready_replicas == status.replicas
                && status.updated_replicas == status.replicas
        })
}

fn spec_for(now: &LoadBalancerPool, wanted: LoadBalancerPool) -> Result<PoolSpec, Refusal> {
    if wanted.metadata.name == now.metadata.name {
        return Ok(wanted.spec);
    }
    let name = |pool: &LoadBalancerPool| pool.metadata.name.clone().unwrap_or_default();
    Err(Refusal::bad(format!(
        "this is the pool {}, not {}",
        name(now),
        name(&wanted)
    )))
}

/// A pool as a command sends it: checked as a file is, since others may speak to the socket too.
fn parse(body: &[u8]) -> Result<LoadBalancerPool, Refusal> {
    let text = std::str::from_utf8(body).map_err(Refusal::bad)?;
    manifest::parse("pool", text, Overrides::default())
        .map(|(pool, _)| pool)
        .map_err(Refusal::bad)
}

async fn body(request: Request<Incoming>) -> Result<Bytes, Refusal> {
    let collected = Limited::new(request.into_body(), BODY_MAX).collect().await;
    Ok(collected
        .map_err(|error| Refusal::bad(format!("the body can not be read: {error}")))?
        .to_bytes())
}

fn wait<B>(request: &Request<B>) -> Result<Option<Duration>, Refusal> {
    wait_of(request.uri().query().unwrap_or_default())
}

/// `wait=10s`.
fn wait_of(query: &str) -> Result<Option<Duration>, Refusal> {
    let parse = |wait: &str| wait.parse::<lbpool_api::Duration>().map(lbpool_api::Duration::get);
    query.strip_prefix("wait=").map(parse).transpose().map_err(Refusal::bad)
}

/// The pool now and after each change, one per line.
fn changes(mut changes: watch::Receiver<Arc<LoadBalancerPool>>) -> Response<Body> {
    changes.mark_changed();
    let lines = stream::unfold(changes, |mut changes| async move {
        changes.changed().await.ok()?;
        let mut line = serde_json::to_vec(&**changes.borrow_and_update()).ok()?;
        line.push(b'\n');
        Some((Ok(Frame::data(Bytes::from(line))), changes))
    });
    Response::new(StreamBody::new(lines).boxed_unsync())
}

fn json(status: StatusCode, value: &impl Serialize) -> Result<Response<Body>, Refusal> {
    let internal = |message: String| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message);
    let body = serde_json::to_vec(value).map_err(|error| internal(error.to_string()))?;
    Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, "application/json")
        .body(Full::new(Bytes::from(body)).boxed_unsync())
        .map_err(|error| internal(error.to_string()))
}

// === impl Refusal ===

impl Refusal {
    fn new(status: StatusCode, message: impl fmt::Display) -> Self {
        Self {
            status,
            message: message.to_string(),
        }
    }

    fn bad(message: impl fmt::Display) -> Self {
        Self::new(StatusCode::BAD_REQUEST, message)
    }

    fn response(self) -> Response<Body> {
        let mut response = json(self.status, &Failure { message: self.message })
            .unwrap_or_else(|_| Response::new(Full::default().boxed_unsync()));
        *response.status_mut() = self.status;
        response
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        let status = match error.category() {
            Category::Spec => StatusCode::BAD_REQUEST,
            _ => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.chain())
    }
}

#[cfg(test)]
mod tests;
