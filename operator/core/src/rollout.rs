//! Surge and unavailable: how many steps of a roll-out may run at once.

use lbpool_api::pool::Update;

/// What a roll-out may still begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Budget {
    /// Successors that may be made beside the members they replace.
    pub surge: usize,
    /// Serving seats that may be emptied before their successor is made.
    pub breaks: usize,
}

/// The numbers as of now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Numbers {
    /// Live instances beyond one per seat, those of seats that are gone included.
    pub extra: usize,
    /// Seats that have nobody who could serve them now, for whatever reason.
    pub away: usize,
}

impl Budget {
    /// What is left of maxSurge and maxUnavailable. A paused update begins nothing.
    ///
    /// Seats that are away for other reasons use maxUnavailable up first: an update never adds to an outage. A
    /// successor that never gets ready keeps its part of maxSurge, which is what stops the update of a bad template.
    #[must_use]
    pub const fn left(update: &Update, numbers: Numbers) -> Self {
        if update.paused {
            return Self { surge: 0, breaks: 0 };
        }
        Self {
            surge: (update.max_surge as usize).saturating_sub(numbers.extra),
            breaks: (update.max_unavailable as usize).saturating_sub(numbers.away),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn left(max_surge: u32, max_unavailable: u32, extra: usize, away: usize) -> (usize, usize) {
        let update = Update {
            max_surge,
            max_unavailable,
            ..Update::default()
        };
        let budget = Budget::left(&update, Numbers { extra, away });
        (budget.surge, budget.breaks)
    }

    #[test]
    fn a_budget_is_what_is_not_in_use() {
        assert_eq!(left(2, 3, 0, 0), (2, 3));
        assert_eq!(left(2, 3, 1, 2), (1, 1));
        assert_eq!(left(2, 3, 9, 9), (0, 0));
    }

    #[test]
    fn a_paused_update_begins_nothing() {
        let update = Update {
            max_surge: 2,
            max_unavailable: 2,
            paused: true,
            ..Update::default()
        };
        assert_eq!(
            Budget::left(&update, Numbers::default()),
            Budget { surge: 0, breaks: 0 }
        );
    }
}
