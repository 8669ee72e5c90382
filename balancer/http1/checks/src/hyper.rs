//! hyper, fed with bytes from memory, and what it made of them.

use std::{
    cell::RefCell,
    convert::Infallible,
    future::Future,
    io,
    pin::{Pin, pin},
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{Request, Response, Version, body::Incoming, header::HeaderMap, rt, service::service_fn};

use crate::messages::{End, Message, sorted};

/// What hyper's server reads: messages, the last one perhaps in part. The stream stays open behind its last byte.
pub(crate) fn requests(stream: &[u8]) -> Vec<Message> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Rc::clone(&seen);
        async move {
            let (head, body) = request.into_parts();
            let start = format!("{} {}", head.method, head.uri);
            let index = begin(&seen, start, head.version, &head.headers);
            collect(&seen, index, body).await;
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let connection = hyper::server::conn::http1::Builder::new()
        .half_close(true)
        .auto_date_header(false)
        .max_headers(lbpool_http1::head::MAX_HEADERS)
        .serve_connection(Wire::new(stream, false), service);
    run(async {
        // An error is a refusal: what was read before it counts.
        let _ = connection.await;
    });
    seen.take()
}

/// What hyper's client reads as the answer to a request with that method. The stream ends behind its last byte.
pub(crate) fn response(stream: &[u8], to: &str) -> Option<Message> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    run(async {
        let wire = Wire::new(stream, true);
        let Ok((mut sender, connection)) = hyper::client::conn::http1::handshake(wire).await else {
            return;
        };
        let exchange = async {
            let request = Request::builder().method(to).uri("/").header("host", "a");
            let Ok(request) = request.body(Empty::<Bytes>::new()) else {
                return;
            };
            let Ok(response) = sender.send_request(request).await else {
                return;
            };
            let (head, body) = response.into_parts();
            let index = begin(&seen, head.status.as_str().to_owned(), head.version, &head.headers);
            collect(&seen, index, body).await;
        };
        // As above: what was read counts, whatever follows it.
        let ((), _) = futures_util::future::join(exchange, connection).await;
    });
    seen.take().pop()
}

fn begin(seen: &RefCell<Vec<Message>>, start: String, version: Version, headers: &HeaderMap) -> usize {
    let fields = headers
        .iter()
        .map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    let mut seen = seen.borrow_mut();
    seen.push(Message {
        start,
        http11: version == Version::HTTP_11,
        fields: sorted(fields),
        body: Vec::new(),
        end: End::Open,
    });
    seen.len() - 1
}

async fn collect(seen: &RefCell<Vec<Message>>, index: usize, mut body: Incoming) {
    while let Some(frame) = body.frame().await {
        let Ok(frame) = frame else { return };
        if let (Some(data), Some(message)) = (frame.data_ref(), seen.borrow_mut().get_mut(index)) {
            message.body.extend_from_slice(data);
        }
    }
    if let Some(message) = seen.borrow_mut().get_mut(index) {
        message.end = End::Complete;
    }
}

/// Polls until the future is done, or nobody is left to wake it.
fn run(future: impl Future<Output = ()>) {
    let woken = Arc::new(Woken(AtomicBool::new(true)));
    let waker = Waker::from(Arc::clone(&woken));
    let mut cx = Context::from_waker(&waker);
    let mut future = pin!(future);
    while woken.0.swap(false, Ordering::Relaxed) {
        if future.as_mut().poll(&mut cx).is_ready() {
            return;
        }
    }
}

struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A connection of which one side is bytes in memory, and the other is thrown away.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
    /// For a client: nothing comes before it has sent something, and the end comes behind the bytes.
    answers: bool,
    asked: bool,
    reader: Option<Waker>,
}

// === impl Wire ===

impl Wire {
    fn new(bytes: &[u8], answers: bool) -> Self {
        Self {
            bytes: bytes.to_vec(),
            at: 0,
            answers,
            asked: !answers,
            reader: None,
        }
    }
}

impl rt::Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        mut buf: rt::ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.asked {
            self.reader = Some(cx.waker().clone());
            return Poll::Pending;
        }
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        if rest.is_empty() {
            return if self.answers {
                Poll::Ready(Ok(()))
            } else {
                Poll::Pending
            };
        }
        let n = rest.len().min(buf.remaining());
        buf.put_slice(&rest[..n]);
        self.at += n;
        Poll::Ready(Ok(()))
    }
}

impl rt::Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.asked = true;
        if let Some(reader) = self.reader.take() {
            reader.wake();
        }
        Poll::Ready(Ok(buf.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
