//! Connections to members that speak HTTP/2: each carries many requests at the same time.
//!
//! A worker opens a connection to a member when the ones that it has are full. While one is being opened, all that need it
//! wait for it, so that a burst of requests opens one connection and not one each.

use std::{
    cell::{Cell, RefCell},
    io,
    rc::Rc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use bytes::Bytes;
use h2::{
    Ping,
    client::{Builder, SendRequest},
};
use tokio::{
    sync::Notify,
    task::AbortHandle,
    time::{Instant, timeout},
};

use crate::{target::Target, tls::Upstream, upstream::connect::connect};

/// Streams on one connection, where the member allows as many. As many are assumed until it has said so.
pub(crate) const STREAMS: u16 = 128;
/// Bytes that a member may send ahead of what the client has taken, per stream. All streams of a connection may have theirs
/// at the same time: a client that takes nothing must not stop the others, whose answers come over the same connection.
const WINDOW: u32 = 64 * 1024;
/// Bytes that wait to be sent, per stream.
const SEND_BUFFER: usize = 32 * 1024;
/// Bytes of an answer's head with all its names and values, as HTTP/2 counts them.
const HEADER_LIST: u32 = 64 * 1024;

/// A worker's HTTP/2 connections to one member.
#[derive(Debug, Default)]
pub(crate) struct Links {
    open: RefCell<Vec<Rc<Link>>>,
    dialing: RefCell<Option<Rc<Dial>>>,
    closed: Cell<bool>,
}

/// One HTTP/2 connection to a member. Its task ends with it.
#[derive(Debug)]
struct Link {
    requests: SendRequest<Bytes>,
    streams: Cell<usize>,
    /// It takes no more requests: it is broken, or the member said goodbye.
    ended: Rc<Cell<bool>>,
    since: Cell<Instant>,
    task: AbortHandle,
}

/// A place for one request on a connection.
#[derive(Debug)]
pub(crate) struct Lease(Rc<Link>);

/// A connection that is being made.
#[derive(Debug, Default)]
struct Dial {
    done: Notify,
    failed: RefCell<Option<(io::ErrorKind, String)>>,
}

/// Whoever makes a connection. Dropped early, the next one who waits makes it.
struct Dialing<'a> {
    links: &'a Links,
    dial: Rc<Dial>,
}

// === impl Links ===

impl Links {
    /// A place on a connection, and whether that one was there before. `made` is called for each that is made, with whether
    /// it came about.
    pub(crate) async fn lease(
        &self,
        target: &Target,
        tls: Option<&Upstream>,
        limit: Duration,
        made: impl Fn(bool),
    ) -> io::Result<(Lease, bool)> {
        loop {
            if let Some(lease) = self.room() {
                return Ok((lease, true));
            }
            let present = self.dialing.borrow().clone();
            let Some(dial) = present else {
                return self.dial(target, tls, limit, made).await.map(|lease| (lease, false));
            };
            // Nobody else runs between the look and the registration: a worker is one thread.
            dial.done.notified().await;
            if let Some((kind, text)) = &*dial.failed.borrow() {
                return Err(io::Error::new(*kind, text.clone()));
            }
        }
    }

    fn room(&self) -> Option<Lease> {
        let mut open = self.open.borrow_mut();
        open.retain(|link| link.takes_more());
        open.iter().find(|link| link.has_room()).map(Lease::new)
    }

    async fn dial(
        &self,
        target: &Target,
        tls: Option<&Upstream>,
        limit: Duration,
        made: impl Fn(bool),
    ) -> io::Result<Lease> {
        let dialing = Dialing::begin(self);
        let link = open(target, tls, limit).await;
        made(link.is_ok());
        match link {
            Ok(link) => {
                let link = Rc::new(link);
                let lease = Lease::new(&link);
                if !self.closed.get() {
                    self.open.borrow_mut().push(link);
                }
                Ok(lease)
            }
            Err(error) => {
                let told = (error.kind(), error.to_string());
                dialing.dial.failed.replace(Some(told));
                Err(error)
            }
        }
    }

    /// Takes no further requests to the connections that are open: those on them go on.
    pub(crate) fn leave(&self) {
        self.open.borrow_mut().clear();
    }

    /// As [`Links::leave`], for good.
    pub(crate) fn close(&self) {
        self.closed.set(true);
        self.leave();
    }

    /// Closes what was idle for longer than `limit`, and what members have closed.
    pub(crate) fn sweep(&self, now: Instant, limit: Duration) {
        self.open.borrow_mut().retain(|link| {
            let idle = link.streams.get() == 0 && now.duration_since(link.since.get()) >= limit;
            !idle && !link.ended.get()
        });
    }
}

// === impl Link ===

impl Link {
    /// Whether the member takes further requests on it: neither broken nor said goodbye to.
    fn takes_more(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        !self.ended.get() && !matches!(self.requests.clone().poll_ready(&mut cx), Poll::Ready(Err(_)))
    }

    fn has_room(&self) -> bool {
        let most = self.requests.current_max_send_streams().min(usize::from(STREAMS));
        // A member that allows none is asked all the same: it refuses, and says so.
        self.streams.get() < most.max(1)
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

// === impl Lease ===

impl Lease {
    fn new(link: &Rc<Link>) -> Self {
        link.streams.set(link.streams.get() + 1);
        Self(Rc::clone(link))
    }

    /// Where the request goes.
    pub(crate) fn requests(&self) -> SendRequest<Bytes> {
        self.0.requests.clone()
    }

    /// The connection takes no more: nobody else is to try it.
    pub(crate) fn retire(&self) {
        self.0.ended.set(true);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let link = &self.0;
        link.streams.set(link.streams.get() - 1);
        link.since.set(Instant::now());
    }
}

// === impl Dialing ===

impl<'a> Dialing<'a> {
    fn begin(links: &'a Links) -> Self {
        let dial = Rc::new(Dial::default());
        links.dialing.replace(Some(Rc::clone(&dial)));
        Self { links, dial }
    }
}

impl Drop for Dialing<'_> {
    fn drop(&mut self) {
        self.links.dialing.replace(None);
        self.dial.done.notify_waiters();
    }
}

/// Settings of a connection to a member.
pub(crate) fn settings() -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(WINDOW)
        .initial_connection_window_size(WINDOW * u32::from(STREAMS))
        .max_send_buffer_size(SEND_BUFFER)
        .max_header_list_size(HEADER_LIST)
        .initial_max_send_streams(usize::from(STREAMS))
        .enable_push(false);
    builder
}

async fn open(target: &Target, tls: Option<&Upstream>, limit: Duration) -> io::Result<Link> {
    let address = target.address();
    let stream = connect(target, tls, limit).await?;
    // It only writes a few bytes into a new connection.
    let (requests, mut connection) = settings().handshake(stream).await.map_err(into_io)?;
    let pings = connection.ping_pong();
    let ended = Rc::new(Cell::new(false));
    let told = Rc::clone(&ended);
    // Its owner is the link, which ends it.
    let task = tokio::task::spawn_local(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%address, %error, "HTTP/2 connection to a member ended");
        }
        told.set(true);
    });
    let link = Link {
        requests,
        streams: Cell::new(0),
        ended,
        since: Cell::new(Instant::now()),
        task: task.abort_handle(),
    };
    if let Some(mut pings) = pings {
        // What the member allows comes before its answer to this: a burst of requests is not to run into its limit. One that
        // does not answer is asked all the same.
        let _ = timeout(limit, pings.ping(Ping::opaque())).await;
    }
    Ok(link)
}

/// The system's word where it was the system.
pub(crate) fn into_io(error: h2::Error) -> io::Error {
    if error.is_io() {
        let text = error.to_string();
        return error.into_io().unwrap_or_else(|| io::Error::other(text));
    }
    io::Error::other(error)
}
