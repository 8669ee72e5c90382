//! A running pool's control socket, from the outside.

use std::{
    io,
    path::{Path, PathBuf},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, client::conn::http1, header};
use hyper_util::rt::TokioIo;
use lbpool_api::{Duration, LoadBalancerPool};
use lbpool_balancer::explain::Explanation;
use lbpool_operator::Outlook;
use serde::de::DeserializeOwned;
use tokio::{net::UnixStream, task::JoinSet};

use crate::control::{Details, Edited, Failure, Scale};

/// Speaks to one running pool.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// A pool's changes, each as the whole pool.
pub struct Watch {
    body: Incoming,
    read: BytesMut,
    _connection: JoinSet<()>,
}

/// Why a running pool could not be asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nobody answers at the socket.
    #[error("the pool does not answer at {socket}: is it ending?")]
    Connect {
        /// The socket.
        socket: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The answer did not come, or not all of it.
    #[error("the pool ended before it answered")]
    Broken(#[from] hyper::Error),
    /// The pool said no.
    #[error("{message}")]
    Refused {
        /// In its words.
        message: String,
    },
    /// The answer is not understood.
    #[error("the pool's answer is not understood: is it another version of lbpool?")]
    Answer(#[from] serde_json::Error),
}

// === impl Client ===

impl Client {
    /// For the pool at a socket.
    pub fn new(socket: &Path) -> Self {
        Self {
            socket: socket.to_owned(),
        }
    }

    /// Where it finds the pool.
    #[cfg(test)]
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// The pool as it is.
    pub async fn pool(&self) -> Result<LoadBalancerPool, Error> {
        self.ask(Method::GET, "/v1/pool", Bytes::new()).await
    }

    /// What a pool resource does not say.
    pub async fn details(&self) -> Result<Details, Error> {
        self.ask(Method::GET, "/v1/details", Bytes::new()).await
    }

    /// Where a key goes now, and why.
    pub async fn explain(&self, key: &str) -> Result<Explanation, Error> {
        self.ask(Method::POST, "/v1/explain", Bytes::copy_from_slice(key.as_bytes()))
            .await
    }

    /// What another spec would do.
    pub async fn plan(&self, pool: &LoadBalancerPool) -> Result<Outlook, Error> {
        let body = serde_json::to_vec(pool)?;
        self.ask(Method::POST, "/v1/plan", body.into()).await
    }

    /// What another number of seats would do.
    pub async fn plan_scale(&self, replicas: i64) -> Result<Outlook, Error> {
        let body = serde_json::to_vec(&Scale { replicas })?;
        self.ask(Method::POST, "/v1/plan/scale", body.into()).await
    }

    /// Gives the pool another spec.
    pub async fn apply(&self, pool: &LoadBalancerPool, wait: Option<Duration>) -> Result<Edited, Error> {
        let body = serde_json::to_vec(pool)?;
        self.ask(Method::PUT, &waiting("/v1/pool", wait), body.into()).await
    }

    /// Changes the number of seats.
    pub async fn scale(&self, replicas: i64, wait: Option<Duration>) -> Result<Edited, Error> {
        let body = serde_json::to_vec(&Scale { replicas })?;
        self.ask(Method::PUT, &waiting("/v1/scale", wait), body.into()).await
    }

    /// Asks the pool to end. Returns at once.
    pub async fn down(&self) -> Result<(), Error> {
        self.call(Method::POST, "/v1/down", Bytes::new()).await.map(drop)
    }

    /// The pool now and after each change, until it ends.
    pub async fn watch(&self) -> Result<Watch, Error> {
        let (response, connection) = self.call(Method::GET, "/v1/watch", Bytes::new()).await?;
        Ok(Watch {
            body: response.into_body(),
            read: BytesMut::new(),
            _connection: connection,
        })
    }

    async fn ask<T: DeserializeOwned>(&self, method: Method, path: &str, body: Bytes) -> Result<T, Error> {
        let (response, _connection) = self.call(method, path, body).await?;
        let answer = response.into_body().collect().await?.to_bytes();
        Ok(serde_json::from_slice(&answer)?)
    }

    async fn call(&self, method: Method, path: &str, body: Bytes) -> Result<(Response<Incoming>, JoinSet<()>), Error> {
        let connect = |source| Error::Connect {
            socket: self.socket.clone(),
            source,
        };
        let stream = UnixStream::connect(&self.socket).await.map_err(connect)?;
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await?;
        let mut tasks = JoinSet::new();
        // Its error is the request's too.
        tasks.spawn(async move { _ = connection.await });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "lbpool")
            .body(Full::new(body));
        let request = request.map_err(|error| Error::Connect {
            socket: self.socket.clone(),
            source: io::Error::other(error),
        })?;
        let response = sender.send_request(request).await?;
        if matches!(response.status(), StatusCode::OK | StatusCode::ACCEPTED) {
            return Ok((response, tasks));
        }
        let answer = response.into_body().collect().await?.to_bytes();
        let Failure { message } = serde_json::from_slice(&answer)?;
        Err(Error::Refused { message })
    }
}

// === impl Watch ===

impl Watch {
    /// The pool after its next change; nothing once it has ended.
    pub async fn next(&mut self) -> Result<Option<LoadBalancerPool>, Error> {
        loop {
            if let Some(end) = self.read.iter().position(|byte| *byte == b'\n') {
                let line = self.read.split_to(end);
                self.read.advance(1);
                return Ok(Some(serde_json::from_slice(&line)?));
            }
            match self.body.frame().await {
                Some(Ok(frame)) => self.read.extend(frame.into_data().unwrap_or_default()),
                // A process that was killed ends it no less than one that was asked to.
                Some(Err(_)) | None => return Ok(None),
            }
        }
    }
}

fn waiting(path: &str, wait: Option<Duration>) -> String {
    wait.map_or_else(|| path.to_owned(), |wait| format!("{path}?wait={wait}"))
}
