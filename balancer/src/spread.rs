//! Which worker serves a new connection.
//!
//! The kernel spreads connections over the workers' listeners by a hash. Of many that is even; of the few and long ones that HTTP/2
//! and gRPC have, one worker may get nearly all, and its thread is all that carries them. So whoever accepts a connection
//! hands it to the worker with the fewest, unless it has about as few itself (see decision 0028).

use std::{
    io::{
        self,
        ErrorKind::{ConnectionAborted, Interrupted},
    },
    net::{SocketAddr, TcpListener as StdListener, TcpStream as StdStream},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc,
};

use crate::worker::BACKLOG;

/// Connections that were handed to a worker and that it has not looked at. One more stays where it is.
const QUEUE: usize = 64;
/// Below so many, the spread is exact.
const FEW: usize = 16;
/// Above, being ahead by less than one in so many is even enough: to hand a connection over costs system calls and a wake-up.
const SHARE: usize = 4;

/// A worker's way to connections: its own listener, and what others hand to it.
#[derive(Debug)]
pub(crate) struct Door {
    id: usize,
    listener: TcpListener,
    /// Connections that a worker takes at most.
    most: usize,
    workers: Arc<[Entrance]>,
    handed: mpsc::Receiver<(StdStream, SocketAddr)>,
}

/// A [`Door`] on its way to its worker's thread.
#[derive(Debug)]
pub(crate) struct Closed {
    id: usize,
    listener: StdListener,
    workers: Arc<[Entrance]>,
    handed: mpsc::Receiver<(StdStream, SocketAddr)>,
}

/// What every worker knows of each.
#[derive(Debug)]
struct Entrance {
    /// Its connections, those that wait for it included.
    open: AtomicUsize,
    hand: mpsc::Sender<(StdStream, SocketAddr)>,
}

/// A door for each listener.
pub(crate) fn doors(listeners: Vec<StdListener>) -> Vec<Closed> {
    let (entrances, handed): (Vec<_>, Vec<_>) = listeners
        .iter()
        .map(|_| {
            let (hand, handed) = mpsc::channel(QUEUE);
            let open = AtomicUsize::new(0);
            (Entrance { open, hand }, handed)
        })
        .unzip();
    let workers: Arc<[Entrance]> = entrances.into();
    let doors = listeners.into_iter().zip(handed).enumerate();
    doors
        .map(|(id, (listener, handed))| Closed {
            id,
            listener,
            workers: Arc::clone(&workers),
            handed,
        })
        .collect()
}

// === impl Closed ===

impl Closed {
    /// In the runtime of its worker, which takes so many connections `most`.
    pub(crate) fn open(self, most: usize) -> io::Result<Door> {
        Ok(Door {
            id: self.id,
            most,
            listener: TcpListener::from_std(self.listener)?,
            workers: self.workers,
            handed: self.handed,
        })
    }
}

// === impl Door ===

impl Door {
    /// The next connection for this worker. Cancel safe.
    pub(crate) async fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        loop {
            tokio::select! {
                biased;
                Some((stream, peer)) = self.handed.recv() => return self.take(stream, peer),
                accepted = self.listener.accept() => {
                    let (stream, peer) = accepted?;
                    // Nothing is awaited from here on: nobody is lost if we are.
                    if let Some(kept) = self.hand_over(stream, peer)? {
                        return Ok((kept, peer));
                    }
                }
            }
        }
    }

    /// What was accepted until now: elsewhere for this worker, and by the kernel. Others keep what they accept from now on.
    pub(crate) async fn last(mut self) -> Vec<(TcpStream, SocketAddr)> {
        self.handed.close();
        let mut last = Vec::new();
        while let Some((stream, peer)) = self.handed.recv().await {
            last.extend(self.take(stream, peer));
        }
        // The kernel is asked, not the runtime: that one knows of what came before its last look, and gives up in between.
        let Ok(listener) = self.listener.into_std() else {
            return last;
        };
        // No more than may wait: who comes from now on is not waited for.
        for _ in 0..BACKLOG {
            match listener.accept() {
                Ok((stream, peer)) => {
                    let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
                    last.extend(stream.map(|stream| (stream, peer)));
                }
                Err(error) if matches!(error.kind(), Interrupted | ConnectionAborted) => {}
                Err(_) => break,
            }
        }
        last
    }

    /// One of the connections has ended.
    pub(crate) fn ended(&self) {
        self.workers[self.id].open.fetch_sub(1, Relaxed);
    }

    fn count(&self) {
        self.workers[self.id].open.fetch_add(1, Relaxed);
    }

    /// One that is counted.
    fn take(&self, stream: StdStream, peer: SocketAddr) -> io::Result<(TcpStream, SocketAddr)> {
        let stream = TcpStream::from_std(stream).inspect_err(|_| self.ended())?;
        Ok((stream, peer))
    }

    /// Counts a connection for the worker that is to have it: what is left is for this one.
    fn hand_over(&self, stream: TcpStream, peer: SocketAddr) -> io::Result<Option<TcpStream>> {
        let Some((other, place)) = self.other() else {
            self.count();
            return Ok(Some(stream));
        };
        let stream = stream.into_std()?;
        other.open.fetch_add(1, Relaxed);
        place.send((stream, peer));
        Ok(None)
    }

    /// Who has so many fewer connections that it is to have the next one, and a place in its queue.
    fn other(&self) -> Option<(&Entrance, mpsc::Permit<'_, (StdStream, SocketAddr)>)> {
        let open = |entrance: &Entrance| entrance.open.load(Relaxed);
        let there = self.workers.iter().filter(|entrance| !entrance.hand.is_closed());
        let other = there.min_by_key(|entrance| open(entrance))?;
        let (own, fewest) = (open(&self.workers[self.id]), open(other));
        let ahead = own.saturating_sub(fewest);
        let uneven = ahead > 0 && (own < FEW || ahead * SHARE >= own);
        if !uneven || fewest >= self.most {
            return None;
        }
        Some((other, other.hand.try_reserve().ok()?))
    }
}
