//! Heads of requests and responses, read under limits and without an allocation per message.
//!
//! [`Request`] and [`Response`] are indexes: they hold offsets into the caller's bytes and what follows from them
//! (method, version, framing). They may be kept across an await, or reused for the next message. With the bytes in hand,
//! [`Request::head`] and [`Response::head`] give a view that reads the text.

pub(crate) mod fields;
mod method;
mod request;
mod response;
mod scan;
mod target;

pub use method::Method;
pub use request::{Request, RequestHead};
pub use response::{Response, ResponseHead};

/// Largest head whatever [`Limits::head`] says: offsets have 16 bits.
pub const MAX_HEAD: usize = 65_535;
/// Most fields whatever [`Limits::headers`] says.
pub const MAX_HEADERS: usize = 128;

/// How much of a head is read before it is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the whole head, at most [`MAX_HEAD`]. Above: 431.
    pub head: usize,
    /// Bytes of the request target. Above: 414.
    pub target: usize,
    /// Number of fields, at most [`MAX_HEADERS`]. Above: 431.
    pub headers: usize,
}

/// Version of HTTP that a message is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Version {
    /// HTTP/1.0: no chunks, one request per connection unless both say keep-alive.
    Http10,
    /// HTTP/1.1.
    #[default]
    Http11,
}

// === impl Limits ===

impl Limits {
    fn most_bytes(&self) -> usize {
        self.head.min(MAX_HEAD)
    }

    fn most_headers(&self) -> usize {
        self.headers.min(MAX_HEADERS)
    }
}

impl Default for Limits {
    /// 32 KiB of head, 8 KiB of target, 100 headers.
    fn default() -> Self {
        Self {
            head: 32 * 1024,
            target: 8 * 1024,
            headers: 100,
        }
    }
}

#[cfg(test)]
mod tests;
