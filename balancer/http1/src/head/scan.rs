//! Finds where a head ends, whatever pieces it arrives in.

use crate::{Error, head::Limits};

/// How far a head was looked at. Each byte is looked at once, so a client that sends single bytes costs no more than
/// one that sends the head whole.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Scan {
    /// The bytes before this one are whole lines, or hold no line's end.
    seen: usize,
    /// Where the line that `seen` lies in begins.
    line: usize,
    /// Where the first line begins: behind the empty line that RFC 9112 lets a client send before a request.
    first: usize,
    /// Whether the first line is complete.
    started: bool,
}

/// Where a complete head lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Extent {
    pub(super) first: usize,
    pub(super) end: usize,
}

// === impl Scan ===

impl Scan {
    /// Goes on where the last call stopped; `bytes` begins with the very bytes that call saw.
    pub(super) fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<Extent>, Error> {
        while let Some(found) = memchr::memchr(b'\n', bytes.get(self.seen..).unwrap_or_default()) {
            let lf = self.seen + found;
            let line = &bytes[self.line..lf];
            self.check(line, lf + 1 > limits.most_bytes(), limits)?;
            if line.last() != Some(&b'\r') {
                return Err(Error::LineEnd);
            }
            self.seen = lf + 1;
            self.line = lf + 1;
            match (line.len(), self.started) {
                (1, true) => {
                    return Ok(Some(Extent {
                        first: self.first,
                        end: self.seen,
                    }));
                }
                (1, false) if self.first == 0 => self.first = self.seen,
                (1, false) => return Err(Error::StartLine),
                _ => self.started = true,
            }
        }
        self.seen = bytes.len();
        let rest = bytes.get(self.line..).unwrap_or_default();
        self.check(rest, bytes.len() >= limits.most_bytes(), limits)
            .map(|()| None)
    }

    /// Refuses a line, or the beginning of one, that cannot become a part of a head: before the client has to wait for a
    /// time-out, and alike whatever the cuts.
    fn check(&self, line: &[u8], too_large: bool, limits: &Limits) -> Result<(), Error> {
        if self.started {
            return if too_large { Err(Error::HeadTooLarge) } else { Ok(()) };
        }
        // A TLS handshake on the wrong port, for one.
        if line
            .first()
            .is_some_and(|byte| *byte != b'\r' && !byte.is_ascii_graphic())
        {
            return Err(Error::StartLine);
        }
        // The method, two spaces and the version take some bytes beside the target.
        if too_large || line.len() > limits.target.saturating_add(64) {
            return Err(Error::TargetTooLong);
        }
        Ok(())
    }
}
