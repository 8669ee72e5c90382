//! Where bodies end.

use lbpool_http1::{Body, Framing, Limits, Request, Response};

use crate::{Knobs, plain::Head};

/// Fields of any kind in a head that is well-formed otherwise: a framing is found exactly where the fields leave no choice,
/// and it is the one that they say.
///
/// # Panics
/// Where that does not hold.
pub fn framing(data: &[u8]) {
    let Some((knobs, fields)) = Knobs::split(data) else {
        return;
    };
    let version = if knobs.bit(7) { "1.0" } else { "1.1" };
    let limits = Limits::default();

    let bytes = [
        format!("POST / HTTP/{version}\r\nHost: a\r\n").as_bytes(),
        fields,
        b"\r\n\r\n",
    ]
    .concat();
    let mut request = Request::new();
    match request.parse(&bytes, &limits) {
        Ok(Some(length)) => {
            let plain = whole(&bytes, length);
            assert_eq!(Some(request.framing()), plain.framing_of_request());
            assert_ne!(
                request.framing(),
                Framing::Close,
                "a request's end is told by the request"
            );
            starts(request.framing());
        }
        Ok(None) => unreachable!("it ends in an empty line"),
        Err(error) => refused(&bytes, error, |head| head.framing_of_request().is_none()),
    }

    let to = knobs.method();
    let status = [200, 204, 205, 304, 100, 199, 404, 999][usize::from(knobs.0 >> 2 & 7)];
    let bytes = [format!("HTTP/{version} {status} X\r\n").as_bytes(), fields, b"\r\n\r\n"].concat();
    let mut response = Response::new();
    match response.parse(&bytes, &limits, to) {
        Ok(Some(length)) => {
            let plain = whole(&bytes, length);
            assert_eq!(Some(response.framing()), plain.framing_of_response(status, to));
            assert!(!(response.framing() == Framing::Close && response.keep_alive()));
            starts(response.framing());
        }
        Ok(None) => unreachable!("it ends in an empty line"),
        Err(error) => refused(&bytes, error, |head| head.framing_of_response(status, to).is_none()),
    }
}

fn whole(bytes: &[u8], length: usize) -> Head<'_> {
    match Head::read(&bytes[..length]) {
        Some(plain) if plain.len == length => plain,
        _ => unreachable!("accepted, and no head by its lines"),
    }
}

/// Whoever refuses a length has a reason in the fields.
fn refused(bytes: &[u8], error: lbpool_http1::Error, is_ambiguous: impl Fn(&Head<'_>) -> bool) {
    use lbpool_http1::Error::{BothLengths, Encoding, EncodingUnknown, Length, LengthTwice};
    if matches!(error, BothLengths | Encoding | EncodingUnknown | Length | LengthTwice) {
        let Some(plain) = Head::read(bytes) else { return };
        assert!(is_ambiguous(&plain), "{error:?} without a reason");
    }
}

/// A body begins as its framing says.
fn starts(framing: Framing) {
    let mut body = Body::new(framing);
    assert_eq!(body.is_done(), matches!(framing, Framing::None | Framing::Length(0)));
    assert_eq!(
        body.left(),
        match framing {
            Framing::None => Some(0),
            Framing::Length(length) => Some(length),
            Framing::Chunked | Framing::Close => None,
        }
    );
    let complete = matches!(framing, Framing::None | Framing::Length(0) | Framing::Close);
    assert_eq!(body.end().is_ok(), complete);
}
