//! One request on a connection of its own, blocking: for what a person would do with curl.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

/// Longer than anything that is asked for may take.
const LIMIT: Duration = Duration::from_mins(1);

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// Its status.
    pub status: u16,
    /// Its body, without framing.
    pub body: String,
}

/// Sends a request. The answer is still to come.
///
/// # Errors
/// No connection.
pub fn send(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> io::Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(LIMIT))?;
    let host = if headers.contains("Host:") {
        String::new()
    } else {
        format!("Host: {address}\r\n")
    };
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\n{host}Connection: close\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes())?;
    Ok(stream)
}

/// Sends a request and reads the answer. `headers` are whole lines.
///
/// # Errors
/// No connection, or one that ended before the answer did.
pub fn request(address: SocketAddr, method: &str, path: &str, headers: &str, body: &str) -> io::Result<Reply> {
    Reply::read(send(address, method, path, headers, body)?)
}

// === impl Reply ===

impl Reply {
    /// Reads the rest of an answer.
    ///
    /// # Errors
    /// The connection ended before the answer did.
    pub fn read(mut stream: TcpStream) -> io::Result<Self> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes)?;
        Self::parse(&bytes).ok_or_else(|| {
            io::Error::new(
                io::ErrorKind::UnexpectedEof,
                format!("no answer: {}", String::from_utf8_lossy(&bytes)),
            )
        })
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let (head, rest) = text.split_once("\r\n\r\n")?;
        let status = head.split(' ').nth(1)?.parse().ok()?;
        let header = |name: &str| {
            let value = |line: &str| {
                line.split_once(':')
                    .map(|(n, v)| (n.to_ascii_lowercase(), v.trim().to_owned()))
            };
            head.lines().filter_map(value).find(|(n, _)| n == name).map(|(_, v)| v)
        };
        let body = if header("transfer-encoding").is_some() {
            dechunk(rest)?
        } else {
            let length: usize = header("content-length").map_or(Some(rest.len()), |length| length.parse().ok())?;
            rest.get(..length)?.to_owned()
        };
        Some(Self { status, body })
    }
}

fn dechunk(mut rest: &str) -> Option<String> {
    let mut body = String::new();
    loop {
        let (size, chunk) = rest.split_once("\r\n")?;
        let size = usize::from_str_radix(size.split(';').next()?, 16).ok()?;
        if size == 0 {
            return Some(body);
        }
        body.push_str(chunk.get(..size)?);
        rest = chunk.get(size..)?.strip_prefix("\r\n")?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_that_ends_early_is_none() {
        let whole = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
        assert_eq!(
            Reply::parse(whole.as_bytes()),
            Some(Reply {
                status: 200,
                body: "abc".to_owned()
            })
        );
        assert_eq!(Reply::parse(&whole.as_bytes()[..whole.len() - 6]), None);
        assert_eq!(Reply::parse(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"), None);
    }
}
