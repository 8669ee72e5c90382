//! The members that every contestant proxies to: three listeners on one thread, cheap enough not to be what is measured.
//!
//! `/large` is answered with 100 KB, `/echo` with the request's own head, a POST with the length of its body, all else with
//! a small JSON value that names the member.

use std::{
    io::{self, Read as _, Write as _, stdin},
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    os::fd::OwnedFd,
    rc::Rc,
};

use lbpool_http1::{Body, Limits, Request};
use rustix::{
    buffer::spare_capacity,
    event::epoll::{self, CreateFlags, EventData, EventFlags},
};
use socket2::{Domain, Protocol, Socket, Type};

use crate::workload::{GOT, LARGE, SMALL};

pub const MEMBERS: usize = 3;
/// The event of the standard input's end.
const END: u64 = u64::MAX;
const READ: usize = 256 * 1024;

struct Client {
    stream: TcpStream,
    member: usize,
    request: Request,
    /// Of a head that came in part.
    head: Vec<u8>,
    /// The body that is being read, and its length so far.
    body: Option<(Body, usize)>,
    /// What the request at hand is answered with.
    answer: Rc<[u8]>,
    out: Option<(Rc<[u8]>, usize)>,
}

/// Serves until the standard input ends.
pub fn serve() -> anyhow::Result<()> {
    let epoll = epoll::create(CreateFlags::CLOEXEC)?;
    let input = stdin();
    epoll::add(&epoll, &input, EventData::new_u64(END), EventFlags::IN)?;
    let listeners = (0..MEMBERS).map(|_| listen()).collect::<io::Result<Vec<_>>>()?;
    for (id, listener) in listeners.iter().enumerate() {
        println!("{}", listener.local_addr()?);
        epoll::add(&epoll, listener, EventData::new_u64(id as u64), EventFlags::IN)?;
    }
    let answers = Answers::new();
    let mut clients: Vec<Option<Client>> = Vec::new();
    let mut scratch = vec![0; READ];
    let mut events = Vec::with_capacity(256);
    loop {
        events.clear();
        epoll::wait(&epoll, spare_capacity(&mut events), None)?;
        for event in &events {
            if event.data.u64() == END {
                return Ok(());
            }
            let id = usize::try_from(event.data.u64())?;
            if let Some(listener) = listeners.get(id) {
                accept(&epoll, listener, id, &answers, &mut clients)?;
                continue;
            }
            let slot = &mut clients[id - MEMBERS];
            if slot
                .as_mut()
                .is_some_and(|client| client.go_on(&answers, &mut scratch).is_err())
            {
                *slot = None;
            }
        }
    }
}

fn listen() -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    socket.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into())?;
    socket.listen(4096)?;
    Ok(socket.into())
}

fn accept(
    epoll: &OwnedFd,
    listener: &TcpListener,
    member: usize,
    answers: &Answers,
    clients: &mut Vec<Option<Client>>,
) -> io::Result<()> {
    loop {
        let stream = match listener.accept() {
            Ok((stream, _)) => stream,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        let slot = clients.iter().position(Option::is_none).unwrap_or(clients.len());
        let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
        epoll::add(epoll, &stream, EventData::new_u64((slot + MEMBERS) as u64), flags)?;
        let client = Some(Client {
            stream,
            member,
            request: Request::new(),
            head: Vec::new(),
            body: None,
            answer: Rc::clone(&answers.large),
            out: None,
        });
        match clients.get_mut(slot) {
            Some(free) => *free = client,
            None => clients.push(client),
        }
    }
}

// === answers ===

struct Answers {
    small: [Rc<[u8]>; MEMBERS],
    large: Rc<[u8]>,
}

impl Answers {
    fn new() -> Self {
        let small = std::array::from_fn(|member| {
            let text = format!(r#"{{"member":"s{}","message":"hello from the origin"}}"#, member + 1);
            answer("application/json", format!("{text:<SMALL$}").as_bytes())
        });
        Self {
            small,
            large: answer("application/octet-stream", &vec![b'x'; LARGE]),
        }
    }
}

fn answer(kind: &str, body: &[u8]) -> Rc<[u8]> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: origin\r\nContent-Type: {kind}\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat().into()
}

// === impl Client ===

impl Client {
    /// Reads and answers what there is. An error: the connection is over.
    fn go_on(&mut self, answers: &Answers, scratch: &mut [u8]) -> io::Result<()> {
        self.send()?;
        loop {
            match self.stream.read(scratch) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(n) => {
                    self.take(&scratch[..n], answers)?;
                    if n < scratch.len() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
    }

    /// Contestants send one request at a time: what follows a request is the next one.
    fn take(&mut self, bytes: &[u8], answers: &Answers) -> io::Result<()> {
        let mut rest = bytes;
        while !rest.is_empty() {
            let malformed = |error: lbpool_http1::Error| io::Error::other(error.to_string());
            if !self.head.is_empty() {
                let mut all = std::mem::take(&mut self.head);
                all.extend_from_slice(rest);
                return self.take(&all, answers);
            }
            let (mut body, so_far) = if let Some(body) = self.body.take() {
                body
            } else {
                let Some(length) = self.request.parse(rest, &Limits::default()).map_err(malformed)? else {
                    self.head.extend_from_slice(rest);
                    return Ok(());
                };
                self.answer = self.choose(&rest[..length], answers);
                rest = &rest[length..];
                (Body::new(self.request.framing()), 0)
            };
            // The data without its chunks: its length is what a POST is answered with.
            let mut data = Vec::new();
            let n = if body.left().is_some() {
                body.feed(rest).map(|n| (n, n))
            } else {
                body.decode(rest, usize::MAX, &mut data).map(|n| (n, data.len()))
            };
            let (n, length) = n.map_err(malformed)?;
            rest = &rest[n..];
            if body.is_done() {
                self.finish(so_far + length)?;
            } else {
                self.body = Some((body, so_far + length));
            }
        }
        Ok(())
    }

    fn choose(&self, head: &[u8], answers: &Answers) -> Rc<[u8]> {
        match self.request.head(head).path() {
            path if path.starts_with("/large") => Rc::clone(&answers.large),
            "/echo" => answer("text/plain", head),
            _ => Rc::clone(&answers.small[self.member]),
        }
    }

    fn finish(&mut self, length: usize) -> io::Result<()> {
        let answer = if self.request.method() == lbpool_http1::Method::Post {
            answer(
                "application/json",
                format!("{:<GOT$}", format!(r#"{{"got":{length}}}"#)).as_bytes(),
            )
        } else {
            Rc::clone(&self.answer)
        };
        self.out = Some((answer, 0));
        self.send()
    }

    fn send(&mut self) -> io::Result<()> {
        while let Some((answer, sent)) = &mut self.out {
            match self.stream.write(&answer[*sent..]) {
                Ok(n) => *sent += n,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
            if *sent == answer.len() {
                self.out = None;
            }
        }
        Ok(())
    }
}
