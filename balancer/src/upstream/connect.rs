//! A new connection to a member.

use std::{io, time::Duration};

use tokio::{net::TcpStream, time::timeout};

use crate::{stream::Stream, target::Target, tls::Upstream};

/// Connects, over TLS where that is how members are spoken to, or fails after `limit`.
pub(crate) async fn connect(target: &Target, tls: Option<&Upstream>, limit: Duration) -> io::Result<Stream> {
    timeout(limit, open(target, tls))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)?
}

/// As [`connect`], for as long as it takes.
pub(crate) async fn open(target: &Target, tls: Option<&Upstream>) -> io::Result<Stream> {
    let stream = TcpStream::connect(target.address()).await?;
    // Else the last part of a message waits for the acknowledgement of the one before: 40 ms.
    stream.set_nodelay(true)?;
    match tls {
        None => Ok(Stream::Plain(stream)),
        // Boxed: an attempt that needs none is not to carry its size.
        Some(tls) => Box::pin(tls.connect(stream, target)).await.map(Stream::Tls),
    }
}
