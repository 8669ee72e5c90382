//! The id of a request, in little room: most clients send none, so one is made for each of their requests.

use std::{ops::Range, str};

use lbpool_http1::RequestHead;

/// Length of an id of ours.
const NEW: usize = 32;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// An id of visible ASCII characters.
#[derive(Clone, Debug)]
pub(super) enum RequestId {
    /// None is known, or none that is of use.
    None,
    /// The client's own, here in the request's head.
    Given(Range<u32>),
    /// A new one of hexadecimal digits.
    New([u8; NEW]),
}

impl RequestId {
    /// Of a request: the client's own, else a new one of `random` bits.
    pub(super) fn of(head: RequestHead<'_>, random: impl FnOnce() -> [u64; 2]) -> Self {
        match head.request_id_at() {
            // A head is shorter than that.
            Some(at) => Self::Given(offset(at.start)..offset(at.end)),
            // It goes on as it came, and is of no use in an answer of ours; another one would be the id of nothing.
            None if head.has_request_id() => Self::None,
            None => Self::new(random()),
        }
    }

    /// As text; `head` are the bytes of the head that it is of.
    pub(super) fn text<'a>(&'a self, head: &'a [u8]) -> &'a str {
        let text = match self {
            Self::None => return "",
            Self::Given(at) => head.get(at.start as usize..at.end as usize).unwrap_or_default(),
            Self::New(text) => text,
        };
        str::from_utf8(text).unwrap_or_default()
    }

    fn new(random: [u64; 2]) -> Self {
        let mut text = [0; NEW];
        let bytes = random.into_iter().flat_map(u64::to_be_bytes);
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self::New(text)
    }
}

fn offset(at: usize) -> u32 {
    u32::try_from(at).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use lbpool_http1::{Limits, Request};

    use super::*;

    fn id(fields: &str) -> String {
        let head = format!("GET / HTTP/1.1\r\nHost: h\r\n{fields}\r\n");
        let mut request = Request::new();
        request.parse(head.as_bytes(), &Limits::default()).unwrap().unwrap();
        let id = RequestId::of(request.head(head.as_bytes()), || [0x0123_4567_89ab_cdef, 0xff]);
        id.text(head.as_bytes()).to_owned()
    }

    #[test]
    fn a_new_id_is_32_hexadecimal_digits() {
        assert_eq!(id(""), "0123456789abcdef00000000000000ff");
        assert_eq!(id("X-Request-Id:\r\n"), "0123456789abcdef00000000000000ff", "empty");
    }

    #[test]
    fn a_given_id_stays_as_it_is() {
        let longest = "x".repeat(128);
        assert_eq!(id("X-A: b\r\nX-Request-Id:  cart-42 \r\n"), "cart-42");
        assert_eq!(id(&format!("X-Request-Id: {longest}\r\n")), longest);
    }

    #[test]
    fn one_that_is_of_no_use_is_none() {
        assert_eq!(id("X-Request-Id: a b\r\n"), "");
        assert_eq!(id(&format!("X-Request-Id: {}\r\n", "x".repeat(129))), "");
    }
}
