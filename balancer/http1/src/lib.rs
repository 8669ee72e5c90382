//! HTTP/1.1 heads, framing and rewriting: decides, and does no I/O.
//!
//! A proxy reads bytes and asks this crate what they mean. One exchange reads like this:
//! ```
//! use lbpool_http1::{Body, Framing, Limits, Request, Response, rewrite};
//!
//! // The client's request: call `parse` again with more bytes until it answers `Some`.
//! let limits = Limits::default();
//! let bytes = b"POST /cart HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello";
//! let mut request = Request::new();
//! let Some(head_len) = request.parse(bytes, &limits)? else { unreachable!("the head is complete") };
//! assert_eq!(request.framing(), Framing::Length(5));
//!
//! // Its head, as a member shall see it.
//! let mut out = Vec::new();
//! let forward = rewrite::Forward { client: "192.0.2.7", request_id: "f00d", ..rewrite::Forward::default() };
//! rewrite::request(request.head(bytes), &forward, &mut out);
//!
//! // Which of the bytes behind the head belong to the body; the rest is the next request.
//! let mut body = Body::new(request.framing());
//! assert_eq!(body.feed(&bytes[head_len..])?, 5);
//! assert!(body.is_done());
//!
//! // The member's answer, and its head as the client shall see it.
//! let bytes = b"HTTP/1.1 204 No Content\r\n\r\n";
//! let mut response = Response::new();
//! response.parse(bytes, &limits, request.method())?;
//! out.clear();
//! let delivery = rewrite::response(response.head(bytes), &rewrite::Answer::to(&request), &mut out);
//! assert!(!delivery.close);
//! # Ok::<(), lbpool_http1::Error>(())
//! ```
//!
//! It refuses whatever RFC 9112 lets it refuse: two readings of one message are how requests are smuggled. An answer 101
//! is an error unless the caller says that its request was an upgrade, and agreed to only where [`upgrade`] says so.

pub mod body;
pub mod error;
pub mod forwarded;
pub mod framing;
pub mod head;
pub mod reply;
pub mod rewrite;
pub mod upgrade;

pub use body::Body;
pub use error::{Category, Error};
pub use framing::Framing;
pub use head::{Limits, Method, Request, RequestHead, Response, ResponseHead, Version};
pub use reply::Reply;
