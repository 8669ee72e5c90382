//! A client that sends bytes and keeps what comes back.

use std::{cell::Cell, net::SocketAddr, rc::Rc, time::Duration};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::{Instant, timeout},
};

/// After so long without a byte anywhere nothing more is expected.
const QUIET: Duration = Duration::from_millis(700);
/// The same once the client's connection has ended.
const AFTERWARDS: Duration = Duration::from_millis(100);

/// When a byte was seen last, wherever.
#[derive(Clone, Debug)]
pub(crate) struct Activity(Rc<Cell<Instant>>);

/// What a client got.
#[derive(Debug)]
pub(crate) struct Got {
    pub(crate) bytes: Vec<u8>,
    pub(crate) end: End,
}

/// What became of the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Open,
    Closed,
    Reset,
}

// === impl Activity ===

impl Activity {
    /// A byte was seen.
    pub(crate) fn note(&self) {
        self.0.set(Instant::now());
    }

    fn quiet(&self) -> Duration {
        self.0.get().elapsed()
    }

    async fn lasts(&self, quiet: Duration) {
        while let Some(left) = quiet.checked_sub(self.quiet()).filter(|left| !left.is_zero()) {
            tokio::time::sleep(left).await;
        }
    }
}

impl Default for Activity {
    fn default() -> Self {
        Self(Rc::new(Cell::new(Instant::now())))
    }
}

/// Whether a proxy passes an ordinary request on by now.
pub(crate) async fn is_served(proxy: SocketAddr) -> bool {
    let exchange = async {
        let mut stream = TcpStream::connect(proxy).await?;
        stream
            .write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            .await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        std::io::Result::Ok(answer.starts_with(b"HTTP/1.1 200 "))
    };
    // Not yet listening, not yet knowing its origin: either way it is asked again.
    matches!(timeout(QUIET, exchange).await, Ok(Ok(true)))
}

/// Sends `bytes` to a proxy and reads until the connection ends or nothing comes any more.
pub(crate) async fn ask(proxy: SocketAddr, bytes: &[u8], activity: &Activity) -> anyhow::Result<Got> {
    let mut stream = TcpStream::connect(proxy).await?;
    stream.set_nodelay(true)?;
    activity.note();
    let (mut from, mut to) = stream.split();
    let mut got = Got {
        bytes: Vec::new(),
        end: End::Open,
    };
    let reading = async {
        let mut page = vec![0; 1 << 16];
        loop {
            match from.read(&mut page).await {
                Ok(0) => break End::Closed,
                Ok(n) => got.bytes.extend_from_slice(&page[..n]),
                Err(_) => break End::Reset,
            }
            activity.note();
        }
    };
    // A proxy that refuses early takes no more: what it says is read all the same. One that takes nothing at all is quiet.
    let sending = async {
        let _ = timeout(QUIET * 4, to.write_all(bytes)).await;
        activity.lasts(QUIET).await;
    };
    tokio::select! {
        end = reading => got.end = end,
        () = sending => {}
    }
    activity.lasts(AFTERWARDS).await;
    Ok(got)
}
