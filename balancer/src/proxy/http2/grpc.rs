//! Our own failures in the words of gRPC: a client of gRPC reads neither a status of HTTP nor our JSON.
//!
//! The answer is "trailers only" (gRPC over HTTP/2, Responses): status 200, and one block of fields that ends the stream.

use std::fmt::Write as _;

use http::{HeaderMap, HeaderValue, Response, header};

use crate::proxy::error::Reason;

/// Whether a request is a call of gRPC.
pub(super) fn is_call(content_type: Option<&[u8]>) -> bool {
    let Some(kind) = content_type.and_then(|value| value.get(..16)) else {
        return false;
    };
    let rest = content_type.and_then(|value| value.get(16)).copied();
    kind.eq_ignore_ascii_case(b"application/grpc") && matches!(rest, None | Some(b'+' | b';' | b' '))
}

/// The status of gRPC for each of our reasons.
///
/// Where gRPC says how clients read the status of HTTP that a reason has (its "HTTP to gRPC status code mapping": 400, 502, 503,
/// 504), it is that one, so that a call fails alike behind us and behind a proxy that knows no gRPC. Clients take all others for
/// UNKNOWN; those get the status that says what is wrong.
pub(super) const fn status(reason: Reason) -> u8 {
    match reason {
        // DEADLINE_EXCEEDED: the client did not send what it had said. Its own deadline is the member's to watch.
        Reason::HeadTimeout | Reason::BodyTimeout => 4,
        // RESOURCE_EXHAUSTED
        Reason::TooLarge => 8,
        // UNIMPLEMENTED
        Reason::Unsupported => 12,
        // INTERNAL
        Reason::Malformed | Reason::Ambiguous | Reason::Misdirected => 13,
        // UNAVAILABLE
        Reason::NoMember
        | Reason::MemberAway
        | Reason::ConnectFailed
        | Reason::ConnectTimeout
        | Reason::MemberClosed
        | Reason::BadAnswer
        | Reason::ResponseTimeout
        | Reason::ControlBusy
        | Reason::ControlTimeout => 14,
    }
}

/// The answer to a call that has none yet.
pub(super) fn answer(reason: Reason, message: &str, id: &str) -> Response<()> {
    let mut response = Response::new(());
    let fields = response.headers_mut();
    fields.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    if let Ok(id) = HeaderValue::from_str(id)
        && !id.is_empty()
    {
        fields.insert("x-request-id", id);
    }
    fields.extend(trailers(reason, message));
    response
}

/// The end of an answer that was cut.
pub(super) fn trailers(reason: Reason, message: &str) -> HeaderMap {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-lbpool-reason", HeaderValue::from_static(reason.label()));
    trailers.insert("grpc-status", HeaderValue::from(u16::from(status(reason))));
    if let Ok(message) = HeaderValue::from_str(&encode(message)) {
        trailers.insert("grpc-message", message);
    }
    trailers
}

/// Percent-encoded, as `grpc-message` wants it: all but visible ASCII, the blank, and the percent sign itself.
fn encode(message: &str) -> String {
    let mut out = String::with_capacity(message.len());
    for byte in message.bytes() {
        match byte {
            b' '..=b'~' if byte != b'%' => out.push(char::from(byte)),
            // Writing to a String cannot fail.
            _ => drop(write!(out, "%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_calls_of_grpc_are_answered_in_its_words() {
        for (kind, want) in [
            ("application/grpc", true),
            ("application/grpc+proto", true),
            ("Application/gRPC;x=y", true),
            ("application/grpc-web", false),
            ("application/json", false),
            ("", false),
        ] {
            assert_eq!(is_call(Some(kind.as_bytes())), want, "{kind}");
        }
        assert!(!is_call(None));
    }

    #[test]
    fn messages_are_percent_encoded() {
        assert_eq!(encode("50 % of \u{fc}\n"), "50 %25 of %C3%BC%0A");
    }

    #[test]
    fn every_reason_has_the_status_that_clients_would_read_from_http() {
        for reason in Reason::ALL {
            let want: &[u8] = match reason.status() {
                400 => &[13],
                401 => &[16],
                403 => &[7],
                404 => &[12],
                429 | 502..=504 => &[14],
                // UNKNOWN, or one that says more.
                _ => &[2, 4, 8, 12, 13],
            };
            assert!(want.contains(&status(*reason)), "{reason:?}");
        }
    }
}
