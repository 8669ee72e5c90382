//! A connection to a client or a member: TCP as it is, or TLS over it.
//!
//! An enum and no trait: plain HTTP pays one branch per read or write, which is nothing beside the system call, and has
//! the halves of its own socket as before. The two halves of a TLS connection share its state; both are polled by the one
//! task that owns the connection, so a [`RefCell`] is enough, and no borrow outlives a poll.

use std::{
    cell::RefCell,
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use socket2::SockRef;
use tokio::{
    io::{AsyncBufRead as _, AsyncRead, AsyncWrite, AsyncWriteExt as _, ReadBuf},
    net::{TcpStream, tcp},
};
use tokio_rustls::TlsStream;

/// HTTP/2 over TLS, as handshakes name it (RFC 9113, section 3.2).
pub(crate) const HTTP2: &[u8] = b"h2";

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Tls),
}

/// A TLS connection whose handshake is done. Boxed: it is 1 KiB and more.
#[derive(Debug)]
pub(crate) struct Tls(Box<RefCell<TlsStream<TcpStream>>>);

/// What is received.
#[derive(Debug)]
pub(crate) enum ReadHalf<'a> {
    Plain(tcp::ReadHalf<'a>),
    Tls(&'a Tls),
}

/// What is sent.
#[derive(Debug)]
pub(crate) enum WriteHalf<'a> {
    Plain(tcp::WriteHalf<'a>),
    Tls(&'a Tls),
}

/// A write that failed, after so many bytes were taken.
#[derive(Debug)]
pub(crate) struct WriteError {
    pub(crate) taken: usize,
    pub(crate) error: io::Error,
}

// === impl Stream ===

impl Stream {
    /// Both directions, for one task.
    pub(crate) fn split(&mut self) -> (ReadHalf<'_>, WriteHalf<'_>) {
        match self {
            Self::Plain(stream) => {
                let (read, write) = stream.split();
                (ReadHalf::Plain(read), WriteHalf::Plain(write))
            }
            Self::Tls(tls) => (ReadHalf::Tls(tls), WriteHalf::Tls(tls)),
        }
    }

    /// Whether what passes is encrypted.
    pub(crate) const fn is_tls(&self) -> bool {
        matches!(self, Self::Tls(_))
    }

    /// How the other side is reached: the scheme of what is asked for.
    pub(crate) const fn scheme(&self) -> &'static str {
        if self.is_tls() { "https" } else { "http" }
    }

    /// Whether both sides have agreed on HTTP/2 in the handshake.
    pub(crate) fn is_http2(&self) -> bool {
        matches!(self, Self::Tls(tls) if tls.is_http2())
    }

    /// Waits until there is something to read, or an end. Takes nothing, and needs no buffer.
    pub(crate) async fn readable(&self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.readable().await,
            // Not the socket: there may be a part of a record there, or one that says nothing.
            Self::Tls(tls) => poll_fn(|cx| tls.with(|stream| stream.poll_fill_buf(cx).map_ok(|_| ()))).await,
        }
    }

    /// Does something with the socket below.
    pub(crate) fn with_tcp<T>(&self, work: impl FnOnce(&TcpStream) -> T) -> T {
        match self {
            Self::Plain(stream) => work(stream),
            Self::Tls(tls) => work(tls.0.borrow().get_ref().0),
        }
    }

    /// Lets the other side see, once this is dropped, that there was more to come.
    pub(crate) fn reset_on_drop(&self) {
        self.with_tcp(|stream| reset_on_drop(stream, true));
    }

    /// Whether an idle connection has ended, or has sent bytes that nobody asked for, as far as the runtime knows. Costs no
    /// system call where it knows nothing.
    pub(crate) fn said_something(&self) -> bool {
        match self {
            Self::Plain(stream) => {
                !matches!(stream.try_read(&mut [0]), Err(error) if error.kind() == io::ErrorKind::WouldBlock)
            }
            // A ticket for the next handshake is no word: only what is in it for us counts. The next reader brings its own
            // waker.
            Self::Tls(tls) => {
                let mut byte = [0];
                let mut cx = Context::from_waker(Waker::noop());
                tls.poll_read(&mut cx, &mut ReadBuf::new(&mut byte)).is_ready()
            }
        }
    }
}

impl From<TcpStream> for Stream {
    fn from(stream: TcpStream) -> Self {
        Self::Plain(stream)
    }
}

impl<T: Into<TlsStream<TcpStream>>> From<T> for Tls {
    fn from(stream: T) -> Self {
        Self(Box::new(RefCell::new(stream.into())))
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(cx, buffer),
            Self::Tls(tls) => tls.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(cx, bytes),
            Self::Tls(tls) => tls.with(|stream| stream.poll_write(cx, bytes)),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(cx, slices),
            Self::Tls(tls) => tls.with(|stream| stream.poll_write_vectored(cx, slices)),
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Self::Tls(tls) => tls.with(|stream| stream.poll_flush(cx)),
        }
    }

    /// Over TLS with a `close_notify`: without it, the other side must take what it has for a part.
    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Self::Tls(tls) => tls.with(|stream| stream.poll_shutdown(cx)),
        }
    }
}

// === impl Tls ===

impl Tls {
    /// Whether both sides have agreed on HTTP/2 (ALPN, RFC 7301).
    pub(crate) fn is_http2(&self) -> bool {
        self.0.borrow().get_ref().1.alpn_protocol() == Some(HTTP2)
    }

    fn with<T>(&self, work: impl FnOnce(Pin<&mut TlsStream<TcpStream>>) -> T) -> T {
        work(Pin::new(&mut *self.0.borrow_mut()))
    }

    fn poll_read(&self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        self.with(|stream| stream.poll_read(cx, buffer))
    }

    /// What the session has taken is not on its way yet: see `poll_flush`.
    fn poll_take(&self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        let taken = self.with(|stream| stream.poll_write_vectored(cx, &[IoSlice::new(first), IoSlice::new(second)]));
        match ready!(taken) {
            Ok(0) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
            taken => Poll::Ready(taken),
        }
    }
}

// === impl ReadHalf ===

impl AsyncRead for ReadHalf<'_> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(half) => Pin::new(half).poll_read(cx, buffer),
            Self::Tls(tls) => tls.poll_read(cx, buffer),
        }
    }
}

// === impl WriteHalf ===

impl WriteHalf<'_> {
    /// Writes `first`, then `second`: with one system call where the kernel has room.
    ///
    /// A function of polls instead of an `async` one, which would be ten times as large in every request's state.
    pub(crate) fn write_all(&self, first: &[u8], second: &[u8]) -> impl Future<Output = Result<(), WriteError>> {
        self.write_noting(first, second, || {})
    }

    /// As [`WriteHalf::write_all`], and calls `note` whenever bytes have left: a write that is dropped tells nobody.
    pub(crate) fn write_noting(
        &self,
        first: &[u8],
        second: &[u8],
        note: impl Fn(),
    ) -> impl Future<Output = Result<(), WriteError>> {
        let mut taken = 0;
        poll_fn(move |cx| {
            while taken < first.len() + second.len() {
                let rest = first.get(taken..).unwrap_or_default();
                let behind = second.get(taken.saturating_sub(first.len())..).unwrap_or_default();
                match ready!(self.poll_take(cx, rest, behind)) {
                    Ok(n) => {
                        taken += n;
                        note();
                    }
                    Err(error) => return Poll::Ready(Err(WriteError { taken, error })),
                }
            }
            let flushed = match self {
                Self::Plain(_) => Ok(()),
                Self::Tls(tls) => ready!(tls.with(|stream| stream.poll_flush(cx))),
            };
            Poll::Ready(flushed.map_err(|error| WriteError { taken, error }))
        })
    }

    /// Writes some of `first`, then of `second`: at least a byte.
    fn poll_take(&self, cx: &mut Context<'_>, first: &[u8], second: &[u8]) -> Poll<io::Result<usize>> {
        match self {
            Self::Plain(half) => loop {
                let taken = match (first.is_empty(), second.is_empty()) {
                    (true, _) => half.try_write(second),
                    (_, true) => half.try_write(first),
                    _ => half.try_write_vectored(&[IoSlice::new(first), IoSlice::new(second)]),
                };
                match taken {
                    Ok(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        ready!(half.as_ref().poll_write_ready(cx))?;
                    }
                    taken => return Poll::Ready(taken),
                }
            },
            Self::Tls(tls) => tls.poll_take(cx, first, second),
        }
    }

    /// Whether the other side sees a reset, where the connection is dropped: that there was more to come, whatever the reason that
    /// it does not. Otherwise a drop is an orderly end.
    pub(crate) fn reset_on_drop(&self, yes: bool) {
        match self {
            Self::Plain(half) => reset_on_drop(half.as_ref(), yes),
            Self::Tls(tls) => reset_on_drop(tls.0.borrow().get_ref().0, yes),
        }
    }

    /// Tells the other side that nothing more comes.
    pub(crate) async fn shutdown(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(half) => half.shutdown().await,
            Self::Tls(tls) => poll_fn(|cx| tls.with(|stream| stream.poll_shutdown(cx))).await,
        }
    }
}

fn reset_on_drop(stream: &TcpStream, yes: bool) {
    if let Err(error) = SockRef::from(stream).set_linger(yes.then_some(Duration::ZERO)) {
        tracing::debug!(%error, "linger");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_write_that_is_dropped_has_told_that_bytes_left() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stream, _peer) = tokio::join!(TcpStream::connect(address), listener.accept());
        let mut stream = Stream::Plain(stream.unwrap());
        let left = std::cell::Cell::new(false);
        let (_, to) = stream.split();
        // More than the kernel takes of somebody whose peer does not read.
        let bytes = vec![0; 64 << 20];
        let mut write = std::pin::pin!(to.write_noting(b"head", &bytes, || left.set(true)));
        let polled = poll_fn(|cx| Poll::Ready(write.as_mut().poll(cx))).await;
        assert!(polled.is_pending() && left.get());
    }
}
