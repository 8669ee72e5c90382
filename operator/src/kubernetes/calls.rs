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

/// An answer that begins later than this means that the API server was away: a slow webhook takes less as a rule.
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

/// A call that waits for its answer. Who gave it up is not answered either.
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
        // What a Pod does behind the API server says nothing about that.
        let waits = (!request.uri().path().contains("/proxy/")).then(|| Waits::new(index));
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

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_fails_is_late_or_given_up_means_that_the_api_server_was_away() {
        let missed = |answer: Answer| async move {
            let index = Arc::new(Index::default());
            let calls = Calls::new(Metrics::default(), Arc::clone(&index));
            let mut service = calls.layer(tower::service_fn(move |_: http::Request<Body>| async move {
                tokio::time::sleep(answer.after).await;
                let status = answer.status.ok_or("nobody is there")?;
                Ok::<_, &str>(http::Response::builder().status(status).body(()).unwrap())
            }));
            let asked = service.call(http::Request::get(answer.path).body(Body::empty()).unwrap());
            drop(tokio::time::timeout(answer.given_up, asked).await);
            index.nodes_are_spared()
        };
        let quick = Answer {
            path: "/api/v1/nodes",
            status: Some(200),
            after: LATE / 10,
            given_up: LATE * 2,
        };
        for (answer, expected) in [
            (quick, false),
            (
                Answer {
                    status: Some(409),
                    ..quick
                },
                false,
            ),
            (
                Answer {
                    status: Some(503),
                    ..quick
                },
                true,
            ),
            (Answer { status: None, ..quick }, true),
            (Answer { after: LATE, ..quick }, true),
            (
                Answer {
                    after: LATE * 3,
                    ..quick
                },
                true,
            ),
            (
                Answer {
                    given_up: LATE / 20,
                    ..quick
                },
                false,
            ),
            (
                Answer {
                    path: "/api/v1/namespaces/a/pods/b:9280/proxy/v1/table",
                    status: Some(503),
                    ..quick
                },
                false,
            ),
        ] {
            assert_eq!(missed(answer).await, expected, "{answer:?}");
        }
    }

    #[derive(Clone, Copy, Debug)]
    struct Answer {
        path: &'static str,
        status: Option<u16>,
        after: Duration,
        given_up: Duration,
    }
}
