//! The classroom assignment's API in a cluster: `/rep`, `/add` and `/rm` edit the pool with the caller's own bearer token.
//!
//! The balancer may not change anything in the cluster. Whoever calls shows a token; the API server decides by it, and
//! its audit log names the caller. A token is passed on and forgotten: it is in no log and in no `Debug` text.

use std::{sync::Arc, time::Duration};

use actix_web::{
    HttpRequest, HttpResponse,
    http::{StatusCode, header},
    web,
};
use kube::{
    Client,
    api::{GetParams, Patch, PatchParams, Request},
    core::Status,
};
use lbpool_api::{LoadBalancerPool, PoolSpec};
use lbpool_core::{
    assignment::{self, Call, CallError},
    edit::EditError,
    seats::seats,
};
use serde_json::{Map, Value, json};
use tokio::time::{sleep, timeout};

use super::Extra;
use crate::{discovery::kubernetes::Settings, shared::Shared, snapshot::Snapshot};

/// Longest body of a request.
const BODY_MAX: usize = 64 * 1024;
/// How often a change is tried while others change the pool at the same time.
const TRIES: u32 = 5;
/// The pause between two tries, times their number.
const PAUSE: Duration = Duration::from_millis(20);
/// How long a client waits until its change is routed, before it is told that it is not.
const ROUTED: Duration = Duration::from_secs(10);
/// Who writes, in the pool's managedFields.
const MANAGER: &str = "lbpool-assignment";
/// What a client has to bring.
const CHALLENGE: &str = "Bearer realm=\"lbpool\"";

/// Answers the assignment's requests about one pool.
pub struct Assignment {
    /// Has no credentials of its own.
    client: Client,
    pool: String,
    request: Request,
    shared: Arc<Shared>,
    within: Duration,
}

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    #[error("a bearer token is needed, such as kubectl create token prints: -H \"Authorization: Bearer ...\"")]
    NoToken,
    #[error("the API server does not know the token: {0}")]
    Unknown(String),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Edit(#[from] EditError),
    #[error("somebody else changes the pool at the same time, {TRIES} tries were in vain: try again ({0})")]
    Conflict(String),
    #[error("the API server finds the changed pool wrong: {0}")]
    Invalid(String),
    /// Forbidden, not found, too many requests, ...: its own words.
    #[error("{message}")]
    Api { status: StatusCode, message: String },
    #[error("the API server does not answer: {0}")]
    Unreachable(String),
    #[error("what the API server says is no pool: {0}")]
    NoPool(#[from] serde_json::Error),
    #[error("the request can not be made: {0}")]
    Request(String),
}

// === impl Assignment ===

impl Assignment {
    /// For the pool of `settings`, through a client without credentials.
    #[must_use]
    pub fn new(client: Client, settings: &Settings, shared: Arc<Shared>) -> Self {
        let url = <LoadBalancerPool as kube::Resource>::url_path(&(), Some(&settings.namespace));
        Self {
            client,
            pool: settings.pool.clone(),
            request: Request::new(url),
            shared,
            within: ROUTED,
        }
    }

    /// Its place on the admin listener.
    #[must_use]
    pub fn routes(self) -> Extra {
        let this = web::Data::new(self);
        Extra {
            paths: &assignment::PATHS,
            routes: Arc::new(move |app| {
                app.app_data(this.clone()).app_data(web::PayloadConfig::new(BODY_MAX));
                for path in assignment::PATHS {
                    app.route(path, web::to(serve));
                }
            }),
        }
    }

    async fn answer(&self, request: &HttpRequest, body: &[u8]) -> Result<HttpResponse, Refusal> {
        let token = token(request).ok_or(Refusal::NoToken)?;
        let call = Call::parse(request.method().as_str(), request.path(), body)?;
        if call == Call::List {
            return Ok(reply(StatusCode::OK, assignment::replicas(&self.get(&token).await?)));
        }
        let changed = self.change(&call, &token).await?;
        if self.routed(&changed).await {
            return Ok(reply(StatusCode::OK, assignment::replicas(&changed)));
        }
        let generation = changed.metadata.generation.unwrap_or_default();
        let within = self.within;
        let late = format!("generation {generation} is not routed yet after {within:?}: kubectl get lbpool tells why");
        Ok(reply(StatusCode::ACCEPTED, assignment::accepted(&late)))
    }

    /// Makes the change, again where somebody else was faster.
    async fn change(&self, call: &Call, token: &header::HeaderValue) -> Result<LoadBalancerPool, Refusal> {
        let mut tries = 0;
        loop {
            let pool = self.get(token).await?;
            let spec = call.apply(&pool)?;
            if spec == pool.spec {
                return Ok(pool);
            }
            match self.patch(&pool, &spec, token).await {
                Err(Refusal::Conflict(_)) if tries + 1 < TRIES => {
                    tries += 1;
                    sleep(PAUSE * tries).await;
                }
                done => return done,
            }
        }
    }

    async fn get(&self, token: &header::HeaderValue) -> Result<LoadBalancerPool, Refusal> {
        let request = self.request.get(&self.pool, &GetParams::default());
        self.send(request, token).await
    }

    /// Changes what differs and nothing else, and only the pool as it was read: fields that this version does not know
    /// stay as they are.
    async fn patch(
        &self,
        pool: &LoadBalancerPool,
        spec: &PoolSpec,
        token: &header::HeaderValue,
    ) -> Result<LoadBalancerPool, Refusal> {
        let patch = Patch::Merge(json!({
            "metadata": {"resourceVersion": pool.metadata.resource_version},
            "spec": difference(&pool.spec, spec),
        }));
        let params = PatchParams {
            field_manager: Some(MANAGER.to_owned()),
            ..PatchParams::default()
        };
        self.send(self.request.patch(&self.pool, &params, &patch), token).await
    }

    async fn send(
        &self,
        request: Result<http::Request<Vec<u8>>, kube::core::request::Error>,
        token: &header::HeaderValue,
    ) -> Result<LoadBalancerPool, Refusal> {
        let wrong = |error: &dyn std::error::Error| Refusal::Request(error.to_string());
        let mut request = request.map_err(|error| wrong(&error))?;
        let mut token = http::HeaderValue::from_bytes(token.as_bytes()).map_err(|error| wrong(&error))?;
        token.set_sensitive(true);
        request.headers_mut().insert(http::header::AUTHORIZATION, token);
        // As text: what can not be parsed is not to be logged.
        match self.client.request_text(request).await {
            Ok(text) => Ok(serde_json::from_str(&text)?),
            Err(kube::Error::Api(status)) => Err(Refusal::from(*status)),
            Err(error) => Err(Refusal::Unreachable(error.to_string())),
        }
    }

    /// Waits until this balancer's table has the pool's seats, those and no others.
    async fn routed(&self, pool: &LoadBalancerPool) -> bool {
        let seats = seats(pool.metadata.name.as_deref().unwrap_or_default(), &pool.spec);
        let as_wanted = |snapshot: &Arc<Snapshot>| {
            snapshot.is_routed()
                && snapshot.members.len() == seats.len()
                && snapshot
                    .members
                    .iter()
                    .zip(&seats)
                    .all(|(member, seat)| *member.name == *seat.name.as_str())
        };
        let mut snapshots = self.shared.watch_snapshot();
        matches!(timeout(self.within, snapshots.wait_for(as_wanted)).await, Ok(Ok(_)))
    }
}

async fn serve(this: web::Data<Assignment>, request: HttpRequest, body: web::Bytes) -> HttpResponse {
    match this.answer(&request, &body).await {
        Ok(answer) => answer,
        Err(refusal) => {
            let mut answer = reply(refusal.status(), assignment::failure(&refusal.to_string()));
            if answer.status() == StatusCode::UNAUTHORIZED {
                let challenge = header::HeaderValue::from_static(CHALLENGE);
                answer.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
            }
            if let Refusal::Call(CallError::Method { expected, .. }) = refusal {
                let allow = header::HeaderValue::from_static(expected);
                answer.headers_mut().insert(header::ALLOW, allow);
            }
            answer
        }
    }
}

/// The fields that an edit changes, those that differ.
fn difference(before: &PoolSpec, after: &PoolSpec) -> Value {
    let mut fields = Map::new();
    if before.replicas != after.replicas {
        fields.insert("replicas".to_owned(), json!(after.replicas));
    }
    if before.members != after.members {
        fields.insert("members".to_owned(), json!(after.members));
    }
    if before.retired != after.retired {
        fields.insert("retired".to_owned(), json!(after.retired));
    }
    Value::Object(fields)
}

/// The caller's `Authorization`, where it is a bearer token.
fn token(request: &HttpRequest) -> Option<header::HeaderValue> {
    let value = request.headers().get(header::AUTHORIZATION)?;
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    let is_token = scheme.eq_ignore_ascii_case("bearer") && !token.trim().is_empty();
    is_token.then(|| value.clone())
}

fn reply(status: StatusCode, body: String) -> HttpResponse {
    HttpResponse::build(status).content_type("application/json").body(body)
}

// === impl Refusal ===

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::NoToken | Self::Unknown(_) => StatusCode::UNAUTHORIZED,
            Self::Call(CallError::Method { .. }) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Call(CallError::Json(_)) | Self::Edit(_) => StatusCode::BAD_REQUEST,
            Self::Conflict(_) => StatusCode::CONFLICT,
            Self::Invalid(_) => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Api { status, .. } => *status,
            Self::Unreachable(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::NoPool(_) => StatusCode::BAD_GATEWAY,
            Self::Request(_) => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let message = status.message;
        match status.code {
            401 => Self::Unknown(message),
            409 => Self::Conflict(message),
            422 => Self::Invalid(message),
            code => Self::Api {
                status: StatusCode::from_u16(code).unwrap_or(StatusCode::BAD_GATEWAY),
                message,
            },
        }
    }
}

#[cfg(test)]
mod tests;
