//! What holds for any bytes that `lbpool-http1` reads.
//!
//! Each check takes bytes, whatever they are, and panics where a promise of the crate is broken: a difference between a
//! message fed whole and fed in pieces, a forwarded message that reads otherwise than the one received, bytes that hyper
//! or httparse read in another way. The fuzzer calls them with bytes that it makes up (`balancer/http1/fuzz`, nightly
//! only); a test of this crate calls them with every seed that the fuzzer found worth keeping (stable).
//!
//! The first byte of the input, the knobs, chooses what is no part of the message: limits, the method that an answer
//! answers, how much of a client is believed.

mod bodies;
mod differential;
mod framing;
mod heads;
mod hyper;
mod messages;
mod plain;
mod rewriting;

pub use bodies::chunks;
pub use differential::differential;
pub use framing::framing;
pub use heads::heads;
pub use rewriting::rewriting;

/// A check: panics where a promise is broken.
pub type Check = fn(&[u8]);

/// Each check under the name of its fuzz target, which is the name of its folder of seeds too.
pub const CHECKS: &[(&str, Check)] = &[
    ("chunks", chunks),
    ("differential", differential),
    ("framing", framing),
    ("heads", heads),
    ("rewriting", rewriting),
];

/// The first byte of an input: choices beside the message.
#[derive(Clone, Copy, Debug)]
struct Knobs(u8);

// === impl Knobs ===

impl Knobs {
    fn split(data: &[u8]) -> Option<(Self, &[u8])> {
        let (first, rest) = data.split_first()?;
        Some((Self(*first), rest))
    }

    /// One of eight yes-or-no choices.
    const fn bit(self, number: u8) -> bool {
        self.0 >> number & 1 == 1
    }

    /// The method that an answer answers.
    const fn method(self) -> lbpool_http1::Method {
        use lbpool_http1::Method;
        match self.0 & 3 {
            0 => Method::Get,
            1 => Method::Head,
            2 => Method::Post,
            _ => Method::Options,
        }
    }
}
