//! What the server answers: who it is, that it is well, and 404 to anything else.

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    error::{InternalError, QueryPayloadError},
    http::header::{HeaderName, HeaderValue},
    middleware::DefaultHeaders,
    web::{Data, QueryConfig, ServiceConfig, get, head, resource, route},
};
use serde::Serialize;
use utoipa::ToSchema;

use crate::{
    docs,
    trial::{self, Trial},
};

const SERVER_ID: HeaderName = HeaderName::from_static("x-server-id");

/// Who the server is, with its answer to /home ready to be sent.
pub struct Identity {
    id: String,
    home: Message,
}

/// The body of an answer.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Message {
    /// What there is to say.
    #[schema(examples("Hello from Server: demo-0"))]
    message: String,
    /// Whether the request succeeded.
    status: Status,
}

/// Whether a request succeeded.
#[derive(Clone, Copy, Debug, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Status {
    Successful,
    Failure,
}

/// The paths of the server. Methods are told apart here and not by the framework, since anything else is a 404.
pub fn configure(config: &mut ServiceConfig, trial: &Trial) {
    config
        .service(
            resource("/home")
                .route(get().to(home))
                .route(head().to(home))
                .default_service(route().to(unknown)),
        )
        .service(
            resource("/heartbeat")
                .route(get().to(heartbeat))
                .route(head().to(heartbeat))
                .default_service(route().to(unknown)),
        )
        .app_data(QueryConfig::default().error_handler(|error, _| bad_query(error)))
        .configure(docs::configure);
    if trial.routes {
        config.configure(trial::configure);
    }
    config.default_service(route().to(unknown));
}

/// Every answer says who gave it, so that a test can tell for bodies that do not.
pub fn server_header(identity: &Identity) -> DefaultHeaders {
    let value = HeaderValue::from_bytes(identity.id.as_bytes());
    // The flag's parser refuses what is no header; a host's name that is none is simply not sent.
    value.map_or_else(
        |_| DefaultHeaders::new(),
        |value| DefaultHeaders::new().add((SERVER_ID, value)),
    )
}

/// Says who the server is.
#[utoipa::path(
    get,
    path = "/home",
    tag = "server",
    responses((status = 200, description = "The server's id", body = Message)),
)]
pub async fn home(identity: Data<Identity>, trial: Data<Trial>) -> impl Responder {
    if trial.passes().await {
        HttpResponse::Ok().json(&identity.home)
    } else {
        trial::failed()
    }
}

/// Says that the server is well.
#[utoipa::path(
    get,
    path = "/heartbeat",
    tag = "server",
    responses((status = 200, description = "The server is well. The body is empty.")),
)]
pub async fn heartbeat() -> impl Responder {
    HttpResponse::Ok()
}

/// 404 with what there is instead.
pub async fn unknown(request: HttpRequest) -> impl Responder {
    let (method, path) = (request.method(), request.path());
    HttpResponse::NotFound().json(Message::failure(format!(
        "there is no {method} {path} here: try GET /home, /heartbeat, /docs or /openapi.json"
    )))
}

fn bad_query(error: QueryPayloadError) -> actix_web::Error {
    let answer = HttpResponse::BadRequest().json(Message::failure(error.to_string()));
    InternalError::from_response(error, answer).into()
}

// === impl Identity ===

impl Identity {
    /// A server of this name.
    pub fn new(id: String) -> Self {
        let home = Message {
            message: format!("Hello from Server: {id}"),
            status: Status::Successful,
        };
        Self { id, home }
    }

    /// The name.
    pub fn id(&self) -> &str {
        &self.id
    }
}

// === impl Message ===

impl Message {
    /// An answer to a request that did not succeed.
    pub fn failure(message: impl Into<String>) -> Self {
        Self {
            message: message.into(),
            status: Status::Failure,
        }
    }
}

#[cfg(test)]
mod tests;
