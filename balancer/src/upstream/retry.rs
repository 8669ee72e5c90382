//! How many requests may be sent again, so that an outage is not multiplied.

use std::cell::Cell;

/// Thousandths of a request, so that a percent of one can be saved.
const ONE: u64 = 1000;
/// Requests that may be sent again at once after a quiet time: what a member may have in flight when it dies.
const BURST: u64 = 128 * ONE;

/// A worker's savings: each request adds its percent, each that is sent again takes one.
#[derive(Debug)]
pub(crate) struct Budget {
    percent: Cell<u64>,
    saved: Cell<u64>,
}

// === impl Budget ===

impl Default for Budget {
    fn default() -> Self {
        Self {
            percent: Cell::new(0),
            saved: Cell::new(BURST),
        }
    }
}

impl Budget {
    /// So many percent of the requests may be sent again. 0: none at all.
    pub(crate) fn set(&self, percent: u32) {
        self.percent.set(u64::from(percent));
    }

    /// A request came.
    pub(crate) fn earn(&self) {
        self.saved
            .set((self.saved.get() + self.percent.get() * ONE / 100).min(BURST));
    }

    /// Whether one more may be sent again.
    pub(crate) const fn allows(&self) -> bool {
        self.percent.get() > 0 && self.saved.get() >= ONE
    }

    /// Takes one, or what is left, for a request whose member is known to be ill: each is sent again once per member, and a
    /// member that stops has as many as it has. To refuse them would be no protection: the others carry its keys already.
    pub(crate) fn spend_for_ill(&self) {
        self.saved.set(self.saved.get().saturating_sub(ONE));
    }

    /// Whether requests are sent again at all.
    pub(crate) const fn is_open(&self) -> bool {
        self.percent.get() > 0
    }

    /// Whether one more may be sent again; takes it.
    pub(crate) fn spend(&self) -> bool {
        let may = self.allows();
        if may {
            self.saved.set(self.saved.get() - ONE);
        }
        may
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_the_burst_so_many_percent_may_be_sent_again() {
        let budget = Budget::default();
        budget.set(20);
        assert_eq!((0..1000).filter(|_| budget.spend()).count(), 128);
        let again = (0..1000).filter(|_| {
            budget.earn();
            budget.spend()
        });
        assert_eq!(again.count(), 200);
    }

    #[test]
    fn the_requests_of_an_ill_member_count_and_are_not_refused() {
        let budget = Budget::default();
        budget.set(20);
        (0..1000).for_each(|_| budget.spend_for_ill());
        assert!(budget.is_open() && !budget.allows());
    }

    #[test]
    fn nothing_is_sent_again_without_a_budget() {
        let budget = Budget::default();
        budget.set(0);
        assert!(!budget.spend() && !budget.is_open());
    }
}
