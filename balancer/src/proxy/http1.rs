//! One request, top to bottom.

use std::{
    cell::Cell,
    ops::{Deref, Range},
    rc::Rc,
};

use lbpool_api::routing::Protocol;
use lbpool_http1::{
    Body, Framing, Method,
    reply::To,
    rewrite::{self, Forward, Trust},
};
use tokio::time::Instant;

use super::{
    attempt::Attempts,
    connection::{Connection, Next},
    error::{Cause, Failure, Reason, Stage},
    exchange::{Outcome, Served, exchange},
    id::RequestId,
    io::gone,
    relay,
    tunnel::Tunnel,
};
use crate::{
    control,
    key::Asked,
    page::{Kept, PAGE, Page, Pages, SMALL},
    stats::bucket,
    worker::Worker,
};

/// A request as far as it has come: all that another attempt needs.
pub(super) struct Message {
    /// Its head, and behind it the first bytes of its body.
    bytes: Kept,
    head: usize,
    first: usize,
    /// The body as it goes on behind those.
    pub(super) body: Body,
    id: RequestId,
    /// Whether some of the body was read that is not in the page: what was sent can not be sent again.
    pub(super) streamed: Cell<bool>,
    /// What JSON pointers of the policy found in the body, as of when the request came. A policy that comes while the request
    /// waits for a member and looks elsewhere finds nothing: the next source counts then.
    pub(super) found: Vec<(String, String)>,
    /// Whether the client was told to go on with its body, so that nobody else need say so.
    pub(super) continued: bool,
    /// The first bytes of its body, where they are many and go out once: see [`Message::part`].
    once: Cell<Option<Once>>,
}

/// The first bytes of a body, where they were read.
struct Once {
    page: Page,
    at: Range<usize>,
}

/// The same while they are sent.
pub(super) struct Lent<'a> {
    message: &'a Message,
    once: Option<Once>,
    left: &'a Cell<bool>,
}

/// What a request came to.
enum Done {
    Served(Served),
    Switched(Tunnel),
}

/// Counts a request as being worked on.
pub(super) struct Active {
    worker: Rc<Worker>,
    started: Instant,
}

// === impl Message ===

impl Message {
    /// Its head.
    pub(super) fn head(&self) -> &[u8] {
        &self.bytes[..self.head]
    }

    /// The id that it has, or that it gets.
    pub(super) fn id(&self) -> &str {
        self.id.text(self.head())
    }

    /// The first bytes of its body.
    pub(super) fn first(&self) -> &[u8] {
        &self.bytes[self.head..self.head + self.first]
    }

    /// Takes the rest of the body in, so that it is as if it had come with the head: sent with it, and again with it. Where it
    /// has no room in a page beside the head it stays where it is: false.
    pub(super) fn complete(&mut self, rest: &[u8], pages: &Pages) -> bool {
        if self.bytes.len() + rest.len() > PAGE {
            return false;
        }
        let mut page = pages.take();
        page.append(&self.bytes[..self.head + self.first]);
        page.append(rest);
        self.first += rest.len();
        self.body = Body::new(Framing::None);
        self.bytes = Kept::first(page, self.head + self.first);
        true
    }

    /// Takes a long body from its head where no attempt needs it once a byte has left. Its page is free for the next request
    /// then (a member of HTTP/2 may refuse what it was sent: until its answer has ended). Pages that wait for answers with
    /// their requests would drive each other out of the processor's cache.
    fn part(&mut self, method: Method, pages: &Pages) {
        if method.is_idempotent() || self.first < SMALL {
            return;
        }
        let mut head = pages.scrap();
        head.extend_from_slice(self.head());
        let at = self.head..self.head + self.first;
        if let Kept::Page(page) = std::mem::replace(&mut self.bytes, Kept::Small(head)) {
            self.once.set(Some(Once { page, at }));
            self.first = 0;
        }
    }

    /// What [`Message::part`] took, to be sent. It comes back where `left` stays false: nothing of it has left.
    pub(super) fn lend<'a>(&'a self, left: &'a Cell<bool>) -> Option<Lent<'a>> {
        let once = self.once.take()?;
        Some(Lent {
            message: self,
            once: Some(once),
            left,
        })
    }
}

// === impl Lent ===

impl Deref for Lent<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.once.as_ref().map_or(&[], |once| &once.page[once.at.clone()])
    }
}

impl Drop for Lent<'_> {
    fn drop(&mut self) {
        if !self.left.get() {
            self.message.once.set(self.once.take());
        }
    }
}

// === impl Active ===

impl Active {
    /// From the end of a request's head on.
    pub(super) fn new(worker: &Rc<Worker>) -> Self {
        worker.stats().in_flight.inc();
        Self {
            worker: Rc::clone(worker),
            started: Instant::now(),
        }
    }

    /// Counts the time that the request took until its answer was complete.
    pub(super) fn note(&self) {
        let stats = self.worker.stats();
        let micros = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX);
        stats.latency[bucket(micros)].inc();
        stats.latency_sum.add(micros);
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        self.worker.stats().in_flight.dec();
    }
}

// === impl Connection ===

impl Connection {
    /// Reads a request, gets it answered, and says what becomes of the connection.
    pub(super) async fn serve(&mut self) -> Next {
        let page = match self.read_head().await {
            Ok(page) => page,
            Err(no_head) => return self.refuse(no_head).await,
        };
        let active = Active::new(&self.worker);
        let mut message = match self.message(page) {
            Ok(message) => message,
            Err(failure) => return self.fail(&failure, true, "").await,
        };
        let path = self.request.head(message.head()).path();
        if self.worker.shared.config.control.is_some() && control::PATHS.contains(&path) {
            return self.control(&message).await;
        }
        if !self.worker.snapshot().policy.pointers.is_empty()
            && let Err(failure) = self.look_into(&mut message).await
        {
            return self.fail(&failure, true, message.id()).await;
        }
        message.part(self.request.method(), &self.worker.pages);
        let done = self.proxy(&message).await;
        if self.out.capacity() > SMALL {
            // Many connections that each keep what one long head took are what many long heads take.
            self.out = Vec::new();
        }
        active.note();
        match done {
            Ok(Done::Served(served)) => {
                // Before the next request is waited for.
                drop(active);
                self.worker.stats().requests[usize::from(served.status / 100).min(5)].inc();
                served.next
            }
            // It may last for days: its request is answered, and in flight all the same.
            Ok(Done::Switched(tunnel)) => {
                self.worker.stats().requests[1].inc();
                drop(message);
                // On the heap: it is large, and requests are not to carry its size.
                Box::pin(tunnel.run(self)).await
            }
            Err(failure) => {
                drop(active);
                let complete = message.body.is_done();
                self.fail(&failure, !complete, message.id()).await
            }
        }
    }

    /// What of the bytes read belongs to the request; what follows it waits.
    fn message(&mut self, page: Page) -> Result<Message, Failure> {
        let refused = |cause| Failure {
            stage: Stage::Unsent,
            cause,
        };
        // A proxy that is believed may have ended its TLS.
        let secret = self.trust == Trust::Append || self.stream.is_tls();
        if !secret && self.request.head(&page).scheme() == Some("https") {
            return Err(refused(Cause::Client(lbpool_http1::Error::Misdirected)));
        }
        let limit = self.worker.shared.config.limits.body_bytes;
        let head = self.request.len();
        let mut body = Body::new(self.request.framing());
        let first = body
            .feed(&page[head..])
            .map_err(|error| refused(Cause::Client(error)))?;
        let known = match self.request.framing() {
            Framing::Length(length) => length,
            _ => first as u64,
        };
        if let Some(limit) = limit.filter(|limit| known > *limit) {
            return Err(refused(Cause::BodyTooLarge(limit)));
        }
        self.left.extend_from_slice(&page[head + first..]);
        let worker = &self.worker;
        let id = RequestId::of(self.request.head(&page), || [worker.random(), worker.random()]);
        let bytes = Kept::first(page, head + first);
        Ok(Message {
            bytes,
            head,
            first,
            body,
            id,
            streamed: Cell::new(false),
            found: Vec::new(),
            continued: false,
            once: Cell::new(None),
        })
    }

    /// Sends a request to the member that its key belongs to, and again where that is right, until it has an answer.
    async fn proxy(&mut self, message: &Message) -> Result<Done, Failure> {
        let head = self.request.head(message.head());
        let forward = Forward {
            client: &self.client,
            proto: self.stream.scheme(),
            trust: self.trust,
            style: self.worker.shared.config.style,
            request_id: message.id(),
            received: "",
        };
        self.out.clear();
        rewrite::request(head, &forward, &mut self.out);
        self.worker.budget.earn();
        let mut attempts = Attempts::default();
        loop {
            let head = self.request.head(message.head());
            let asked = Asked {
                head,
                client: self.source(head),
                body: &message.found,
            };
            let leg = if let Some(leg) = attempts.next(&self.worker, asked) {
                leg
            } else {
                let (mut client, _) = self.stream.split();
                let gone = gone(&self.worker.pages, &mut client, &mut self.left, &mut self.sends);
                // On the heap: it is large, and few requests wait.
                Box::pin(attempts.wait(&self.worker, asked, gone)).await?
            };
            let outcome = match leg.origin.target().protocol() {
                Protocol::Http1 => exchange(self, message, &leg, &attempts).await,
                // On the heap: it is large, and every connection of HTTP/1.1 would have room for it.
                Protocol::H2c => Box::pin(relay::http1_to_http2(self, message, &leg, &attempts))
                    .await
                    .map(Outcome::Served),
            };
            match outcome {
                Ok(Outcome::Served(served)) => return Ok(Done::Served(served)),
                Ok(Outcome::Switched(member, early)) => return Ok(Done::Switched(Tunnel { leg, member, early })),
                Err((failure, reused)) => {
                    let sent = (self.request.method(), !message.streamed.get());
                    attempts.again(&self.worker, &leg, sent, failure, reused)?;
                }
            }
        }
    }

    /// Tells the client what went wrong, where it can still be told.
    pub(super) async fn fail(&mut self, failure: &Failure, unread: bool, id: &str) -> Next {
        let Failure { stage, cause } = failure;
        let Some(reason) = cause.reason() else {
            self.worker.stats().client_aborts.inc();
            self.worker.stats().requests[0].inc();
            // A client that was given up may read on: what it has is a part.
            return if *stage == Stage::Answering {
                Next::Cut
            } else {
                Next::End
            };
        };
        if *stage == Stage::Answering {
            self.worker.stats().requests[5].inc();
            return Next::Cut;
        }
        let close = unread || self.worker.leaving() || !self.request.keep_alive();
        let message = cause.to_string();
        let mut reply = reason.reply(&message);
        if let Cause::Client(error) = cause {
            reply.status = error.status();
        }
        let to = To {
            close,
            ..To::sender(&self.request, id)
        };
        self.reply(reason, &reply, &to).await;
        if close { Next::Linger } else { Next::Request }
    }

    /// Answers a request with one of our own.
    pub(super) async fn answer(&mut self, reason: Reason, message: &str, to: &To<'_>) {
        self.reply(reason, &reason.reply(message), to).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_body_comes_back_until_some_of_it_has_left() {
        let pages = Pages::default();
        let mut page = pages.take();
        page.append(&[b'h'; 10]);
        page.append(&[b'b'; SMALL]);
        let mut message = Message {
            bytes: Kept::first(page, 10 + SMALL),
            head: 10,
            first: SMALL,
            body: Body::new(Framing::None),
            id: RequestId::None,
            streamed: Cell::new(false),
            found: Vec::new(),
            continued: false,
            once: Cell::new(None),
        };
        message.part(Method::Put, &pages);
        assert_eq!(message.first().len(), SMALL, "it may be sent again");
        message.part(Method::Post, &pages);
        assert_eq!((message.head(), message.first()), (&[b'h'; 10][..], &[][..]));
        for some in [false, true].map(Cell::new) {
            let lent = message.lend(&some);
            assert_eq!(lent.as_deref(), Some(&[b'b'; SMALL][..]), "{some:?}");
        }
        assert!(message.lend(&Cell::new(false)).is_none());
    }
}
