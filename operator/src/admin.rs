//! The operator's admin listener: whether it lives, whether it is of use, and what it counts.

use std::{
    net::{SocketAddr, TcpListener},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
};

use actix_web::{App, HttpResponse, HttpServer, dev::Server, web};
use anyhow::Context as _;
use prometheus_client::{encoding::text::encode, registry::Registry};
use tokio::sync::watch;

/// Connections at the same time.
const CONNECTIONS: usize = 64;
const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What every request sees.
pub struct View {
    /// What `/metrics` shows.
    pub registry: Registry,
    /// Watches that have not seen their first list.
    pub unlisted: watch::Receiver<usize>,
    /// It is ending.
    pub ends: AtomicBool,
}

/// Listens at `address`. The server answers while it is polled.
///
/// # Errors
/// The address can not be listened at.
pub fn serve(address: SocketAddr, view: Arc<View>) -> anyhow::Result<Server> {
    let listener = TcpListener::bind(address).with_context(|| format!("can not listen at {address} (--admin)"))?;
    let data = web::Data::from(view);
    Ok(
        HttpServer::new(move || App::new().app_data(data.clone()).configure(routes))
            .workers(1)
            .max_connections(CONNECTIONS)
            .shutdown_timeout(1)
            .disable_signals()
            .listen(listener)?
            .run(),
    )
}

fn routes(app: &mut web::ServiceConfig) {
    app.route("/livez", web::get().to(livez))
        .route("/readyz", web::get().to(readyz))
        .route("/metrics", web::get().to(metrics));
}

/// That it answers is what it says: a process that lost its lease, or a task, has ended.
async fn livez() -> &'static str {
    "ok\n"
}

/// Ready is who leads, or could at once: the API server was seen, and every list.
async fn readyz(view: web::Data<View>) -> HttpResponse {
    let unlisted = *view.unlisted.borrow();
    if view.ends.load(Relaxed) {
        HttpResponse::ServiceUnavailable().body("shutting down\n")
    } else if unlisted > 0 {
        HttpResponse::ServiceUnavailable().body(format!("waiting for the first list of {unlisted} kinds\n"))
    } else {
        HttpResponse::Ok().body("ok\n")
    }
}

async fn metrics(view: web::Data<View>) -> HttpResponse {
    let mut text = String::new();
    match encode(&mut text, &view.registry) {
        Ok(()) => HttpResponse::Ok().content_type(METRICS).body(text),
        Err(_) => HttpResponse::InternalServerError().body("a metric family can not be written\n"),
    }
}
