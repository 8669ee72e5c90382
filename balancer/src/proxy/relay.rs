//! One attempt where the client, the member or both speak HTTP/2: as `exchange.rs`, in pieces instead of bytes.
//!
//! Two halves run side by side, and each takes a piece only when the one before it has gone on: what is in memory of an
//! exchange is a piece each way, and what the windows of HTTP/2 allow.

mod client;
pub(super) mod head;
mod member;

use std::{
    cell::Cell,
    future::{pending, poll_fn},
    pin::pin,
    rc::Rc,
    time::Duration,
};

use bytes::Bytes;
use http::HeaderMap;
use lbpool_api::routing::Protocol;
use lbpool_http1::{Body, Framing, RequestHead, Response, Version};

pub(super) use client::{Answering, Incoming};
use client::{Lines, Sink, Source};
use member::{From, To, Unwritten, failed};

use super::{
    attempt::{Attempts, Leg},
    connection::{Connection, Next},
    error::{Cause, Failure, Stage},
    exchange::{LOOKS, Served, pooled, reach, rewrite},
    http1::Message,
    interim::Interim,
};
use crate::{
    deadline::{Deadline, Elapsed, Over},
    stream::Stream,
    upstream::http2::Lease,
    worker::Worker,
};

/// A part of a body.
#[derive(Clone, Debug)]
pub(super) enum Piece {
    /// Never empty in HTTP/1.1.
    Data(Bytes),
    End(Option<HeaderMap>),
}

/// What both halves know of each other, and of the attempt.
pub(super) struct Exchange<'a> {
    worker: &'a Rc<Worker>,
    leg: &'a Leg,
    attempts: &'a Attempts,
    asked: RequestHead<'a>,
    /// Some of the request's body is not kept: what was sent can not be sent again.
    streamed: &'a Cell<bool>,
    /// For what the client sends and the member takes.
    sending: &'a Deadline,
    /// For what the member sends and the client takes.
    answering: &'a Deadline,
    /// The request, as the member shall see it.
    head: &'a [u8],
    /// The request has no body.
    empty: bool,
    /// The client was told to go on with its body, so that nobody else need say so.
    continued: bool,
    progress: Progress,
}

/// How far an exchange has come.
#[derive(Debug, Default)]
struct Progress {
    /// The connection had been used before: the member may be about to end it.
    kept: Cell<bool>,
    /// A byte of the request has left.
    sent: Cell<bool>,
    /// All of the request has left.
    complete: Cell<bool>,
    /// The client has seen a byte of the answer.
    begun: Cell<bool>,
}

/// An answer that the client has got as a whole.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// The client's connection ends, as its answer said; HTTP/1.1 only.
    close: bool,
    /// All of the request has left.
    complete: bool,
}

/// A connection to the member, for one request.
enum Upstream {
    Http1(Stream),
    Http2(Lease),
}

/// Makes one of the `attempts` for a client that speaks HTTP/1.1. With a failure: whether its connection had been used
/// before.
pub(super) async fn http1_to_http2(
    connection: &mut Connection,
    message: &Message,
    leg: &Leg,
    attempts: &Attempts,
) -> Result<Served, (Failure, bool)> {
    let Connection {
        worker,
        stream,
        request,
        response,
        left,
        sends,
        out,
        sending,
        answering,
        ..
    } = connection;
    let exchange = Exchange::new(
        worker,
        (leg, attempts),
        request.head(message.head()),
        (sending, answering),
        out,
        &message.streamed,
    )
    .continued(message.continued);
    let (from, to) = stream.split();
    // A member may refuse what it was sent: it is kept for another attempt.
    let kept = Cell::new(false);
    let lent = message.lend(&kept);
    let source = Source::Http1(Lines {
        pages: &worker.pages,
        from,
        first: lent.as_deref().unwrap_or(message.first()),
        left,
        sends,
        body: Body::new(request.framing()),
        trailers: Vec::new(),
        streamed: &message.streamed,
        bytes: 0,
        limit: worker.shared.config.limits.body_bytes,
    });
    let sink = Sink::Http1 {
        to,
        chunked: false,
        by_end: false,
    };
    let answered = exchange.attempt(source, sink, pending(), response).await?;
    let next = if answered.close { Next::Linger } else { Next::Request };
    Ok(Served {
        status: response.status(),
        next,
    })
}

// === impl Exchange ===

impl<'a> Exchange<'a> {
    pub(super) fn new(
        worker: &'a Rc<Worker>,
        (leg, attempts): (&'a Leg, &'a Attempts),
        asked: RequestHead<'a>,
        (sending, answering): (&'a Deadline, &'a Deadline),
        head: &'a [u8],
        streamed: &'a Cell<bool>,
    ) -> Self {
        Self {
            worker,
            leg,
            attempts,
            asked,
            streamed,
            sending,
            answering,
            head,
            empty: matches!(asked.framing(), Framing::None | Framing::Length(0)),
            continued: false,
            progress: Progress::default(),
        }
    }

    /// The client was told to go on with its body.
    pub(super) const fn continued(mut self, continued: bool) -> Self {
        self.continued = continued;
        self
    }

    /// Makes an attempt for a client that speaks HTTP/2.
    pub(super) async fn http2(
        &self,
        incoming: &mut Incoming,
        client: &Answering,
        response: &mut Response,
    ) -> Result<Answered, (Failure, bool)> {
        incoming.rewind();
        let gone = poll_fn(|cx| client.poll_gone(cx));
        self.attempt(Source::Http2(incoming), Sink::Http2(client), gone, response)
            .await
    }

    /// `gone` ends when the client has, where its request does not tell.
    async fn attempt(
        &self,
        source: Source<'_>,
        sink: Sink<'_>,
        gone: impl Future<Output = ()>,
        response: &mut Response,
    ) -> Result<Answered, (Failure, bool)> {
        let (mut upstream, reused) = self.reach().await.map_err(|failure| (failure, false))?;
        self.progress.kept.set(reused && !self.attempts.was_stale());
        let run = self.run(source, sink, &mut upstream, response);
        let outcome = tokio::select! {
            biased;
            outcome = run => outcome,
            () = gone => Err(Cause::ClientGone),
        };
        if let (Err(Cause::MemberSlow | Cause::MemberHung), Upstream::Http2(lease)) = (&outcome, &upstream) {
            // It may be the connection that is silent, and not the member.
            lease.retire();
        }
        let (answered, clean) = outcome.map_err(|cause| (self.failure(cause), reused))?;
        if let Upstream::Http1(stream) = upstream
            && clean
            && answered.complete
            && response.keep_alive()
        {
            let most = self.worker.shared.config.limits.idle_per_member;
            self.leg.origin.put(stream, most, response.framing() == Framing::None);
        }
        Ok(answered)
    }

    fn failure(&self, cause: Cause) -> Failure {
        let stage = match (self.progress.begun.get(), self.progress.sent.get()) {
            (true, _) => Stage::Answering,
            // Whoever refuses a stream has not looked at it (RFC 9113, section 8.7).
            (false, true) if !matches!(cause, Cause::Refused) => Stage::Waiting,
            (false, _) => Stage::Unsent,
        };
        Failure { stage, cause }
    }

    /// A connection to the member, and whether it had been used before.
    async fn reach(&self) -> Result<(Upstream, bool), Failure> {
        let (leg, target) = (self.leg, self.leg.origin.target());
        if target.protocol() == Protocol::Http1 {
            let sure = !(self.asked.method().is_idempotent() && self.empty);
            return match pooled(self.worker, leg, self.attempts, sure) {
                Some(stream) => Ok((Upstream::Http1(stream), true)),
                None => Ok((Upstream::Http1(Box::pin(reach(self.worker, leg)).await?), false)),
            };
        }
        let stats = self.worker.stats();
        let made = |made: bool| {
            stats.upstream_connects.inc();
            if !made {
                stats.upstream_connect_failures.inc();
            }
        };
        let limit = leg.snapshot.policy.connect;
        let tls = self.worker.shared.config.upstream_tls.as_deref();
        let leased = leg.origin.links.lease(target, tls, limit, made).await;
        let (lease, reused) = leased.map_err(|error| self.failure(Cause::Connect(error)))?;
        if reused {
            stats.upstream_reuses.inc();
        }
        Ok((Upstream::Http2(lease), reused))
    }

    /// The answer that the client got, and whether the member's connection is fit for another request.
    async fn run(
        &self,
        mut source: Source<'_>,
        mut sink: Sink<'_>,
        upstream: &mut Upstream,
        response: &mut Response,
    ) -> Result<(Answered, bool), Cause> {
        let (mut to, mut from) = match upstream {
            Upstream::Http1(stream) => {
                let (from, to) = stream.split();
                let chunked = self.asked.framing() == Framing::Chunked;
                (To::Http1 { to, chunked }, From::http1(from))
            }
            Upstream::Http2(lease) => self.open(lease).await?,
        };
        let answered = self.both(&mut source, &mut to, &mut from, &mut sink, response).await?;
        Ok((answered, from.is_clean()))
    }

    async fn both(
        &self,
        source: &mut Source<'_>,
        to: &mut To<'_>,
        from: &mut From<'_>,
        sink: &mut Sink<'_>,
        response: &mut Response,
    ) -> Result<Answered, Cause> {
        let mut send = pin!(self.send(source, to));
        let mut answer = pin!(self.answer(from, sink, response));
        let mut sending = true;
        loop {
            tokio::select! {
                biased;
                cause = &mut send, if sending => match cause {
                    // The member takes no more: it may have answered all the same, and says why it does not.
                    Cause::Reset(_) | Cause::Refused | Cause::Protocol(_) if self.progress.sent.get() => sending = false,
                    cause => return Err(cause),
                },
                answered = &mut answer => return answered,
            }
        }
    }

    /// Opens a stream with the request's head.
    async fn open<'l>(&self, lease: &'l Lease) -> Result<(To<'l>, From<'l>), Cause> {
        let tls = self.worker.shared.config.upstream_tls.is_some();
        let scheme = if tls { "https" } else { "http" };
        let request = head::to_request(self.head, scheme).map_err(Cause::Client)?;
        let mut requests = lease.requests();
        let opened = match poll_fn(|cx| requests.poll_ready(cx)).await {
            Ok(()) => requests.send_request(request, self.empty),
            Err(error) => Err(error),
        };
        let (response, stream) = opened.map_err(|error| {
            lease.retire();
            failed(error)
        })?;
        self.progress.sent.set(true);
        Ok((To::Http2((!self.empty).then_some(stream)), From::http2(lease, response)))
    }

    /// Sends the request, then watches the client. Ends with what went wrong only.
    async fn send(&self, source: &mut Source<'_>, to: &mut To<'_>) -> Cause {
        if let Err(cause) = self.send_all(source, to).await {
            return cause;
        }
        self.progress.complete.set(true);
        self.answering.restart(self.leg.snapshot.policy.response);
        source.gone().await;
        Cause::ClientGone
    }

    async fn send_all(&self, source: &mut Source<'_>, to: &mut To<'_>) -> Result<(), Cause> {
        let limits = &self.worker.shared.config.limits;
        self.forward(to.head(self.head)).await?;
        if self.empty {
            return Ok(());
        }
        let (mut length, mut waited) = (0, 0);
        loop {
            let begun = self.sending.clock();
            let piece = self.sending.within(limits.client_timeout, source.piece()).await;
            let piece = piece.map_err(|Elapsed| Cause::ClientSlow)??;
            // Only what the client takes: a member that is slow to read is not its fault.
            waited += self.sending.clock() - begun;
            match piece {
                Piece::Data(data) => {
                    length += data.len() as u64;
                    if limits.is_slow(length, Duration::from_millis(waited)) {
                        return Err(Cause::ClientSlow);
                    }
                    self.forward(to.data(data)).await?;
                }
                Piece::End(trailers) => return self.forward(to.end(trailers)).await,
            }
            self.answering.extend();
        }
    }

    async fn forward(&self, write: impl Future<Output = Result<(), Unwritten>>) -> Result<(), Cause> {
        let limit = self.leg.snapshot.policy.response;
        let written = self.sending.within(limit, write).await;
        match written.map_err(|Elapsed| Cause::MemberSlow)? {
            Ok(()) => {
                self.progress.sent.set(true);
                Ok(())
            }
            Err(Unwritten { begun, cause }) => {
                self.progress.sent.set(self.progress.sent.get() || begun);
                Err(cause)
            }
        }
    }

    /// Passes the member's answer on.
    async fn answer(
        &self,
        from: &mut From<'_>,
        sink: &mut Sink<'_>,
        response: &mut Response,
    ) -> Result<Answered, Cause> {
        let mut text = Vec::with_capacity(1024);
        let mut head = Vec::with_capacity(1024);
        let mut interim = Interim::new(self.worker.shared.config.limits.head_bytes);
        let delivery = loop {
            let method = self.asked.method();
            self.await_head(from.head(self.worker, method, response, &mut text))
                .await?;
            if self.is_farewell(response) {
                return Err(Cause::Reset(std::io::ErrorKind::ConnectionReset.into()));
            }
            head.clear();
            // As for HTTP/1.1: see `exchange.rs`. A stream ends alone.
            let early = sink.is_http1() && !self.progress.complete.get();
            let delivery = rewrite(
                self.worker,
                self.leg,
                self.asked,
                response.head(&text),
                (self.received(), early),
                &mut head,
            );
            if !response.is_informational() {
                break delivery;
            }
            interim.count(text.len())?;
            let known = self.continued && response.status() == 100;
            if self.asked.version() != Version::Http10 && !known {
                self.deliver(sink.inform(&head)).await?;
            }
        };
        self.leg.origin.target().breaker().on_success();
        let framing = response.framing();
        let ended = framing == Framing::None || from.is_done();
        // A write to an HTTP/1.1 client may fail half-way; a stream takes a head as a whole or not at all.
        self.progress.begun.set(sink.is_http1());
        self.deliver(sink.head(&head, framing, delivery.decode, ended)).await?;
        self.progress.begun.set(true);
        if !ended {
            self.pass_on(from, sink).await?;
        }
        sink.complete();
        Ok(Answered {
            close: delivery.close,
            complete: self.progress.complete.get(),
        })
    }

    /// Passes the answer's body on.
    async fn pass_on(&self, from: &mut From<'_>, sink: &mut Sink<'_>) -> Result<(), Cause> {
        loop {
            match self.receive(from.piece(self.worker)).await? {
                Piece::Data(data) => self.deliver(sink.data(data)).await?,
                Piece::End(trailers) => return self.deliver(sink.end(trailers)).await,
            }
        }
    }

    /// What the member speaks, for `Via`.
    fn received(&self) -> &'static str {
        match self.leg.origin.target().protocol() {
            Protocol::Http1 => "",
            Protocol::H2c => "2",
        }
    }

    /// As for HTTP/1.1: the member said goodbye to an idle connection while a request was on its way there.
    fn is_farewell(&self, response: &Response) -> bool {
        response.status() == 408
            && !response.keep_alive()
            && self.progress.kept.get()
            && self.asked.method().is_idempotent()
            && !self.streamed.get()
            && self.worker.budget.allows()
    }

    /// What the member sends of the answer's head. One that takes long is looked at, and a request that may be sent again
    /// is given up here once its member is known to be ill.
    async fn await_head(&self, reading: impl Future<Output = Result<(), Cause>>) -> Result<(), Cause> {
        let gives_up = || {
            let target = self.leg.origin.target();
            let method = self.asked.method();
            self.attempts
                .gives_up(self.worker, target, method, !self.streamed.get())
        };
        let read = self.answering.watched(self.patience(), LOOKS, gives_up, reading).await;
        read.map_err(|over| match over {
            Over::Elapsed => Cause::MemberSlow,
            Over::GivenUp => Cause::MemberHung,
        })?
    }

    /// What the member sends next. While the client is still sending, its time counts in.
    async fn receive(&self, reading: impl Future<Output = Result<Piece, Cause>>) -> Result<Piece, Cause> {
        let read = self.answering.within(self.patience(), reading).await;
        read.map_err(|Elapsed| Cause::MemberSlow)?
    }

    /// How long the member may take for its next part.
    fn patience(&self) -> Duration {
        let response = self.leg.snapshot.policy.response;
        if self.progress.complete.get() {
            response
        } else {
            response.saturating_add(self.worker.shared.config.limits.client_timeout)
        }
    }

    async fn deliver(&self, write: impl Future<Output = Result<(), Cause>>) -> Result<(), Cause> {
        let limit = self.worker.shared.config.limits.client_timeout;
        let written = self.answering.within(limit, write).await;
        // A client that takes nothing for so long is as good as gone.
        written.map_err(|Elapsed| Cause::ClientGone)?
    }
}
