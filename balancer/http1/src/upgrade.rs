//! Upgrades: what a client may offer a member to switch to, and whether the member did (RFC 9110, section 7.8).
//!
//! Upgrade is a field of one hop. A proxy that passes an offer on vouches for it: once the member has answered 101 it
//! passes on bytes that it does not read. So it offers nothing that it would have to read, which is every protocol of
//! HTTP's own: with `h2c` a client could talk to a member past routing, limits and rewriting.

use crate::head::{
    RequestHead, ResponseHead,
    fields::{Fields, Kind, is_token, tokens},
};

/// Protocols of HTTP's own and the layers below it, by name. A version behind a slash does not count.
const OURS: [&[u8]; 5] = [b"h2c", b"h2", b"h3", b"http", b"tls"];

/// Whether the member's 101 switches to what the client offered: `Connection: upgrade`, and an Upgrade that names at
/// least one protocol and none that was not offered.
///
/// ```
/// # use lbpool_http1::{Limits, Request, Response, upgrade};
/// let ask = b"GET /chat HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
/// let answer = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: WebSocket\r\n\r\n";
/// let (mut request, mut response) = (Request::new(), Response::new());
/// request.parse(ask, &Limits::default())?;
/// response.allow_switch(request.is_upgrade());
/// response.parse(answer, &Limits::default(), request.method())?;
/// assert!(response.is_switch() && upgrade::is_agreed(request.head(ask), response.head(answer)));
/// # Ok::<(), lbpool_http1::Error>(())
/// ```
#[must_use]
pub fn is_agreed(request: RequestHead<'_>, response: ResponseHead<'_>) -> bool {
    let offered = |protocol: &[u8]| {
        let mut offers = offers(&request.request.fields, request.bytes);
        offers.any(|offer| offer.eq_ignore_ascii_case(protocol))
    };
    let mut chosen = named(&response.response.fields, response.bytes).peekable();
    request.is_upgrade()
        && response.response.fields.connection.upgrade
        && chosen.peek().is_some()
        && chosen.all(offered)
}

/// The protocols of a request's Upgrade fields that a member gets to see.
pub(crate) fn offers<'a>(fields: &'a Fields, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    named(fields, bytes).filter(|protocol| is_offer(protocol))
}

/// Whether an Upgrade field of this value offers something that a member gets to see.
pub(crate) fn has_offer(value: &[u8]) -> bool {
    tokens(value).any(is_offer)
}

/// The protocols that Upgrade fields name.
pub(crate) fn named<'a>(fields: &'a Fields, bytes: &'a [u8]) -> impl Iterator<Item = &'a [u8]> {
    fields
        .iter()
        .filter(|field| field.kind == Kind::Upgrade)
        .flat_map(|field| tokens(field.value(bytes)))
        .filter(|protocol| !protocol.is_empty())
}

/// Appends the two fields that offer, or choose, these protocols.
pub(crate) fn write<'a>(protocols: impl Iterator<Item = &'a [u8]>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"Connection: Upgrade\r\nUpgrade: ");
    for (i, protocol) in protocols.enumerate() {
        if i > 0 {
            out.extend_from_slice(b", ");
        }
        out.extend_from_slice(protocol);
    }
    out.extend_from_slice(b"\r\n");
}

/// A name with an optional version, and no protocol of ours.
fn is_offer(protocol: &[u8]) -> bool {
    let mut parts = protocol.splitn(2, |byte| *byte == b'/');
    let (name, version) = (parts.next().unwrap_or_default(), parts.next());
    let is_word = |word: &[u8]| !word.is_empty() && word.iter().copied().all(is_token);
    is_word(name) && version.is_none_or(is_word) && !OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours))
}

#[cfg(test)]
mod tests;
