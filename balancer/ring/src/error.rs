//! Why no table can be built.

use crate::{classroom, member, ring};

/// Why no table can be built of these members.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// More members than a table is made for.
    #[error("{count} members: a table holds at most {}; split the pool", member::MAX_MEMBERS)]
    TooManyMembers {
        /// How many were given.
        count: usize,
    },
    /// A weight outside of `1..=1000`.
    #[error("member {name}: weight {weight} is not within 1..={}", member::MAX_WEIGHT)]
    Weight {
        /// Whose weight it is.
        name: String,
        /// The weight as given.
        weight: u32,
    },
    /// Two members whose names differ in nothing, or in case only.
    #[error("members {first} and {second} have the same name (case does not count); rename one")]
    Duplicate {
        /// The name as it was given first.
        first: String,
        /// The name as it was given again.
        second: String,
    },
    /// The classroom's ring of 512 slots has no place left.
    #[error(
        "{count} members: the classroom ring is full with {} servers; remove members or choose another algorithm",
        classroom::MAX_SERVERS
    )]
    ClassroomFull {
        /// How many were given.
        count: usize,
    },
    /// The weights ask for more virtual nodes than a ring may have.
    #[error(
        "the weights add up to {total}: a ring has room for {}; divide all weights by a common number or choose Rendezvous",
        ring::MAX_TOTAL_WEIGHT
    )]
    RingTooHeavy {
        /// The sum of the weights.
        total: u64,
    },
}
