//! The OpenAPI document, and Swagger UI from the binary itself.

use std::{borrow::Cow, sync::Arc};

use actix_web::{
    HttpResponse, Responder,
    http::header::{CACHE_CONTROL, CONTENT_ENCODING, LOCATION},
    web::{Bytes, Data, Path, ServiceConfig, get, head, resource, route},
};
use anyhow::{Context as _, anyhow};
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerFile};

use crate::{
    routes::{self, unknown},
    trial,
};

/// The documentation, rendered once.
pub struct Docs {
    openapi: Bytes,
    page: Bytes,
    config: Arc<Config<'static>>,
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "lbpool sample server",
        description = "A member of a pool: it says who it is, and that it is well."
    ),
    paths(routes::home, routes::heartbeat)
)]
struct Server;

#[derive(OpenApi)]
#[openapi(paths(trial::echo, trial::chunks))]
struct Trials;

/// The paths of the documentation.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/openapi.json")
                .route(get().to(openapi))
                .route(head().to(openapi))
                .default_service(route().to(unknown)),
        )
        .service(
            resource("/docs")
                .route(get().to(page))
                .route(head().to(page))
                .default_service(route().to(unknown)),
        )
        .service(
            resource("/docs/{file:.*}")
                .route(get().to(file))
                .default_service(route().to(unknown)),
        );
}

async fn openapi(docs: Data<Docs>) -> impl Responder {
    HttpResponse::Ok()
        .content_type("application/json")
        .body(docs.openapi.clone())
}

async fn page(docs: Data<Docs>) -> impl Responder {
    HttpResponse::Ok()
        .content_type("text/html; charset=utf-8")
        .body(docs.page.clone())
}

async fn file(name: Path<String>, docs: Data<Docs>) -> HttpResponse {
    if name.is_empty() {
        return HttpResponse::PermanentRedirect()
            .insert_header((LOCATION, "../docs"))
            .finish();
    }
    match utoipa_swagger_ui::serve(&name, docs.config.clone()) {
        Ok(Some(SwaggerFile {
            bytes,
            content_type,
            gzpipped,
            ..
        })) => {
            let mut answer = HttpResponse::Ok();
            if gzpipped {
                answer.insert_header((CONTENT_ENCODING, "gzip"));
            }
            answer
                .insert_header((CACHE_CONTROL, "max-age=3600"))
                .content_type(content_type)
                .body(match bytes {
                    Cow::Borrowed(bytes) => Bytes::from_static(bytes),
                    Cow::Owned(bytes) => bytes.into(),
                })
        }
        _ => HttpResponse::NotFound().json(routes::Message::failure(format!("there is no file {name} in /docs"))),
    }
}

// === impl Docs ===

impl Docs {
    /// The documentation of a server with or without the paths for trials.
    pub fn new(trials: bool) -> anyhow::Result<Self> {
        let mut document = Server::openapi();
        if trials {
            document.merge(Trials::openapi());
        }
        // Without this, a browser would ask a server on the internet to check the document.
        let config = Arc::new(Config::from("openapi.json").validator_url("none"));
        let page = utoipa_swagger_ui::serve("index.html", config.clone())
            .map_err(|error| anyhow!("{error}"))?
            .context("Swagger UI is not part of this binary")?;
        // The page is served as /docs and not as /docs/, one folder above its files.
        let page = String::from_utf8_lossy(&page.bytes)
            .replace("=\"./", "=\"docs/")
            .replace("=\"index.css", "=\"docs/index.css")
            .replace("<title>Swagger UI<", "<title>lbpool sample server<");
        Ok(Self {
            openapi: document.to_json().context("the OpenAPI document")?.into(),
            page: page.into(),
            config,
        })
    }
}
