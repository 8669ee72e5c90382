//! A client of HTTP/1.1 that hides nothing: no retry, no pool, and each way to fail has its name.

use std::{fmt, io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, tcp::ReadHalf},
    time::timeout,
};

/// Headers of an answer at most.
const HEADERS: usize = 64;
/// Bytes of a head or of a line at most.
const HEAD_MAX: usize = 64 * 1024;

/// Bytes that a read may bring.
const READ: usize = 16 * 1024;

/// One connection at a time, opened when it is needed.
#[derive(Debug)]
pub struct Client {
    address: SocketAddr,
    limit: Duration,
    stream: Option<TcpStream>,
    inbox: Inbox,
    reused: bool,
}

/// What came back.
#[derive(Debug, Default)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// X-Server-Id, or empty.
    pub server: String,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// Whether the server ends the connection with this answer.
    pub close: bool,
}

/// Why there is no answer, or none that is right.
#[derive(Debug)]
pub struct Failure {
    /// What went wrong.
    pub kind: Kind,
    /// Details for people.
    pub reason: String,
}

/// What went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// No connection: nothing was sent.
    Connect,
    /// The connection ended before the first byte of the answer.
    Closed,
    /// The connection was reset before the first byte of the answer.
    Reset,
    /// The connection ended within the answer.
    Cut,
    /// The answer took too long.
    TimedOut,
    /// The answer is not HTTP.
    Malformed,
    /// Another status than 200.
    Status(u16),
    /// Not the body that had to come.
    Body,
    /// The answer does not say, or contradicts itself about, which server gave it.
    Server,
}

/// Bytes that arrived and are not used yet.
#[derive(Debug, Default)]
struct Inbox {
    bytes: Vec<u8>,
    used: usize,
}

/// Where a body ends.
enum Framing {
    Length(usize),
    Chunked,
    Close,
}

// === impl Client ===

impl Client {
    /// A client of the server at `address`. An exchange that takes longer than `limit` has failed.
    #[must_use]
    pub fn new(address: SocketAddr, limit: Duration) -> Self {
        Self {
            address,
            limit,
            stream: None,
            inbox: Inbox::default(),
            reused: false,
        }
    }

    /// Whether the last request went out on a connection that had carried another one before.
    #[must_use]
    pub const fn reused(&self) -> bool {
        self.reused
    }

    /// Sends a request, head and body, and reads the answer. A connection that is still open is used again.
    ///
    /// # Errors
    /// Whatever went wrong; the connection is closed then.
    pub async fn exchange(&mut self, request: &[u8], answer: &mut Answer) -> Result<(), Failure> {
        let outcome = timeout(self.limit, self.send_and_read(request, answer)).await;
        let late = || {
            Err(Failure::new(
                Kind::TimedOut,
                format!("no answer within {:?}", self.limit),
            ))
        };
        let outcome = outcome.unwrap_or_else(|_| late());
        if outcome.is_err() || answer.close {
            self.stream = None;
        }
        outcome
    }

    async fn send_and_read(&mut self, request: &[u8], answer: &mut Answer) -> Result<(), Failure> {
        let kept = self.stream.take().filter(still_open);
        self.reused = kept.is_some();
        let mut stream = match kept {
            Some(stream) => stream,
            None => self.connect().await?,
        };
        let (mut from, mut to) = stream.split();
        // Both at once: a server that answers while it reads must not wait for us, nor we for it.
        let inbox = &mut self.inbox;
        let (sent, read) = tokio::join!(to.write_all(request), inbox.answer(&mut from, answer));
        // A server may answer before it has read everything; what counts is the answer.
        read.map_err(|failure| match sent {
            Err(error) if failure.kind == Kind::Closed => Failure::new(Kind::Reset, error.to_string()),
            _ => failure,
        })?;
        self.stream = Some(stream);
        Ok(())
    }

    async fn connect(&mut self) -> Result<TcpStream, Failure> {
        self.inbox = Inbox::default();
        let failed = |error: io::Error| Failure::new(Kind::Connect, error.to_string());
        let stream = TcpStream::connect(self.address).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        Ok(stream)
    }
}

/// Between two requests a server may close a connection; then nobody loses anything.
fn still_open(stream: &TcpStream) -> bool {
    matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

// === impl Inbox ===

impl Inbox {
    async fn answer(&mut self, from: &mut ReadHalf<'_>, answer: &mut Answer) -> Result<(), Failure> {
        answer.close = true; // until the answer is read whole
        let framing = loop {
            if let Some(framing) = self.head(answer)? {
                break framing;
            }
            self.fill(from).await?;
        };
        let keep = !matches!(framing, Framing::Close) && !answer.close;
        answer.body.clear();
        match framing {
            Framing::Length(length) => self.copy(from, length, &mut answer.body).await?,
            Framing::Chunked => self.chunks(from, &mut answer.body).await?,
            Framing::Close => self.until_end(from, &mut answer.body).await?,
        }
        answer.close = !keep;
        Ok(())
    }

    /// Reads a head off the bytes, if it is there.
    fn head(&mut self, answer: &mut Answer) -> Result<Option<Framing>, Failure> {
        loop {
            let mut headers = [httparse::EMPTY_HEADER; HEADERS];
            let mut head = httparse::Response::new(&mut headers);
            let malformed = |reason: String| Failure::new(Kind::Malformed, reason);
            let length = match head
                .parse(&self.bytes[self.used..])
                .map_err(|error| malformed(error.to_string()))?
            {
                httparse::Status::Complete(length) => length,
                httparse::Status::Partial if self.bytes.len() - self.used > HEAD_MAX => {
                    return Err(malformed(format!("a head of more than {HEAD_MAX} bytes")));
                }
                httparse::Status::Partial => return Ok(None),
            };
            let status = head.code.unwrap_or_default();
            if (100..200).contains(&status) {
                self.used += length; // the answer proper follows
                continue;
            }
            let mut framing = if matches!(status, 204 | 304) {
                Framing::Length(0)
            } else {
                Framing::Close
            };
            answer.status = status;
            answer.close = head.version == Some(0);
            answer.server.clear();
            for httparse::Header { name, value } in head.headers.iter() {
                let value = std::str::from_utf8(value).map_err(|_| malformed(format!("{name} is no text")))?;
                if name.eq_ignore_ascii_case("content-length") {
                    framing = Framing::Length(value.parse().map_err(|_| malformed(format!("length `{value}`")))?);
                } else if name.eq_ignore_ascii_case("transfer-encoding") {
                    framing = Framing::Chunked;
                } else if name.eq_ignore_ascii_case("connection") {
                    answer.close |= value.eq_ignore_ascii_case("close");
                } else if name.eq_ignore_ascii_case("x-server-id") {
                    value.clone_into(&mut answer.server);
                }
            }
            self.used += length;
            return Ok(Some(framing));
        }
    }

    /// Reads more. The end of the connection is a failure here.
    async fn fill(&mut self, from: &mut ReadHalf<'_>) -> Result<(), Failure> {
        if self.used == self.bytes.len() {
            self.bytes.clear();
            self.used = 0;
        }
        let begun = !self.bytes.is_empty() || self.used > 0;
        self.bytes.reserve(READ);
        match from.read_buf(&mut self.bytes).await {
            Ok(0) => Err(Failure::new(
                if begun { Kind::Cut } else { Kind::Closed },
                "the connection ended".to_owned(),
            )),
            Ok(_) => Ok(()),
            Err(error) => Err(Failure::new(
                if begun { Kind::Cut } else { Kind::Reset },
                error.to_string(),
            )),
        }
    }

    async fn copy(&mut self, from: &mut ReadHalf<'_>, length: usize, body: &mut Vec<u8>) -> Result<(), Failure> {
        let end = body.len() + length;
        loop {
            let here = (self.bytes.len() - self.used).min(end - body.len());
            body.extend_from_slice(&self.bytes[self.used..self.used + here]);
            self.used += here;
            if body.len() == end {
                return Ok(());
            }
            self.fill(from).await.map_err(Failure::within)?;
        }
    }

    async fn chunks(&mut self, from: &mut ReadHalf<'_>, body: &mut Vec<u8>) -> Result<(), Failure> {
        let mut ends = Vec::new();
        loop {
            let malformed = |_| Failure::new(Kind::Malformed, "a chunk without a size".to_owned());
            let (line, size) = loop {
                match httparse::parse_chunk_size(&self.bytes[self.used..]).map_err(malformed)? {
                    httparse::Status::Complete((line, size)) => break (line, size),
                    httparse::Status::Partial => self.fill(from).await.map_err(Failure::within)?,
                }
            };
            self.used += line;
            if size == 0 {
                return self.trailers(from).await;
            }
            let too_large = |_| Failure::new(Kind::Malformed, format!("a chunk of {size} bytes"));
            self.copy(from, usize::try_from(size).map_err(too_large)?, body).await?;
            ends.clear();
            self.copy(from, 2, &mut ends).await?;
            if ends != b"\r\n" {
                return Err(Failure::new(
                    Kind::Malformed,
                    "a chunk that is longer than its size".to_owned(),
                ));
            }
        }
    }

    /// Everything up to the empty line.
    async fn trailers(&mut self, from: &mut ReadHalf<'_>) -> Result<(), Failure> {
        let mut line = Vec::new();
        loop {
            self.copy(from, 1, &mut line).await?;
            if line == b"\r\n" {
                return Ok(());
            }
            if line.ends_with(b"\n") || line.len() > HEAD_MAX {
                line.clear();
            }
        }
    }

    async fn until_end(&mut self, from: &mut ReadHalf<'_>, body: &mut Vec<u8>) -> Result<(), Failure> {
        body.extend_from_slice(&self.bytes[self.used..]);
        self.used = self.bytes.len();
        let cut = |error: io::Error| Failure::new(Kind::Cut, error.to_string());
        from.read_to_end(body).await.map_err(cut)?;
        Ok(())
    }
}

// === impl Failure ===

impl Failure {
    /// A failure of this kind.
    #[must_use]
    pub const fn new(kind: Kind, reason: String) -> Self {
        Self { kind, reason }
    }

    /// The same failure, after the answer has begun.
    fn within(self) -> Self {
        match self.kind {
            Kind::Closed | Kind::Reset => Self {
                kind: Kind::Cut,
                ..self
            },
            _ => self,
        }
    }
}

// === impl Kind ===

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Connect => "no connection",
            Self::Closed => "closed without an answer",
            Self::Reset => "reset without an answer",
            Self::Cut => "cut within the answer",
            Self::TimedOut => "timed out",
            Self::Malformed => "not HTTP",
            Self::Status(status) => return write!(f, "status {status}"),
            Self::Body => "wrong body",
            Self::Server => "wrong server",
        })
    }
}
