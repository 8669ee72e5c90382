//! A client's HTTP/2 connection (RFC 9113): its streams are requests, each with a task of its own.
//!
//! `stream.rs` is one request, top to bottom. The codec is the crate h2: it checks frames, states, windows and fields, and
//! refuses streams above the limit, blocks of fields that are too large or come in too many parts, and small DATA frames
//! that pile up. What it does not bound is in `guard.rs`.
//!
//! Memory of a connection is bounded: [`CONNECTION_WINDOW`] of bodies that members have not taken, and for each stream its
//! head, [`SEND_BUFFER`] of its answer and one piece of a body each way.

mod grpc;
pub(super) mod guard;
mod io;
mod stream;

use std::{future::poll_fn, net::IpAddr, rc::Rc, task::Context, task::Poll, time::Duration};

use bytes::Bytes;
use h2::{
    Reason, RecvStream,
    server::{Builder, Connection, SendResponse},
};
use http::Request;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::watch,
    task::{JoinError, JoinSet},
    time::Instant,
};

use self::{guard::Guard, io::Metered};
use crate::{
    deadline::{Deadline, Elapsed},
    shared::Phase,
    stats::Abuse,
    stream::Stream,
    worker::Worker,
};

/// What a client with prior knowledge sends first (RFC 9113, section 3.4), as far as it looks like a head of HTTP/1.1.
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\n";
/// Bytes that a client may send ahead of what members have taken, per stream.
const STREAM_WINDOW: u32 = 64 * 1024;
/// The same for all streams of a connection.
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// Bytes that wait to be sent, per stream.
const SEND_BUFFER: usize = 32 * 1024;
/// How long a connection without requests that is to end is waited for.
const LAST: Duration = Duration::from_secs(1);

/// Who the client is.
#[derive(Clone, Debug)]
pub(super) struct Peer {
    address: IpAddr,
    /// The same as text.
    text: Rc<str>,
    /// `http` or `https`: how it reached us.
    proto: &'static str,
}

/// A connection.
struct Client<T> {
    worker: Rc<Worker>,
    connection: Connection<Metered<T>, Bytes>,
    streams: JoinSet<()>,
    guard: Rc<Guard>,
    peer: Peer,
    phases: watch::Receiver<Phase>,
    /// The client was told that there will be no further streams: since when, and how much had come and gone when it was last
    /// looked at.
    ending: Option<(Instant, u64)>,
}

/// What happens on a connection.
enum Event {
    Request(Box<Request<RecvStream>>, SendResponse<Bytes>),
    /// A stream's task has ended.
    Ended(Result<(), JoinError>),
    /// The balancer drains.
    Drain,
    Abused(Abuse),
    Closed,
}

/// Counts a connection as open.
struct Open(Rc<Worker>);

// === impl Open ===

impl Open {
    fn new(worker: &Rc<Worker>) -> Self {
        let stats = worker.stats();
        stats.http2_accepted.inc();
        stats.http2_connections.inc();
        Self(Rc::clone(worker))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.stats().http2_connections.dec();
    }
}

/// Serves a connection until it ends. `first` was read of `stream` before, and begins with [`PREFACE`] where anything was.
pub(crate) async fn serve(worker: Rc<Worker>, stream: Stream, first: Vec<u8>, address: IpAddr) {
    let proto = stream.scheme();
    let _open = Open::new(&worker);
    let guard = Rc::new(Guard::new());
    let limits = worker.shared.config.limits;
    let deadline = worker.deadlines.add();
    let handshake = settings(&worker).handshake(Metered::new(stream, first, Rc::clone(&guard)));
    let connection = match deadline.within(limits.head_timeout, handshake).await {
        Ok(Ok(connection)) => connection,
        Ok(Err(error)) => return tracing::debug!(%address, %error, "no HTTP/2 connection"),
        Err(Elapsed) => return,
    };
    let client = Client {
        phases: worker.shared.phases().watch(),
        worker,
        connection,
        streams: JoinSet::new(),
        guard,
        peer: Peer {
            address,
            text: address.to_string().into(),
            proto,
        },
        ending: None,
    };
    client.run(&deadline).await;
}

fn settings(worker: &Worker) -> Builder {
    let limits = worker.shared.config.limits;
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buffer_size(SEND_BUFFER)
        .max_concurrent_streams(limits.http2_streams)
        .max_header_list_size(u32::try_from(limits.head_bytes).unwrap_or(u32::MAX));
    builder
}

// === impl Client ===

impl<T: AsyncRead + AsyncWrite + Unpin> Client<T> {
    async fn run(mut self, deadline: &Deadline) {
        loop {
            let event = match self.idle() {
                Some(limit) => deadline.idle(limit, LAST, self.next()).await,
                None => Ok(self.next().await),
            };
            match event {
                Ok(Event::Request(request, respond)) => self.begin(*request, respond),
                Ok(Event::Ended(ended)) => self.end(ended),
                Ok(Event::Abused(abuse)) => {
                    self.worker.stats().http2_abuses[abuse as usize].inc();
                    tracing::debug!(address = %self.peer.address, abuse = abuse.label(), "HTTP/2 connection ended");
                    self.connection.abrupt_shutdown(Reason::ENHANCE_YOUR_CALM);
                    // What it is told waits for as long as it takes to be read, and no longer.
                    let told = poll_fn(|cx| self.connection.poll_closed(cx));
                    let _ = deadline.within(LAST, told).await;
                    return;
                }
                Ok(Event::Closed) => return self.abandon(deadline).await,
                Err(Elapsed) if self.ending.is_some() => {
                    if !self.goes_on() {
                        return;
                    }
                }
                Ok(Event::Drain) | Err(Elapsed) => self.goodbye(),
            }
        }
    }

    /// How long the connection may go on without a request. `None`: it has some.
    fn idle(&self) -> Option<Duration> {
        match (self.streams.is_empty(), self.ending.is_some()) {
            (false, _) => None,
            (true, true) => Some(LAST),
            (true, false) => Some(self.worker.snapshot().policy.idle),
        }
    }

    async fn next(&mut self) -> Event {
        let Self {
            worker,
            connection,
            streams,
            guard,
            phases,
            ending,
            ..
        } = self;
        // A stream that was reset is none for the codec, and its task still ends: no more tasks than streams.
        let room = streams.len() < worker.shared.config.limits.http2_streams as usize;
        tokio::select! {
            biased;
            Some(ended) = streams.join_next() => Event::Ended(ended),
            event = poll_fn(|cx| poll(connection, guard, room, cx)) => event,
            _ = phases.wait_for(|phase| *phase >= Phase::Draining), if ending.is_none() => Event::Drain,
        }
    }

    fn begin(&mut self, request: Request<RecvStream>, respond: SendResponse<Bytes>) {
        let serve = stream::serve(
            Rc::clone(&self.worker),
            Rc::clone(&self.guard),
            self.peer.clone(),
            request,
            respond,
        );
        self.streams.spawn_local(serve);
        // As over HTTP/1.1: a request that comes now is answered, and the next one shall go elsewhere.
        if self.worker.leaving() {
            self.goodbye();
        }
    }

    fn end(&self, ended: Result<(), JoinError>) {
        if ended.is_err_and(|error| error.is_panic()) {
            self.worker.stats().panics.inc();
            tracing::error!(worker = self.worker.id, "a stream was lost to a bug");
        }
    }

    /// Tells the client in two steps that there will be no further streams (RFC 9113, section 6.8): those that are on their
    /// way are still served.
    fn goodbye(&mut self) {
        self.connection.graceful_shutdown();
        if self.ending.is_none() {
            self.ending = Some((Instant::now(), self.guard.traffic()));
        }
    }

    /// Whether a client that was told the end still takes what it was sent. Its streams have no task any more, but their last
    /// bytes may be on their way for as long as it reads slowly.
    fn goes_on(&mut self) -> bool {
        let Some((since, seen)) = &mut self.ending else {
            return true;
        };
        let traffic = self.guard.traffic();
        let moves = *seen != traffic && since.elapsed() < self.worker.shared.config.limits.client_timeout;
        *seen = traffic;
        moves
    }

    /// The client has gone. Its streams know by now.
    async fn abandon(mut self, deadline: &Deadline) {
        let rest = async {
            while let Some(ended) = self.streams.join_next().await {
                if ended.is_err_and(|error| error.is_panic()) {
                    self.worker.stats().panics.inc();
                }
            }
        };
        // Either way it ends now.
        let _ = deadline.within(LAST, rest).await;
    }
}

fn poll<T: AsyncRead + AsyncWrite + Unpin>(
    connection: &mut Connection<Metered<T>, Bytes>,
    guard: &Guard,
    room: bool,
    cx: &mut Context<'_>,
) -> Poll<Event> {
    if let Some(abuse) = guard.abuse() {
        return Poll::Ready(Event::Abused(abuse));
    }
    let event = if room {
        connection.poll_accept(cx).map(|accepted| match accepted {
            Some(Ok((request, respond))) => Event::Request(Box::new(request), respond),
            Some(Err(error)) => closed(&error),
            None => Event::Closed,
        })
    } else {
        connection.poll_closed(cx).map(|ended| match ended {
            Ok(()) => Event::Closed,
            Err(error) => closed(&error),
        })
    };
    match guard.abuse() {
        Some(abuse) if event.is_pending() => Poll::Ready(Event::Abused(abuse)),
        _ => event,
    }
}

fn closed(error: &h2::Error) -> Event {
    tracing::debug!(%error, "HTTP/2 connection of a client ended");
    Event::Closed
}
