//! The admin listener: health, readiness, metrics and the table, at an address of its own.
//!
//! It has no authentication and changes nothing; it listens on loopback unless told otherwise. In a cluster it also
//! serves the assignment's API, which asks for the caller's own credentials.

use std::{
    collections::BTreeMap,
    future::Future,
    net::{SocketAddr, TcpListener},
    pin::pin,
    sync::Arc,
};

use actix_web::{App, HttpRequest, HttpResponse, HttpServer, dev::Server, http::StatusCode, web};
use lbpool_api::{pool::Algorithm, status::SeatState};
use lbpool_daemon::Phase;
use prometheus_client::registry::Registry;
use serde::{Deserialize, Serialize};

use crate::{Error, explain::Explanation, metrics, shared::Shared, target::Probe};

#[cfg(feature = "kubernetes")]
pub mod assignment;

/// Connections to the admin listener at the same time.
const CONNECTIONS: usize = 256;

/// A bound admin listener. It answers while [`Admin::run`] is polled.
pub struct Admin {
    address: SocketAddr,
    server: Server,
}

/// What else is served there.
#[derive(Clone)]
pub struct Extra {
    /// Its paths.
    pub paths: &'static [&'static str],
    /// Who answers.
    pub routes: Arc<dyn Fn(&mut web::ServiceConfig) + Send + Sync>,
}

/// What every request to the admin listener sees.
#[derive(Debug)]
struct View {
    shared: Arc<Shared>,
    registry: Registry,
    paths: Vec<&'static str>,
}

/// What a balancer routes by: the answer of `/v1/table`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TableView {
    /// Name of this balancer.
    pub name: String,
    /// Name of the pool.
    pub pool: String,
    /// Epoch that all workers route by. No request is routed by an older one any more.
    pub epoch: u64,
    /// Digest of the newest table: equal on all balancers that route alike.
    pub digest: String,
    /// How keys are spread.
    pub algorithm: Algorithm,
    /// Share of the key space that changed hands with this table.
    pub moved: f64,
    /// The seats of the table, in its order.
    pub members: Vec<MemberView>,
    /// Requests in flight by pod, those above zero; pods that left the table included.
    pub in_flight: BTreeMap<String, u64>,
}

/// One seat of the table.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MemberView {
    /// Its name.
    pub name: String,
    /// Its weight.
    pub weight: u32,
    /// What sits in it.
    pub pod: Option<String>,
    /// Where that listens.
    pub address: Option<SocketAddr>,
    /// What the routing document says.
    pub state: SeatState,
    /// Whether requests go there: the document's word and our own verdict.
    pub ready: bool,
    /// Share of the key space.
    pub share: f64,
    /// Requests in flight on what sits in it.
    pub in_flight: u64,
    /// Whether it is ejected for failures of its requests.
    pub ejected: bool,
    /// What probes say: `null` where it was not probed.
    pub well: Option<bool>,
}

/// The query of `/v1/explain`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Asked {
    key: String,
}

#[derive(Serialize)]
struct Message<'a> {
    status: &'a str,
    message: &'a str,
}

// === impl Admin ===

impl Admin {
    /// Listens at `address`; `registry` is what `/metrics` shows. Needs a tokio runtime around it.
    ///
    /// # Errors
    /// The address can not be listened at.
    pub fn bind(address: SocketAddr, shared: Arc<Shared>, registry: Registry) -> Result<Self, Error> {
        Self::bind_with(address, shared, registry, None)
    }

    /// As [`Admin::bind`], and serves something else besides.
    ///
    /// # Errors
    /// The address can not be listened at.
    pub fn bind_with(
        address: SocketAddr,
        shared: Arc<Shared>,
        registry: Registry,
        extra: Option<Extra>,
    ) -> Result<Self, Error> {
        let failed = |source: std::io::Error| match source.kind() {
            std::io::ErrorKind::AddrInUse => Error::PortInUse(address),
            _ => Error::Listen { address, source },
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let address = listener.local_addr().map_err(failed)?;
        let more = extra.iter().flat_map(|extra| extra.paths);
        let view = Arc::new(View {
            shared,
            registry,
            paths: PATHS.iter().chain(more).copied().collect(),
        });
        let data = web::Data::from(view);
        let all = move |app: &mut web::ServiceConfig| {
            if let Some(extra) = &extra {
                (extra.routes)(app);
            }
            routes(app);
        };
        let server = HttpServer::new(move || App::new().app_data(data.clone()).configure(&all))
            .workers(1)
            .max_connections(CONNECTIONS)
            .shutdown_timeout(1)
            .disable_signals()
            .listen(listener)
            .map_err(failed)?
            .run();
        Ok(Self { address, server })
    }

    /// Where it listens.
    #[must_use]
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers until `stop` is done.
    ///
    /// # Errors
    /// The server ended by itself.
    pub async fn run(self, stop: impl Future<Output = ()>) -> std::io::Result<()> {
        let handle = self.server.handle();
        let mut server = pin!(self.server);
        tokio::select! {
            ended = &mut server => ended,
            () = stop => tokio::join!(server, handle.stop(false)).0,
        }
    }
}

// === impl TableView ===

impl TableView {
    /// What `shared` routes by now.
    #[must_use]
    pub fn of(shared: &Shared) -> Self {
        let report = shared.report();
        let snapshot = shared.snapshot();
        let now = shared.now();
        let members = snapshot
            .members
            .iter()
            .zip(snapshot.table.shares())
            .map(|(member, share)| {
                let target = member.target.as_ref();
                MemberView {
                    name: member.name.to_string(),
                    weight: member.weight,
                    pod: target.map(|target| target.pod().to_string()),
                    address: target.map(|target| target.address()),
                    state: member.state,
                    ready: member.ready(now).is_some(),
                    share,
                    in_flight: target.map_or(0, |target| target.in_flight()),
                    ejected: target.is_some_and(|target| !target.breaker().admits(now)),
                    well: target.and_then(|target| match target.probe() {
                        Probe::Unknown => None,
                        Probe::Well => Some(true),
                        Probe::Ill => Some(false),
                    }),
                }
            });
        Self {
            name: report.name,
            pool: snapshot.pool.clone(),
            epoch: report.epoch,
            digest: snapshot.digest.clone(),
            algorithm: snapshot.routing.algorithm,
            moved: snapshot.moved,
            members: members.collect(),
            in_flight: report.in_flight.into_iter().collect(),
        }
    }
}

// === routes ===

const PATHS: [&str; 5] = ["/healthz", "/readyz", "/metrics", "/v1/table", "/v1/explain?key=KEY"];

fn routes(app: &mut web::ServiceConfig) {
    let at = |path: &str| web::resource(path).default_service(web::to(only_get));
    app.service(at("/healthz").route(web::get().to(healthz)))
        .service(at("/readyz").route(web::get().to(readyz)))
        .service(at("/metrics").route(web::get().to(scrape)))
        .service(at("/v1/table").route(web::get().to(table)))
        .service(at("/v1/explain").route(web::get().to(explain)))
        .default_service(web::to(unknown));
}

async fn healthz() -> HttpResponse {
    answer(StatusCode::OK, "successful", "alive")
}

async fn readyz(view: web::Data<View>) -> HttpResponse {
    let not_yet = |message| answer(StatusCode::SERVICE_UNAVAILABLE, "failure", message);
    match view.shared.phases().now() {
        Phase::Draining | Phase::Stopped => not_yet("shutting down"),
        _ if view.shared.is_leaving() => not_yet("shutting down"),
        Phase::Ready if view.shared.epoch() > 0 => answer(StatusCode::OK, "successful", "ready"),
        Phase::Starting | Phase::Ready => not_yet("no routing document is in use yet"),
    }
}

async fn scrape(view: web::Data<View>) -> HttpResponse {
    match metrics::text(&view.registry) {
        Ok(text) => HttpResponse::Ok().content_type(metrics::CONTENT_TYPE).body(text),
        Err(_) => answer(
            StatusCode::INTERNAL_SERVER_ERROR,
            "failure",
            "a metric family can not be written",
        ),
    }
}

async fn table(view: web::Data<View>) -> HttpResponse {
    HttpResponse::Ok().json(TableView::of(&view.shared))
}

async fn explain(view: web::Data<View>, request: HttpRequest) -> HttpResponse {
    match web::Query::<Asked>::from_query(request.query_string()) {
        Ok(asked) => HttpResponse::Ok().json(Explanation::of(&view.shared, &asked.key)),
        Err(_) => answer(
            StatusCode::BAD_REQUEST,
            "failure",
            "say which key: /v1/explain?key=KEY, percent-encoded",
        ),
    }
}

async fn unknown(request: HttpRequest, view: web::Data<View>) -> HttpResponse {
    let message = format!("{:?} is not here: there are {}", request.path(), view.paths.join(", "));
    answer(StatusCode::NOT_FOUND, "failure", &message)
}

async fn only_get() -> HttpResponse {
    let mut refused = answer(StatusCode::METHOD_NOT_ALLOWED, "failure", "only GET is possible here");
    refused.headers_mut().insert(
        actix_web::http::header::ALLOW,
        actix_web::http::header::HeaderValue::from_static("GET"),
    );
    refused
}

fn answer(code: StatusCode, status: &str, message: &str) -> HttpResponse {
    HttpResponse::build(code).json(Message { status, message })
}

impl std::fmt::Debug for Extra {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Extra")
            .field("paths", &self.paths)
            .finish_non_exhaustive()
    }
}

impl std::fmt::Debug for Admin {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Admin")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}
