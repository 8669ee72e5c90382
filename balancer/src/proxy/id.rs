//! The id of a request, in place: most clients send none, so one is made for each of their requests.

use std::{ops::Deref, str};

use lbpool_http1::RequestHead;

/// Length of the longest id that a client may give: see [`lbpool_http1::RequestHead::request_id`].
const MAX: usize = 128;
const DIGITS: &[u8; 16] = b"0123456789abcdef";

/// An id of visible ASCII characters.
#[derive(Clone, Copy, Debug)]
pub(super) struct RequestId {
    text: [u8; MAX],
    len: usize,
}

impl RequestId {
    /// Of a request: the client's own, else a new one of `random` bits.
    pub(super) fn of(head: RequestHead<'_>, random: impl FnOnce() -> [u64; 2]) -> Self {
        match head.request_id() {
            Some(id) => Self::given(id),
            // It goes on as it came, and is of no use in an answer of ours; another one would be the id of nothing.
            None if head.has_request_id() => Self::none(),
            None => Self::new(random()),
        }
    }

    /// No id: none is known, or none that is of use.
    pub(super) const fn none() -> Self {
        Self { text: [0; MAX], len: 0 }
    }

    /// The client's own.
    fn given(id: &str) -> Self {
        let len = id.len().min(MAX);
        let mut text = [0; MAX];
        text[..len].copy_from_slice(&id.as_bytes()[..len]);
        Self { text, len }
    }

    /// A new one of 32 hexadecimal digits.
    fn new(random: [u64; 2]) -> Self {
        let mut text = [0; MAX];
        let bytes = random.into_iter().flat_map(u64::to_be_bytes);
        for (pair, byte) in text.chunks_exact_mut(2).zip(bytes) {
            pair[0] = DIGITS[usize::from(byte >> 4)];
            pair[1] = DIGITS[usize::from(byte & 15)];
        }
        Self { text, len: 32 }
    }
}

impl Deref for RequestId {
    type Target = str;

    fn deref(&self) -> &str {
        str::from_utf8(&self.text[..self.len]).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_id_is_32_hexadecimal_digits() {
        assert_eq!(
            &*RequestId::new([0x0123_4567_89ab_cdef, 0xff]),
            "0123456789abcdef00000000000000ff"
        );
    }

    #[test]
    fn a_given_id_stays_as_it_is() {
        let longest = "x".repeat(MAX);
        assert_eq!(
            (&*RequestId::given("cart-42"), &*RequestId::given(&longest)),
            ("cart-42", &*longest)
        );
    }
}
