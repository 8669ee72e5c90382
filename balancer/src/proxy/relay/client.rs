//! The client's side of a relayed exchange, in either version.

use std::{
    cell::{Cell, RefCell},
    future::{pending, poll_fn},
    rc::Rc,
    task::{Context, Poll},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Response};
use lbpool_http1::{Body, Error, Framing};

use super::{
    Piece, head,
    member::{chunk, last_chunk, poll_room, release},
};
use crate::{
    page::Pages,
    proxy::{
        error::Cause,
        http2::guard::Guard,
        io::{Sends, gone, read},
    },
    stream::{ReadHalf, WriteHalf},
};

/// Bytes of a request's body that are kept, so that it can be sent again where a member refused it: most calls of gRPC fit.
const KEPT: usize = 16 * 1024;

/// Where a request's body comes from.
pub(super) enum Source<'a> {
    Http1(Lines<'a>),
    Http2(&'a mut Incoming),
}

/// The body of an HTTP/1.1 request.
pub(super) struct Lines<'a> {
    pub(super) pages: &'a Pages,
    pub(super) from: ReadHalf<'a>,
    /// What came with the head.
    pub(super) first: &'a [u8],
    /// What came behind that.
    pub(super) left: &'a mut Vec<u8>,
    pub(super) sends: &'a mut Sends,
    pub(super) body: Body,
    pub(super) trailers: Vec<u8>,
    pub(super) streamed: &'a Cell<bool>,
    pub(super) bytes: u64,
    pub(super) limit: Option<u64>,
}

/// The body of an HTTP/2 request. Its beginning is kept while it is short.
pub(in crate::proxy) struct Incoming {
    body: RecvStream,
    kept: Vec<Piece>,
    /// How many of those the present attempt has had.
    at: usize,
    bytes: u64,
    limit: Option<u64>,
    /// What was taken and is not yet with the member.
    held: usize,
    /// Some of it is no longer kept: what was sent can not be sent again.
    streamed: Rc<Cell<bool>>,
    guard: Rc<Guard>,
}

/// Where an answer goes.
pub(super) enum Sink<'a> {
    Http1 {
        to: WriteHalf<'a>,
        /// The body goes in chunks.
        chunked: bool,
        /// The end of the connection is the end of the answer.
        by_end: bool,
    },
    Http2(&'a Answering),
}

/// The answer to an HTTP/2 request, as its halves share it.
pub(in crate::proxy) struct Answering {
    outgoing: RefCell<Outgoing>,
    guard: Rc<Guard>,
}

/// The answer to an HTTP/2 request.
enum Outgoing {
    /// Nothing of it has left but interim answers.
    Head(SendResponse<Bytes>),
    Body(SendStream<Bytes>),
    Done,
}

// === impl Source ===

impl Source<'_> {
    /// The next part of the body. What was given before is with the member by then.
    pub(super) async fn piece(&mut self) -> Result<Piece, Cause> {
        match self {
            Self::Http1(lines) => lines.piece().await,
            Self::Http2(incoming) => incoming.piece().await,
        }
    }

    /// Ends when the client has gone, as far as that can be seen from what it sends.
    pub(super) async fn gone(&mut self) {
        match self {
            Self::Http1(lines) => {
                gone(lines.pages, &mut lines.from, lines.left, lines.sends).await;
            }
            Self::Http2(_) => pending().await,
        }
    }
}

// === impl Lines ===

impl Lines<'_> {
    async fn piece(&mut self) -> Result<Piece, Cause> {
        while !self.body.is_done() {
            let mut data = Vec::new();
            let mut split = |bytes: &[u8]| self.body.split(bytes, &mut data, &mut self.trailers);
            let n = if !self.first.is_empty() {
                split(std::mem::take(&mut self.first)).map_err(Cause::Client)?
            } else if !self.left.is_empty() {
                self.streamed.set(true);
                let n = split(self.left).map_err(Cause::Client)?;
                self.left.drain(..n);
                n
            } else {
                let page = read(self.pages, &mut self.from).await;
                let page = page.map_err(|_| Cause::ClientGone)?;
                if page.is_empty() {
                    return Err(Cause::ClientGone);
                }
                self.streamed.set(true);
                let n = split(&page).map_err(Cause::Client)?;
                self.left.extend_from_slice(&page[n..]);
                n
            };
            self.bytes += n as u64;
            within(self.bytes, self.limit)?;
            if !data.is_empty() {
                return Ok(Piece::Data(data.into()));
            }
        }
        Piece::end(&std::mem::take(&mut self.trailers)).map_err(Cause::Client)
    }
}

// === impl Incoming ===

impl Incoming {
    /// `streamed` is set once what was sent can not be sent again.
    pub(in crate::proxy) const fn new(
        body: RecvStream,
        limit: Option<u64>,
        streamed: Rc<Cell<bool>>,
        guard: Rc<Guard>,
    ) -> Self {
        Self {
            body,
            kept: Vec::new(),
            at: 0,
            bytes: 0,
            limit,
            held: 0,
            streamed,
            guard,
        }
    }

    /// Begins anew, for another attempt.
    pub(in crate::proxy) const fn rewind(&mut self) {
        self.at = 0;
    }

    pub(in crate::proxy) async fn piece(&mut self) -> Result<Piece, Cause> {
        if let Some(piece) = self.kept.get(self.at) {
            self.at += 1;
            return Ok(piece.clone());
        }
        let piece = self.read().await?;
        if self.bytes <= KEPT as u64 {
            self.kept.push(piece.clone());
            self.at = self.kept.len();
        } else {
            self.streamed.set(true);
            self.kept = Vec::new();
            self.at = 0;
        }
        Ok(piece)
    }

    /// The whole body, where it is not longer than `limit`. It stays here, to be sent.
    pub(in crate::proxy) async fn peek(&mut self, limit: usize) -> Result<Option<Vec<u8>>, Cause> {
        let mut whole = Vec::new();
        loop {
            let piece = self.read().await?;
            self.kept.push(piece.clone());
            match piece {
                Piece::Data(data) => whole.extend_from_slice(&data),
                Piece::End(_) => return Ok(Some(whole)),
            }
            if whole.len() > limit {
                return Ok(None);
            }
        }
    }

    /// What the client sends next.
    async fn read(&mut self) -> Result<Piece, Cause> {
        let held = std::mem::take(&mut self.held);
        release(&mut self.body, held);
        loop {
            match self.body.data().await {
                // It says nothing, and would be the end of a chunked body.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.held = data.len();
                    self.guard.useful(data.len());
                    self.bytes += data.len() as u64;
                    within(self.bytes, self.limit)?;
                    return Ok(Piece::Data(data));
                }
                // Reset by the client, or by us since what came is malformed: nobody waits for an answer.
                Some(Err(_)) => return Err(Cause::ClientGone),
                None => {
                    let trailers = self.body.trailers().await;
                    let trailers = trailers.map_err(|_| Cause::ClientGone)?;
                    return Ok(Piece::End(trailers.map(head::permitted)));
                }
            }
        }
    }
}

fn within(bytes: u64, limit: Option<u64>) -> Result<(), Cause> {
    match limit {
        Some(limit) if bytes > limit => Err(Cause::BodyTooLarge(limit)),
        _ => Ok(()),
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if !self.body.is_end_stream() {
            self.guard.unread();
        }
    }
}

// === impl Sink ===

impl Sink<'_> {
    /// An interim answer.
    pub(super) async fn inform(&mut self, head: &[u8]) -> Result<(), Cause> {
        match self {
            Self::Http1 { to, .. } => to.write_all(head, &[]).await.map_err(|_| Cause::ClientGone),
            Self::Http2(answering) => answering.inform(head),
        }
    }

    /// The head of the answer. `ended`: all of it. `framing`: as the head says, unless the client gets the data without its
    /// chunks (`bare`).
    pub(super) async fn head(&mut self, head: &[u8], framing: Framing, bare: bool, ended: bool) -> Result<(), Cause> {
        match self {
            Self::Http1 { to, chunked, by_end } => {
                *chunked = framing == Framing::Chunked && !bare;
                *by_end = bare || framing == Framing::Close;
                if *by_end {
                    to.reset_on_drop(true);
                }
                to.write_all(head, &[]).await.map_err(|_| Cause::ClientGone)
            }
            Self::Http2(answering) => answering.head(head, ended),
        }
    }

    /// A part of the body.
    pub(super) async fn data(&mut self, data: Bytes) -> Result<(), Cause> {
        match self {
            Self::Http1 { to, chunked: true, .. } => {
                to.write_all(&chunk(&data), &[]).await.map_err(|_| Cause::ClientGone)
            }
            Self::Http1 { to, .. } => to.write_all(&data, &[]).await.map_err(|_| Cause::ClientGone),
            Self::Http2(answering) => answering.data(data).await,
        }
    }

    /// Whether the client is told in heads that its connection ends.
    pub(super) const fn is_http1(&self) -> bool {
        matches!(self, Self::Http1 { .. })
    }

    /// The answer has come to its end: so may the connection.
    pub(super) fn complete(&self) {
        if let Self::Http1 { to, by_end: true, .. } = self {
            to.reset_on_drop(false);
        }
    }

    /// The end of the body.
    pub(super) async fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Cause> {
        match self {
            Self::Http1 { to, chunked: true, .. } => {
                let last = last_chunk(trailers.as_ref());
                to.write_all(&last, &[]).await.map_err(|_| Cause::ClientGone)
            }
            Self::Http1 { .. } => Ok(()),
            Self::Http2(answering) => answering.end(trailers),
        }
    }
}

// === impl Answering ===

impl Answering {
    pub(in crate::proxy) const fn new(respond: SendResponse<Bytes>, guard: Rc<Guard>) -> Self {
        Self {
            outgoing: RefCell::new(Outgoing::Head(respond)),
            guard,
        }
    }

    /// An interim answer, as a head of HTTP/1.1.
    pub(in crate::proxy) fn inform(&self, head: &[u8]) -> Result<(), Cause> {
        let interim = head::to_response(head).map_err(Cause::Answer)?;
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Head(respond) => respond.send_informational(interim).map_err(|_| Cause::ClientGone),
            _ => Err(Cause::ClientGone),
        }
    }

    /// A rewritten head. `ended`: there is no body.
    fn head(&self, head: &[u8], ended: bool) -> Result<(), Cause> {
        let answer = head::to_response(head).map_err(Cause::Answer)?;
        self.guard.useful(head.len());
        self.begin(answer, ended)
    }

    /// A head; `ended`: there is no body.
    fn begin(&self, answer: Response<()>, ended: bool) -> Result<(), Cause> {
        let mut outgoing = self.outgoing.borrow_mut();
        let Outgoing::Head(respond) = &mut *outgoing else {
            return Err(Cause::ClientGone);
        };
        let stream = respond.send_response(answer, ended).map_err(|_| Cause::ClientGone)?;
        *outgoing = if ended { Outgoing::Done } else { Outgoing::Body(stream) };
        Ok(())
    }

    /// Sends data as the client takes it.
    async fn data(&self, mut data: Bytes) -> Result<(), Cause> {
        while !data.is_empty() {
            let n = poll_fn(|cx| match &mut *self.outgoing.borrow_mut() {
                Outgoing::Body(stream) => poll_room(stream, data.len(), cx).map(|room| {
                    let n = room.map_err(|_| Cause::ClientGone)?.min(data.len());
                    let sent = stream.send_data(data.split_to(n), false);
                    sent.map(|()| n).map_err(|_| Cause::ClientGone)
                }),
                _ => Poll::Ready(Err(Cause::ClientGone)),
            })
            .await?;
            self.guard.useful(n);
        }
        Ok(())
    }

    /// An answer that is a head alone.
    pub(in crate::proxy) fn answer(&self, answer: Response<()>) -> Result<(), Cause> {
        self.begin(answer, true)
    }

    /// A short answer of our own, as one of HTTP/1.1: it waits in the codec until the client takes it.
    pub(in crate::proxy) fn whole(&self, mut text: Vec<u8>) -> Result<(), Cause> {
        let end = memchr::memmem::find(&text, b"\r\n\r\n").map_or(text.len(), |end| end + 4);
        let body = text.split_off(end);
        self.head(&text, body.is_empty())?;
        if let Outgoing::Body(stream) = &mut *self.outgoing.borrow_mut() {
            stream.send_data(body.into(), true).map_err(|_| Cause::ClientGone)?;
        }
        self.outgoing.replace(Outgoing::Done);
        Ok(())
    }

    /// The end of the body.
    pub(in crate::proxy) fn end(&self, trailers: Option<HeaderMap>) -> Result<(), Cause> {
        let Outgoing::Body(mut stream) = self.outgoing.replace(Outgoing::Done) else {
            return Ok(());
        };
        let ended = match trailers {
            Some(trailers) => stream.send_trailers(trailers),
            None => stream.send_data(Bytes::new(), true),
        };
        ended.map_err(|_| Cause::ClientGone)
    }

    /// Cuts the answer, so that the client sees that there was more to come.
    pub(in crate::proxy) fn cut(&self, reason: h2::Reason) {
        match self.outgoing.replace(Outgoing::Done) {
            Outgoing::Head(mut respond) => respond.send_reset(reason),
            Outgoing::Body(mut stream) => stream.send_reset(reason),
            Outgoing::Done => {}
        }
    }

    /// Ready once the client has reset the stream, or its connection has ended.
    pub(in crate::proxy) fn poll_gone(&self, cx: &mut Context<'_>) -> Poll<()> {
        match &mut *self.outgoing.borrow_mut() {
            Outgoing::Head(respond) => respond.poll_reset(cx).map(|_| ()),
            Outgoing::Body(stream) => stream.poll_reset(cx).map(|_| ()),
            Outgoing::Done => Poll::Pending,
        }
    }
}

// === impl Piece ===

impl Piece {
    /// The end of a body in HTTP/1.1, with the lines of its trailers.
    pub(super) fn end(trailers: &[u8]) -> Result<Self, Error> {
        if trailers.is_empty() {
            return Ok(Self::End(None));
        }
        head::to_trailers(trailers).map(|trailers| Self::End(Some(trailers)))
    }
}
