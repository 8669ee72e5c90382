//! Idle connections to members, kept by each worker for itself.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    io,
    mem::MaybeUninit,
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use socket2::SockRef;
use tokio::{sync::Notify, time::Instant};

use crate::{
    stream::Stream,
    target::{Probe, Target},
    upstream::http2::Links,
};

/// A connection that was idle for longer may just be closed by the member (node.js closes after 5 s, others after 2):
/// a request that can not be sent twice does not take it.
const SURE: Duration = Duration::from_secs(1);

/// A worker's connections to all members.
#[derive(Debug, Default)]
pub(crate) struct Origins(RefCell<HashMap<usize, Rc<Origin>>>);

/// A worker's connections to one target.
#[derive(Debug)]
pub(crate) struct Origin {
    target: Arc<Target>,
    idle: RefCell<Vec<Idle>>,
    /// Those over HTTP/2.
    pub(crate) links: Links,
    closed: Cell<bool>,
    left: Notify,
}

#[derive(Debug)]
struct Idle {
    stream: Stream,
    since: Instant,
    /// Its last answer ended with its head. A member that sends a body all the same would answer the next request with it.
    bare: bool,
}

// === impl Origins ===

impl Origins {
    /// The connections to `target`.
    pub(crate) fn of(&self, target: &Arc<Target>) -> Rc<Origin> {
        let mut origins = self.0.borrow_mut();
        Rc::clone(
            origins
                .entry(identity(target))
                .or_insert_with(|| Rc::new(Origin::new(target))),
        )
    }

    /// Closes what is kept to others than `targets`, at once.
    pub(crate) fn keep<'a>(&self, targets: impl Iterator<Item = &'a Arc<Target>>) {
        let mut origins = self.0.borrow_mut();
        let mut kept = HashMap::with_capacity(origins.len());
        for target in targets {
            let id = identity(target);
            kept.insert(id, origins.remove(&id).unwrap_or_else(|| Rc::new(Origin::new(target))));
        }
        for origin in origins.values() {
            origin.close();
        }
        *origins = kept;
    }

    /// Closes what is idle to members that are ill: a member that is well again may have forgotten it.
    pub(crate) fn leave_ill(&self) {
        for origin in self.0.borrow().values().filter(|o| o.target.probe() == Probe::Ill) {
            origin.idle.borrow_mut().clear();
            origin.links.leave();
        }
    }

    /// Closes what was idle for longer than `limit`, and what members have closed.
    pub(crate) fn sweep(&self, limit: Duration) {
        let now = Instant::now();
        for origin in self.0.borrow().values() {
            origin
                .idle
                .borrow_mut()
                .retain(|idle| now.duration_since(idle.since) < limit && !idle.stream.said_something());
            origin.links.sweep(now, limit);
        }
    }
}

/// A target is known by where it lives in memory: the origin keeps it alive.
fn identity(target: &Arc<Target>) -> usize {
    Arc::as_ptr(target).addr()
}

// === impl Origin ===

impl Origin {
    fn new(target: &Arc<Target>) -> Self {
        Self {
            target: Arc::clone(target),
            idle: RefCell::default(),
            links: Links::default(),
            closed: Cell::new(false),
            left: Notify::new(),
        }
    }

    pub(crate) const fn target(&self) -> &Arc<Target> {
        &self.target
    }

    /// The connection that was used last. `sure`: the request can not be sent again.
    pub(crate) fn take(&self, sure: bool) -> Option<Stream> {
        let mut idle = self.idle.borrow_mut();
        while let Some(Idle { stream, since, bare }) = idle.pop() {
            if sure && since.elapsed() > SURE {
                return None;
            }
            let unusable = stream.said_something() || ((sure || bare) && has_news(&stream));
            if !unusable {
                return Some(stream);
            }
        }
        None
    }

    /// Keeps a connection whose last answer is complete, at most so many. `bare`: the answer ended with its head.
    pub(crate) fn put(&self, stream: Stream, most: usize, bare: bool) {
        let mut idle = self.idle.borrow_mut();
        if !self.closed.get() && idle.len() < most {
            idle.push(Idle {
                stream,
                since: Instant::now(),
                bare,
            });
        }
    }

    /// Waits until its target has left what this worker routes by. One that comes back has another origin.
    pub(crate) async fn left(&self) {
        let mut left = std::pin::pin!(self.left.notified());
        left.as_mut().enable();
        if !self.closed.get() {
            left.await;
        }
    }

    fn close(&self) {
        self.closed.set(true);
        self.idle.borrow_mut().clear();
        self.links.close();
        self.left.notify_waiters();
    }
}

/// Asks the kernel, which knows of an end and of bytes before the runtime does.
fn has_news(stream: &Stream) -> bool {
    let mut byte = [MaybeUninit::uninit()];
    let peeked = stream.with_tcp(|stream| SockRef::from(stream).peek(&mut byte));
    !matches!(peeked, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}
