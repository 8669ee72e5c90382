//! Counts the calls to the API server, as a layer around the client.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use kube::client::Body;
use tower::{Layer, Service};

use crate::Metrics;

/// The layer.
#[derive(Clone, Debug)]
pub(super) struct Count(Metrics);

/// What it makes of a client.
#[derive(Clone, Debug)]
pub(super) struct Counted<S> {
    inner: S,
    metrics: Metrics,
}

// === impl Count ===

impl Count {
    pub(super) const fn new(metrics: Metrics) -> Self {
        Self(metrics)
    }
}

impl<S> Layer<S> for Count {
    type Service = Counted<S>;

    fn layer(&self, inner: S) -> Counted<S> {
        Counted {
            inner,
            metrics: self.0.clone(),
        }
    }
}

impl<S, B> Service<http::Request<Body>> for Counted<S>
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
        let metrics = self.metrics.clone();
        let (verb, resource) = (verb(&request), resource(request.uri().path()));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let answer = answer.await;
            let code = match &answer {
                Ok(response) => class(response.status().as_u16()),
                Err(_) => "none",
            };
            metrics.called(verb, resource, code);
            answer
        })
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
}
