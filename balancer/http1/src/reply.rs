//! Answers of our own.

use std::fmt::Write as _;

use crate::{
    head::{Method, Request, Version},
    rewrite::persistence,
};

/// The interim answer that lets a client send the body it holds back.
pub const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// An answer of our own: why a request got none from a member.
///
/// ```
/// # use lbpool_http1::{Reply, reply::To};
/// let to = To { request_id: "f00d", ..To::default() };
/// let mut out = Vec::new();
/// Reply { status: 503, reason: "no-member", message: "no member is ready", retry_after: Some(1) }.write(&to, &mut out);
/// assert!(out.starts_with(b"HTTP/1.1 503 Service Unavailable\r\n"));
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status.
    pub status: u16,
    /// A short token of a closed set, for programs: the header `X-Lbpool-Reason`.
    pub reason: &'a str,
    /// What is wrong and what to do, for people.
    pub message: &'a str,
    /// Seconds after which to ask again.
    pub retry_after: Option<u32>,
}

/// Whom an answer goes to.
#[derive(Clone, Copy, Debug, Default)]
pub struct To<'a> {
    /// Method of the request: HEAD gets no body.
    pub method: Method,
    /// Version that the client speaks.
    pub version: Version,
    /// Whether the connection ends behind the answer.
    pub close: bool,
    /// The time as a Date field has it; empty: none is sent.
    pub date: &'a str,
    /// Id of the request: visible ASCII, or it is left out of the head.
    pub request_id: &'a str,
}

// === impl Reply ===

impl Reply<'_> {
    /// Appends the answer to `out`:
    /// `{"message":"..","status":"failure","reason":"..","requestId":".."}` with its head.
    pub fn write(&self, to: &To<'_>, out: &mut Vec<u8>) {
        let mut body = String::with_capacity(128 + self.message.len());
        body.push_str("{\"message\":");
        quote(self.message, &mut body);
        body.push_str(",\"status\":\"failure\",\"reason\":");
        quote(self.reason, &mut body);
        body.push_str(",\"requestId\":");
        quote(to.request_id, &mut body);
        body.push('}');
        let mut head = start(self.status, to, body.len());
        // Writing to a String cannot fail.
        let _ = write!(head, "X-Lbpool-Reason: {}\r\n", self.reason);
        if let Some(seconds) = self.retry_after {
            let _ = write!(head, "Retry-After: {seconds}\r\n");
        }
        finish(&head, &body, to, out);
    }
}

// === impl To ===

impl<'a> To<'a> {
    /// The sender of `request`; the connection goes on if it wants it to.
    #[must_use]
    pub fn sender(request: &Request, request_id: &'a str) -> Self {
        Self {
            method: request.method(),
            version: request.version(),
            close: !request.keep_alive(),
            date: "",
            request_id,
        }
    }
}

/// Appends an answer with a JSON body that the caller made.
pub fn json(status: u16, body: &str, to: &To<'_>, out: &mut Vec<u8>) {
    let head = start(status, to, body.len());
    finish(&head, body, to, out);
}

fn start(status: u16, to: &To<'_>, length: usize) -> String {
    let mut head = String::with_capacity(256);
    let phrase = phrase(status);
    let _ = write!(
        head,
        "HTTP/1.1 {status} {phrase}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\
         Cache-Control: no-store\r\n"
    );
    if !to.date.is_empty() {
        let _ = write!(head, "Date: {}\r\n", to.date);
    }
    if !to.request_id.is_empty() && to.request_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        let _ = write!(head, "X-Request-Id: {}\r\n", to.request_id);
    }
    head
}

fn finish(head: &str, body: &str, to: &To<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(head.as_bytes());
    out.extend_from_slice(persistence(to.version, to.close).as_bytes());
    out.extend_from_slice(b"\r\n");
    if to.method != Method::Head {
        out.extend_from_slice(body.as_bytes());
    }
}

/// The words behind a status.
#[must_use]
pub const fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        202 => "Accepted",
        400 => "Bad Request",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        508 => "Loop Detected",
        _ => "",
    }
}

/// Appends `text` as a JSON string.
fn quote(text: &str, out: &mut String) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => {
                out.push('\\');
                out.push(character);
            }
            '\0'..='\x1f' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests;
