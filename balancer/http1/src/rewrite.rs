//! Heads as the other side shall see them: what belongs to one hop goes out, what a proxy has to say comes in.
//!
//! Lines that stay are copied as they came, neighbours together. The framing stays too: a chunked body is passed on
//! with its chunks, except to an HTTP/1.0 client ([`Delivery::decode`]).

use crate::{
    Framing,
    forwarded::Style,
    framing::decimal,
    head::{
        Method, Request, RequestHead, ResponseHead, Version,
        fields::{Field, Fields, Kind},
    },
    upgrade,
};

/// What to do with what a client says about where a request came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Trust {
    /// Anybody may have written it: all of `X-Forwarded-*`, `Forwarded` and `X-Real-IP` is replaced by what we know.
    #[default]
    Replace,
    /// A proxy of ours wrote it: our view is appended to `X-Forwarded-For` and `Forwarded`, the rest stays.
    Append,
}

/// What a request's head gets on its way to a member.
#[derive(Clone, Copy, Debug)]
pub struct Forward<'a> {
    /// Address of the client, without its port.
    pub client: &'a str,
    /// `http` or `https`: how the client reached us.
    pub proto: &'a str,
    /// Whether the client is a proxy that we believe.
    pub trust: Trust,
    /// Which headers tell where the request came from.
    pub style: Style,
    /// The id that the request gets when it brings none.
    pub request_id: &'a str,
    /// The version that `Via` says it came in. Empty: as its head says.
    pub received: &'a str,
}

/// What a response's head gets on its way to the client.
#[derive(Clone, Copy, Debug, Default)]
pub struct Answer<'a> {
    /// Version that the client speaks.
    pub version: Version,
    /// Whether the connection ends behind this answer in any case.
    pub close: bool,
    /// The time as a Date field has it, for a response that brings none (RFC 9110, section 6.6.1). Empty: it stays without.
    pub date: &'a str,
    /// Further headers. One with a control character in its value is left out: it could begin another answer.
    pub extra: &'a [(&'a str, &'a str)],
    /// The version that `Via` says it came in. Empty: as its head says.
    pub received: &'a str,
}

/// How the body of a response has to be delivered, as its rewritten head promises.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The client's connection ends behind the body.
    pub close: bool,
    /// The client gets the data without its chunks: [`Body::decode`](crate::Body::decode), not `feed`.
    pub decode: bool,
}

// === impl Forward ===

impl Default for Forward<'_> {
    fn default() -> Self {
        Self {
            client: "",
            proto: "http",
            trust: Trust::Replace,
            style: Style::XForwarded,
            request_id: "",
            received: "",
        }
    }
}

// === impl Answer ===

impl Answer<'_> {
    /// The answer to `request`: in its version, and closing when it asked for that.
    #[must_use]
    pub fn to(request: &Request) -> Self {
        Self {
            version: request.version(),
            close: !request.keep_alive(),
            date: "",
            extra: &[],
            received: "",
        }
    }
}

/// Appends `head` to `out` as a member shall see it: an HTTP/1.1 request in origin form, complete with its empty line.
///
/// Taken out: Connection and what it names, Keep-Alive, TE, `Proxy-*` fields of the hop, and Upgrade, except for what
/// [`upgrade`] lets pass where the request asks for one. `TE: trailers` is said anew where the client
/// [takes them](RequestHead::takes_trailers): what a member sends in trailers reaches it. Put in: `Via`, `X-Forwarded-For`, `-Proto` and `-Host` or
/// `Forwarded`, and `X-Request-Id` when there is none. Max-Forwards of OPTIONS and TRACE loses one. A Connection field that
/// names Host, framing, `X-Forwarded-*`, `Forwarded`, Via or `X-Request-Id` names them in vain, so that nobody can talk them
/// away.
pub fn request(head: RequestHead<'_>, forward: &Forward<'_>, out: &mut Vec<u8>) {
    let bytes = head.bytes;
    let target = head.target().len();
    out.reserve(head.len() + target + 256);
    put(out, &[head.method_name(), " ", head.path()]);
    if let Some(query) = head.query() {
        put(out, &["?", query]);
    }
    put(out, &[" HTTP/1.1\r\n"]);
    let has_id = head.has_request_id();
    let has_host = head.fields_of(Kind::Host).next().is_some();
    let trusted = forward.trust == Trust::Append;
    if head.is_absolute() || !has_host {
        put(out, &["Host: ", head.authority(), "\r\n"]);
    }
    copy(&head.fields, bytes, out, |field| match field.kind {
        Kind::Connection | Kind::Hop | Kind::Upgrade | Kind::ForwardedFor | Kind::Forwarded => false,
        Kind::Host => !head.is_absolute(),
        Kind::RequestId => !field.value(bytes).is_empty(),
        Kind::MaxForwards => hops_left(head, field.value(bytes)).is_none(),
        Kind::ContentLength | Kind::TransferEncoding | Kind::Via => true,
        Kind::ForwardedHost | Kind::ForwardedProto | Kind::ForwardedOther => trusted,
        Kind::Expect if head.version() == Version::Http10 => false,
        Kind::Cookie | Kind::Date | Kind::Expect | Kind::Other => !head.fields.is_nominated(bytes, field.name(bytes)),
    });
    for hops in head
        .fields_of(Kind::MaxForwards)
        .filter_map(|value| hops_left(head, value))
    {
        put(out, &["Max-Forwards: ", &hops.to_string(), "\r\n"]);
    }
    forwarded(head, forward, out);
    if !has_id && !forward.request_id.is_empty() {
        put(out, &["X-Request-Id: ", forward.request_id, "\r\n"]);
    }
    if head.is_upgrade() {
        upgrade::write(upgrade::offers(&head.request.fields, bytes), out);
    } else if head.takes_trailers() {
        // RFC 9110, section 6.5.1: an intermediary may say so where all clients behind it do.
        put(out, &["TE: trailers\r\nConnection: TE\r\n"]);
    }
    put(
        out,
        &["Via: ", received(forward.received, head.version()), " lbpool\r\n\r\n"],
    );
}

/// What Max-Forwards has left behind us, where it counts.
fn hops_left(head: RequestHead<'_>, value: &[u8]) -> Option<u64> {
    let counts = matches!(head.method(), Method::Options | Method::Trace);
    decimal(value).filter(|_| counts)?.checked_sub(1)
}

fn forwarded(head: RequestHead<'_>, forward: &Forward<'_>, out: &mut Vec<u8>) {
    let trusted = forward.trust == Trust::Append;
    let begun = |kind| trusted && head.fields_of(kind).next().is_some();
    let style = forward.style;
    if style.begins_x() || begun(Kind::ForwardedFor) {
        put(out, &["X-Forwarded-For: "]);
        go_on(head, Kind::ForwardedFor, trusted, out);
        put(out, &[forward.client, "\r\n"]);
    }
    if style.begins_x() && !begun(Kind::ForwardedProto) {
        put(out, &["X-Forwarded-Proto: ", forward.proto, "\r\n"]);
    }
    if style.begins_x() && !begun(Kind::ForwardedHost) && !head.authority().is_empty() {
        put(out, &["X-Forwarded-Host: ", head.authority(), "\r\n"]);
    }
    if style.begins_forwarded() || begun(Kind::Forwarded) {
        put(out, &["Forwarded: "]);
        go_on(head, Kind::Forwarded, trusted, out);
        put_element(head, forward, out);
    }
}

/// The list as far as a trusted proxy has it, up to where our entry goes.
fn go_on(head: RequestHead<'_>, kind: Kind, trusted: bool, out: &mut Vec<u8>) {
    for value in head.fields_of(kind).filter(|value| trusted && !value.is_empty()) {
        out.extend_from_slice(value);
        put(out, &[", "]);
    }
}

/// Our entry of Forwarded. An IPv6 address and a port are no tokens: quoted (RFC 7239, section 4). A host has neither a
/// quotation mark nor a backslash in it.
fn put_element(head: RequestHead<'_>, forward: &Forward<'_>, out: &mut Vec<u8>) {
    match forward.client {
        "" => put(out, &["for=unknown"]),
        v6 if v6.contains(':') => put(out, &["for=\"[", v6, "]\""]),
        v4 => put(out, &["for=", v4]),
    }
    if !head.authority().is_empty() {
        put(out, &[";host=\"", head.authority(), "\""]);
    }
    put(out, &[";proto=", forward.proto, "\r\n"]);
}

/// Appends `head` to `out` as the client shall see it, complete with its empty line. Upgrade stays in a 101 and in a 426.
///
/// An informational head must not be passed on to an HTTP/1.0 client at all.
pub fn response(head: ResponseHead<'_>, answer: &Answer<'_>, out: &mut Vec<u8>) -> Delivery {
    let bytes = head.bytes;
    let http10 = answer.version == Version::Http10;
    let informational = head.is_informational() || head.is_switch();
    let decode = http10 && head.framing() == Framing::Chunked;
    let close = answer.close || decode || head.framing() == Framing::Close;
    // RFC 9112, sections 6.1 and 6.2: these have neither field, and an HTTP/1.0 client knows no chunks.
    let no_length = informational || head.status() == 204;
    let no_encoding = no_length || http10;
    out.reserve(head.len() + 64);
    put(out, &["HTTP/1.1"]);
    let line = head.status_line();
    // ` 200`: the space behind the status is there without a phrase too (RFC 9112, section 4).
    let (status, phrase) = line.split_at_checked(" 200".len()).unwrap_or((line, b""));
    out.extend_from_slice(status);
    if !phrase.starts_with(b" ") {
        put(out, &[" "]);
    }
    out.extend_from_slice(phrase);
    let mut dated = informational || answer.date.is_empty();
    copy(&head.fields, bytes, out, |field| match field.kind {
        Kind::Connection | Kind::Hop | Kind::Upgrade => false,
        Kind::ContentLength => !no_length,
        Kind::TransferEncoding => !no_encoding,
        Kind::Date => {
            dated = true;
            true
        }
        _ => !head.fields.is_nominated(bytes, field.name(bytes)),
    });
    for (name, value) in answer
        .extra
        .iter()
        .filter(|(_, value)| !value.bytes().any(|byte| byte.is_ascii_control()))
    {
        put(out, &[name, ": ", value, "\r\n"]);
    }
    if !dated {
        put(out, &["Date: ", answer.date, "\r\n"]);
    }
    // RFC 9110, sections 15.2.2 and 15.5.22: these say what to.
    if head.is_switch() || (head.status() == 426 && upgrade::offers(&head.fields, bytes).next().is_some()) {
        upgrade::write(upgrade::offers(&head.fields, bytes), out);
    }
    if !informational {
        put(
            out,
            &["Via: ", received(answer.received, head.version()), " lbpool\r\n"],
        );
        put(out, &[persistence(answer.version, close)]);
    }
    put(out, &["\r\n"]);
    Delivery {
        close: close && !informational,
        decode,
    }
}

/// The Connection field that says whether the connection goes on, where the version does not say it already.
pub(crate) const fn persistence(client: Version, close: bool) -> &'static str {
    match (client, close) {
        (_, true) => "Connection: close\r\n",
        (Version::Http10, false) => "Connection: keep-alive\r\n",
        (Version::Http11, false) => "",
    }
}

/// Whether a trailer field of this name would say something that only a head may say.
#[must_use]
pub fn is_forbidden_trailer(name: &[u8]) -> bool {
    let other = [&b"authorization"[..], b"trailer", b"cookie", b"set-cookie"];
    !matches!(Kind::of(name), Kind::Other | Kind::Date) || other.iter().any(|known| name.eq_ignore_ascii_case(known))
}

/// Copies the lines of the fields that `keep` keeps: each run of neighbours at once.
fn copy(fields: &Fields, bytes: &[u8], out: &mut Vec<u8>, mut keep: impl FnMut(Field) -> bool) {
    let mut run = fields.start;
    let mut dropped = false;
    for field in fields.iter() {
        if dropped {
            run = field.start();
        }
        dropped = !keep(*field);
        if dropped {
            out.extend_from_slice(bytes.get(run..field.start()).unwrap_or_default());
        }
    }
    if !dropped {
        out.extend_from_slice(bytes.get(run..fields.end).unwrap_or_default());
    }
}

const fn received(said: &str, version: Version) -> &str {
    if said.is_empty() { number(version) } else { said }
}

const fn number(version: Version) -> &'static str {
    match version {
        Version::Http10 => "1.0",
        Version::Http11 => "1.1",
    }
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests;
