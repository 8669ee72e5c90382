//! A new connection to a member.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{net::TcpStream, time::timeout};

/// Connects, or fails after `limit`.
pub(crate) async fn connect(address: SocketAddr, limit: Duration) -> io::Result<TcpStream> {
    let stream = timeout(limit, TcpStream::connect(address))
        .await
        .map_err(|_| io::ErrorKind::TimedOut)??;
    // Else the last part of a message waits for the acknowledgement of the one before: 40 ms.
    stream.set_nodelay(true)?;
    Ok(stream)
}
