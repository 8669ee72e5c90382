//! The API server, by paths and JSON: tests look at what is there, not at what types make of it.

use futures_util::{AsyncBufReadExt as _, StreamExt as _};
use kube::{Client, client::Body};
use serde_json::Value;

use crate::Cluster;

/// A connection to the API server.
#[derive(Clone)]
pub struct Api(Client);

impl Api {
    pub(crate) async fn connect() -> Self {
        let client = Client::try_default().await;
        Self(client.unwrap_or_else(|error| panic!("no cluster: {error}; `make e2e` brings one up")))
    }

    /// What lies at a path.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn get(&self, path: &str) -> Result<Value, String> {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        self.send(request).map_err(|error| format!("{path}: {error}"))
    }

    /// Merges a patch into what lies at a path.
    pub fn merge(&self, path: &str, change: &Value) {
        let request = http::Request::patch(path)
            .header("Content-Type", "application/merge-patch+json")
            .body(change.to_string().into_bytes())
            .unwrap();
        let _ = self.send(request).unwrap_or_else(|error| panic!("{path}: {error}"));
    }

    /// Text at a path, such as what a Pod answers by way of the API server.
    ///
    /// # Errors
    /// The API server's answer.
    pub fn text(&self, path: &str) -> Result<String, String> {
        let request = http::Request::get(path).body(Vec::new()).unwrap();
        Cluster::get()
            .runtime()
            .block_on(self.0.request_text(request))
            .map_err(|error| format!("{path}: {error}"))
    }

    fn send(&self, request: http::Request<Vec<u8>>) -> Result<Value, kube::Error> {
        Cluster::get().runtime().block_on(self.0.request(request))
    }

    /// Events of a list from a version of it on, until the API server ends the watch or `seen` says so.
    pub async fn watch(&self, path: &str, version: &str, mut seen: impl FnMut(Value) -> bool) {
        let path = format!("{path}watch=1&allowWatchBookmarks=false&resourceVersion={version}");
        let request = http::Request::get(path).body(Body::empty()).unwrap();
        // A lost watch makes figures wrong, and not only late.
        let answer = self.0.send(request).await.unwrap();
        assert!(answer.status().is_success(), "watch: {}", answer.status());
        let stream = http_body_util::BodyDataStream::new(answer.into_body());
        let reader =
            futures_util::TryStreamExt::into_async_read(stream.map(|part| part.map_err(std::io::Error::other)));
        let mut lines = std::pin::pin!(reader.lines());
        while let Some(line) = lines.next().await {
            if !seen(serde_json::from_str(&line.unwrap()).unwrap()) {
                return;
            }
        }
    }
}

impl std::fmt::Debug for Api {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Api")
    }
}
