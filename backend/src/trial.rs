//! What a server does on trial: it is slow, it fails, it echoes and streams.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use actix_web::{
    HttpRequest, HttpResponse, Responder,
    http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderValue},
    web::{Bytes, Data, Payload, Query, ServiceConfig, get, post, resource, route},
};
use futures_util::stream;
use serde::Deserialize;
use utoipa::IntoParams;

use crate::routes::{Identity, Message, unknown};

/// Enough for minutes of stream; a mistyped count must not keep a server busy for years.
const CHUNKS_MAX: u32 = 100_000;

/// How the server misbehaves.
#[derive(Debug, Default)]
pub struct Trial {
    /// Time before each answer.
    pub delay: Duration,
    /// Share of the requests that fail, 0 to 1.
    pub fail_rate: f64,
    /// Which of them fail.
    pub seed: u64,
    /// Whether there are `/echo` and `/stream`.
    pub routes: bool,
    /// Requests so far.
    pub count: AtomicU64,
}

/// What a stream looks like.
#[derive(Clone, Copy, Debug, Deserialize, IntoParams)]
#[serde(default, deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct StreamQuery {
    /// Number of chunks.
    #[param(default = 10, maximum = 100_000)]
    chunks: u32,
    /// Milliseconds before each chunk.
    #[param(default = 100, maximum = 60_000)]
    interval: u16,
}

/// The paths that exist on trial only.
pub fn configure(config: &mut ServiceConfig) {
    config
        .service(
            resource("/echo")
                .route(post().to(echo))
                .default_service(route().to(unknown)),
        )
        .service(
            resource("/stream")
                .route(get().to(chunks))
                .default_service(route().to(unknown)),
        );
}

/// Answers with the request's own body, as it arrives.
#[utoipa::path(
    post,
    path = "/echo",
    tag = "trials",
    request_body(content_type = "application/octet-stream", description = "Anything"),
    responses((status = 200, description = "The same bytes", content_type = "application/octet-stream")),
)]
pub async fn echo(request: HttpRequest, body: Payload, trial: Data<Trial>) -> impl Responder {
    if !trial.passes().await {
        return failed();
    }
    let mut answer = HttpResponse::Ok();
    let length = |value: &HeaderValue| value.to_str().ok()?.parse().ok();
    if let Some(length) = request.headers().get(CONTENT_LENGTH).and_then(length) {
        answer.no_chunking(length);
    }
    let octets = HeaderValue::from_static("application/octet-stream");
    let content_type = request.headers().get(CONTENT_TYPE).cloned().unwrap_or(octets);
    answer.insert_header((CONTENT_TYPE, content_type)).streaming(body)
}

/// Answers in chunks, with a pause before each.
#[utoipa::path(
    get,
    path = "/stream",
    tag = "trials",
    params(StreamQuery),
    responses((status = 200, description = "One line in each chunk", content_type = "text/plain")),
)]
pub async fn chunks(query: Query<StreamQuery>, identity: Data<Identity>) -> impl Responder {
    let StreamQuery { chunks, interval } = *query;
    if chunks > CHUNKS_MAX || interval > 60_000 {
        let reason = format!("expected at most {CHUNKS_MAX} chunks and an interval of at most 60000 ms");
        return HttpResponse::BadRequest().json(Message::failure(reason));
    }
    let lines = stream::unfold(1, move |chunk| {
        let identity = identity.clone();
        async move {
            if chunk > chunks {
                return None;
            }
            tokio::time::sleep(Duration::from_millis(interval.into())).await;
            let line = format!("{chunk}/{chunks} from {}\n", identity.id());
            Some((Ok::<_, actix_web::Error>(Bytes::from(line)), chunk + 1))
        }
    });
    HttpResponse::Ok()
        .content_type("text/plain; charset=utf-8")
        .streaming(lines)
}

/// The answer to a request that was drawn to fail.
pub fn failed() -> HttpResponse {
    HttpResponse::InternalServerError().json(Message::failure("this request fails on trial (--fail-rate)"))
}

// === impl Trial ===

impl Trial {
    /// Waits as long as each request does, and says whether this one succeeds.
    pub async fn passes(&self) -> bool {
        if !self.delay.is_zero() {
            tokio::time::sleep(self.delay).await;
        }
        self.fail_rate <= 0.0 || !self.fails(self.count.fetch_add(1, Ordering::Relaxed))
    }

    /// Whether the `n`th request fails: a function of the seed, so that a trial can be repeated.
    fn fails(&self, n: u64) -> bool {
        // SplitMix64, whose outputs for consecutive numbers look independent.
        let mut mixed = self
            .seed
            .wrapping_add(n.wrapping_add(1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let draw = u32::try_from((mixed ^ (mixed >> 31)) >> 32).unwrap_or(u32::MAX);
        f64::from(draw) < self.fail_rate * 4_294_967_296.0
    }
}

// === impl StreamQuery ===

impl Default for StreamQuery {
    fn default() -> Self {
        Self {
            chunks: 10,
            interval: 100,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn failures(fail_rate: f64, seed: u64) -> Vec<u64> {
        let trial = Trial {
            fail_rate,
            seed,
            ..Trial::default()
        };
        (0..10_000).filter(|n| trial.fails(*n)).collect()
    }

    #[test]
    fn the_asked_share_of_requests_fails() {
        assert!((900..1100).contains(&failures(0.1, 0).len()));
        assert_eq!(failures(0.0, 0).len(), 0);
        assert_eq!(failures(1.0, 0).len(), 10_000);
    }

    #[test]
    fn a_seed_repeats_its_failures_and_another_has_others() {
        assert_eq!(failures(0.1, 7), failures(0.1, 7));
        assert_ne!(failures(0.1, 7), failures(0.1, 8));
    }
}
