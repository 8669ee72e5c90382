//! The member's side of a relayed exchange, in either version.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, client::ResponseFuture};
use http::{HeaderMap, response};
use lbpool_http1::{Body, Error, Framing, Method, Response};

use super::{Piece, head};
use crate::{
    page::{PAGE, Page},
    proxy::{error::Cause, io::read},
    stream::{ReadHalf, WriteError, WriteHalf},
    upstream::http2::{Lease, into_io},
    worker::Worker,
};

/// Where a request goes.
pub(super) enum To<'a> {
    Http1 {
        to: WriteHalf<'a>,
        chunked: bool,
    },
    /// `None`: its head was all of it.
    Http2(Option<SendStream<Bytes>>),
}

/// Where its answer comes from.
pub(super) enum From<'a> {
    Http1(Lines<'a>),
    Http2(Stream<'a>),
}

/// An answer in HTTP/1.1.
pub(super) struct Lines<'a> {
    from: ReadHalf<'a>,
    /// What was read behind what was used.
    rest: Option<Page>,
    body: Body,
    trailers: Vec<u8>,
    /// There were bytes behind the answer, which nobody asked for.
    surplus: bool,
}

/// An answer in HTTP/2.
pub(super) struct Stream<'a> {
    lease: &'a Lease,
    response: ResponseFuture,
    body: Option<RecvStream>,
    /// What was taken of the body and is not yet with the client.
    held: usize,
}

/// What a write to an HTTP/1.1 member came to.
#[derive(Debug)]
pub(super) struct Unwritten {
    /// Whether a byte of it left.
    pub(super) begun: bool,
    pub(super) cause: Cause,
}

impl std::convert::From<WriteError> for Unwritten {
    fn from(WriteError { taken, error }: WriteError) -> Self {
        Self {
            begun: taken > 0,
            cause: Cause::Reset(error),
        }
    }
}

impl std::convert::From<Cause> for Unwritten {
    fn from(cause: Cause) -> Self {
        Self { begun: false, cause }
    }
}

// === impl To ===

impl To<'_> {
    /// The rewritten head, where it was not sent to open a stream.
    pub(super) async fn head(&mut self, head: &[u8]) -> Result<(), Unwritten> {
        match self {
            Self::Http1 { to, .. } => Ok(to.write_all(head, &[]).await?),
            Self::Http2(_) => Ok(()),
        }
    }

    /// A part of the body.
    pub(super) async fn data(&mut self, mut data: Bytes) -> Result<(), Unwritten> {
        match self {
            Self::Http1 { to, chunked: true } => Ok(to.write_all(&chunk(&data), &[]).await?),
            Self::Http1 { to, .. } => Ok(to.write_all(&data, &[]).await?),
            Self::Http2(Some(stream)) => {
                while !data.is_empty() {
                    let room = poll_fn(|cx| poll_room(stream, data.len(), cx)).await;
                    let n = room.map_err(failed)?.min(data.len());
                    stream.send_data(data.split_to(n), false).map_err(failed)?;
                }
                Ok(())
            }
            Self::Http2(None) => Ok(()),
        }
    }

    /// The end of the body.
    pub(super) async fn end(&mut self, trailers: Option<HeaderMap>) -> Result<(), Unwritten> {
        match self {
            Self::Http1 { to, chunked: true } => Ok(to.write_all(&last_chunk(trailers.as_ref()), &[]).await?),
            Self::Http1 { .. } | Self::Http2(None) => Ok(()),
            Self::Http2(Some(stream)) => match trailers {
                Some(trailers) => Ok(stream.send_trailers(trailers).map_err(failed)?),
                None => Ok(stream.send_data(Bytes::new(), true).map_err(failed)?),
            },
        }
    }
}

// === impl From ===

impl<'a> From<'a> {
    pub(super) fn http1(from: ReadHalf<'a>) -> Self {
        Self::Http1(Lines {
            from,
            rest: None,
            body: Body::new(Framing::None),
            trailers: Vec::new(),
            surplus: false,
        })
    }

    pub(super) const fn http2(lease: &'a Lease, response: ResponseFuture) -> Self {
        Self::Http2(Stream {
            lease,
            response,
            body: None,
            held: 0,
        })
    }

    /// The next head, as an HTTP/1.1 one in `text`: an interim one, or the answer's.
    pub(super) async fn head(
        &mut self,
        worker: &Worker,
        method: Method,
        index: &mut Response,
        text: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        text.clear();
        index.clear();
        // No upgrade is passed on to where HTTP/2 is spoken on one side.
        index.allow_switch(false);
        match self {
            Self::Http1(lines) => lines.head(worker, method, index, text).await,
            Self::Http2(stream) => stream.head(worker, method, index, text).await,
        }
    }

    /// The next part of the body. What was given before is with the client by then.
    pub(super) async fn piece(&mut self, worker: &Worker) -> Result<Piece, Cause> {
        match self {
            Self::Http1(lines) => lines.piece(worker).await,
            Self::Http2(stream) => stream.piece().await,
        }
    }

    /// Whether nothing follows.
    pub(super) fn is_done(&self) -> bool {
        match self {
            Self::Http1(lines) => lines.body.is_done(),
            Self::Http2(stream) => stream.body.as_ref().is_some_and(RecvStream::is_end_stream),
        }
    }

    /// Whether the connection may serve another request, as far as the answer's body goes.
    pub(super) fn is_clean(&self) -> bool {
        match self {
            Self::Http1(lines) => lines.body.is_done() && !lines.surplus && lines.rest.is_none(),
            Self::Http2(_) => false,
        }
    }
}

// === impl Lines ===

impl Lines<'_> {
    async fn head(
        &mut self,
        worker: &Worker,
        method: Method,
        index: &mut Response,
        text: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        let heads = worker.shared.config.limits.of_answers();
        let mut page = match self.rest.take() {
            Some(page) => page,
            None => read(&worker.pages, &mut self.from).await.map_err(Cause::Reset)?,
        };
        let mut ended = page.is_empty();
        loop {
            if ended {
                return Err(Cause::Reset(io::ErrorKind::UnexpectedEof.into()));
            }
            match index.parse(&page, &heads, method).map_err(Cause::Answer)? {
                Some(length) => {
                    text.extend_from_slice(&page[..length]);
                    page.consume(length);
                    self.body = Body::new(index.framing());
                    self.rest = Some(page).filter(|page| !page.is_empty());
                    return Ok(());
                }
                None if page.len() == PAGE => return Err(Cause::Answer(Error::HeadTooLarge)),
                None => {}
            }
            let filled = poll_fn(|cx| page.poll_fill(&mut self.from, cx)).await;
            ended = filled.map_err(Cause::Reset)? == 0;
        }
    }

    async fn piece(&mut self, worker: &Worker) -> Result<Piece, Cause> {
        while !self.body.is_done() {
            let page = match self.rest.take() {
                Some(page) => page,
                None => read(&worker.pages, &mut self.from).await.map_err(Cause::Reset)?,
            };
            if page.is_empty() {
                let cut = |_| Cause::Reset(io::ErrorKind::UnexpectedEof.into());
                self.body.end().map_err(cut)?;
                break;
            }
            let mut data = Vec::with_capacity(page.len());
            let n = self.body.split(&page, &mut data, &mut self.trailers);
            self.surplus |= n.map_err(Cause::Answer)? < page.len();
            if !data.is_empty() {
                return Ok(Piece::Data(data.into()));
            }
        }
        let trailers = std::mem::take(&mut self.trailers);
        Piece::end(&trailers).map_err(Cause::Answer)
    }
}

// === impl Stream ===

impl Stream<'_> {
    async fn head(
        &mut self,
        worker: &Worker,
        method: Method,
        index: &mut Response,
        text: &mut Vec<u8>,
    ) -> Result<(), Cause> {
        let (parts, body) = poll_fn(|cx| self.poll_head(cx))
            .await
            .map_err(|error| self.failed(error))?;
        let ended = body.as_ref().is_some_and(RecvStream::is_end_stream);
        head::of_response(&parts, ended, method == Method::Head, text);
        self.body = body;
        let limits = worker.shared.config.limits.of_answers();
        match index.parse(text, &limits, method).map_err(Cause::Answer)? {
            Some(_) => Ok(()),
            None => Err(Cause::Answer(Error::StartLine)),
        }
    }

    fn poll_head(&mut self, cx: &mut Context<'_>) -> Poll<Result<(response::Parts, Option<RecvStream>), h2::Error>> {
        // In this order: the answer proper passes over interim ones.
        if let Poll::Ready(Some(interim)) = self.response.poll_informational(cx) {
            return Poll::Ready(interim.map(|interim| (interim.into_parts().0, None)));
        }
        let (parts, body) = ready!(Pin::new(&mut self.response).poll(cx))?.into_parts();
        Poll::Ready(Ok((parts, Some(body))))
    }

    async fn piece(&mut self) -> Result<Piece, Cause> {
        let Some(body) = &mut self.body else {
            return Ok(Piece::End(None));
        };
        let held = std::mem::take(&mut self.held);
        release(body, held);
        loop {
            match body.data().await {
                // It says nothing, and would be the end of a chunked body.
                Some(Ok(data)) if data.is_empty() => {}
                Some(Ok(data)) => {
                    self.held = data.len();
                    return Ok(Piece::Data(data));
                }
                Some(Err(error)) => return Err(self.failed(error)),
                None => {
                    return match body.trailers().await {
                        Ok(trailers) => Ok(Piece::End(trailers.map(head::permitted))),
                        Err(error) => Err(self.failed(error)),
                    };
                }
            }
        }
    }

    fn failed(&self, error: h2::Error) -> Cause {
        // The rest of the connection's streams may go on; no new one begins there.
        if error.is_go_away() || error.is_io() {
            self.lease.retire();
        }
        failed(error)
    }
}

/// Lets the sender send so much more.
pub(super) fn release(body: &mut RecvStream, bytes: usize) {
    if bytes > 0 && body.flow_control().release_capacity(bytes).is_err() {
        // Only more than was received can not be released.
        tracing::debug!(bytes, "flow control");
    }
}

/// Waits until the receiver takes a part of so many bytes: how much of it.
pub(super) fn poll_room(
    stream: &mut SendStream<Bytes>,
    bytes: usize,
    cx: &mut Context<'_>,
) -> Poll<Result<usize, h2::Error>> {
    stream.reserve_capacity(bytes);
    loop {
        let room = stream.capacity();
        if room > 0 {
            return Poll::Ready(Ok(room));
        }
        match ready!(stream.poll_capacity(cx)) {
            Some(Ok(_)) => {}
            Some(Err(error)) => return Poll::Ready(Err(error)),
            // The stream was reset, or its connection has ended.
            None => {
                let reason = ready!(stream.poll_reset(cx))?;
                return Poll::Ready(Err(reason.into()));
            }
        }
    }
}

/// What an error on a member's stream means.
pub(super) fn failed(error: h2::Error) -> Cause {
    let refused = error.is_remote() && (error.is_go_away() || error.reason() == Some(h2::Reason::REFUSED_STREAM));
    if refused {
        Cause::Refused
    } else if error.is_library() {
        Cause::Protocol(error)
    } else {
        Cause::Reset(into_io(error))
    }
}

/// `data` as one chunk.
pub(super) fn chunk(data: &[u8]) -> Vec<u8> {
    let mut chunk = format!("{:x}\r\n", data.len()).into_bytes();
    chunk.reserve(data.len() + 2);
    chunk.extend_from_slice(data);
    chunk.extend_from_slice(b"\r\n");
    chunk
}

/// The end of a chunked body.
pub(super) fn last_chunk(trailers: Option<&HeaderMap>) -> Vec<u8> {
    let mut last = b"0\r\n".to_vec();
    if let Some(trailers) = trailers {
        head::of_trailers(trailers, &mut last);
    }
    last.extend_from_slice(b"\r\n");
    last
}
