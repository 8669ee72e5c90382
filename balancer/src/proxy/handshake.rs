//! A client's handshake, where the listener takes TLS.

use std::{io, sync::Arc};

use tokio::net::TcpStream;
use tokio_rustls::{TlsAcceptor, rustls::ServerConfig};

use super::connection::LAST;
use crate::{
    deadline::{Deadline, Elapsed},
    stats::Handshake,
    stream::{Stream, Tls},
    worker::Worker,
};

/// First byte of every TLS record that may begin a connection: a handshake (RFC 8446, section 5.1).
const RECORD: u8 = 22;

/// Makes the handshake. With what does not begin one, as it is: the client may be told so.
///
/// # Errors
/// The client speaks another version, does not like what it sees, or is gone; or it took too long. rustls has told it why,
/// where that can be told.
pub(super) async fn handshake(
    worker: &Worker,
    deadline: &Deadline,
    config: Arc<ServerConfig>,
    stream: TcpStream,
) -> io::Result<Stream> {
    let limit = worker.shared.config.limits.head_timeout;
    let done = deadline.idle(limit, LAST, shake(config, stream)).await;
    let (outcome, done) = match done {
        Ok(Ok(stream)) if stream.is_tls() => (Handshake::Done, Ok(stream)),
        Ok(Ok(stream)) => (Handshake::Plain, Ok(stream)),
        Ok(Err(error)) => (Handshake::Failed, Err(error)),
        Err(Elapsed) => (Handshake::TimedOut, Err(io::ErrorKind::TimedOut.into())),
    };
    worker.stats().handshakes[outcome as usize].inc();
    done
}

async fn shake(config: Arc<ServerConfig>, stream: TcpStream) -> io::Result<Stream> {
    let mut first = [0];
    match stream.peek(&mut first).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ if first != [RECORD] => Ok(Stream::Plain(stream)),
        _ => {
            let stream = TlsAcceptor::from(config).accept(stream).await?;
            Ok(Stream::Tls(Tls::from(tokio_rustls::TlsStream::Server(stream))))
        }
    }
}
