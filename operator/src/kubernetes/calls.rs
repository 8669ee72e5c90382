//! Looks at the calls to the API server, as a layer around the client: counts them, and notes when it was away.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use kube::client::Body;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::index::Index;
use crate::Metrics;

/// An answer to a read that begins later than this means that the API server was away. Writes say nothing: a webhook may keep them
/// waiting, or fail them again and again.
const LATE: Duration = Duration::from_secs(5);

/// The layer.
#[derive(Clone, Debug)]
pub(super) struct Calls {
    metrics: Metrics,
    index: Arc<Index>,
}

/// What it makes of a client.
#[derive(Clone, Debug)]
pub(super) struct Observed<S> {
    inner: S,
    calls: Calls,
}

/// A read that waits for its answer. Who gave it up is not answered either.
#[derive(Debug)]
struct Waits {
    index: Arc<Index>,
    since: Instant,
    failed: bool,
}

// === impl Calls ===

impl Calls {
    pub(super) const fn new(metrics: Metrics, index: Arc<Index>) -> Self {
        Self { metrics, index }
    }
}

impl<S> Layer<S> for Calls {
    type Service = Observed<S>;

    fn layer(&self, inner: S) -> Observed<S> {
        Observed {
            inner,
            calls: self.clone(),
        }
    }
}

impl<S, B> Service<http::Request<Body>> for Observed<S>
where
    S: Service<http::Request<Body>, Response = http::Response<B>>,
    S::Future: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let Calls { metrics, index } = self.calls.clone();
        let (verb, resource) = (verb(&request), resource(request.uri().path()));
        let reads = matches!(verb, "get" | "watch") && !is_of_a_pod(request.uri().path());
        let waits = reads.then(|| Waits::new(index));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => class(response.status().as_u16()),
                Err(_) => "none",
            };
            metrics.called(verb, resource, code);
            if let Some(waits) = waits {
                waits.end(matches!(code, "none" | "5xx"));
            }
            answer
        })
    }
}

// === impl Waits ===

impl Waits {
    fn new(index: Arc<Index>) -> Self {
        Self {
            index,
            since: Instant::now(),
            failed: false,
        }
    }

    fn end(mut self, failed: bool) {
        self.failed = failed;
    }
}

impl Drop for Waits {
    fn drop(&mut self) {
        if self.failed || self.since.elapsed() >= LATE {
            self.index.missed_api_server();
        }
    }
}

fn verb(request: &http::Request<Body>) -> &'static str {
    let watches = request
        .uri()
        .query()
        .is_some_and(|query| query.split('&').any(|pair| pair == "watch=true" || pair == "watch=1"));
    match *request.method() {
        http::Method::GET if watches => "watch",
        http::Method::GET => "get",
        http::Method::POST => "create",
        http::Method::PUT => "update",
        http::Method::PATCH => "patch",
        http::Method::DELETE => "delete",
        _ => "other",
    }
}

/// Whether a Pod answers, by way of the API server.
fn is_of_a_pod(path: &str) -> bool {
    let parts: Vec<_> = path.split('/').collect();
    parts.windows(3).any(|parts| parts[0] == "pods" && parts[2] == "proxy")
}

/// From a closed set: what the operator works with.
fn resource(path: &str) -> &'static str {
    const KNOWN: [&str; 13] = [
        "pods",
        "nodes",
        "services",
        "configmaps",
        "serviceaccounts",
        "events",
        "deployments",
        "poddisruptionbudgets",
        "roles",
        "rolebindings",
        "leases",
        "loadbalancerpools",
        "endpointslices",
    ];
    if path.ends_with("/status") {
        return "status";
    }
    let mut parts = path.split('/').rev();
    parts
        .find_map(|part| KNOWN.into_iter().find(|known| *known == part))
        .unwrap_or("other")
}

fn class(code: u16) -> &'static str {
    match code {
        409 => "409",
        429 => "429",
        200..300 => "2xx",
        400..500 => "4xx",
        500..600 => "5xx",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_told_apart_by_verb_and_resource() {
        let asked = |method: &str, uri: &str| {
            let request = http::Request::builder()
                .method(method)
                .uri(uri)
                .body(Body::empty())
                .unwrap();
            (verb(&request), resource(request.uri().path()))
        };
        assert_eq!(asked("GET", "/api/v1/pods?watch=true&x=y"), ("watch", "pods"));
        assert_eq!(
            asked("DELETE", "/api/v1/namespaces/a/pods/demo-0-x"),
            ("delete", "pods")
        );
        assert_eq!(
            asked(
                "PATCH",
                "/apis/lbpool.dev/v1alpha1/namespaces/a/loadbalancerpools/services/status?force=true"
            ),
            ("patch", "status")
        );
        assert_eq!(asked("GET", "/version"), ("get", "other"));
    }

    /// Whether a call made the nodes be spared: one that is answered so, after so long, unless it is given up before.
    async fn spares((method, uri): (&str, &str), status: Option<u16>, after: Duration, given_up: Duration) -> bool {
        let index = Arc::new(Index::default());
        let calls = Calls::new(Metrics::default(), Arc::clone(&index));
        let mut service = calls.layer(tower::service_fn(|_: http::Request<Body>| async move {
            tokio::time::sleep(after).await;
            let status = status.ok_or("nobody is there")?;
            Ok::<_, &str>(http::Response::builder().status(status).body(()).unwrap())
        }));
        let request = http::Request::builder().method(method).uri(uri);
        let asked = service.call(request.body(Body::empty()).unwrap());
        drop(tokio::time::timeout(given_up, asked).await);
        index.nodes_are_spared()
    }

    #[tokio::test(start_paused = true)]
    async fn a_read_that_fails_is_late_or_is_given_up_means_that_the_api_server_was_away() {
        let read = ("GET", "/api/v1/nodes");
        let (soon, long) = (LATE / 10, LATE * 2);
        for (status, after, given_up, expected) in [
            (Some(200), soon, long, false),
            (Some(404), soon, long, false),
            (Some(429), soon, long, false),
            (Some(503), soon, long, true),
            (None, soon, long, true),
            (Some(200), LATE, long, true),
            (Some(200), long * 2, long, true),
            (Some(200), long, soon, false),
        ] {
            let spared = spares(read, status, after, given_up).await;
            assert_eq!(
                spared, expected,
                "{status:?} after {after:?}, given up after {given_up:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn writes_and_answers_of_pods_say_nothing_about_the_api_server() {
        for (call, expected) in [
            (("GET", "/api/v1/nodes?watch=true"), true),
            (("GET", "/api/v1/namespaces/proxy/pods/proxy"), true),
            (("GET", "/api/v1/namespaces/a/pods/b:9280/proxy/v1/table"), false),
            (("POST", "/api/v1/namespaces/a/pods"), false),
            (("PATCH", "/api/v1/namespaces/a/services/b"), false),
        ] {
            assert_eq!(spares(call, Some(500), LATE, LATE * 2).await, expected, "{call:?}");
        }
    }
}
