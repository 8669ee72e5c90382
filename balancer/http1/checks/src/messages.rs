//! Streams of messages, read as the balancer reads them.

use lbpool_http1::{Body, Framing, Limits, Method, Request, Response};

/// A message, by what it says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Message {
    /// The method and the target, or the status.
    pub(crate) start: String,
    pub(crate) http11: bool,
    /// By name in lower case, in the order of names, those of a name in the order they came.
    pub(crate) fields: Vec<(String, Vec<u8>)>,
    /// The data, without chunks.
    pub(crate) body: Vec<u8>,
    pub(crate) end: End,
}

/// How far the body came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// To its end.
    Complete,
    /// To the end of the bytes.
    Open,
    /// To something malformed.
    Refused,
}

/// Messages up to the end of the stream, to the first that is refused, or to the last of the connection.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) messages: Vec<Message>,
    /// Where the first byte lies that was not taken.
    pub(crate) taken: usize,
}

/// Requests as a client sends them, one behind the other. `forwarded` gets each head that was accepted with the bytes of
/// its body that are passed on.
pub(crate) fn requests(stream: &[u8], mut forwarded: impl FnMut(&Request, &[u8], &[u8])) -> Reading {
    let mut reading = Reading::default();
    let mut request = Request::new();
    loop {
        let rest = &stream[reading.taken..];
        let Ok(Some(length)) = request.parse(rest, &Limits::default()) else {
            return reading;
        };
        let head = request.head(rest);
        let mut message = Message {
            start: format!("{} {}", head.method_name(), head.target()),
            http11: head.version() == lbpool_http1::Version::Http11,
            fields: fields(&rest[..length]),
            body: Vec::new(),
            end: End::Open,
        };
        let taken = body(request.framing(), &rest[length..], &mut message);
        if let Some(taken) = taken {
            forwarded(&request, rest, &rest[length..length + taken]);
            reading.taken += length + taken;
        }
        let last = message.end != End::Complete || !request.keep_alive();
        reading.messages.push(message);
        if last {
            return reading;
        }
    }
}

/// One answer to a request with the method `to`, behind those that only inform. The stream ends behind the last byte.
pub(crate) fn response(stream: &[u8], to: Method) -> Option<(Message, Framing)> {
    let mut response = Response::new();
    let mut rest = stream;
    loop {
        let length = response.parse(rest, &Limits::default(), to).ok()??;
        if response.is_informational() {
            rest = &rest[length..];
            continue;
        }
        let mut message = Message {
            start: response.status().to_string(),
            http11: response.version() == lbpool_http1::Version::Http11,
            fields: fields(&rest[..length]),
            body: Vec::new(),
            end: End::Open,
        };
        body(response.framing(), &rest[length..], &mut message);
        if response.framing() == Framing::Close {
            message.end = End::Complete;
        }
        return Some((message, response.framing()));
    }
}

/// Bytes of the body, which goes to `message`; `None` where it is refused.
fn body(framing: Framing, bytes: &[u8], message: &mut Message) -> Option<usize> {
    let mut body = Body::new(framing);
    let taken = body.decode(bytes, usize::MAX, &mut message.body).ok();
    message.end = match taken {
        None => End::Refused,
        Some(_) if body.is_done() => End::Complete,
        Some(_) => End::Open,
    };
    taken
}

/// The fields of an accepted head.
fn fields(head: &[u8]) -> Vec<(String, Vec<u8>)> {
    let plain = crate::plain::Head::read(head);
    let fields = plain.iter().flat_map(|plain| &plain.fields);
    sorted(fields.map(|(name, value)| (String::from_utf8_lossy(name).into_owned(), value.to_vec())))
}

/// Fields by name in lower case; those of one name keep their order.
pub(crate) fn sorted(fields: impl Iterator<Item = (String, Vec<u8>)>) -> Vec<(String, Vec<u8>)> {
    let mut fields: Vec<_> = fields.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
    fields.sort_by(|a, b| a.0.cmp(&b.0));
    fields
}
