//! The floor: what is left of a proxy that reads nothing of what it passes on.
//!
//! Each client's connection has one to a member, and bytes are copied as they come: two receives and two sends for a small
//! request, an edge-triggered epoll per thread, no parsing, no routing, no limits. What this costs, no proxy that
//! copies through its own memory costs less than.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    thread,
};

use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::cli;

/// The event of the listener.
const LISTENER: u64 = u64::MAX;
const READ: usize = 256 * 1024;

/// Both ends of what is passed on.
struct Pair([End; 2]);

struct End {
    stream: TcpStream,
    /// What it does not take yet.
    pending: Vec<u8>,
}

/// Copies until it is ended.
pub fn serve(args: &cli::Copy) -> anyhow::Result<()> {
    let listeners = (0..args.workers).map(|_| listen(args.listen));
    let listeners = listeners.collect::<io::Result<Vec<_>>>()?;
    thread::scope(|scope| {
        let workers = listeners.into_iter().map(|listener| {
            let members = &args.members;
            scope.spawn(move || work(&listener, members))
        });
        let workers: Vec<_> = workers.collect();
        workers.into_iter().try_for_each(|worker| match worker.join() {
            Ok(ended) => ended,
            Err(_) => Err(io::Error::other("a worker was lost to a bug")),
        })
    })?;
    Ok(())
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.set_reuse_port(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn work(listener: &TcpListener, members: &[SocketAddr]) -> io::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    epoll::add(&epoll, listener, EventData::new_u64(LISTENER), EventFlags::IN)?;
    let mut pairs: Vec<Option<Pair>> = Vec::new();
    let mut scratch = vec![0; READ];
    let mut events = Vec::with_capacity(256);
    let mut turn = 0;
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            let id = event.data.u64();
            if id == LISTENER {
                accept(&epoll, listener, members, &mut turn, &mut pairs)?;
                continue;
            }
            let side = usize::from(id % 2 == 1);
            let slot = usize::try_from(id / 2).ok().and_then(|slot| pairs.get_mut(slot));
            if let Some(slot) = slot
                && slot
                    .as_mut()
                    .is_some_and(|pair| pair.go_on(side, &mut scratch).is_err())
            {
                *slot = None;
            }
        }
    }
}

fn accept(
    epoll: &OwnedFd,
    listener: &TcpListener,
    members: &[SocketAddr],
    turn: &mut usize,
    pairs: &mut Vec<Option<Pair>>,
) -> io::Result<()> {
    loop {
        let client = match listener.accept() {
            Ok((client, _)) => client,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        *turn += 1;
        let Some(address) = members.get(*turn % members.len().max(1)) else {
            return Err(io::Error::other("no members"));
        };
        let pair = Pair([End::new(client)?, End::new(TcpStream::connect(address)?)?]);
        let slot = pairs.iter().position(Option::is_none).unwrap_or(pairs.len());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        for (side, end) in pair.0.iter().enumerate() {
            epoll::add(epoll, &end.stream, EventData::new_u64((2 * slot + side) as u64), flags)?;
        }
        match pairs.get_mut(slot) {
            Some(free) => *free = Some(pair),
            None => pairs.push(Some(pair)),
        }
    }
}

// === impl End ===

impl End {
    fn new(stream: TcpStream) -> io::Result<Self> {
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self {
            stream,
            pending: Vec::new(),
        })
    }

    /// Whether it has taken all that it was sent.
    fn send(&mut self) -> io::Result<bool> {
        while !self.pending.is_empty() {
            match self.stream.write(&self.pending) {
                Ok(n) => drop(self.pending.drain(..n)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }
}

// === impl Pair ===

impl Pair {
    /// One end has news: bytes, room, or that it is over, which is an error.
    fn go_on(&mut self, side: usize, scratch: &mut [u8]) -> io::Result<()> {
        let [client, member] = &mut self.0;
        let (from, to) = if side == 0 { (client, member) } else { (member, client) };
        let waited = !from.pending.is_empty();
        pass(from, to, scratch)?;
        if waited && from.send()? {
            pass(to, from, scratch)?;
        }
        Ok(())
    }
}

fn pass(from: &mut End, to: &mut End, scratch: &mut [u8]) -> io::Result<()> {
    while to.send()? {
        let n = match from.stream.read(scratch) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(n) => n,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut sent = 0;
        while sent < n {
            match to.stream.write(&scratch[sent..n]) {
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
        to.pending.extend_from_slice(&scratch[sent..n]);
        if n < scratch.len() && to.pending.is_empty() {
            return Ok(());
        }
    }
    Ok(())
}
