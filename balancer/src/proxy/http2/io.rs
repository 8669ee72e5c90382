//! A client's stream with what was read of it before, and a count of what comes.

use std::{
    io::{self, IoSlice},
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::guard::Guard;

/// A client's stream.
pub(super) struct Metered<T> {
    stream: T,
    /// Was read before; is read first.
    first: Vec<u8>,
    guard: Rc<Guard>,
    /// Our side is shut.
    shut: bool,
}

// === impl Metered ===

impl<T> Metered<T> {
    pub(super) const fn new(stream: T, first: Vec<u8>, guard: Rc<Guard>) -> Self {
        Self {
            stream,
            first,
            guard,
            shut: false,
        }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(n)) = written {
            self.guard.sent(n);
        }
        written
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Metered<T> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.guard.abuse().is_some() {
            // Whoever drives the connection looks at the guard next: without this, a codec that always finds another
            // frame would not return to it.
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !this.first.is_empty() {
            let n = this.first.len().min(buffer.remaining());
            buffer.put_slice(&this.first[..n]);
            this.first.drain(..n);
            this.guard.received(n);
            return Poll::Ready(Ok(()));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut this.stream).poll_read(cx, buffer);
        this.guard.received(buffer.filled().len() - before);
        read
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Metered<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.note(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        self.note(written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    /// Reads on behind our own end, up to the client's: what it sends until it has read all that it was sent, updates of
    /// windows most of all, would be answered with a reset, which takes the rest of its answers with it.
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.shut {
            ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
            self.shut = true;
        }
        loop {
            let mut bytes = [0; 4096];
            let mut buffer = ReadBuf::new(&mut bytes);
            ready!(Pin::new(&mut self.stream).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            self.guard.received(buffer.filled().len());
        }
    }
}
