//! One request over HTTP/2, top to bottom.

use std::{cell::Cell, future::poll_fn, pin::Pin, rc::Rc};

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use lbpool_http1::{
    Framing, Limits, Method, Reply, Request, Response, Version,
    reply::{self, To},
    rewrite::{self, Forward, Trust},
};

use super::{Peer, grpc, guard::Guard};
use crate::{
    config,
    control::{self, BODY_MAX},
    deadline::{Deadline, Elapsed},
    json,
    key::{self, Asked},
    proxy::{
        attempt::Attempts,
        control::hand_over,
        error::{Cause, Failure, Reason, Stage},
        http1::Active,
        id::RequestId,
        relay::{Answering, Exchange, Incoming, Piece, head},
    },
    worker::Worker,
};

/// A request, as far as it has come.
struct Stream {
    worker: Rc<Worker>,
    guard: Rc<Guard>,
    peer: Peer,
    /// Its head, as one of HTTP/1.1.
    request: Request,
    head: Vec<u8>,
    /// Also where its head is refused: an answer to HEAD has no body.
    method: Method,
    /// The id that it has, or that it gets.
    id: RequestId,
    /// It is a call of gRPC.
    call: bool,
    incoming: Incoming,
    /// What was sent of the body can not be sent again.
    streamed: Rc<Cell<bool>>,
    client: Answering,
    sending: Deadline,
    answering: Deadline,
}

/// Gets a request answered.
///
/// The future is on the heap from the beginning: it is large, and a task that is made of it would be moved several times.
pub(super) fn serve(
    worker: Rc<Worker>,
    guard: Rc<Guard>,
    peer: Peer,
    request: http::Request<RecvStream>,
    respond: SendResponse<Bytes>,
) -> Pin<Box<impl Future<Output = ()>>> {
    worker.stats().http2_requests.inc();
    let active = Active::new(&worker);
    let (parts, body) = request.into_parts();
    let limits = worker.shared.config.limits;
    let streamed = Rc::new(Cell::new(false));
    let empty = body.is_end_stream();
    let stream = Stream {
        call: false,
        request: Request::new(),
        head: Vec::with_capacity(512),
        method: Method::of(parts.method.as_str().as_bytes()),
        id: RequestId::None,
        incoming: Incoming::new(body, limits.body_bytes, Rc::clone(&streamed), Rc::clone(&guard)),
        streamed,
        client: Answering::new(respond, Rc::clone(&guard)),
        sending: worker.deadlines.add(),
        answering: worker.deadlines.add(),
        peer,
        guard,
        worker,
    };
    Box::pin(stream.answer(active, parts, empty))
}

// === impl Stream ===

impl Stream {
    /// `empty`: it has no body.
    async fn answer(mut self, active: Active, parts: http::request::Parts, empty: bool) {
        if let Err(error) = self.read(parts, empty) {
            drop(active);
            return self.fail(Failure {
                stage: Stage::Unsent,
                cause: Cause::Client(error),
            });
        }
        let path = self.request.head(&self.head).path();
        if self.worker.shared.config.control.is_some() && control::PATHS.contains(&path) {
            return self.control().await;
        }
        let served = self.proxy().await;
        active.note();
        drop(active);
        match served {
            Ok(status) => {
                self.guard.answered();
                self.worker.stats().requests[usize::from(status / 100).min(5)].inc();
            }
            Err(failure) => self.fail(failure),
        }
    }

    /// Writes the head as one of HTTP/1.1, and reads it.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "they are not to live on while the request waits"
    )]
    fn read(&mut self, parts: http::request::Parts, empty: bool) -> Result<(), lbpool_http1::Error> {
        let content_type = parts.headers.get(http::header::CONTENT_TYPE);
        self.call = grpc::is_call(content_type.map(http::HeaderValue::as_bytes));
        let written = head::of_request(&parts, empty, &mut self.head);
        self.guard.useful(self.head.len());
        written?;
        self.parse()?;
        head::check_scheme(parts.uri.scheme_str(), self.is_secret())
    }

    /// Reads the head with the parser and the limits of HTTP/1.1.
    fn parse(&mut self) -> Result<(), lbpool_http1::Error> {
        let limits = self.worker.shared.config.limits;
        let heads = Limits {
            // The codec has counted it, with a surcharge for each field.
            head: lbpool_http1::head::MAX_HEAD,
            headers: limits.headers,
            target: limits.target_bytes,
        };
        self.request
            .parse(&self.head, &heads)?
            .ok_or(lbpool_http1::Error::StartLine)?;
        let worker = &self.worker;
        self.id = RequestId::of(self.request.head(&self.head), || [worker.random(), worker.random()]);
        Ok(())
    }

    /// Whether nobody has read it on its way: a proxy that is believed may have ended its TLS.
    fn is_secret(&self) -> bool {
        let peer = &self.peer;
        peer.proto == "https" || self.worker.shared.config.proxies.trust(peer.address) == Trust::Append
    }

    /// Sends a request to the member that its key belongs to, and again where that is right, until it has an answer: its
    /// status.
    async fn proxy(&mut self) -> Result<u16, Failure> {
        let (found, continued) = self.look_into().await.map_err(|cause| Failure {
            stage: Stage::Unsent,
            cause,
        })?;
        let asked = self.request.head(&self.head);
        let forward = Forward {
            client: &self.peer.text,
            proto: self.peer.proto,
            trust: self.worker.shared.config.proxies.trust(self.peer.address),
            style: self.worker.shared.config.style,
            request_id: self.id.text(&self.head),
            received: "2",
        };
        let mut out = Vec::with_capacity(self.head.len() + 256);
        rewrite::request(asked, &forward, &mut out);
        self.worker.budget.earn();
        let mut attempts = Attempts::default();
        let mut response = Response::new();
        loop {
            let config = &self.worker.shared.config;
            let whole = Asked {
                head: asked,
                client: config.proxies.client(asked, self.peer.address, config.style),
                body: &found,
            };
            let leg = if let Some(leg) = attempts.next(&self.worker, whole) {
                leg
            } else {
                let gone = poll_fn(|cx| self.client.poll_gone(cx));
                Box::pin(attempts.wait(&self.worker, whole, gone)).await?
            };
            let exchange = Exchange::new(
                &self.worker,
                (&leg, &attempts),
                asked,
                (&self.sending, &self.answering),
                &out,
                &self.streamed,
            )
            .continued(continued);
            let answered = exchange.http2(&mut self.incoming, &self.client, &mut response).await;
            let Err((failure, reused)) = answered else {
                return Ok(response.status());
            };
            let sent = (asked.method(), !self.streamed.get());
            attempts.again(&self.worker, &leg, sent, failure, reused)?;
        }
    }

    /// What the policy looks for in the body, as for HTTP/1.1 (see `body.rs`), and whether the client was told to send it.
    async fn look_into(&mut self) -> Result<(Vec<(String, String)>, bool), Cause> {
        let head = self.request.head(&self.head);
        let config = &self.worker.shared.config;
        let asked = Asked {
            head,
            client: config.proxies.client(head, self.peer.address, config.style),
            body: &[],
        };
        let limits = self.worker.shared.config.limits;
        let limit = limits.key_body_bytes.min(config::Limits::KEY_BODY_MAX);
        let fits = match self.request.framing() {
            Framing::None => false,
            Framing::Length(length) => length <= limit as u64,
            Framing::Chunked | Framing::Close => true,
        };
        if !fits || !key::is_in_body(&self.worker.snapshot().policy, asked) {
            return Ok((Vec::new(), false));
        }
        let continued = self.request.expects_continue();
        if continued {
            self.client.inform(reply::CONTINUE)?;
        }
        let body = self.incoming.peek(limit);
        let body = self.sending.within(limits.client_timeout, body).await;
        // The newest policy, which may be another one by now.
        let found = match body.map_err(|Elapsed| Cause::ClientSlow)?? {
            Some(body) => json::find(&body, &self.worker.snapshot().policy.pointers),
            None => Vec::new(),
        };
        Ok((found, continued))
    }

    /// Tells the client what went wrong, where it can still be told.
    fn fail(&mut self, Failure { stage, cause }: Failure) {
        let stats = self.worker.stats();
        let Some(reason) = cause.reason() else {
            self.guard.reset();
            stats.client_aborts.inc();
            stats.requests[0].inc();
            return self.client.cut(h2::Reason::CANCEL);
        };
        self.guard.answered();
        let message = cause.to_string();
        if stage == Stage::Answering {
            stats.requests[5].inc();
            // A call has room for the reason behind what came of its answer.
            if self.call && self.client.end(Some(grpc::trailers(reason, &message))).is_ok() {
                return;
            }
            return self.client.cut(h2::Reason::INTERNAL_ERROR);
        }
        let mut reply = reason.reply(&message);
        if let Cause::Client(error) = cause {
            reply.status = error.status();
        }
        stats.replies[reason as usize].inc();
        stats.requests[usize::from(reply.status / 100).min(5)].inc();
        self.reply(reason, &reply);
    }

    /// Sends an answer of our own. Where the client is gone, nobody misses it.
    fn reply(&self, reason: Reason, reply: &Reply<'_>) {
        if self.call {
            let answer = grpc::answer(reason, reply.message, self.id.text(&self.head));
            drop(self.client.answer(answer));
            return;
        }
        let mut text = Vec::with_capacity(512);
        let date = self.worker.date.borrow();
        reply.write(
            &To {
                date: &date,
                ..self.to()
            },
            &mut text,
        );
        drop(self.client.whole(text));
    }

    fn to(&self) -> To<'_> {
        To {
            method: self.method,
            version: Version::Http11,
            close: false,
            date: "",
            request_id: self.id.text(&self.head),
        }
    }

    /// Gets a control request answered.
    async fn control(&mut self) {
        let body = match self.whole_body().await {
            Ok(body) => body,
            Err(cause) => {
                return self.fail(Failure {
                    stage: Stage::Unsent,
                    cause,
                });
            }
        };
        self.guard.answered();
        let handed = hand_over(&self.worker, self.request.head(&self.head), body).await;
        match handed {
            Ok(control::Reply { status, body }) => {
                self.worker.stats().requests[usize::from(status / 100).min(5)].inc();
                let mut text = Vec::with_capacity(256 + body.len());
                reply::json(status, &body, &self.to(), &mut text);
                drop(self.client.whole(text));
            }
            Err((reason, why)) => {
                let reply = reason.reply(why);
                let stats = self.worker.stats();
                stats.replies[reason as usize].inc();
                stats.requests[usize::from(reply.status / 100).min(5)].inc();
                self.reply(reason, &reply);
            }
        }
    }

    async fn whole_body(&mut self) -> Result<Vec<u8>, Cause> {
        let limit = self.worker.shared.config.limits.client_timeout;
        let mut whole = Vec::new();
        loop {
            let piece = self.sending.within(limit, self.incoming.piece()).await;
            match piece.map_err(|Elapsed| Cause::ClientSlow)?? {
                Piece::Data(data) if whole.len() + data.len() > BODY_MAX => {
                    return Err(Cause::Client(lbpool_http1::Error::BodyTooLarge));
                }
                Piece::Data(data) => whole.extend_from_slice(&data),
                Piece::End(_) => return Ok(whole),
            }
        }
    }
}
