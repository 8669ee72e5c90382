//! Heads in the other version of HTTP.
//!
//! What came over HTTP/2 is written as an HTTP/1.1 head, read by the one parser and rewritten by the one set of rules, so
//! that keys, ids, hop-by-hop fields and limits are the same for both (RFC 9113, section 8). What goes out over HTTP/2 is
//! made from the rewritten head.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header, request, response,
    uri::PathAndQuery,
};
use lbpool_http1::{Error, rewrite::is_forbidden_trailer};

/// Whether a request of this scheme belongs on its connection, as an absolute target of HTTP/1.1 does (RFC 9110, section
/// 7.4). `secret`: the connection is encrypted, or comes from a proxy that is believed.
///
/// The codec tells no scheme of a request that has Host alone, so that one passes.
///
/// # Errors
/// `https` where it is not secret; what is neither `http` nor `https`.
pub(in crate::proxy) fn check_scheme(scheme: Option<&str>, secret: bool) -> Result<(), Error> {
    let is = |known: &str| scheme.is_none_or(|scheme| scheme.eq_ignore_ascii_case(known));
    match (is("http"), is("https")) {
        (true, _) => Ok(()),
        (_, true) if secret => Ok(()),
        (_, true) => Err(Error::Misdirected),
        _ => Err(Error::Target),
    }
}

/// A client's request as an HTTP/1.1 head. `ended`: it has no body.
///
/// # Errors
/// What HTTP/1.1 could not say, or RFC 9113 forbids and the codec lets pass.
pub(in crate::proxy) fn of_request(parts: &request::Parts, ended: bool, out: &mut Vec<u8>) -> Result<(), Error> {
    if parts.method == Method::CONNECT {
        return Err(Error::Connect);
    }
    let path = parts.uri.path_and_query().ok_or(Error::Target)?;
    put(out, &[parts.method.as_str(), " ", path.as_str(), " HTTP/1.1\r\n"]);
    host(parts, out)?;
    let mut cookies = Vec::new();
    for (name, value) in &parts.headers {
        check(value)?;
        match *name {
            header::HOST => {}
            header::COOKIE => cookies.push(value.as_bytes()),
            // In HTTP/1.1 it comes with a Connection field (RFC 9110, section 10.1.4).
            header::TE => put(out, &["te: trailers\r\nconnection: te\r\n"]),
            _ => line(out, name.as_str(), value.as_bytes()),
        }
    }
    if !cookies.is_empty() {
        // RFC 9113, section 8.2.3: the crumbs of a cookie belong together.
        line(out, "cookie", &cookies.join(&b"; "[..]));
    }
    if !parts.headers.contains_key(header::CONTENT_LENGTH) {
        let expects = matches!(parts.method, Method::POST | Method::PUT | Method::PATCH);
        match (ended, expects) {
            (false, _) => put(out, &["transfer-encoding: chunked\r\n"]),
            // RFC 9110, section 8.6: where a body is expected, that there is none is to be said.
            (true, true) => put(out, &["content-length: 0\r\n"]),
            (true, false) => {}
        }
    }
    put(out, &["\r\n"]);
    Ok(())
}

/// RFC 9113, section 8.3.1: `:authority` is the host; one that differs from a Host field makes the request malformed, as
/// several Host fields do in HTTP/1.1.
fn host(parts: &request::Parts, out: &mut Vec<u8>) -> Result<(), Error> {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let mut hosts = parts.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    let host = match (authority, hosts.next(), hosts.next()) {
        (_, _, Some(_)) => return Err(Error::HostTwice),
        (Some(authority), Some(host), None) if !authority.eq_ignore_ascii_case(host) => return Err(Error::HostTwice),
        (authority, host, None) => authority.or(host),
    };
    if let Some(host) = host {
        line(out, "host", host);
    }
    Ok(())
}

/// RFC 9113, section 8.2.1: no white space around a value. The codec has refused control characters.
fn check(value: &HeaderValue) -> Result<(), Error> {
    let bytes = value.as_bytes();
    if bytes.trim_ascii().len() == bytes.len() {
        Ok(())
    } else {
        Err(Error::FieldValue)
    }
}

/// A member's answer as an HTTP/1.1 head. `ended`: nothing follows it. `bodiless`: its body, if it speaks of one, is not
/// there, as for HEAD.
pub(super) fn of_response(parts: &response::Parts, ended: bool, bodiless: bool, out: &mut Vec<u8>) {
    let status = parts.status;
    let reason = status.canonical_reason().unwrap_or_default();
    put(out, &["HTTP/1.1 ", status.as_str(), " ", reason, "\r\n"]);
    for (name, value) in &parts.headers {
        line(out, name.as_str(), value.as_bytes());
    }
    let no_body = bodiless || status.is_informational() || matches!(status.as_u16(), 204 | 304);
    if !no_body && !parts.headers.contains_key(header::CONTENT_LENGTH) {
        put(
            out,
            &[if ended {
                "content-length: 0\r\n"
            } else {
                "transfer-encoding: chunked\r\n"
            }],
        );
    }
    put(out, &["\r\n"]);
}

/// A rewritten head as a request to a member that is reached by `scheme`.
///
/// # Errors
/// An authority that HTTP/2 can not carry.
pub(super) fn to_request(head: &[u8], scheme: &str) -> Result<Request<()>, Error> {
    let (first, fields) = split(head);
    let mut words = first.split(|byte| *byte == b' ');
    let method = words.next().and_then(|word| Method::from_bytes(word).ok());
    let target = words.next().and_then(|word| std::str::from_utf8(word).ok());
    let mut request = Request::new(());
    *request.method_mut() = method.ok_or(Error::Method)?;
    let target = target.ok_or(Error::Target)?;
    let mut host: &[u8] = b"";
    for (name, value) in fields {
        if name.eq_ignore_ascii_case(b"host") {
            host = value;
        } else if name.eq_ignore_ascii_case(b"te") || !is_of_the_hop(name) {
            // TE was rewritten: it is `trailers`, which HTTP/2 has too.
            append(request.headers_mut(), name, value)?;
        }
    }
    let target = PathAndQuery::try_from(target).map_err(|_| Error::Target)?;
    let uri = Uri::builder().path_and_query(target);
    *request.uri_mut() = if host.is_empty() {
        // The codec takes a request without a host as one of HTTP/1.1 that is passed on.
        uri.build().map_err(|_| Error::Target)?
    } else {
        *request.version_mut() = Version::HTTP_2;
        let uri = uri.scheme(scheme).authority(host);
        uri.build().map_err(|_| Error::Host)?
    };
    Ok(request)
}

/// A rewritten head as an answer to a client.
///
/// # Errors
/// A status or a field that HTTP/2 can not carry.
pub(in crate::proxy) fn to_response(head: &[u8]) -> Result<Response<()>, Error> {
    let (first, fields) = split(head);
    let status = first.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
    let mut response = Response::new(());
    *response.status_mut() = StatusCode::from_bytes(status).map_err(|_| Error::Status)?;
    for (name, value) in fields.filter(|(name, _)| !is_of_the_hop(name)) {
        append(response.headers_mut(), name, value)?;
    }
    Ok(response)
}

/// The lines of trailers as fields; those that say what only a head may say are left out.
///
/// # Errors
/// One that HTTP/2 can not carry.
pub(super) fn to_trailers(lines: &[u8]) -> Result<HeaderMap, Error> {
    let mut trailers = HeaderMap::new();
    for (name, value) in fields(lines).filter(|(name, _)| !is_forbidden_trailer(name)) {
        append(&mut trailers, name, value)?;
    }
    Ok(trailers)
}

/// Trailers without those that say what only a head may say.
pub(super) fn permitted(trailers: HeaderMap) -> HeaderMap {
    if !trailers
        .keys()
        .any(|name| is_forbidden_trailer(name.as_str().as_bytes()))
    {
        return trailers;
    }
    let kept = trailers
        .iter()
        .filter(|(name, _)| !is_forbidden_trailer(name.as_str().as_bytes()));
    let mut permitted = HeaderMap::new();
    for (name, value) in kept {
        permitted.append(name, value.clone());
    }
    permitted
}

/// Fields as the lines of trailers, with those left out that say what only a head may say.
pub(super) fn of_trailers(trailers: &HeaderMap, out: &mut Vec<u8>) {
    for (name, value) in trailers {
        if !is_forbidden_trailer(name.as_str().as_bytes()) {
            line(out, name.as_str(), value.as_bytes());
        }
    }
}

/// RFC 9113, section 8.2.2: what HTTP/2 says in another way.
fn is_of_the_hop(name: &[u8]) -> bool {
    let names = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "transfer-encoding",
        "upgrade",
    ];
    names.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

fn append(fields: &mut HeaderMap, name: &[u8], value: &[u8]) -> Result<(), Error> {
    let name = HeaderName::from_bytes(name).map_err(|_| Error::FieldName)?;
    let value = HeaderValue::from_bytes(value).map_err(|_| Error::FieldValue)?;
    fields.append(name, value);
    Ok(())
}

/// The first line of a head, and its fields.
fn split(head: &[u8]) -> (&[u8], impl Iterator<Item = (&[u8], &[u8])>) {
    let end = memchr::memchr(b'\n', head).map_or(head.len(), |end| end + 1);
    let (first, rest) = head.split_at(end);
    (first.trim_ascii_end(), fields(rest))
}

fn fields(lines: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    lines.split(|byte| *byte == b'\n').filter_map(|line| {
        let colon = memchr::memchr(b':', line)?;
        Some((&line[..colon], line[colon + 1..].trim_ascii()))
    })
}

fn line(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    put(out, &[name, ": "]);
    out.extend_from_slice(value);
    put(out, &["\r\n"]);
}

fn put(out: &mut Vec<u8>, parts: &[&str]) {
    for part in parts {
        out.extend_from_slice(part.as_bytes());
    }
}

#[cfg(test)]
mod tests;
