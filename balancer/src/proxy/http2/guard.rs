//! What a client's HTTP/2 connection may cost beyond its requests.
//!
//! HTTP/2 lets a client make work with frames that ask for nothing: PING, SETTINGS, `WINDOW_UPDATE`, PRIORITY, empty DATA,
//! and streams that are reset as soon as they are opened (CVE-2023-44487). The codec bounds the memory of each; this bounds
//! the work. It counts bytes, not frames, so that it needs no reader of frames of its own and forgets no kind of them.

use std::{cell::Cell, time::Duration};

use tokio::time::Instant;

use super::{CONNECTION_WINDOW, STREAM_WINDOW};
use crate::stats::Abuse;

/// So many bytes may come for each byte that is of use: of a head, or of a body in either direction.
const RATIO: u64 = 8;
/// So many bytes may come beyond that: 15,000 PINGs, and bodies that wait here, which the window bounds.
const SPARE_BYTES: u64 = 256 * 1024 + CONNECTION_WINDOW as u64;
/// And so many more for each second: 240 PINGs.
const BYTES_PER_SECOND: u64 = 4 * 1024;
/// So many streams may be reset by the client beyond those that were answered.
const SPARE_RESETS: u64 = 200;
/// And so many more for each second.
const RESETS_PER_SECOND: u64 = 20;

/// The account of one connection.
#[derive(Debug)]
pub(in crate::proxy) struct Guard {
    since: Instant,
    received: Cell<u64>,
    sent: Cell<u64>,
    useful: Cell<u64>,
    excused: Cell<u64>,
    resets: Cell<u64>,
    answered: Cell<u64>,
}

// === impl Guard ===

impl Guard {
    pub(super) fn new() -> Self {
        Self {
            since: Instant::now(),
            received: Cell::new(0),
            sent: Cell::new(0),
            useful: Cell::new(0),
            excused: Cell::new(0),
            resets: Cell::new(0),
            answered: Cell::new(0),
        }
    }

    /// So many bytes came.
    pub(super) fn received(&self, bytes: usize) {
        self.received.set(self.received.get() + bytes as u64);
    }

    /// So many bytes went.
    pub(super) fn sent(&self, bytes: usize) {
        self.sent.set(self.sent.get() + bytes as u64);
    }

    /// Bytes that went and came: more of them than before, and the client is there.
    pub(super) fn traffic(&self) -> u64 {
        self.sent.get() + self.received.get()
    }

    /// So many bytes of a head or a body went on to a member or to the client.
    pub(in crate::proxy) fn useful(&self, bytes: usize) {
        self.useful.set(self.useful.get() + bytes as u64);
    }

    /// A stream ended with a body that was not read to its end: what its window had let on its way was no fault of the client's.
    pub(in crate::proxy) fn unread(&self) {
        self.excused.set(self.excused.get() + u64::from(STREAM_WINDOW));
    }

    /// The client reset a stream, or went away, before it had its answer.
    pub(super) fn reset(&self) {
        self.resets.set(self.resets.get() + 1);
    }

    /// A stream got its answer.
    pub(super) fn answered(&self) {
        self.answered.set(self.answered.get() + 1);
    }

    /// Whether the connection costs too much.
    pub(super) fn abuse(&self) -> Option<Abuse> {
        let bytes = self.allowed();
        let resets = SPARE_RESETS + self.answered.get();
        if self.received.get() <= bytes && self.resets.get() <= resets {
            return None;
        }
        // The clock is asked only where it decides.
        self.abuse_after(self.since.elapsed())
    }

    /// Bytes that may have come, whatever the time.
    fn allowed(&self) -> u64 {
        SPARE_BYTES + self.excused.get() + self.useful.get().saturating_mul(RATIO)
    }

    fn abuse_after(&self, time: Duration) -> Option<Abuse> {
        let seconds = time.as_secs();
        let bytes = self.allowed() + seconds.saturating_mul(BYTES_PER_SECOND);
        let resets = SPARE_RESETS + self.answered.get() + seconds.saturating_mul(RESETS_PER_SECOND);
        if self.resets.get() > resets {
            Some(Abuse::RapidReset)
        } else if self.received.get() > bytes {
            Some(Abuse::Flood)
        } else {
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(guard: &Guard, seconds: u64) -> Option<Abuse> {
        guard.abuse_after(Duration::from_secs(seconds))
    }

    #[test]
    fn bytes_that_are_of_use_to_nobody_are_too_many_unless_they_come_slowly() {
        let guard = Guard::new();
        guard.received(256 * 1024 + 1024 * 1024);
        assert_eq!(guard.abuse(), None);
        guard.received(1);
        assert_eq!(guard.abuse(), Some(Abuse::Flood));
        assert_eq!(after(&guard, 1), None);
        guard.received(1 << 20);
        assert_eq!(after(&guard, 1), Some(Abuse::Flood));
        guard.useful(1 << 17);
        assert_eq!(after(&guard, 1), None, "a body that comes in small pieces is a body");
        guard.received(64 * 1024);
        assert_eq!(after(&guard, 1), Some(Abuse::Flood));
        guard.unread();
        assert_eq!(after(&guard, 1), None, "a body that nobody wanted");
    }

    #[test]
    fn a_client_that_resets_more_than_it_lets_answer_is_told_to_calm_down() {
        let guard = Guard::new();
        (0..200).for_each(|_| guard.reset());
        assert_eq!(guard.abuse(), None);
        guard.reset();
        assert_eq!(guard.abuse(), Some(Abuse::RapidReset));
        assert_eq!(after(&guard, 1), None, "deadlines of calls that pass now and then");
        guard.answered();
        assert_eq!(guard.abuse(), None);
    }
}
