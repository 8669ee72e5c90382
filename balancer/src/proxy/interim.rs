//! How much a member may say before its answer.
//!
//! Each interim answer (1xx) is passed on and lets the wait for the answer begin anew, which 102 (Processing) is for. So
//! without a limit a member could keep a request, and the client's connection, for ever.

use lbpool_http1::Error;

use super::error::Cause;

/// Interim answers before an answer: some 103 at its beginning, or a 102 now and then.
const MOST: u32 = 64;

/// Counts the interim answers of one attempt.
#[derive(Debug)]
pub(super) struct Interim {
    left: u32,
    bytes: usize,
}

// === impl Interim ===

impl Interim {
    /// `bytes`: of their heads together.
    pub(super) const fn new(bytes: usize) -> Self {
        Self { left: MOST, bytes }
    }

    /// Counts one whose head has so many bytes.
    ///
    /// # Errors
    /// There were too many, or they are too long.
    pub(super) fn count(&mut self, bytes: usize) -> Result<(), Cause> {
        let counted = self.left.checked_sub(1).zip(self.bytes.checked_sub(bytes));
        let (left, bytes) = counted.ok_or(Cause::Answer(Error::TooManyInterim))?;
        *self = Self { left, bytes };
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_and_so_long_and_no_more() {
        let mut many = Interim::new(1 << 20);
        assert!((0..MOST).all(|_| many.count(30).is_ok()));
        assert!(many.count(30).is_err());
        let mut long = Interim::new(100);
        assert!(long.count(60).is_ok() && long.count(40).is_ok());
        assert!(long.count(1).is_err());
    }
}
