//! A client's connection: requests one after the other, and what is said to a client beside answers of members.

use std::{
    net::{IpAddr, SocketAddr},
    rc::Rc,
    time::Duration,
};

use lbpool_http1::{
    Method, Reply, Request, RequestHead, Response,
    reply::{self, To},
    rewrite::Trust,
};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt},
    net::TcpStream,
    time::Instant,
};

use super::{
    error::Reason,
    handshake::handshake,
    http2,
    io::{Sends, read},
};
use crate::{
    deadline::{Deadline, Elapsed},
    page::{PAGE, Page},
    stream::Stream,
    worker::Worker,
};

/// How long a client may take to notice that its connection ends.
pub(super) const LINGER: Duration = Duration::from_secs(1);
/// How much of a refused message is read and thrown away, so that the client reads the answer before a reset.
const LINGER_BYTES: usize = 1 << 20;
/// How long a client may be idle before what its requests needed is given back. Short: what many needed at the same time the
/// allocator keeps, although it is free.
const REST: Duration = Duration::from_millis(100);
/// How long a connection is still listened to once the balancer drains: for the first request of a client that has just
/// connected, and for the next one of a client that was never told that there will be none.
pub(super) const LAST: Duration = Duration::from_secs(1);

/// A client's connection.
pub(super) struct Connection {
    pub(super) worker: Rc<Worker>,
    pub(super) stream: Stream,
    /// The client's address.
    pub(super) peer: IpAddr,
    /// The same as text.
    pub(super) client: String,
    /// Whether it is a proxy that we believe.
    pub(super) trust: Trust,
    pub(super) sends: Sends,
    /// There was a request.
    greeted: bool,
    /// The head of the request at hand.
    pub(super) request: Request,
    /// The head of its answer.
    pub(super) response: Response,
    /// What the client has sent behind what was read of the request at hand: the rest of its body, where it waits, and
    /// further requests. At most a page.
    pub(super) left: Vec<u8>,
    /// The head that goes to the member.
    pub(super) out: Vec<u8>,
    /// For what the client sends and the member takes.
    pub(super) sending: Deadline,
    /// For what the member sends and the client takes.
    pub(super) answering: Deadline,
}

/// What becomes of a connection after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// The next request.
    Request,
    /// The client says nothing for now.
    Rest,
    /// It ends: the client has ended its side, or its tunnel is over.
    End,
    /// It ends behind an answer. The client may still be sending, and a reset would take the answer with it (RFC 9112,
    /// section 9.6).
    Linger,
    /// It ends at once, in the middle of an answer: the client is to see that there was more to come.
    Cut,
    /// It goes on in HTTP/2; what was read of that is left.
    Http2,
}

/// Why there is no further request.
#[derive(Debug)]
pub(super) enum NoHead {
    /// The client has ended the connection.
    End,
    /// The client is idle: it may go on later.
    Rest,
    /// The client was idle for too long, or we are ending.
    Idle,
    /// It is not encrypted, where it has to be.
    Plain,
    /// The client takes too long for the head.
    Slow,
    /// The head is refused.
    Refused(lbpool_http1::Error),
    /// The client speaks HTTP/2; what was read of that is left.
    Http2,
}

/// Serves a connection until it ends.
pub(crate) async fn client(worker: Rc<Worker>, stream: TcpStream, peer: SocketAddr) {
    // Else the last part of an answer waits for the acknowledgement of the one before: 40 ms.
    if stream.set_nodelay(true).is_err() {
        return;
    }
    let sending = worker.deadlines.add();
    let stream = match worker.shared.config.tls.as_ref().map(|identity| identity.config()) {
        None => Stream::Plain(stream),
        // Boxed: a connection that needs none is not to carry its size.
        Some(config) => match Box::pin(handshake(&worker, &sending, config, stream)).await {
            Ok(stream) => stream,
            Err(error) => return tracing::debug!(%peer, %error, "handshake"),
        },
    };
    let peer = peer.ip().to_canonical();
    let mut connection = Connection {
        stream,
        peer,
        client: peer.to_string(),
        trust: worker.shared.config.proxies.trust(peer),
        sends: Sends::default(),
        greeted: false,
        request: Request::new(),
        response: Response::new(),
        left: Vec::new(),
        out: Vec::new(),
        sending,
        answering: worker.deadlines.add(),
        worker,
    };
    if !connection.is_as_configured() {
        connection.refuse(NoHead::Plain).await;
        return Box::pin(connection.linger()).await;
    }
    loop {
        // What a request needs is large, and in a box: a client that rests for longer gives it back.
        match Box::pin(connection.requests()).await {
            Next::Request => {}
            Next::Rest if connection.rest().await => {}
            Next::Rest | Next::Linger => return Box::pin(connection.linger()).await,
            Next::End => return Box::pin(connection.end()).await,
            Next::Cut => return,
            Next::Http2 => {
                let Connection {
                    worker,
                    stream,
                    peer,
                    left,
                    ..
                } = connection;
                // On the heap: it is large, and connections of HTTP/1.1 need no room for it.
                return Box::pin(http2::serve(worker, stream, left, peer)).await;
            }
        }
    }
}

// === impl Connection ===

impl Connection {
    fn is_as_configured(&self) -> bool {
        self.stream.is_tls() == self.worker.shared.config.tls.is_some()
    }

    /// Serves requests until the client rests or the connection ends.
    async fn requests(&mut self) -> Next {
        if self.stream.is_http2() {
            return Next::Http2;
        }
        loop {
            match self.serve().await {
                Next::Request => {}
                other => return other,
            }
        }
    }

    /// Waits for a client that has been idle for [`REST`]. Whether it goes on: otherwise it was idle for too long, or we are
    /// ending.
    async fn rest(&mut self) -> bool {
        // Ten thousand idle connections are not to keep what a large head once took.
        self.left = Vec::new();
        self.out = Vec::new();
        self.request.trim();
        self.response.trim();
        let limit = self.worker.snapshot().policy.idle.saturating_sub(REST);
        self.sending.idle(limit, LAST, self.stream.readable()).await.is_ok()
    }

    /// Where the request comes from: the client's address, or the one in front of proxies that we believe.
    pub(super) fn source(&self, head: RequestHead<'_>) -> IpAddr {
        match self.trust {
            Trust::Replace => self.peer,
            Trust::Append => {
                let config = &self.worker.shared.config;
                config.proxies.client(head, self.peer, config.style)
            }
        }
    }

    /// Reads up to the end of a request's head. The page holds it, and what came with it.
    pub(super) async fn read_head(&mut self) -> Result<Page, NoHead> {
        let limits = &self.worker.shared.config.limits;
        let timeout = limits.head_timeout;
        let heads = lbpool_http1::Limits {
            head: limits.head_bytes,
            target: limits.target_bytes,
            headers: limits.headers,
        };
        let mut page = self.first_bytes().await?;
        // The clock is read only for a head that comes in pieces.
        let mut begun = None;
        loop {
            match self.request.parse(&page, &heads) {
                Ok(None) => {}
                Ok(Some(_)) => break,
                // Only as the first words of a connection: behind a request it is a malformed one. Over TLS the handshake
                // has to say so (RFC 9113, section 3.2).
                Err(_) if !self.greeted && !self.stream.is_tls() && page.starts_with(http2::PREFACE) => {
                    self.left.extend_from_slice(&page);
                    return Err(NoHead::Http2);
                }
                Err(error) => return Err(NoHead::Refused(error)),
            }
            let begun = *begun.get_or_insert_with(Instant::now);
            // A slow client is not to hold a page: what it has sent so far waits in as much memory as it takes.
            self.left.extend_from_slice(&page);
            drop(page);
            let left = timeout.saturating_sub(begun.elapsed());
            let mut room = (&mut self.stream).take((PAGE - self.left.len()) as u64);
            let more = self.sending.within(left, read(&self.worker.pages, &mut room)).await;
            let more = more.map_err(|Elapsed| NoHead::Slow)?.map_err(|_| NoHead::End)?;
            if more.is_empty() {
                return Err(NoHead::End);
            }
            page = self.worker.pages.take();
            page.append(&self.left);
            page.append(&more);
            self.left.clear();
        }
        self.greeted = true;
        Ok(page)
    }

    /// What the client sent behind the request before, or what it sends next.
    async fn first_bytes(&mut self) -> Result<Page, NoHead> {
        self.sends.several = !self.left.is_empty();
        if self.sends.several {
            let mut page = self.worker.pages.take();
            // Never more than a page: see `gone`.
            page.append(&self.left);
            self.left.clear();
            return Ok(page);
        }
        let idle = self.worker.snapshot().policy.idle;
        let limit = if self.worker.draining() { LAST } else { idle.min(REST) };
        let page = read(&self.worker.pages, &mut self.stream);
        match self.sending.idle(limit, LAST, page).await {
            Ok(Ok(page)) if !page.is_empty() => Ok(page),
            Ok(_) => Err(NoHead::End),
            Err(Elapsed) if limit < idle && !self.worker.draining() => Err(NoHead::Rest),
            Err(Elapsed) => Err(NoHead::Idle),
        }
    }

    /// Answers a head that is none.
    pub(super) async fn refuse(&mut self, no_head: NoHead) -> Next {
        // That of a head which did not come to its end is not known.
        let method = match no_head {
            NoHead::Refused(_) => self.request.method(),
            _ => Method::default(),
        };
        let (reason, status, message) = match no_head {
            NoHead::End => return Next::End,
            NoHead::Rest => return Next::Rest,
            NoHead::Http2 => return Next::Http2,
            // A request may be on its way: it is to find an end, not a reset.
            NoHead::Idle => return Next::Linger,
            NoHead::Plain => (
                Reason::Malformed,
                400,
                "this port takes TLS alone: use https".to_owned(),
            ),
            NoHead::Slow => (
                Reason::HeadTimeout,
                408,
                "the head of the request took too long".to_owned(),
            ),
            NoHead::Refused(error) => (Reason::from(error), error.status(), error.to_string()),
        };
        let reply = Reply {
            status,
            ..reason.reply(&message)
        };
        self.reply(
            reason,
            &reply,
            &To {
                method,
                close: true,
                ..To::default()
            },
        )
        .await;
        Next::Linger
    }

    /// Sends an answer of our own and counts it. Where the client is gone, nobody misses it.
    pub(super) async fn reply(&mut self, reason: Reason, reply: &Reply<'_>, to: &To<'_>) {
        let stats = self.worker.stats();
        stats.replies[reason as usize].inc();
        stats.requests[usize::from(reply.status / 100).min(5)].inc();
        let mut out = Vec::with_capacity(512);
        {
            let date = self.worker.date.borrow();
            reply.write(&To { date: &date, ..*to }, &mut out);
        }
        self.say(&out).await;
    }

    /// Sends an answer of whoever takes control requests.
    pub(super) async fn json(&mut self, status: u16, body: &str, to: &To<'_>) {
        self.worker.stats().requests[usize::from(status / 100).min(5)].inc();
        let mut out = Vec::with_capacity(256 + body.len());
        {
            let date = self.worker.date.borrow();
            reply::json(status, body, &To { date: &date, ..*to }, &mut out);
        }
        self.say(&out).await;
    }

    pub(super) async fn say(&mut self, bytes: &[u8]) {
        let limit = self.worker.shared.config.limits.client_timeout;
        let (_, client) = self.stream.split();
        drop(self.answering.within(limit, client.write_all(bytes, &[])).await);
    }

    /// Ends the connection. Over TLS the end has to be said, else the client takes the last answer for a part of one.
    async fn end(mut self) {
        if self.stream.is_tls() {
            // Either way it ends now.
            drop(self.sending.within(LINGER, self.stream.shutdown()).await);
        }
    }

    /// Ends the connection so that the client can read what was said, although it may still be sending.
    async fn linger(mut self) {
        // Over TLS the end waits for room, which a client that reads nothing never makes.
        if !matches!(self.sending.within(LINGER, self.stream.shutdown()).await, Ok(Ok(()))) {
            return;
        }
        let Self {
            worker,
            stream,
            sending,
            ..
        } = &mut self;
        let rest = async {
            let mut bytes = 0;
            while let Ok(page) = read(&worker.pages, stream).await {
                bytes += page.len();
                if page.is_empty() || bytes > LINGER_BYTES {
                    break;
                }
            }
        };
        // Either way it ends now.
        let _ = sending.within(LINGER, rest).await;
    }
}

const _: () = assert!(lbpool_http1::head::MAX_HEAD <= PAGE);

#[cfg(test)]
mod tests {
    use super::*;

    fn size_of_future<A, B, C, F>(_: impl Fn(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_connection_weighs_little_while_it_is_idle() {
        let task = size_of_future(client);
        assert!(task < 2048, "{task} bytes: what requests need belongs into the box");
    }
}
