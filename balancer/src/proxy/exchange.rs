//! One attempt: a request goes to a member and its answer comes back, both at the same time.
//!
//! Two halves run side by side: one sends what the client sends, the other answers with what the member answers. A member
//! may answer before it has read all, and a client may go away at any time.

use std::{cell::Cell, future::Future, io, pin::pin, time::Duration};

use lbpool_http1::{Body, Framing, Request, RequestHead, Response, ResponseHead, Version, rewrite, upgrade};

use super::{
    attempt::{Attempts, Leg},
    connection::{Connection, Next},
    error::{Cause, Failure, Stage},
    http1::Message,
    interim::Interim,
    io::{Sends, gone, read},
};
use crate::{
    deadline::{Deadline, Elapsed, Looks, Over},
    page::{PAGE, Page},
    stream::{ReadHalf, Stream, WriteError, WriteHalf},
    upstream::connect::connect,
    worker::Worker,
};

/// When a request that has no answer yet makes its member suspect, and how often from then on. Many services answer within
/// the first; a member that takes longer and is well pays with a probe per second.
pub(super) const LOOKS: Looks = Looks {
    first: Duration::from_secs(1),
    then: Duration::from_secs(5),
};

/// A body that is copied behind its head rather than sent beside it.
const SMALL: usize = 1024;

/// A request that was answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Served {
    pub(super) status: u16,
    pub(super) next: Next,
}

/// What an attempt came to.
pub(super) enum Outcome {
    Served(Served),
    /// The member speaks another protocol from here on, over this connection; behind its head it has sent these bytes.
    Switched(Stream, Vec<u8>),
}

/// What both halves know of each other.
struct Exchange<'a> {
    worker: &'a Worker,
    leg: &'a Leg,
    attempts: &'a Attempts,
    request: &'a Request,
    message: &'a Message,
    sending: &'a Deadline,
    answering: &'a Deadline,
    /// The connection had been used before: the member may be about to end it.
    kept: bool,
    /// A byte of the request has left.
    sent: Cell<bool>,
    /// All of the request has left.
    complete: Cell<bool>,
    /// The client has seen a byte of the answer.
    begun: Cell<bool>,
}

/// An answer that the client has got as a whole.
struct Answered {
    status: u16,
    /// The member takes another request on its connection.
    reusable: bool,
    /// The client's connection ends, as its answer said.
    close: bool,
    /// It is a 101: what came behind it.
    switched: Option<Vec<u8>>,
}

/// Makes one of the `attempts`. With a failure: whether its connection had been used before.
pub(super) async fn exchange(
    connection: &mut Connection,
    message: &Message,
    leg: &Leg,
    attempts: &Attempts,
) -> Result<Outcome, (Failure, bool)> {
    let replayable = connection.request.method().is_idempotent() && message.body.is_done();
    let worker = &connection.worker;
    let (mut upstream, reused) = match pooled(worker, leg, attempts, !replayable) {
        Some(stream) => (stream, true),
        // On the heap: it is large, and most requests find a connection.
        None => match Box::pin(reach(worker, leg)).await {
            Ok(stream) => (stream, false),
            Err(failure) => return Err((failure, false)),
        },
    };
    let kept = reused && !attempts.was_stale();
    let answered = run(connection, message, (leg, attempts), &mut upstream, kept)
        .await
        .map_err(|failure| (failure, reused))?;
    if let Some(early) = answered.switched {
        return Ok(Outcome::Switched(upstream, early));
    }
    if answered.reusable {
        let bare = connection.response.framing() == Framing::None;
        let most = connection.worker.shared.config.limits.idle_per_member;
        leg.origin.put(upstream, most, bare);
    }
    let next = if answered.close { Next::Linger } else { Next::Request };
    Ok(Outcome::Served(Served {
        status: answered.status,
        next,
    }))
}

/// A connection to the member that was used before. `sure`: the request can not be sent again.
pub(super) fn pooled(worker: &Worker, leg: &Leg, attempts: &Attempts, sure: bool) -> Option<Stream> {
    let pooled = if attempts.fresh() { None } else { leg.origin.take(sure) };
    if pooled.is_some() {
        worker.stats().upstream_reuses.inc();
    }
    pooled
}

/// A new connection to the member.
pub(super) async fn reach(worker: &Worker, leg: &Leg) -> Result<Stream, Failure> {
    let stats = worker.stats();
    stats.upstream_connects.inc();
    let limit = leg.snapshot.policy.connect;
    let tls = worker.shared.config.upstream_tls.as_deref();
    let connected = connect(leg.origin.target(), tls, limit).await;
    connected.map_err(|error| {
        stats.upstream_connect_failures.inc();
        Failure {
            stage: Stage::Unsent,
            cause: Cause::Connect(error),
        }
    })
}

/// The head of the answer as the client shall see it. `close`: its connection ends behind it in any case.
pub(super) fn rewrite(
    worker: &Worker,
    leg: &Leg,
    asked: RequestHead<'_>,
    head: ResponseHead<'_>,
    (received, close): (&str, bool),
    out: &mut Vec<u8>,
) -> rewrite::Delivery {
    let mut answer = rewrite::Answer::to(&asked);
    answer.close |= close || worker.leaving();
    answer.received = received;
    let date = worker.date.borrow();
    answer.date = &date;
    if asked.header("X-Lbpool-Debug").any(|value| value == b"1") {
        let snapshot = &leg.snapshot;
        let epoch = snapshot.epoch.to_string();
        let extra = [
            ("X-Lbpool-Member", &**leg.origin.target().member()),
            ("X-Lbpool-Epoch", &epoch),
            ("X-Lbpool-Digest", &snapshot.digest),
        ];
        let answer = rewrite::Answer {
            extra: &extra,
            ..answer
        };
        return rewrite::response(head, &answer, out);
    }
    rewrite::response(head, &answer, out)
}

async fn run(
    connection: &mut Connection,
    message: &Message,
    (leg, attempts): (&Leg, &Attempts),
    upstream: &mut Stream,
    kept: bool,
) -> Result<Answered, Failure> {
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
    let exchange = Exchange {
        worker,
        leg,
        attempts,
        request,
        message,
        sending,
        answering,
        kept,
        sent: Cell::new(false),
        complete: Cell::new(false),
        begun: Cell::new(false),
    };
    let (from_client, to_client) = stream.split();
    let (from_member, to_member) = upstream.split();
    let mut send = pin!(exchange.send(out, from_client, (left, sends), to_member));
    let mut answer = pin!(exchange.answer(response, from_member, to_client));
    let mut sending = true;
    let cause = loop {
        tokio::select! {
            biased;
            cause = &mut send, if sending => match cause {
                // The member takes no more: it may have answered all the same.
                Cause::Reset(_) if exchange.sent.get() => sending = false,
                cause => break cause,
            },
            answered = &mut answer => match answered {
                Ok(answered) => return Ok(answered),
                Err(cause) => break cause,
            },
        }
    };
    let stage = match (exchange.begun.get(), exchange.sent.get()) {
        (true, _) => Stage::Answering,
        (false, true) => Stage::Waiting,
        (false, false) => Stage::Unsent,
    };
    Err(Failure { stage, cause })
}

// === impl Exchange ===

impl Exchange<'_> {
    /// Sends the request, then watches the client. Ends with what went wrong only.
    async fn send(
        &self,
        head: &[u8],
        mut from: ReadHalf<'_>,
        (left, sends): (&mut Vec<u8>, &mut Sends),
        to: WriteHalf<'_>,
    ) -> Cause {
        if let Err(cause) = self.send_all(head, &mut from, left, &to).await {
            return cause;
        }
        self.complete.set(true);
        self.answering.restart(self.leg.snapshot.policy.response);
        gone(&self.worker.pages, &mut from, left, sends).await;
        Cause::ClientGone
    }

    async fn send_all(
        &self,
        head: &[u8],
        from: &mut ReadHalf<'_>,
        left: &mut Vec<u8>,
        to: &WriteHalf<'_>,
    ) -> Result<(), Cause> {
        let mut length = self.send_first(head, to).await? as u64;
        let limits = &self.worker.shared.config.limits;
        let mut body = self.message.body.clone();
        if !body.is_done() && !left.is_empty() {
            // It came while the request waited for its member.
            self.message.streamed.set(true);
            let n = self.count(&mut body, left, &mut length)?;
            let piece: Vec<u8> = left.drain(..n).collect();
            self.forward(to, &piece, &[]).await?;
        }
        let mut waited = 0;
        while !body.is_done() {
            let begun = self.sending.clock();
            let page = self
                .sending
                .within(limits.client_timeout, read(&self.worker.pages, from))
                .await;
            let page = page
                .map_err(|Elapsed| Cause::ClientSlow)?
                .map_err(|_| Cause::ClientGone)?;
            if page.is_empty() {
                return Err(Cause::ClientGone);
            }
            // Only what the client takes: a member that is slow to read is not its fault.
            waited += self.sending.clock() - begun;
            if limits.is_slow(length, Duration::from_millis(waited)) {
                return Err(Cause::ClientSlow);
            }
            self.message.streamed.set(true);
            let n = self.count(&mut body, &page, &mut length)?;
            left.extend_from_slice(&page[n..]);
            self.forward(to, &page[..n], &[]).await?;
            self.answering.extend();
        }
        Ok(())
    }

    /// Sends the head, and what came with it of the body: so many bytes.
    async fn send_first(&self, head: &[u8], to: &WriteHalf<'_>) -> Result<usize, Cause> {
        let lent = self.message.lend(&self.sent);
        let first = lent.as_deref().unwrap_or(self.message.first());
        self.forward(to, head, first).await.map(|()| first.len())
    }

    /// How many of `bytes` belong to the body, of which there were `length` bytes before them.
    fn count(&self, body: &mut Body, bytes: &[u8], length: &mut u64) -> Result<usize, Cause> {
        let n = body.feed(bytes).map_err(Cause::Client)?;
        *length += n as u64;
        match self.worker.shared.config.limits.body_bytes {
            Some(limit) if *length > limit => Err(Cause::BodyTooLarge(limit)),
            _ => Ok(n),
        }
    }

    async fn forward(&self, to: &WriteHalf<'_>, first: &[u8], second: &[u8]) -> Result<(), Cause> {
        let limit = self.leg.snapshot.policy.response;
        // At once: the member may answer, or go, before all of it is written.
        let writing = to.write_noting(first, second, || self.sent.set(true));
        let written = self.sending.within(limit, writing).await;
        written
            .map_err(|Elapsed| Cause::MemberSlow)?
            .map_err(|WriteError { error, .. }| Cause::Reset(error))
    }

    /// Passes the member's answer on.
    async fn answer(
        &self,
        response: &mut Response,
        mut from: ReadHalf<'_>,
        to: WriteHalf<'_>,
    ) -> Result<Answered, Cause> {
        let page = self.answer_head(response, &mut from, &to).await?;
        if self.is_farewell(response) {
            return Err(Cause::Reset(io::ErrorKind::ConnectionReset.into()));
        }
        self.leg.origin.target().breaker().on_success();
        if response.is_switch() {
            return self.switch(response, &page, &to).await;
        }
        let mut head = self.worker.pages.scrap();
        let asked = self.request.head(self.message.head());
        // The client's connection has no place for another request before all of this one is known to have been read: said
        // in the head, so that no request is sent behind it in vain (RFC 9110, section 10.1.1).
        let early = !self.complete.get();
        let delivery = rewrite(
            self.worker,
            self.leg,
            asked,
            response.head(&page),
            ("", early),
            &mut head,
        );
        let by_end = delivery.decode || response.framing() == Framing::Close;
        if by_end {
            to.reset_on_drop(true);
        }
        let mut body = Body::new(response.framing());
        let mut data = Vec::new();
        let rest = &page[response.len()..];
        let n = follow(&mut body, rest, delivery.decode, &mut data)?;
        // Bytes behind the answer: whatever they are, nobody asked for them.
        let mut surplus = n < rest.len();
        self.begun.set(true);
        let mut first = if delivery.decode { &data } else { &rest[..n] };
        if first.len() <= SMALL {
            // One buffer goes out by a cheaper call than two.
            head.extend_from_slice(first);
            first = &[];
        }
        self.deliver(&to, &head, first).await?;
        drop((page, head));
        while !body.is_done() {
            let page = self.receive(read(&self.worker.pages, &mut from)).await?;
            if page.is_empty() {
                body.end()
                    .map_err(|_| Cause::Reset(io::ErrorKind::UnexpectedEof.into()))?;
                break;
            }
            data.clear();
            let n = follow(&mut body, &page, delivery.decode, &mut data)?;
            surplus = n < page.len();
            self.deliver(&to, if delivery.decode { &data } else { &page[..n] }, &[])
                .await?;
        }
        if by_end {
            to.reset_on_drop(false);
        }
        // A member that was offered another protocol may believe that it is spoken, whatever it has answered.
        let reusable = self.complete.get() && !surplus && response.keep_alive() && !self.request.is_upgrade();
        Ok(Answered {
            status: response.status(),
            reusable,
            close: delivery.close,
            switched: None,
        })
    }

    /// Passes a 101 on. Up to here nothing that came behind the request was sent to the member.
    async fn switch(&self, response: &Response, page: &[u8], to: &WriteHalf<'_>) -> Result<Answered, Cause> {
        let request = self.request.head(self.message.head());
        if !self.complete.get() || !upgrade::is_agreed(request, response.head(page)) {
            return Err(Cause::Answer(lbpool_http1::Error::Switched));
        }
        let mut head = Vec::with_capacity(1024);
        let head_of = response.head(page);
        rewrite(self.worker, self.leg, request, head_of, ("", false), &mut head);
        self.begun.set(true);
        self.deliver(to, &head, &[]).await?;
        Ok(Answered {
            status: response.status(),
            reusable: false,
            close: true,
            switched: Some(page.get(response.len()..).unwrap_or_default().to_vec()),
        })
    }

    /// Whether the member said goodbye to an idle connection while a request was on its way there: it has not seen that
    /// one (RFC 9110, section 15.5.9). Only where the request will be sent again: otherwise its client gets the 408.
    fn is_farewell(&self, response: &Response) -> bool {
        response.status() == 408
            && !response.keep_alive()
            && self.kept
            && self.request.method().is_idempotent()
            && !self.message.streamed.get()
            && self.worker.budget.allows()
    }

    /// Reads up to the end of the answer's head, and passes on what the member says before it.
    async fn answer_head(
        &self,
        response: &mut Response,
        from: &mut ReadHalf<'_>,
        to: &WriteHalf<'_>,
    ) -> Result<Page, Cause> {
        let limits = &self.worker.shared.config.limits;
        let heads = limits.of_answers();
        response.clear();
        response.allow_switch(self.request.is_upgrade());
        let mut page = self.await_head(read(&self.worker.pages, from)).await?;
        let mut ended = page.is_empty();
        let mut interim = Interim::new(limits.head_bytes);
        loop {
            if ended {
                return Err(Cause::Reset(io::ErrorKind::UnexpectedEof.into()));
            }
            let head = response
                .parse(&page, &heads, self.request.method())
                .map_err(Cause::Answer)?;
            match head {
                Some(_) if !response.is_informational() => return Ok(page),
                Some(length) => {
                    interim.count(length)?;
                    self.inform(response, &page, to).await?;
                    page.consume(length);
                    if !page.is_empty() {
                        continue;
                    }
                }
                None if page.len() == PAGE => return Err(Cause::Answer(lbpool_http1::Error::HeadTooLarge)),
                None => {}
            }
            let fill = std::future::poll_fn(|cx| page.poll_fill(from, cx));
            ended = self.await_head(fill).await? == 0;
        }
    }

    /// Passes an interim answer on, to a client that can read one.
    async fn inform(&self, response: &Response, page: &[u8], to: &WriteHalf<'_>) -> Result<(), Cause> {
        let known = self.message.continued && response.status() == 100;
        if self.request.version() == Version::Http10 || known {
            return Ok(());
        }
        let mut head = Vec::with_capacity(128);
        rewrite::response(response.head(page), &rewrite::Answer::to(self.request), &mut head);
        self.deliver(to, &head, &[]).await
    }

    /// What the member sends of the answer's head. One that takes long is looked at, and a request that may be sent again
    /// is given up here once its member is known to be ill.
    async fn await_head<T>(&self, reading: impl Future<Output = io::Result<T>>) -> Result<T, Cause> {
        let gives_up = || {
            let target = self.leg.origin.target();
            let replayable = !self.message.streamed.get();
            self.attempts
                .gives_up(self.worker, target, self.request.method(), replayable)
        };
        let read = self.answering.watched(self.patience(), LOOKS, gives_up, reading).await;
        read.map_err(|over| match over {
            Over::Elapsed => Cause::MemberSlow,
            Over::GivenUp => Cause::MemberHung,
        })?
        .map_err(Cause::Reset)
    }

    /// What the member sends next. While the client is still sending, its time counts in.
    async fn receive<T>(&self, reading: impl Future<Output = io::Result<T>>) -> Result<T, Cause> {
        let read = self.answering.within(self.patience(), reading).await;
        read.map_err(|Elapsed| Cause::MemberSlow)?.map_err(Cause::Reset)
    }

    /// How long the member may take for its next part.
    fn patience(&self) -> Duration {
        let response = self.leg.snapshot.policy.response;
        if self.complete.get() {
            response
        } else {
            response.saturating_add(self.worker.shared.config.limits.client_timeout)
        }
    }

    async fn deliver(&self, to: &WriteHalf<'_>, first: &[u8], second: &[u8]) -> Result<(), Cause> {
        let limit = self.worker.shared.config.limits.client_timeout;
        let written = self.answering.within(limit, to.write_all(first, second)).await;
        // A client that takes nothing for so long is as good as gone.
        written
            .map_err(|Elapsed| Cause::ClientGone)?
            .map_err(|_| Cause::ClientGone)
    }
}

/// How many of `bytes` belong to the body; its data goes to `data` where the client takes no chunks.
fn follow(body: &mut Body, bytes: &[u8], decode: bool, data: &mut Vec<u8>) -> Result<usize, Cause> {
    if decode {
        body.decode(bytes, usize::MAX, data)
    } else {
        body.feed(bytes)
    }
    .map_err(Cause::Answer)
}
